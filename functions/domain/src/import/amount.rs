//! Amounts: from the text of a file to minor units, digit by digit.
//!
//! Invariant: an amount never passes through a float, and a text that could mean two amounts is refused:
//! groups must have three digits, one kind of separator, and never more decimals than the currency has.

use crate::money::Currency;

/// The largest amount that is accepted, in minor units: fifteen digits, as many as a spreadsheet keeps exact.
pub const AMOUNT_MINOR_MAX: i64 = 999_999_999_999_999;

/// The sign between whole units and cents in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalSign {
    /// `1,234.56`
    Point,
    /// `1.234,56`
    Comma,
}

impl DecimalSign {
    /// The sign itself.
    #[must_use]
    pub const fn sign(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }

    const fn group_sign(self) -> char {
        match self {
            Self::Point => ',',
            Self::Comma => '.',
        }
    }
}

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// No digit at all, or something that is no part of an amount.
    #[error("is not an amount")]
    NotANumber,
    /// The decimal sign stands twice.
    #[error("has two decimal signs")]
    TwoDecimalSigns,
    /// Thousands separators that do not part groups of three digits.
    #[error("has thousands separators in the wrong place")]
    Groups,
    /// Zero or less.
    #[error("is not more than zero")]
    NotPositive,
    /// More than [`AMOUNT_MINOR_MAX`].
    #[error("is too large")]
    TooLarge,
    /// More decimals than the currency has.
    #[error("has more decimals than the currency")]
    TooManyDecimals,
    /// A sign or code of another currency.
    #[error("carries the sign of another currency")]
    OtherCurrency,
}

/// Signs that may stand before or after an amount, and the currency that they can only mean. Longer ones first.
const SIGNS: [(&str, Option<&str>); 9] = [
    ("US$", Some("USD")),
    ("R$", Some("BRL")),
    ("S/.", Some("PEN")),
    ("S/", Some("PEN")),
    ("Bs.", Some("BOB")),
    ("Bs", Some("BOB")),
    ("€", Some("EUR")),
    ("₡", Some("CRC")),
    ("$", None),
];

/// Reads a positive amount, in minor units of `currency`.
///
/// # Errors
/// [`AmountError`] for anything that is not exactly one positive amount.
pub fn parse_amount(text: &str, sign: DecimalSign, currency: Currency) -> Result<i64, AmountError> {
    match parse_amount_or_zero(text, sign, currency)? {
        0 => Err(AmountError::NotPositive),
        minor => Ok(minor),
    }
}

/// Reads an amount that may be zero, such as what was paid so far.
///
/// # Errors
/// [`AmountError`] as for [`parse_amount`], save for zero.
pub fn parse_amount_or_zero(text: &str, sign: DecimalSign, currency: Currency) -> Result<i64, AmountError> {
    let bare = without_currency(text.trim(), currency)?;
    let (bare, negative) = without_minus(bare);
    let bare = if negative { without_currency(bare, currency)? } else { bare };
    let minor = digits_to_minor(bare, sign, currency.decimals())?;
    if negative { Err(AmountError::NotPositive) } else { Ok(minor) }
}

/// Accountants write a negative amount as -5, 5- or (5); all of them must be seen to be refused for what they are.
fn without_minus(text: &str) -> (&str, bool) {
    let minus = ['-', '\u{2212}'];
    if let Some(rest) = text.strip_prefix(minus).or_else(|| text.strip_suffix(minus)) {
        return (rest.trim(), true);
    }
    match text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        Some(rest) => (rest.trim(), true),
        None => (text, false),
    }
}

fn without_currency(text: &str, currency: Currency) -> Result<&str, AmountError> {
    let is_edge_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    if is_edge_digit(text.chars().next()) && is_edge_digit(text.chars().next_back()) {
        return Ok(text);
    }
    for (symbol, code) in SIGNS {
        let rest = text.strip_prefix(symbol).or_else(|| text.strip_suffix(symbol));
        if let Some(rest) = rest {
            // A bare $ with the code behind it is common: "$ 100 USD".
            let rest = without_code(rest.trim(), currency)?;
            return if code.is_none_or(|c| c == currency.code()) {
                Ok(rest)
            } else {
                Err(AmountError::OtherCurrency)
            };
        }
    }
    without_code(text, currency).map(|rest| rest.strip_prefix('$').map_or(rest, str::trim_start))
}

fn without_code(text: &str, currency: Currency) -> Result<&str, AmountError> {
    let is_code = |code: &str| code.bytes().all(|b| b.is_ascii_alphabetic());
    let head = text.get(..3).filter(|c| is_code(c)).map(|c| (c, &text[3..]));
    let tail_at = text.len().saturating_sub(3);
    let tail = || text.get(tail_at..).filter(|c| c.len() == 3 && is_code(c)).map(|c| (c, &text[..tail_at]));
    match head.or_else(tail) {
        None => Ok(text),
        Some((code, rest)) if code.eq_ignore_ascii_case(currency.code()) => Ok(rest.trim()),
        Some((code, _)) if code.parse::<Currency>().is_ok() => Err(AmountError::OtherCurrency),
        Some(_) => Err(AmountError::NotANumber),
    }
}

fn is_group_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '\u{2019}')
}

fn digits_to_minor(text: &str, sign: DecimalSign, decimals: u32) -> Result<i64, AmountError> {
    let (whole, cents) = match text.split_once(sign.sign()) {
        Some((_, rest)) if rest.contains(sign.sign()) => return Err(AmountError::TwoDecimalSigns),
        Some((whole, cents)) => (whole, Some(cents)),
        None => (text, None),
    };
    let mut minor = Accumulator(0);
    whole_part(whole, sign, &mut minor)?;
    let cents = cents.unwrap_or("0");
    if cents.is_empty() || !cents.bytes().all(|b| b.is_ascii_digit()) {
        // A separator behind the decimal sign means that the two were swapped.
        let swapped = cents.contains(sign.group_sign());
        return Err(if swapped { AmountError::Groups } else { AmountError::NotANumber });
    }
    let places = cents.len();
    if text.contains(sign.sign()) && places > decimals as usize {
        return Err(AmountError::TooManyDecimals);
    }
    let padding = std::iter::repeat(b'0');
    for digit in cents.bytes().chain(padding).take(decimals as usize) {
        minor.push(digit)?;
    }
    Ok(minor.0)
}

struct Accumulator(i64);

impl Accumulator {
    fn push(&mut self, digit: u8) -> Result<(), AmountError> {
        // Below the maximum times ten plus nine always fits.
        self.0 = self.0 * 10 + i64::from(digit - b'0');
        if self.0 > AMOUNT_MINOR_MAX { Err(AmountError::TooLarge) } else { Ok(()) }
    }
}

/// The digits before the decimal sign: bare, or in groups of three with one kind of separator.
fn whole_part(whole: &str, sign: DecimalSign, minor: &mut Accumulator) -> Result<(), AmountError> {
    let mut separator = None;
    let mut in_group = 0_usize;
    for c in whole.chars() {
        if c.is_ascii_digit() {
            in_group += 1;
            minor.push(c as u8)?;
            continue;
        }
        if c != sign.group_sign() && !is_group_space(c) {
            return Err(AmountError::NotANumber);
        }
        let is_first = separator.is_none();
        let sound =
            if is_first { (1..=3).contains(&in_group) } else { separator == Some(c) && in_group == 3 };
        if !sound {
            return Err(AmountError::Groups);
        }
        separator = Some(c);
        in_group = 0;
    }
    match (separator, in_group) {
        (None, 0) => Err(AmountError::NotANumber),
        (None, _) | (Some(_), 3) => Ok(()),
        (Some(_), _) => Err(AmountError::Groups),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, sign: DecimalSign, code: &str) -> Result<i64, AmountError> {
        parse_amount(text, sign, code.parse().unwrap())
    }

    #[test]
    fn sound_amounts_are_read_exactly() {
        use DecimalSign::{Comma, Point};
        for (text, sign, code, minor) in [
            ("55.94", Point, "USD", 5_594),
            ("1250.5", Point, "PEN", 125_050),
            ("1,234.56", Point, "USD", 123_456),
            ("1.234.567,89", Comma, "COP", 123_456_789),
            ("1.500", Comma, "CLP", 1_500),
            ("1500", Comma, "CLP", 1_500),
            ("$ 1.500", Comma, "CLP", 1_500),
            ("$1.500,00", Comma, "COP", 150_000),
            ("S/ 1,250.50", Point, "PEN", 125_050),
            ("S/. 10.00", Point, "PEN", 1_000),
            ("US$ 10", Point, "USD", 1_000),
            ("$ 10 USD", Point, "USD", 1_000),
            ("USD 10", Point, "USD", 1_000),
            ("usd $10", Point, "USD", 1_000),
            ("10 USD", Point, "USD", 1_000),
            ("10 €", Comma, "EUR", 1_000),
            ("1 234 567,5", Comma, "COP", 123_456_750),
            ("1\u{a0}234", Comma, "COP", 123_400),
            ("1'234.00", Point, "MXN", 123_400),
            (" 7 ", Point, "USD", 700),
            ("0.01", Point, "USD", 1),
            ("9999999999999.99", Point, "USD", AMOUNT_MINOR_MAX),
        ] {
            assert_eq!(read(text, sign, code), Ok(minor), "{text:?}");
        }
    }

    #[test]
    fn every_other_text_is_refused_for_its_own_reason() {
        use AmountError::*;
        use DecimalSign::{Comma, Point};
        for (text, sign, code, error) in [
            ("1.234.56", Point, "USD", TwoDecimalSigns),
            ("1,2,3", Comma, "COP", TwoDecimalSigns),
            ("12,34.56", Point, "USD", Groups),
            ("1,2345.00", Point, "USD", Groups),
            (",123", Point, "USD", Groups),
            ("1,234,", Point, "USD", Groups),
            ("1 234,567", Point, "USD", Groups),
            ("1.23", Comma, "COP", Groups),
            ("1,234.56", Comma, "COP", Groups),
            ("1.234,56", Point, "USD", Groups),
            ("1.234", Point, "USD", TooManyDecimals),
            ("0.001", Point, "USD", TooManyDecimals),
            ("10.5", Point, "CLP", TooManyDecimals),
            ("0", Point, "USD", NotPositive),
            ("0.00", Point, "USD", NotPositive),
            ("-5.00", Point, "USD", NotPositive),
            ("$-5", Point, "USD", NotPositive),
            ("-$5", Point, "USD", NotPositive),
            ("5-", Point, "USD", NotPositive),
            ("(5)", Point, "USD", NotPositive),
            ("10000000000000.00", Point, "USD", TooLarge),
            ("99999999999999999999999999999999999999", Point, "USD", TooLarge),
            ("abc", Point, "USD", NotANumber),
            ("", Point, "USD", NotANumber),
            ("$", Point, "USD", NotANumber),
            ("1e5", Point, "USD", NotANumber),
            ("1e400", Point, "USD", NotANumber),
            ("NaN", Point, "USD", NotANumber),
            ("0x10", Point, "USD", NotANumber),
            (".50", Point, "USD", NotANumber),
            ("50.", Point, "USD", NotANumber),
            ("+5", Point, "USD", NotANumber),
            ("١٢", Point, "USD", NotANumber),
            ("\u{ff11}\u{ff12}", Point, "USD", NotANumber),
            ("5 %", Point, "USD", NotANumber),
            ("EUR 5", Point, "USD", OtherCurrency),
            ("€5", Point, "USD", OtherCurrency),
            ("US$ 5", Comma, "COP", OtherCurrency),
        ] {
            assert_eq!(read(text, sign, code), Err(error), "{text:?}");
        }
    }

    #[test]
    fn what_was_paid_so_far_may_be_zero_but_not_less() {
        let usd = "USD".parse().unwrap();
        assert_eq!(parse_amount_or_zero("0", DecimalSign::Point, usd), Ok(0));
        assert_eq!(parse_amount_or_zero("-1", DecimalSign::Point, usd), Err(AmountError::NotPositive));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = read(&text, DecimalSign::Point, "USD");
            let _ = read(&text, DecimalSign::Comma, "CLP");
        }

        #[test]
        fn what_is_written_is_what_is_read(minor in 1..=AMOUNT_MINOR_MAX) {
            let text = format!("{}.{:02}", minor / 100, minor % 100);
            prop_assert_eq!(read(&text, DecimalSign::Point, "USD"), Ok(minor));
        }
    }
}
