//! The folder of a run: its database, for the commands that look into it afterwards.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use domain::tenant::Tenant;
use runtime::local_queue::LocalQueues;
use store::{Scope, Store};

use crate::demo;

/// The name of the database in a folder.
pub(crate) const DATABASE: &str = "puntual.sqlite";
/// The name of the messages in a folder.
pub(crate) const MESSAGES: &str = "messages.jsonl";
/// How many unreadable lines of the queues are told one by one.
const UNREADABLE_SHOWN_MAX: usize = 10;
/// The name of the queues in a folder.
pub(crate) const QUEUES: &str = "queues.jsonl";

/// Holds a folder for one command at a time, until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

/// Takes a folder, which is there, for this command alone.
pub(crate) fn lock(folder: &Path) -> anyhow::Result<FolderLock> {
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock { _file: file }),
        Err(TryLockError::WouldBlock) => {
            bail!("another command is at work in {}; expected one at a time", folder.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", path.display()))
        }
    }
}

/// Writes a file by renaming, so that a process that is killed leaves the old one or the new one, and no half.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let written = fs::write(&new, bytes).and_then(|()| fs::rename(&new, path));
    written.with_context(|| format!("{} cannot be written", path.display()))
}

/// Opens the queues of a folder for the command that holds it, and says which of their lines could not be read.
pub(crate) fn queues(folder: &Path, now: DateTime<Utc>) -> anyhow::Result<LocalQueues> {
    let queues = LocalQueues::open(&folder.join(QUEUES), now)?;
    tell_of_unreadable(&queues, "it lies in queues.unreadable.jsonl from now on");
    Ok(queues)
}

/// Looks into the queues of a folder, and says which of their lines cannot be read.
pub(crate) fn queues_as_they_are(folder: &Path) -> anyhow::Result<LocalQueues> {
    let queues = LocalQueues::read(&folder.join(QUEUES))?;
    tell_of_unreadable(&queues, "the next run sets it apart");
    Ok(queues)
}

fn tell_of_unreadable(queues: &LocalQueues, what_follows: &str) {
    let unreadable = queues.unreadable();
    for line in unreadable.iter().take(UNREADABLE_SHOWN_MAX) {
        tell!("warning: {QUEUES}, line {}: {}; {what_follows}", line.line, line.problem);
    }
    if let Some(more) = unreadable.len().checked_sub(UNREADABLE_SHOWN_MAX).filter(|more| *more > 0) {
        tell!("warning: {QUEUES} has {more} more lines that cannot be read");
    }
}

/// Opens the database that a run or an import has left in a folder.
pub(crate) async fn open(folder: &Path) -> anyhow::Result<(Store, Scope, Tenant)> {
    let database = folder.join(DATABASE);
    if !database.exists() {
        bail!("{} has no database; expected the folder of a run or an import", folder.display());
    }
    let store = Store::file(&database)
        .with_context(|| format!("the database {} cannot be opened", database.display()))?;
    store.create_tables().await.context("the tables cannot be made")?;
    let tenant: Tenant = toml::from_str(demo::TENANT).context("the demo's tenant")?;
    Ok((store, Scope::new(tenant.id.clone(), tenant.shards), tenant))
}
