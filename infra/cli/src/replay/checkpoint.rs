//! Checkpoints: where a replay can go on.
//!
//! Invariant: a checkpoint names a copy of the database and the lengths of the files at the end of one day. It is
//! replaced by renaming, so there is always one that is whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use store::Store;

use super::Files;
use crate::report::Totals;

/// Raised with every change of what the database holds.
const CHECKPOINT_VERSION: u32 = 3;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    version: u32,
    inputs: String,
    pub(crate) next_day: NaiveDate,
    messages_bytes: u64,
    decisions_bytes: u64,
    database: PathBuf,
    pub(crate) totals: Totals,
}

fn state_file(out: &Path) -> PathBuf {
    out.join("checkpoint.json")
}

fn size(path: &Path) -> anyhow::Result<u64> {
    if path.exists() { Ok(fs::metadata(path)?.len()) } else { Ok(0) }
}

impl Checkpoint {
    /// Brings the folder to its last checkpoint, or to the start.
    ///
    /// Where a checkpoint lies beyond the last day that is asked for, the replay starts over.
    pub(crate) fn restore(
        out: &Path,
        files: &Files,
        inputs: &str,
        from: NaiveDate,
        to: NaiveDate,
    ) -> anyhow::Result<Self> {
        let state = state_file(out);
        let saved = if state.exists() {
            let text = fs::read_to_string(&state)?;
            let saved: Self = serde_json::from_str(&text).with_context(|| {
                format!("{} is no checkpoint; remove the folder to start over", state.display())
            })?;
            if saved.version != CHECKPOINT_VERSION || saved.inputs != inputs {
                bail!(
                    "{} holds a replay of other inputs; expected an empty folder or the same inputs",
                    out.display()
                );
            }
            (saved.next_day.pred_opt().is_some_and(|last| last <= to)).then_some(saved)
        } else {
            // A replay leaves its first checkpoint before anything else, so these files are somebody else's.
            if files.messages.exists() || files.decisions.exists() || files.database.exists() {
                bail!("{} holds files that are not a replay's; expected an empty folder", out.display());
            }
            None
        };
        for leftover in
            [&files.database, &with_suffix(&files.database, "-wal"), &with_suffix(&files.database, "-shm")]
        {
            if leftover.exists() {
                fs::remove_file(leftover)?;
            }
        }
        let start = saved.unwrap_or_else(|| Self {
            version: CHECKPOINT_VERSION,
            inputs: inputs.to_owned(),
            next_day: from,
            messages_bytes: 0,
            decisions_bytes: 0,
            database: PathBuf::new(),
            totals: Totals::default(),
        });
        if start.next_day > from {
            let copy = out.join(&start.database);
            fs::copy(&copy, &files.database)
                .with_context(|| format!("the checkpoint's database {} is gone", copy.display()))?;
        }
        start.write(out)?;
        truncate(&files.messages, start.messages_bytes)?;
        truncate(&files.decisions, start.decisions_bytes)?;
        Ok(start)
    }

    /// Writes the checkpoint in place of the last one.
    fn write(&self, out: &Path) -> anyhow::Result<()> {
        let state = state_file(out);
        let new = with_suffix(&state, ".new");
        fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        Ok(fs::rename(&new, &state)?)
    }

    /// Saves where the replay stands.
    pub(crate) async fn save(
        out: &Path,
        files: &Files,
        inputs: &str,
        next_day: NaiveDate,
        totals: &Totals,
        store: &Store,
    ) -> anyhow::Result<()> {
        let database = PathBuf::from(format!("checkpoint-{next_day}.sqlite"));
        let copy = out.join(&database);
        if copy.exists() {
            fs::remove_file(&copy)?;
        }
        store.snapshot_into(&copy).await?;
        let checkpoint = Self {
            version: CHECKPOINT_VERSION,
            inputs: inputs.to_owned(),
            next_day,
            messages_bytes: size(&files.messages)?,
            decisions_bytes: size(&files.decisions)?,
            database: database.clone(),
            totals: totals.clone(),
        };
        checkpoint.write(out)?;
        for entry in fs::read_dir(out)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if name.starts_with("checkpoint-") && Path::new(name) != database {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Refuses the folder of a replay, whose files nobody else may change.
pub(crate) fn refuse_folder(out: &Path) -> anyhow::Result<()> {
    if state_file(out).exists() {
        bail!("{} holds a replay; expected another folder", out.display());
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Cuts a file to a length, making it where it is not there.
fn truncate(path: &Path, bytes: u64) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    let found = file.metadata()?.len();
    if found < bytes {
        bail!("{} has {found} bytes; its checkpoint expects at least {bytes}", path.display());
    }
    file.set_len(bytes)?;
    Ok(())
}
