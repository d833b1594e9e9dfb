//! The import ledger: which file was taken in, and how far.
//!
//! Invariant: a file is known by the SHA-256 of its bytes, so the same file twice is one import; one that was
//! broken off goes on where it stopped.

use domain::ids::TenantId;

use crate::backend::{Expression, Failure, Item, Table, Write};
use crate::item::{Reader, keyed, set};
use crate::{ImportCounts, Store, StoreError, failed, key};

/// How far the import of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportState {
    /// It was never seen; it is now in progress.
    New,
    /// It was begun before.
    InProgress {
        /// How many rows are surely stored.
        rows_done: u64,
    },
    /// It is stored, with these counts.
    Done(ImportCounts),
}

impl Store {
    /// Begins the import of a file, or says how far it is. Counted as `ledger`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn begin_import(&self, tenant: &TenantId, sha256: &str) -> Result<ImportState, StoreError> {
        let mut item = keyed(key::import(tenant, sha256));
        set(&mut item, "st", "progress");
        set(&mut item, "n", 0_u64);
        let write = Write::Put { table: Table::Ops, item, condition: Some(Expression::absent()) };
        match self.write("ledger", write).await {
            Ok(()) => Ok(ImportState::New),
            Err(Failure::Condition(Some(found))) => state_of(&found),
            Err(failure) => Err(failed("ledger", failure)),
        }
    }

    /// How far the import of a file is; `None` where it was never begun. Counted as `ledger`.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails.
    pub async fn import_state(
        &self,
        tenant: &TenantId,
        sha256: &str,
    ) -> Result<Option<ImportState>, StoreError> {
        self.get("ledger", key::import(tenant, sha256)).await?.map(|item| state_of(&item)).transpose()
    }

    /// Notes that the first `rows_done` rows are stored. A lower number than the noted one changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the import was not begun.
    pub async fn import_progress(
        &self,
        tenant: &TenantId,
        sha256: &str,
        rows_done: u64,
    ) -> Result<(), StoreError> {
        let write = Write::Update {
            key: key::import(tenant, sha256),
            update: "SET #n = :n",
            condition: Expression {
                text: "#st = :progress AND #n <= :n",
                names: &["st", "n"],
                values: vec![(":progress", "progress".into()), (":n", rows_done.into())],
            },
        };
        match self.write("ledger", write).await {
            Err(Failure::Condition(Some(_))) => Ok(()),
            other => other.map_err(not_begun),
        }
    }

    /// Closes the import of a file with its counts. Again with the same counts is fine.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the import was not begun, or was closed with other counts.
    pub async fn finish_import(
        &self,
        tenant: &TenantId,
        sha256: &str,
        counts: &ImportCounts,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(counts).expect("counts are numbers under text keys");
        let write = Write::Update {
            key: key::import(tenant, sha256),
            update: "SET #st = :done, #j = :j",
            condition: Expression {
                text: "#st = :progress",
                names: &["st", "j"],
                values: vec![(":progress", "progress".into()), (":done", "done".into()), (":j", json.into())],
            },
        };
        match self.write("ledger", write).await {
            Err(Failure::Condition(Some(found))) if state_of(&found)? == ImportState::Done(*counts) => Ok(()),
            other => other.map_err(not_begun),
        }
    }
}

fn not_begun(failure: Failure) -> StoreError {
    match failure {
        Failure::Condition(found) => {
            let what = if found.is_some() { "closed with other counts" } else { "not begun" };
            StoreError::Conflict {
                operation: "ledger",
                what: format!("the import of this file was {what}; expected it in progress"),
            }
        }
        other @ (Failure::Transaction(_)
        | Failure::Retryable(_)
        | Failure::Permanent(_)
        | Failure::Unknown(_)) => failed("ledger", other),
    }
}

fn state_of(item: &Item) -> Result<ImportState, StoreError> {
    let r = Reader::new("import", item);
    match r.text("st")? {
        "progress" => Ok(ImportState::InProgress { rows_done: r.number("n")? }),
        "done" => Ok(ImportState::Done(r.read("j", "counts in JSON", |j| serde_json::from_str(j).ok())?)),
        _ => Err(r.corrupt("st", "progress or done")),
    }
}
