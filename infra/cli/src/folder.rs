//! The folder of a run: its database, for the commands that look into it afterwards.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context, bail};
use domain::tenant::Tenant;
use store::{Scope, Store};

use crate::demo;

/// The name of the database in a folder.
pub(crate) const DATABASE: &str = "puntual.sqlite";
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
