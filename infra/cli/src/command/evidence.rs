//! `cargo puntual evidence`: everything that was decided, sent, received and consented for one customer, in one file.
//!
//! Invariant: nothing is made up here; `runtime::evidence` gathers it, and a customer nobody knows leaves no file.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use domain::ids::CustomerId;
use domain::jurisdiction::TenantJurisdictions;
use domain::tenant::Tenant;
use runtime::evidence::{Asked, EvidenceError};
use serde_json::Value;
use store::Store;

use crate::stack::suppression_key;
use crate::{clock, demo};

/// The exit code where there is no such customer.
const UNKNOWN_CUSTOMER: u8 = 2;

/// Writes everything that was decided, sent, received and consented for one customer.
#[derive(Debug, Args)]
pub(crate) struct EvidenceArguments {
    /// The customer, by the lender's own reference.
    #[arg(long)]
    customer: String,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// The folder of a run or a replay.
    #[arg(long, default_value = "puntual-demo")]
    folder: PathBuf,
    /// Writes addresses and numbers in full; otherwise they are masked.
    #[arg(long)]
    with_contact_data: bool,
}

pub(crate) async fn evidence(arguments: EvidenceArguments) -> anyhow::Result<ExitCode> {
    let database = arguments.folder.join("puntual.sqlite");
    if !database.exists() {
        bail!(
            "{} has no puntual.sqlite; expected the folder of a run or a replay",
            arguments.folder.display()
        );
    }
    let store = Store::file(&database)
        .with_context(|| format!("the database {} cannot be opened", database.display()))?;
    let tenant: Tenant = toml::from_str(demo::TENANT).context("the demo's tenant")?;
    let today = clock::now().with_timezone(&tenant.time_zone).date_naive();
    let profiles = TenantJurisdictions::new(&tenant, today).context("the tenant's contact rules")?;
    let tenant = tenant.id;
    let customer = CustomerId::new(&arguments.customer).context("--customer")?;
    let secret = suppression_key();
    let asked = Asked {
        store: &store,
        secret: &secret,
        tenant: &tenant,
        profiles: &profiles,
        customer: &customer,
        with_contact_data: arguments.with_contact_data,
    };
    let file = match asked.evidence(clock::now()).await {
        Ok(Some(file)) => file,
        Ok(None) => {
            tell!("error: no import has named customer {customer} of {tenant}; nothing was written");
            return Ok(ExitCode::from(UNKNOWN_CUSTOMER));
        }
        Err(EvidenceError::Erasing { .. }) => bail!(
            "the erasure of customer {customer} was cut off; expected `cargo puntual erase --customer {customer} --yes` \
             to finish it first"
        ),
        Err(error) => return Err(error.into()),
    };
    let text = serde_json::to_string_pretty(&file)? + "\n";
    fs::write(&arguments.out, text)
        .with_context(|| format!("the file {} cannot be written", arguments.out.display()))?;
    say(&arguments, &file);
    Ok(ExitCode::SUCCESS)
}

fn say(arguments: &EvidenceArguments, file: &Value) {
    let count = |section: &str| file[section].as_array().map_or(0, Vec::len);
    let erased = if file["erased_at_ms"].is_null() { "" } else { " The customer's data was erased." };
    say!(
        "Wrote {}: {} entries and {} touches of customer {}.{erased}",
        arguments.out.display(),
        count("entries"),
        count("touches"),
        arguments.customer
    );
}
