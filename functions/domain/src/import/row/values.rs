//! Values: one field at a time, from its cell to its type, with what is wrong noted on the row.
//!
//! Invariant: `None` from a `required_…` function always leaves an error on the row; `None` from the others
//! means an empty field, or an error on the row.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::NaiveDate;

use crate::contact::{Address, EvidenceRef};
use crate::email::parse_email;
use crate::ids::IdError;
use crate::import::amount::{AmountError, DecimalSign};
use crate::import::day::{DayError, DayFormat, in_range, parse_day, shifted};
use crate::import::fields::{Cell, Fields, RowFields};
use crate::import::fold::fold;
use crate::import::mapping::{FileSettings, YesNo};
use crate::import::row_error::RowErrorCode;
use crate::locale::Country;
use crate::money::Currency;
use crate::phone::{self, Phone};

/// How the values of a file are written.
#[derive(Debug)]
pub(super) struct Values {
    day_formats: Vec<DayFormat>,
    formats_shown: String,
    shift_days: i64,
    decimal_sign: DecimalSign,
    currency: Option<Currency>,
    pub(super) phone_region: Option<Country>,
}

/// A parser of amounts: with or without zero.
type AmountParser = fn(&str, DecimalSign, Currency) -> Result<i64, AmountError>;

impl Values {
    pub(super) fn new(file: &FileSettings, shift_days: i64) -> Self {
        let formats: Vec<_> = file.day_formats.iter().map(DayFormat::as_str).collect();
        Self {
            formats_shown: format!("a day as {}", formats.join(" or ")),
            day_formats: file.day_formats.clone(),
            shift_days,
            decimal_sign: file.decimal_sign,
            currency: file.currency,
            phone_region: file.phone_region,
        }
    }

    /// A day that may be absent.
    pub(super) fn day<F: Fields + ?Sized>(
        &self,
        row: &mut RowFields<'_, F>,
        column: usize,
    ) -> Option<NaiveDate> {
        let cell = row.cell(column)?;
        let day = match cell {
            Cell::Text("") => return None,
            Cell::Text(text) => parse_day(text, &self.day_formats),
            // A number of a sheet may be a day written as 20240131, or one whose cell lost its date format.
            Cell::Number { text, as_day } => parse_day(text, &self.day_formats)
                .or_else(|_| as_day.ok_or(DayError::NotADay).and_then(in_range)),
            Cell::Day(day) => in_range(day),
            Cell::Faulty => return None,
        };
        match day.and_then(|day| shifted(day, self.shift_days)) {
            Ok(day) => Some(day),
            Err(error) => {
                let shown = match cell {
                    Cell::Text(text) | Cell::Number { text, .. } => text.to_owned(),
                    Cell::Day(day) => day.to_string(),
                    Cell::Faulty => String::new(),
                };
                let code = match error {
                    DayError::NotADay => RowErrorCode::BadDate,
                    DayError::OutOfRange => RowErrorCode::DateOutOfRange,
                };
                row.refuse_value(column, code, &shown, &error.to_string(), &self.formats_shown);
                None
            }
        }
    }

    /// A day that must be there.
    pub(super) fn required_day<F: Fields + ?Sized>(
        &self,
        row: &mut RowFields<'_, F>,
        column: usize,
    ) -> Option<NaiveDate> {
        let errors_before = row.errors.len();
        let day = self.day(row, column);
        if day.is_none() && row.errors.len() == errors_before {
            row.refuse(column, RowErrorCode::Empty, "is empty", &self.formats_shown);
        }
        day
    }

    /// The row's currency, or the file's.
    pub(super) fn currency<F: Fields + ?Sized>(
        &self,
        row: &mut RowFields<'_, F>,
        column: Option<usize>,
    ) -> Option<Currency> {
        let Some(column) = column else { return self.currency };
        let expected = "a code of ISO 4217 such as COP, PEN or USD";
        let errors_before = row.errors.len();
        let Some(text) = row.text(column) else {
            if self.currency.is_none() && row.errors.len() == errors_before {
                row.refuse(column, RowErrorCode::Empty, "is empty", expected);
            }
            return self.currency;
        };
        match text.parse() {
            Ok(currency) => Some(currency),
            Err(_) => {
                row.refuse_value(column, RowErrorCode::UnknownCurrency, text, "is not a currency", expected);
                None
            }
        }
    }

    /// An amount that may be absent, in minor units. Without a currency, which is an error already, it is not read.
    pub(super) fn amount<F: Fields + ?Sized>(
        &self,
        row: &mut RowFields<'_, F>,
        column: usize,
        currency: Option<Currency>,
        parse: AmountParser,
    ) -> Option<i64> {
        let cell = row.cell(column)?;
        let (text, sign) = match cell {
            Cell::Text("") => return None,
            Cell::Text(text) => (text, self.decimal_sign),
            Cell::Number { text, .. } => (text, DecimalSign::Point),
            Cell::Day(_) | Cell::Faulty => {
                row.refuse(column, RowErrorCode::WrongCell, "the cell holds a date", "an amount");
                return None;
            }
        };
        let currency = currency?;
        match parse(text, sign, currency) {
            Ok(minor) => Some(minor),
            Err(error) => {
                let (code, expected) = amount_refusal(error, sign, currency);
                row.refuse_value(column, code, text, &error.to_string(), &expected);
                None
            }
        }
    }

    /// An amount that must be there.
    pub(super) fn required_amount<F: Fields + ?Sized>(
        &self,
        row: &mut RowFields<'_, F>,
        column: usize,
        currency: Option<Currency>,
        parse: AmountParser,
    ) -> Option<i64> {
        let errors_before = row.errors.len();
        let amount = self.amount(row, column, currency, parse);
        if amount.is_none() && row.errors.len() == errors_before && currency.is_some() {
            row.refuse(column, RowErrorCode::Empty, "is empty", "an amount");
        }
        amount
    }
}

fn amount_refusal(error: AmountError, sign: DecimalSign, currency: Currency) -> (RowErrorCode, String) {
    let example = match sign {
        DecimalSign::Point => "1,234.56",
        DecimalSign::Comma => "1.234,56",
    };
    let notation = format!("an amount such as {example}, with the decimal sign {:?}", sign.sign());
    match error {
        AmountError::NotANumber | AmountError::TwoDecimalSigns | AmountError::Groups => {
            (RowErrorCode::BadAmount, notation)
        }
        AmountError::NotPositive => (RowErrorCode::AmountNotPositive, "an amount above zero".to_owned()),
        AmountError::TooLarge => {
            (RowErrorCode::AmountTooLarge, "at most fifteen digits with the cents".to_owned())
        }
        AmountError::TooManyDecimals => {
            (RowErrorCode::TooManyDecimals, format!("at most {} decimals in {currency}", currency.decimals()))
        }
        AmountError::OtherCurrency => (RowErrorCode::CurrencyMismatch, format!("an amount in {currency}")),
    }
}

/// An id that must be there.
pub(super) fn required_id<'r, T, F: Fields + ?Sized>(
    row: &mut RowFields<'r, F>,
    column: usize,
    new: impl FnOnce(&'r str) -> Result<T, IdError>,
) -> Option<T> {
    let text = row.required(column, "an identifier")?;
    checked_id(row, column, text, new)
}

/// An id that may be absent.
pub(super) fn optional_id<'r, T, F: Fields + ?Sized>(
    row: &mut RowFields<'r, F>,
    column: Option<usize>,
    new: impl FnOnce(&'r str) -> Result<T, IdError>,
) -> Option<T> {
    let column = column?;
    let text = row.text(column)?;
    checked_id(row, column, text, new)
}

fn checked_id<'r, T, F: Fields + ?Sized>(
    row: &mut RowFields<'r, F>,
    column: usize,
    text: &'r str,
    new: impl FnOnce(&'r str) -> Result<T, IdError>,
) -> Option<T> {
    match new(text) {
        Ok(id) => Some(id),
        Err(error) => {
            let error = error.to_string();
            let (problem, expected) = error.split_once("; expected ").unwrap_or((&error, "an identifier"));
            row.refuse_value(column, RowErrorCode::BadId, text, problem, expected);
            None
        }
    }
}

/// A word that stands for a value, or nothing.
pub(super) fn word<V: Copy, F: Fields + ?Sized>(
    row: &mut RowFields<'_, F>,
    column: usize,
    values: &BTreeMap<String, V>,
) -> Option<V> {
    let text = row.text(column)?;
    // Most files repeat a few words in one spelling, which may be the folded one already.
    let value = values.get(text).or_else(|| values.get(&fold(text))).copied();
    if value.is_none() {
        let known: Vec<_> = values.keys().take(20).map(String::as_str).collect();
        let expected = format!("one of {}", known.join(", "));
        row.refuse_value(column, RowErrorCode::UnknownWord, text, "is not a known word", &expected);
    }
    value
}

/// Yes, no, or nothing.
pub(super) fn yes_no<F: Fields + ?Sized>(
    row: &mut RowFields<'_, F>,
    column: usize,
    words: &YesNo,
) -> Option<bool> {
    let text = row.text(column)?;
    let value = words.read(text);
    if value.is_none() {
        let expected = format!("one of {} or {}", words.yes.join(", "), words.no.join(", "));
        row.refuse_value(column, RowErrorCode::UnknownWord, text, "means neither yes nor no", &expected);
    }
    value
}

/// A value that its own type reads: a country, a language, a time zone.
pub(super) fn parsed<V: FromStr, F: Fields + ?Sized>(
    row: &mut RowFields<'_, F>,
    column: Option<usize>,
    expected: &str,
) -> Option<V> {
    parsed_by(row, column, expected, |text| text.parse().ok())
}

/// As [`parsed`], for a type without `FromStr`.
pub(super) fn parsed_by<V, F: Fields + ?Sized>(
    row: &mut RowFields<'_, F>,
    column: Option<usize>,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<V>,
) -> Option<V> {
    let column = column?;
    let text = row.text(column)?;
    let value = parse(text);
    if value.is_none() {
        // The column's values are few and not about a person, but a shifted row may hold anything: no quote.
        row.refuse(column, RowErrorCode::UnknownWord, "is not a known value", expected);
    }
    value
}

/// A reference to evidence that may be absent.
pub(super) fn evidence<F: Fields + ?Sized>(row: &mut RowFields<'_, F>, column: usize) -> Option<EvidenceRef> {
    let text = row.text(column)?;
    let evidence = EvidenceRef::new(text).ok();
    if evidence.is_none() {
        // What does not look like a reference may be an address: no quote.
        let expected = "the id of a document or a recording such as DOC-2026-000123: letters, digits and - _ . / : #, no blanks, \
                        and no number of more than six digits";
        row.refuse(column, RowErrorCode::BadId, "is no reference to evidence", expected);
    }
    evidence
}

/// An email address that may be absent.
pub(super) fn email<F: Fields + ?Sized>(row: &mut RowFields<'_, F>, column: usize) -> Option<Address> {
    let text = row.text(column)?;
    let address = parse_email(text).ok();
    if address.is_none() {
        row.refuse(
            column,
            RowErrorCode::BadEmail,
            "cannot be an email address",
            "one such as name@example.com",
        );
    }
    address
}

/// A telephone number that may be absent.
pub(super) fn phone<F: Fields + ?Sized>(
    row: &mut RowFields<'_, F>,
    column: usize,
    region: Option<Country>,
) -> Option<Phone> {
    let text = row.text(column)?;
    let Some(region) = region else {
        row.refuse(
            column,
            RowErrorCode::BadPhone,
            "has no country to belong to",
            "a country in the row or the mapping",
        );
        return None;
    };
    let phone = phone::parse(region, text).ok();
    if phone.is_none() {
        let expected = format!("a number of {region}, or one with + and its country code");
        row.refuse(column, RowErrorCode::BadPhone, "cannot be a telephone number", &expected);
    }
    phone
}
