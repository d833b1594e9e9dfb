//! The import of one file: its rows go into the store in batches, and the ledger says how far it is.
//!
//! Invariants: the same file twice changes nothing. An import that was stopped goes on where it was; a batch that is
//! written twice ends in the same facts. Good rows go in whatever the others are like.

use std::io::Read;
use std::sync::Arc;

use chrono::NaiveDate;
use domain::import::mapping::Mapping;
use domain::import::record::{AccountRow, PaymentRow, Record};
use domain::import::row_error::RowError;
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::{ImportCounts, ImportState, Scope, Store, StoreError};
use tokio::sync::mpsc::{Sender, channel};

use crate::reader::{FileError, ReadOptions, ReadSummary, RowOutcome, read_records};

/// How many rows are written before the ledger notes them.
pub const BATCH_ROWS: usize = 500;
/// How many batches may wait between the reader and the store.
const BATCHES_WAITING_MAX: usize = 4;

/// Which file is imported, and as what.
#[derive(Debug, Clone)]
pub struct ImportJob {
    /// The tenant and its shards.
    pub scope: Scope,
    /// The number of the source: a file with a lower one never overwrites what a higher one said.
    pub sequence: u64,
    /// The day whose truth the file tells.
    pub as_of: NaiveDate,
    /// What the ledger knows the import by: [`import_key`].
    pub key: String,
    /// What is changed about reading it.
    pub options: ReadOptions,
}

/// What the ledger knows an import by: the same bytes read by another mapping, or for another day, are another import,
/// which may say something else.
#[must_use]
pub fn import_key(file_sha256: &str, mapping: &str, as_of: NaiveDate, options: ReadOptions) -> String {
    let mut hasher = Sha256::new();
    for part in [file_sha256, mapping, &as_of.to_string(), &options.shift_days.to_string()] {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// What became of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Whether the file had been imported before; then nothing was done.
    pub already_imported: bool,
    /// Rows below the header.
    pub rows: u64,
    /// Rows that were refused.
    pub bad: u64,
    /// Rows that say again what an earlier one said.
    pub repeated: u64,
    /// What was written.
    #[serde(flatten)]
    pub counts: ImportCounts,
}

/// Why an import did not come to its end. It goes on where it was when it is started again.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file as a whole cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that reads the file is gone.
    #[error("the reader stopped without a word")]
    ReaderGone,
}

/// Rows on their way to the store.
#[derive(Debug, Default)]
struct Batch {
    accounts: Vec<AccountRow>,
    payments: Vec<PaymentRow>,
    bad: Vec<RowError>,
    /// Outcomes up to and including this batch.
    outcomes: u64,
}

/// Imports a file. `on_bad` sees every problem of every bad row, and `on_rows` how many rows came since the last call.
///
/// # Errors
/// [`ImportError`] when the file as a whole cannot be read, or the store fails.
pub async fn import_file<R: Read + Send + 'static>(
    store: &Store,
    job: &ImportJob,
    mapping: Arc<Mapping>,
    input: R,
    mut on_bad: impl FnMut(&RowError),
    on_rows: impl Fn(u64),
) -> Result<ImportReport, ImportError> {
    let tenant = &job.scope.tenant;
    let done = match store.begin_import(tenant, &job.key).await? {
        ImportState::Done(counts) => {
            return Ok(ImportReport { already_imported: true, counts, ..ImportReport::default() });
        }
        ImportState::New => 0,
        ImportState::InProgress { rows_done } => rows_done,
    };
    let (sender, mut batches) = channel(BATCHES_WAITING_MAX);
    let options = job.options;
    let reader = tokio::task::spawn_blocking(move || read_batches(input, &mapping, options, &sender));
    let mut counts = ImportCounts::default();
    let mut seen = 0;
    while let Some(batch) = batches.recv().await {
        batch.bad.iter().for_each(&mut on_bad);
        // What was surely stored before a stop is not written again; its problems are still listed.
        if batch.outcomes > done {
            if !batch.accounts.is_empty() {
                counts += store.import_accounts(&job.scope, job.sequence, job.as_of, &batch.accounts).await?;
            }
            if !batch.payments.is_empty() {
                counts += store.import_payments(&job.scope, job.sequence, job.as_of, &batch.payments).await?;
            }
            store.import_progress(tenant, &job.key, batch.outcomes).await?;
        }
        on_rows(batch.outcomes - seen);
        seen = batch.outcomes;
    }
    let summary = reader.await.map_err(|_| ImportError::ReaderGone)??;
    store.finish_import(tenant, &job.key, &counts).await?;
    let ReadSummary { rows, bad, repeated, .. } = summary;
    Ok(ImportReport { already_imported: false, rows, bad, repeated, counts })
}

/// Reads the file on its own thread; where nobody takes the batches any more it stops.
fn read_batches<R: Read>(
    input: R,
    mapping: &Mapping,
    options: ReadOptions,
    batches: &Sender<Batch>,
) -> Result<ReadSummary, FileError> {
    let mut batch = Batch::default();
    let mut outcomes = 0;
    let summary = read_records(input, mapping, options, &mut |outcome| {
        outcomes += 1;
        match outcome {
            RowOutcome::Record(Record::Account(row)) => batch.accounts.push(*row),
            RowOutcome::Record(Record::Payment(row)) => batch.payments.push(row),
            RowOutcome::Bad(errors) => batch.bad.extend(errors),
        }
        if outcomes % BATCH_ROWS as u64 == 0 {
            let full = std::mem::take(&mut batch);
            batches.blocking_send(Batch { outcomes, ..full })?;
        }
        Ok(())
    })?;
    // A receiver that is gone has failed, and its own error is the one that counts.
    let _ = batches.blocking_send(Batch { outcomes, ..batch });
    Ok(summary)
}
