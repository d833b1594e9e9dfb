//! The mapping: which column of a lender's file says what, and how it is written.
//!
//! Invariant: a mapping that was read is complete for its kind of file: every column that a record needs is
//! named, every format can be read back, and made-up contacts can reach nobody.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::amount::DecimalSign;
use super::day::DayFormat;
use super::fold::fold;
use super::made_up::MadeUp;
use crate::channel::Channel;
use crate::contact::{ConsentSource, EvidenceRef, PurposeScope};
use crate::customer::{CustomerKind, Role};
use crate::locale::Country;
use crate::money::Currency;

mod file;
#[cfg(test)]
mod tests;

pub use file::MappingError;

/// The largest mapping that is read, in bytes.
pub const MAPPING_BYTES_MAX: usize = 65_536;
/// The most formats of days in one mapping.
pub const DAY_FORMATS_MAX: usize = 8;
/// The most words in one list or value map.
pub const WORDS_MAX: usize = 200;
/// The longest name of a column, and the longest word, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// A column by its name in the file's header; compared as [`fold`] does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ColumnName(String);

impl ColumnName {
    /// The name as the mapping writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ColumnName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if fold(&text).is_empty() || text.chars().count() > NAME_CHARS_MAX {
            return Err(format!("a column needs a name of 1 to {NAME_CHARS_MAX} characters"));
        }
        Ok(Self(text))
    }
}

/// A column whose words stand for values. The map holds folded words.
#[derive(Debug, Clone, PartialEq)]
pub struct WordColumn<V> {
    /// The column.
    pub column: ColumnName,
    /// What each folded word means.
    pub values: BTreeMap<String, V>,
}

/// A column of yes and no; both lists hold folded words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YesNo {
    /// Words that mean yes.
    pub yes: Vec<String>,
    /// Words that mean no. An empty field means no as well.
    pub no: Vec<String>,
}

impl YesNo {
    /// What a word means; `None` when it is on neither list.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<bool> {
        let word = fold(text);
        if self.yes.contains(&word) {
            Some(true)
        } else if word.is_empty() || self.no.contains(&word) {
            Some(false)
        } else {
            None
        }
    }
}

/// The sign between the fields of a CSV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// Found out from the first records.
    Auto,
    /// This byte: `,`, `;` or a tab.
    Byte(u8),
}

/// The encoding of a CSV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Encoding {
    /// Found out from the first text that is not ASCII.
    #[serde(rename = "auto")]
    Auto,
    /// UTF-8, with or without a byte order mark.
    #[serde(rename = "utf-8")]
    Utf8,
    /// The Western European code page of Windows.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// How the file is written.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSettings {
    /// The sign between fields.
    pub delimiter: Delimiter,
    /// The encoding.
    pub encoding: Encoding,
    /// The sheet of a workbook; its first where absent.
    pub sheet: Option<String>,
    /// The formats of days, in the order in which they are tried.
    pub day_formats: Vec<DayFormat>,
    /// The sign before the cents.
    pub decimal_sign: DecimalSign,
    /// The currency of amounts in rows that name none.
    pub currency: Option<Currency>,
    /// The country of telephone numbers without a `+` in rows that name none.
    pub phone_region: Option<Country>,
}

/// Which columns describe the customer.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerColumns {
    /// The lender's own reference.
    pub id: ColumnName,
    /// The name used in messages; made up where absent.
    pub name: Option<ColumnName>,
    /// Email address.
    pub email: Option<ColumnName>,
    /// Telephone number.
    pub phone: Option<ColumnName>,
    /// Person or company.
    pub kind: Option<WordColumn<CustomerKind>>,
    /// What the person has to do with the debt; a debtor where absent.
    pub role: Option<WordColumn<Role>>,
    /// Country of residence, as a two-letter code.
    pub country: Option<ColumnName>,
    /// IANA time zone.
    pub time_zone: Option<ColumnName>,
    /// Language of the messages.
    pub language: Option<ColumnName>,
    /// The lender's own grouping.
    pub segment: Option<ColumnName>,
    /// The channel the customer asked for.
    pub preferred_channel: Option<WordColumn<Channel>>,
}

/// What the file says about consent.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsentRules {
    /// Channels that every customer of the file has authorised.
    pub assume: Vec<Channel>,
    /// Channels whose authorisation is in a column.
    pub columns: Vec<(Channel, ColumnName)>,
    /// The words of those columns. An empty field says nothing, neither yes nor no.
    pub words: YesNo,
    /// The column with the day of the word. An authorisation without a day is older than any other word.
    pub on: Option<ColumnName>,
    /// What the words are about.
    pub purposes: PurposeScope,
    /// Where the words came from.
    pub source: ConsentSource,
    /// What the lender keeps of them: a document, a recording.
    pub evidence: Option<EvidenceRef>,
    /// The column with the evidence of a row, which goes before that of the file.
    pub evidence_column: Option<ColumnName>,
}

/// Which columns describe the obligation.
#[derive(Debug, Clone, PartialEq)]
pub struct ObligationColumns {
    /// The lender's own reference.
    pub id: ColumnName,
    /// The credit product.
    pub account: Option<ColumnName>,
    /// What is due.
    pub amount: ColumnName,
    /// The currency.
    pub currency: Option<ColumnName>,
    /// When it is due.
    pub due_on: ColumnName,
    /// When it became known.
    pub known_on: Option<ColumnName>,
    /// The day on which it was settled in full.
    pub closed_on: Option<ColumnName>,
    /// What was paid so far.
    pub paid_amount: Option<ColumnName>,
}

/// A day of a dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisputeDay {
    /// The obligation's due date.
    DueOn,
    /// The day the obligation became known.
    KnownOn,
    /// The day it is paid in full; open while it is not.
    ClosedOn,
    /// A column of its own.
    Column(ColumnName),
}

/// How the file tells a dispute.
#[derive(Debug, Clone, PartialEq)]
pub struct DisputeRule {
    /// The column of yes and no.
    pub column: ColumnName,
    /// Its words.
    pub words: YesNo,
    /// The first day.
    pub from: DisputeDay,
    /// The first day after it.
    pub until: DisputeDay,
}

/// A file of customers and their obligations.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountsMapping {
    /// The customer.
    pub customer: CustomerColumns,
    /// The channels that a telephone number serves.
    pub phone_channels: Vec<Channel>,
    /// Whether every contact point of the file is made up, and no provider may be asked to reach it.
    pub test_contacts: bool,
    /// Contacts made up where the file has none.
    pub made_up: Option<MadeUp>,
    /// Consent; nobody has given any where absent.
    pub consent: Option<ConsentRules>,
    /// The obligation and its settlement.
    pub obligation: ObligationColumns,
    /// The dispute.
    pub dispute: Option<DisputeRule>,
}

/// A file of payments.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentsMapping {
    /// The lender's own reference of the payment.
    pub id: ColumnName,
    /// What was paid.
    pub obligation: ColumnName,
    /// Who paid.
    pub customer: ColumnName,
    /// How much.
    pub amount: ColumnName,
    /// The currency.
    pub currency: Option<ColumnName>,
    /// When.
    pub paid_on: ColumnName,
}

/// What the file is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Customers and their obligations.
    Accounts(Box<AccountsMapping>),
    /// Payments.
    Payments(PaymentsMapping),
}

/// A mapping, complete and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// How the file is written.
    pub file: FileSettings,
    /// What is in it.
    pub content: Content,
}

impl Mapping {
    /// Reads a mapping from its TOML text.
    ///
    /// # Errors
    /// [`MappingError`] with the line and the key, when something is unknown, missing or contradictory.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        file::parse(text)
    }
}
