//! The two databases under one set of neutral requests.
//!
//! Invariant: data reaches an expression only through its values map, and every attribute through its names map;
//! expressions themselves are constants of this crate. Every request asks for its consumed capacity.

#[cfg(feature = "aws")]
pub(crate) mod aws;
#[cfg(feature = "embedded")]
pub(crate) mod embedded;
#[cfg(feature = "faults")]
pub(crate) mod faults;
#[cfg(feature = "faults")]
pub(crate) mod mirror;

use std::collections::HashMap;

use crate::key::Key;

/// The most keys of one batch read: a limit of DynamoDB.
pub(crate) const BATCH_GET_KEYS_MAX: usize = 100;
/// The most writes of one transaction: a limit of DynamoDB.
pub(crate) const TRANSACTION_WRITES_MAX: usize = 100;

/// A stored value. Everything is text or a whole number, so that both databases and a person read it alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Text.
    S(String),
    /// A whole number, in decimal digits.
    N(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::S(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::S(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::N(number.to_string())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::N(number.to_string())
    }
}

/// A stored item: attribute name to value.
pub(crate) type Item = HashMap<String, Value>;

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// Everything that must change and restore together.
    Ops,
    /// Append-only.
    Audit,
}

/// The names of the two tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableNames {
    /// The table of everything that must change and restore together.
    pub ops: String,
    /// The append-only table.
    pub audit: String,
}

impl Default for TableNames {
    fn default() -> Self {
        Self { ops: "ops".to_owned(), audit: "audit".to_owned() }
    }
}

impl TableNames {
    pub(crate) fn of(&self, table: Table) -> &str {
        match table {
            Table::Ops => &self.ops,
            Table::Audit => &self.audit,
        }
    }
}

/// A condition or an update with its names and values. The name `#x` always stands for the attribute `x`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expression {
    /// A constant, such as `#v = :v`.
    pub(crate) text: &'static str,
    /// The attributes that `text`, and an update beside it, name.
    pub(crate) names: &'static [&'static str],
    /// The values they name, with their colon.
    pub(crate) values: Vec<(&'static str, Value)>,
}

impl Expression {
    /// A condition without values.
    pub(crate) fn plain(text: &'static str, names: &'static [&'static str]) -> Self {
        Self { text, names, values: Vec::new() }
    }

    /// A condition with values.
    pub(crate) fn of(
        text: &'static str,
        names: &'static [&'static str],
        values: Vec<(&'static str, Value)>,
    ) -> Self {
        Self { text, names, values }
    }

    /// The item must not be there yet.
    pub(crate) fn absent() -> Self {
        Self::plain("attribute_not_exists(#pk)", &["pk"])
    }

    /// The item must be there.
    pub(crate) fn present() -> Self {
        Self::plain("attribute_exists(#pk)", &["pk"])
    }
}

/// One write. A failed condition hands back the item that was found.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// Puts a whole item.
    Put {
        /// Where.
        table: Table,
        /// What, with its keys.
        item: Item,
        /// Under which condition.
        condition: Option<Expression>,
    },
    /// Changes some attributes of an item of `ops`.
    Update {
        /// Which.
        key: Key,
        /// The update expression, a constant.
        update: &'static str,
        /// The condition, with the names and values of both.
        condition: Expression,
    },
    /// Removes an item of `ops`, whether it is there or not.
    Delete {
        /// Which.
        key: Key,
    },
    /// Only checks an item of `ops`, in a transaction.
    Check {
        /// Which.
        key: Key,
        /// The condition.
        condition: Expression,
    },
}

/// One page of a range query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) table: Table,
    /// The index, or the table itself.
    pub(crate) index: Option<&'static str>,
    /// The key condition, a constant over `:pk` and others.
    pub(crate) condition: Expression,
    pub(crate) consistent: bool,
    pub(crate) limit: Option<u32>,
    pub(crate) start: Option<Item>,
}

/// One page of a walk through all of `ops`, which reads every item and gives those that the filter lets through.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    /// A constant.
    pub(crate) filter: Expression,
    /// The attributes to give, a constant over the names of the filter.
    pub(crate) projection: &'static str,
    /// How many items are read, those that the filter drops included.
    pub(crate) limit: u32,
    pub(crate) start: Option<Item>,
}

/// What a page gave.
#[derive(Debug, Default)]
pub(crate) struct QueryPage {
    pub(crate) items: Vec<Item>,
    pub(crate) next: Option<Item>,
}

/// What a batch read gave.
#[derive(Debug, Default)]
pub(crate) struct BatchPage {
    pub(crate) items: Vec<Item>,
    pub(crate) unprocessed: Vec<Key>,
}

/// Why one write of a transaction stopped it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancelled {
    /// Its condition failed.
    pub(crate) condition: bool,
    /// What was stored instead; `None` where nothing was.
    pub(crate) found: Option<Item>,
}

/// Why a request failed.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The condition of a single write.
    Condition(Option<Box<Item>>),
    /// Conditions of a transaction, one entry a write.
    Transaction(Vec<Cancelled>),
    /// Nothing was changed; another try may succeed.
    Retryable(String),
    /// Another try gives the same answer.
    Permanent(String),
    /// The write may have been carried out.
    #[cfg_attr(
        not(any(feature = "aws", feature = "faults")),
        expect(dead_code, reason = "the embedded database always answers")
    )]
    Unknown(String),
}

impl Failure {
    /// Whether another write of the same items was the cause, so that reading and deciding again may succeed.
    pub(crate) fn is_contention(&self) -> bool {
        match self {
            Self::Condition(_) | Self::Transaction(_) => true,
            Self::Retryable(code) => code.starts_with("TransactionConflict"),
            Self::Permanent(_) | Self::Unknown(_) => false,
        }
    }
}

/// A result and the capacity units that it consumed.
pub(crate) type Metered<T> = Result<(T, f64), Failure>;

/// Where the tables are.
#[derive(Clone)]
pub(crate) enum Backend {
    /// In this process.
    #[cfg(feature = "embedded")]
    Embedded(embedded::Embedded),
    /// The real service.
    #[cfg(feature = "aws")]
    Aws(aws::Aws),
    /// In this process, with the faults of a simulation.
    #[cfg(feature = "faults")]
    Faulty(faults::Faulty),
}

macro_rules! on_backend {
    ($self:ident, $b:ident => $call:expr) => {
        match $self {
            #[cfg(feature = "embedded")]
            Self::Embedded($b) => $call,
            #[cfg(feature = "aws")]
            Self::Aws($b) => $call.await,
            #[cfg(feature = "faults")]
            Self::Faulty($b) => $call.await,
        }
    };
}

impl Backend {
    pub(crate) async fn get(&self, key: Key) -> Metered<Option<Item>> {
        on_backend!(self, b => b.get(key))
    }

    pub(crate) async fn batch_get(&self, keys: Vec<Key>) -> Metered<BatchPage> {
        on_backend!(self, b => b.batch_get(keys))
    }

    pub(crate) async fn query(&self, query: Query) -> Metered<QueryPage> {
        on_backend!(self, b => b.query(query))
    }

    pub(crate) async fn scan(&self, scan: Scan) -> Metered<QueryPage> {
        on_backend!(self, b => b.scan(scan))
    }

    pub(crate) async fn write(&self, write: Write) -> Metered<()> {
        on_backend!(self, b => b.write(write))
    }

    pub(crate) async fn transact(&self, writes: Vec<Write>) -> Metered<()> {
        on_backend!(self, b => b.transact(writes))
    }
}
