//! The folder of a run: its database, for the commands that look into it afterwards.

use std::path::Path;

use anyhow::{Context, bail};
use domain::tenant::Tenant;
use store::{Scope, Store};

use crate::demo;

/// The name of the database in a folder.
const DATABASE: &str = "puntual.sqlite";

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
