//! `cargo puntual erase`: removes what is known about one customer, and keeps the proof of what was decided.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, FixedOffset, Utc};
use clap::Args;
use domain::ids::CustomerId;
use store::Erased;

use crate::{clock, folder};

/// The exit code when there is nobody to erase.
const UNKNOWN_CUSTOMER: u8 = 2;

/// Erases the personal data of one customer. What was decided stays provable; imports about the customer are rejected
/// from then on.
#[derive(Debug, Args)]
pub(crate) struct EraseArguments {
    /// The customer.
    #[arg(long)]
    customer: String,
    /// Says that it is meant: nothing brings the data back.
    #[arg(long)]
    yes: bool,
    /// The moment of the erasure, with its offset: 2026-11-20T10:00:00-05:00; this one where it is not said.
    #[arg(long)]
    now: Option<DateTime<FixedOffset>>,
    /// The folder of the database.
    #[arg(long, visible_alias = "folder", default_value = "puntual-demo")]
    out: PathBuf,
}

pub(crate) async fn erase(arguments: EraseArguments) -> anyhow::Result<ExitCode> {
    let customer = CustomerId::new(arguments.customer).context("customer")?;
    if !arguments.yes {
        bail!(
            "an erasure cannot be undone; expected --yes, after `cargo puntual evidence` where a copy is due"
        );
    }
    let (store, scope, _) = folder::open(&arguments.out).await?;
    let _lock = folder::lock(&arguments.out)?;
    let now = arguments.now.map_or_else(clock::now, |now| now.with_timezone(&Utc));
    match store.erase_customer(&scope, &customer, now).await? {
        Erased::Made { items } => {
            say!("erased {customer}: {items} items; the audit trail and its chain stay");
            Ok(ExitCode::SUCCESS)
        }
        Erased::Unknown => {
            tell!("customer {customer} is not known here; expected one that was imported");
            Ok(ExitCode::from(UNKNOWN_CUSTOMER))
        }
    }
}
