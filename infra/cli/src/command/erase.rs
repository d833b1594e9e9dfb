//! `cargo puntual erase`: removes what is known about one customer, and keeps the proof of what was decided.
//!
//! Invariant: it says that the data is gone only when it is: out of the database and its free pages, and out of the
//! messages that this machine has kept. The file that a lender imported is the lender's own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use anyhow::{Context, bail};
use channels::OutboxMessage;
use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use clap::Args;
use domain::contact::Address;
use domain::ids::CustomerId;
use store::Erased;

use crate::{clock, folder};

/// The exit code when there is nobody to erase.
const UNKNOWN_CUSTOMER: u8 = 2;
/// What stands in a message in place of what was erased.
const GONE: &str = "erased";

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
        Erased::Made { items, kept } => {
            store.compact().context("what was erased may still be read in the file of the database")?;
            let messages = forget_messages(&arguments.out, std::slice::from_ref(&customer))?;
            say!("erased {customer}: {items} items; the audit trail and its chain stay");
            if messages > 0 {
                say!("{messages} messages of this machine have no address and no text any more");
            }
            if kept > 0 {
                say!(
                    "{kept} touches stay, by their ids, because nobody knows whether they went out: `unknown list`"
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        Erased::InFlight { until } => bail!(
            "a message to {customer} is on its way, and nothing was erased; expected to be asked again after {}",
            until.to_rfc3339_opts(SecondsFormat::Secs, true)
        ),
        Erased::Unknown => {
            tell!("customer {customer} is not known here; expected one that was imported");
            Ok(ExitCode::from(UNKNOWN_CUSTOMER))
        }
    }
}

/// Takes address and text out of the messages of customers that this machine has kept, and says how many there were.
/// Lines of other customers, and those that are no message, stay as they are.
pub(crate) fn forget_messages(folder: &Path, erased: &[CustomerId]) -> anyhow::Result<usize> {
    let path = folder.join(folder::MESSAGES);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let (mut forgotten, mut lines) = (0, String::with_capacity(text.len()));
    for line in text.split_inclusive('\n') {
        match serde_json::from_str::<OutboxMessage>(line) {
            Ok(message) if erased.contains(&message.customer) => {
                forgotten += 1;
                let subject = message.subject.as_ref().map(|_| GONE.to_owned());
                let without =
                    OutboxMessage { to: Address::new(GONE), subject, body: GONE.to_owned(), ..message };
                lines.push_str(&serde_json::to_string(&without)?);
                lines.push('\n');
            }
            Ok(_) | Err(_) => lines.push_str(line),
        }
    }
    if forgotten > 0 {
        folder::write_whole(&path, lines.as_bytes())?;
    }
    Ok(forgotten)
}
