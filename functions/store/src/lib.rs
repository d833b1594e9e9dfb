//! The store of Puntual: every DynamoDB key and access pattern, over the real service (`aws`) and an embedded
//! database (`embedded`).
//!
//! Invariant: the customer is the unit of consistency. Whatever could forbid or change a send is written in one
//! transaction with a new version of the customer's fence, and a claim names the version that it was decided on.

mod audit;
mod backend;
mod capacity;
mod choice;
mod claim;
mod consequence;
mod contact;
mod customer;
#[cfg(feature = "deliberate-faults")]
mod deliberate;
mod erasure;
mod error;
mod import;
mod item;
mod key;
mod ledger;
mod open;
mod payments;
mod policy_change;
mod rate;
mod record;
mod reference;
mod request;
mod resend;
mod settings;
#[cfg(feature = "faults")]
mod spoil;
mod stage;
mod suppression;
mod sweep;
pub mod tables;
mod take_back;
mod tenants;
mod touch;
mod unknown;
mod upload;
mod wave;

#[cfg(test)]
mod contract;

pub use audit::{AuditEntry, BrokenChain, Recording, verify_chain};
pub use backend::TableNames;
#[cfg(feature = "faults")]
pub use backend::faults::{NamedItem, Pause, Request, StoreCall, Strike, Weather};
pub use capacity::{CapacityMeter, Usage};
pub use choice::{CHOICES_MAX, ChoiceError, Kept, Lifted};
pub use claim::{Claim, ClaimConflict, ClaimError, HeldClaim};
pub use contact::{CONTACTS_MAX, ContactRecorded};
pub use customer::CustomerFacts;
#[cfg(feature = "deliberate-faults")]
pub use deliberate::DeliberateFault;
pub use erasure::Erased;
pub use error::{ErrorClass, StoreError, Unreadable};
pub use import::ImportCounts;
pub use key::{Scope, shard_of};
pub use ledger::ImportState;
pub use open::{OpenEntry, ReachedEntry};
pub use payments::PaymentRecord;
pub use policy_change::PolicyChange;
pub use record::{RecordError, Recorded, TouchEvent};
pub use reference::REFERENCE_DAYS_KEPT;
pub use request::{ANSWER_BYTES_MAX, ANSWER_HOURS_KEPT, Answer, Begun, REQUEST_LEASE_SECONDS};
pub use resend::RESEND_AFTER_MINUTES;
pub use settings::{POLICY_VERSION_MAX, PolicyDoc, ProfileDoc, SettingsDoc};
pub use suppression::SuppressionKey;
pub use sweep::{CLAIM_ABANDONED, CLAIM_LEASE_MINUTES, OpenClaims, TAKE_OVERS_MAX, UnknownTouch};
pub use tenants::{ChangeOf, SettingsChange, SettingsWritten, TenantAction, TenantPage};
pub use touch::{Change, Outcome, REASON_CHARS_MAX, TouchError, TouchKey, TouchRecord};
pub use unknown::{FoundOut, UNKNOWN_BATCH_MAX};
pub use upload::{UPLOAD_DAYS_KEPT, Upload, UploadPage, UploadRecord, UploadReport, UploadState};
pub use wave::{WAVE_DAYS_AHEAD_MAX, WaveEntry, WaveKey};

use std::sync::Arc;

use backend::{Backend, Failure, Item, Metered, Query, QueryPage, Write};
use key::Key;

/// The most items that one page of an index is asked for.
pub const PAGE_ITEMS_MAX: u32 = 10_000;
/// How often keys that a batch read left out are asked for again.
const BATCH_GET_TRIES_MAX: usize = 8;

/// Where a page ended; the next one starts after it. It is only valid for the same question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Item);

/// A page of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What was found; may be fewer than asked for, also when there is more.
    pub items: Vec<T>,
    /// What was found and cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Reads what a query found, each item by itself.
    fn read(page: QueryPage, read: impl Fn(&Item) -> Result<T, StoreError>) -> Self {
        let (mut items, mut unreadable) = (Vec::with_capacity(page.items.len()), Vec::new());
        for item in &page.items {
            match read(item) {
                Ok(one) => items.push(one),
                Err(problem) => unreadable.push(Unreadable { customer: item::customer_named(item), problem }),
            }
        }
        Self { items, unreadable, next: page.next.map(Cursor) }
    }
}

/// The tables of one stage of the product.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    capacity: Arc<CapacityMeter>,
    /// Whether nobody else sends from this database, so that a claim that is found open was abandoned.
    held_alone: bool,
    #[cfg(feature = "deliberate-faults")]
    deliberate: Option<DeliberateFault>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// An empty store in memory, for tests and replays. Call [`Store::create_tables`] first.
    ///
    /// # Errors
    /// [`StoreError::Permanent`] when the database cannot be opened.
    #[cfg(feature = "embedded")]
    pub fn memory() -> Result<Self, StoreError> {
        dynoxide::Database::memory().map(Self::embedded).map_err(|_| cannot_open())
    }

    /// The store in a file, which is created when it is not there. Call [`Store::create_tables`] first.
    ///
    /// # Errors
    /// [`StoreError::Permanent`] when the file cannot be opened or is no database.
    #[cfg(feature = "embedded")]
    pub fn file(path: &std::path::Path) -> Result<Self, StoreError> {
        let path = path.to_str().ok_or_else(cannot_open)?;
        let database = dynoxide::Database::new(path).map_err(|_| cannot_open())?;
        // The engine has no other word for SQLite's `synchronous = NORMAL`. With its write-ahead log the file stays
        // whole whatever happens, and a killed process loses nothing; only a power cut may take the last writes. To wait
        // for the disk with every one of them takes three quarters of the time of a run.
        database.disable_bulk_loading().map_err(|_| cannot_open())?;
        Ok(Self::embedded(database))
    }

    /// Writes the file anew without what was deleted, which the database would keep in free pages until it needs them,
    /// and empties its log into it. For a command that holds the file alone. Nothing to do in memory, where the pages end
    /// with the process, and in DynamoDB.
    ///
    /// # Errors
    /// [`StoreError::Retryable`] when the file is in use or the disk is full.
    #[cfg(feature = "embedded")]
    pub fn compact(&self) -> Result<(), StoreError> {
        let database = match &self.backend {
            Backend::Embedded(embedded) => &embedded.database,
            #[cfg(feature = "faults")]
            Backend::Faulty(_) => return Ok(()),
            #[cfg(feature = "aws")]
            Backend::Aws(_) => return Ok(()),
        };
        let busy = || StoreError::Retryable {
            operation: "compact",
            reason: "the file could not be written anew".to_owned(),
        };
        database.vacuum().map_err(|_| busy())
    }

    /// The same store for a process that holds the database alone, one sender at a time: a claim that it finds open was
    /// abandoned, however young it is.
    #[cfg(feature = "embedded")]
    #[must_use]
    pub fn held_alone(self) -> Self {
        Self { held_alone: true, ..self }
    }

    #[cfg(feature = "embedded")]
    pub(crate) fn embedded(database: dynoxide::Database) -> Self {
        let names = TableNames::default();
        Self::over(Backend::Embedded(backend::embedded::Embedded { database, names }))
    }

    /// The store in DynamoDB. The client's retries and timeouts are the caller's choice.
    #[cfg(feature = "aws")]
    #[must_use]
    pub fn aws(client: aws_sdk_dynamodb::Client, names: TableNames) -> Self {
        Self::over(Backend::Aws(backend::aws::Aws { client, names }))
    }

    /// The store in DynamoDB, with a client of a configuration.
    #[cfg(feature = "aws")]
    #[must_use]
    pub fn from_config(config: &aws_config::SdkConfig, names: TableNames) -> Self {
        Self::aws(aws_sdk_dynamodb::Client::new(config), names)
    }

    /// An empty store in memory for simulations: the embedded database, with a copy of what it holds for quick reads.
    /// Call [`Store::create_tables`] first.
    ///
    /// # Errors
    /// [`StoreError::Permanent`] when the database cannot be opened.
    #[cfg(feature = "faults")]
    pub fn simulated() -> Result<Self, StoreError> {
        let database = dynoxide::Database::memory().map_err(|_| cannot_open())?;
        let embedded = backend::embedded::Embedded { database, names: TableNames::default() };
        let inner = backend::mirror::Mirrored::over(embedded);
        let weather = Arc::new(backend::faults::Calm);
        Ok(Self::over(Backend::Faulty(backend::faults::Faulty { inner, weather })))
    }

    /// A simulated store under other weather, over the same database; every other store stays as it is.
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn under(&self, weather: Arc<dyn Weather>) -> Self {
        let backend = match &self.backend {
            Backend::Faulty(faulty) => {
                Backend::Faulty(backend::faults::Faulty { inner: faulty.inner.clone(), weather })
            }
            Backend::Embedded(embedded) => Backend::Embedded(embedded.clone()),
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => Backend::Aws(aws.clone()),
        };
        Self::over(backend)
    }

    fn over(backend: Backend) -> Self {
        Self {
            backend,
            capacity: Arc::default(),
            held_alone: false,
            #[cfg(feature = "deliberate-faults")]
            deliberate: None,
        }
    }

    /// What was consumed, by access pattern. Clones of a store count together.
    #[must_use]
    pub fn capacity(&self) -> &CapacityMeter {
        &self.capacity
    }

    fn meter<T>(&self, operation: &'static str, writes: bool, metered: Metered<T>) -> Result<T, Failure> {
        let units = metered.as_ref().map_or(0.0, |(_, units)| *units);
        let (read_units, write_units) = if writes { (0.0, units) } else { (units, 0.0) };
        self.capacity.add(operation, Usage { read_units, write_units, requests: 1 });
        metered.map(|(value, _)| value)
    }

    /// Reads one item of `ops`, strongly consistent.
    async fn get(&self, operation: &'static str, key: Key) -> Result<Option<Item>, StoreError> {
        let answer = self.backend.get(key).await;
        self.meter(operation, false, answer).map_err(|failure| failed(operation, failure))
    }

    /// Reads items of `ops`, strongly consistent, in batches; items that are not there are left out.
    async fn get_all(&self, operation: &'static str, mut keys: Vec<Key>) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::with_capacity(keys.len());
        let mut tries_left = BATCH_GET_TRIES_MAX;
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(backend::BATCH_GET_KEYS_MAX));
            let answer = self.backend.batch_get(keys).await;
            let page = self.meter(operation, false, answer).map_err(|failure| failed(operation, failure))?;
            items.extend(page.items);
            keys = rest;
            if !page.unprocessed.is_empty() {
                tries_left -= 1;
                if tries_left == 0 {
                    return Err(StoreError::Retryable {
                        operation,
                        reason: "keys left unprocessed".to_owned(),
                    });
                }
                keys.extend(page.unprocessed);
            }
        }
        Ok(items)
    }

    async fn query(&self, operation: &'static str, query: Query) -> Result<QueryPage, StoreError> {
        let answer = self.backend.query(query).await;
        self.meter(operation, false, answer).map_err(|failure| failed(operation, failure))
    }

    /// Every item of a range, in at most `pages_max` pages.
    async fn query_all(
        &self,
        operation: &'static str,
        mut query: Query,
        pages_max: usize,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for _ in 0..pages_max {
            let page = self.query(operation, query.clone()).await?;
            items.extend(page.items);
            match page.next {
                None => return Ok(items),
                next => query.start = next,
            }
        }
        let reason = format!("more than {pages_max} pages");
        Err(StoreError::Permanent { operation, reason })
    }

    async fn write(&self, operation: &'static str, write: Write) -> Result<(), Failure> {
        let answer = self.backend.write(write).await;
        self.meter(operation, true, answer)
    }

    async fn transact(&self, operation: &'static str, writes: Vec<Write>) -> Result<(), Failure> {
        let answer = self.backend.transact(writes).await;
        self.meter(operation, true, answer)
    }
}

#[cfg(feature = "embedded")]
fn cannot_open() -> StoreError {
    StoreError::Permanent {
        operation: "open",
        reason: "the file cannot be opened; expected a new path or a database of this store".to_owned(),
    }
}

/// The error of a request whose conditions the caller did not look at itself.
fn failed(operation: &'static str, failure: Failure) -> StoreError {
    match failure {
        Failure::Retryable(reason) => StoreError::Retryable { operation, reason },
        Failure::Permanent(reason) => StoreError::Permanent { operation, reason },
        Failure::Unknown(reason) => StoreError::Unknown { operation, reason },
        Failure::Condition(_) | Failure::Transaction(_) => StoreError::Conflict {
            operation,
            what: "the item was changed by something else; expected it as it was read".to_owned(),
        },
    }
}
