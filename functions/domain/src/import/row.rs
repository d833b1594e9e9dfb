//! Rows: from the fields of one row to a record, or to everything that is wrong with it.
//!
//! Invariant: a record is built only when every field of the row that the mapping names is sound.

use chrono::NaiveDate;

use super::amount::parse_amount;
use super::fields::{Fields, RowFields};
use super::fold::fold;
use super::header::Header;
pub use super::header::HeaderError;
use super::mapping::{Content, Mapping};
use super::record::{PaymentRow, Record};
use super::row_error::{RowError, RowErrorCode};
use crate::ids::{CustomerId, ObligationId, PaymentId};

mod account;
#[cfg(test)]
mod tests;
mod values;

use account::AccountReader;
use values::{Values, required_id};

/// The day of a consent whose own day nobody knows: before anything else that may be said about it. A fixed day,
/// and not the day of the import, so that the same file says the same thing on every day.
pub const CONSENT_FLOOR_ON: NaiveDate = match NaiveDate::from_ymd_opt(1970, 1, 1) {
    Some(day) => day,
    None => NaiveDate::MIN,
};

/// How lenders name the column that says who is a debtor, a guarantor or a reference, folded.
const ROLE_NAMES: [&str; 14] = [
    "rol",
    "role",
    "papel",
    "calidad",
    "tipo cliente",
    "tipo de cliente",
    "tipo deudor",
    "tipo de deudor",
    "vinculo",
    "relacion",
    "parentesco",
    "tipo relacion",
    "tipo de relacion",
    "titularidad",
];

/// Reads the rows of one file.
#[derive(Debug)]
pub struct RowParser {
    header: Vec<Box<str>>,
    values: Values,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Accounts(Box<AccountReader>),
    Payments(PaymentReader),
}

#[derive(Debug)]
struct PaymentReader {
    id: usize,
    obligation: usize,
    customer: usize,
    amount: usize,
    currency: Option<usize>,
    paid_on: usize,
}

impl RowParser {
    /// Finds the mapping's columns in a header. Every day of the file is moved by `shift_days`, which is 0
    /// except where an old file is shown as if it were of today.
    ///
    /// # Errors
    /// [`HeaderError`] when a column is missing, or there more than once.
    pub fn new(mapping: &Mapping, header: &[&str], shift_days: i64) -> Result<Self, HeaderError> {
        let mut found = Header::new(header);
        let reader = match &mapping.content {
            Content::Accounts(accounts) => {
                Reader::Accounts(Box::new(AccountReader::new(accounts, &mut found)))
            }
            Content::Payments(payments) => Reader::Payments(PaymentReader {
                id: found.find(&payments.id),
                obligation: found.find(&payments.obligation),
                customer: found.find(&payments.customer),
                amount: found.find(&payments.amount),
                currency: found.find_any(payments.currency.as_ref()),
                paid_on: found.find(&payments.paid_on),
            }),
        };
        let file = &mapping.file;
        let values = Values::new(file, shift_days);
        Ok(Self { header: found.finish()?, values, reader })
    }

    /// How many columns a row must have.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.header.len()
    }

    /// The name of a column, as the header has it.
    #[must_use]
    pub fn column(&self, index: usize) -> Option<&str> {
        self.header.get(index).map(|name| &**name)
    }

    /// A column that says by its name who stands in what relation to a debt, where the mapping reads none as that: without it
    /// a reference counts as a debtor.
    #[must_use]
    pub fn unread_role(&self) -> Option<&str> {
        let is_read = match &self.reader {
            Reader::Accounts(reader) => reader.reads_role(),
            Reader::Payments(_) => true,
        };
        let named = |name: &&str| ROLE_NAMES.contains(&&*fold(name));
        self.header.iter().map(|name| &**name).filter(|_| !is_read).find(named)
    }

    /// The name of the column with the id that tells a row from its repetition.
    #[must_use]
    pub fn id_column(&self) -> Option<&str> {
        match &self.reader {
            Reader::Accounts(reader) => self.column(reader.obligation),
            Reader::Payments(reader) => self.column(reader.id),
        }
    }

    /// Reads one row. `line` is where it begins, counted from 1 with the header.
    ///
    /// # Errors
    /// Everything that is wrong with the row.
    pub fn parse<F: Fields + ?Sized>(&self, line: u64, fields: &F) -> Result<Record, Vec<RowError>> {
        if fields.count() != self.header.len() {
            let problem = format!("the row has {} fields", fields.count());
            let expected = format!("{} as in the header", self.header.len());
            return Err(vec![RowError::of_row(line, RowErrorCode::RaggedRow, problem, expected)]);
        }
        let mut row = RowFields::new(line, fields, &self.header);
        let record = match &self.reader {
            Reader::Accounts(reader) => {
                reader.read(&mut row, &self.values).map(|r| Record::Account(Box::new(r)))
            }
            Reader::Payments(reader) => reader.read(&mut row, &self.values).map(Record::Payment),
        };
        match record {
            Some(record) if row.errors.is_empty() => Ok(record),
            // A record is missing only for an error that was noted.
            Some(_) | None => Err(row.errors),
        }
    }
}

impl PaymentReader {
    fn read<F: Fields + ?Sized>(&self, row: &mut RowFields<'_, F>, values: &Values) -> Option<PaymentRow> {
        let id = required_id(row, self.id, PaymentId::new);
        let customer = required_id(row, self.customer, CustomerId::new);
        let obligation = required_id(row, self.obligation, ObligationId::new);
        let currency = values.currency(row, self.currency);
        let amount_minor = values.required_amount(row, self.amount, currency, parse_amount);
        let paid_on = values.required_day(row, self.paid_on);
        Some(PaymentRow {
            line: row.line,
            id: id?,
            customer: customer?,
            obligation: obligation?,
            amount_minor: amount_minor?,
            paid_on: paid_on?,
        })
    }
}
