//! `cargo puntual contact`: contacts that others made, such as the calls of a contact centre. They count against the caps.
//!
//! Invariant: a contact that cannot be understood, or that lies in the future, is an error that names its line, and the
//! others are recorded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use chrono::{DateTime, Duration, FixedOffset, Utc};
use clap::Args;
use domain::channel::Channel;
use domain::contact::Contact;
use domain::ids::CustomerId;
use serde::Deserialize;
use store::ContactRecorded;

use crate::{clock, folder, moment};

/// How far the clocks of two systems may be apart.
const SKEW_MINUTES: i64 = 5;
/// The most lines of one file.
const LINES_MAX: usize = 1_000_000;
/// The exit code when some contacts were not recorded.
const SOME_REFUSED: u8 = 2;

/// Records contacts that others made, so that they count against the caps.
#[derive(Debug, Args)]
pub(crate) struct ContactArguments {
    /// A CSV file with the columns customer, channel, at and answered; other columns are ignored.
    #[arg(long, conflicts_with_all = ["customer", "channel", "at", "answered"])]
    file: Option<PathBuf>,
    /// The customer.
    #[arg(long, required_unless_present = "file")]
    customer: Option<String>,
    /// How: email, sms, push, whatsapp or call.
    #[arg(long, required_unless_present = "file")]
    channel: Option<String>,
    /// When, with its offset: 2026-11-20T10:00:00-05:00.
    #[arg(long, required_unless_present = "file")]
    at: Option<String>,
    /// The customer answered: there was a conversation.
    #[arg(long)]
    answered: bool,
    /// The moment of the report, with its offset; this one where it is not said.
    #[arg(long, value_parser = moment::read)]
    now: Option<DateTime<FixedOffset>>,
    /// The folder of the database.
    #[arg(long, visible_alias = "folder", default_value = "puntual-demo")]
    out: PathBuf,
    /// Prints the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// A contact as it is written, before it is understood.
#[derive(Debug, Deserialize)]
struct Told {
    customer: String,
    channel: String,
    at: String,
    #[serde(default)]
    answered: String,
}

impl Told {
    fn read(&self, now: DateTime<Utc>) -> anyhow::Result<(CustomerId, Contact)> {
        let customer = CustomerId::new(self.customer.trim()).context("customer")?;
        let channel: Channel = self.channel.trim().parse().context("channel")?;
        let at = moment::read(&self.at).context("at")?.with_timezone(&Utc);
        if at > now + Duration::minutes(SKEW_MINUTES) {
            bail!("at: {at} lies in the future; expected a contact that was made");
        }
        let direct = match self.answered.trim().to_lowercase().as_str() {
            "" | "no" | "false" | "0" => false,
            "yes" | "sí" | "si" | "true" | "1" => true,
            other => bail!("answered: {other:?}; expected yes or no"),
        };
        Ok((customer, Contact { at, channel, direct }))
    }
}

pub(crate) async fn contact(arguments: ContactArguments) -> anyhow::Result<ExitCode> {
    let now = arguments.now.map_or_else(clock::now, |now| now.with_timezone(&Utc));
    let (store, scope, _) = folder::open(&arguments.out).await?;
    let _lock = folder::lock(&arguments.out)?;
    let told = told(&arguments)?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut refused = 0;
    for (line, told) in told {
        let read = told.and_then(|told| told.read(now));
        let recorded = match read {
            Ok((customer, contact)) => store.record_contact(&scope, &customer, contact, now).await?,
            Err(error) => {
                refused += 1;
                tell!("{line}{error:#}");
                continue;
            }
        };
        if recorded == ContactRecorded::UnknownCustomer {
            refused += 1;
            tell!("{line}customer: not known here; expected one that was imported");
        }
        *counts.entry(name(recorded)).or_default() += 1;
    }
    if refused > 0 {
        counts.insert("refused", refused);
    }
    print(&counts, arguments.json)?;
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_REFUSED) })
}

const fn name(recorded: ContactRecorded) -> &'static str {
    match recorded {
        ContactRecorded::Made => "recorded",
        ContactRecorded::Already => "known_before",
        ContactRecorded::TooOld => "too_old_to_count",
        ContactRecorded::UnknownCustomer => "unknown_customer",
    }
}

/// Every contact of the arguments, with where it stands.
fn told(arguments: &ContactArguments) -> anyhow::Result<Vec<(String, anyhow::Result<Told>)>> {
    let Some(file) = &arguments.file else {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let answered = if arguments.answered { "yes" } else { "no" }.to_owned();
        let (customer, channel, at) =
            (text(&arguments.customer), text(&arguments.channel), text(&arguments.at));
        return Ok(vec![(String::new(), Ok(Told { customer, channel, at, answered }))]);
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let rows: Vec<_> = reader
        .deserialize()
        .take(LINES_MAX + 1)
        .enumerate()
        .map(|(n, row)| (format!("line {}: ", n + 2), row.map_err(|e| anyhow!("{e}"))))
        .collect();
    if rows.len() > LINES_MAX {
        bail!("{} has more than {LINES_MAX} contacts; expected several files", file.display());
    }
    Ok(rows)
}

fn print(counts: &BTreeMap<&str, usize>, json: bool) -> anyhow::Result<()> {
    if json {
        say!("{}", serde_json::to_string_pretty(counts)?);
    } else {
        for (name, count) in counts {
            say!("{:<17} {count}", name.replace('_', " "));
        }
    }
    Ok(())
}
