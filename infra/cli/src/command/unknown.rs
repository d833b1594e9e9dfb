//! `cargo puntual unknown`: the messages of which nobody knows whether they went out, and what a person found out.
//!
//! Invariants: a word of a person goes on record with who said it and what it rests on. It sends nothing: where a message
//! did not go out, the next run decides anew, under the rules and by a new claim.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use clap::{Args, Subcommand, ValueEnum};
use domain::contact::EvidenceRef;
use domain::delivery::{Refused, Source};
use domain::fact_record::PersonWord;
use domain::ids::{CustomerId, OperatorId, TenantId, TouchId};
use domain::touch::TouchState;
use serde_json::{Value, json};
use store::{FoundOut, RecordError, Recorded, Store, TouchKey, TouchRecord, UNKNOWN_BATCH_MAX};

use crate::product::ProductClock;
use crate::{folder, moment};

/// The exit code where there is no such touch, or it is not unknown.
const REFUSED: u8 = 2;
/// The most notes that are listed; there are more only where something is very wrong.
const LISTED_MAX: usize = 100_000;

/// Why nothing is sent in place of a message whose obligation stands elsewhere by now.
const MOVED_ON: &str = "Nothing is sent in its place: what it was about is paid, is due on another day, or was told by another message.";

/// Shows the messages of which nobody knows whether they went out, and records what a person found out.
#[derive(Debug, Args)]
pub(crate) struct UnknownArguments {
    #[command(subcommand)]
    ask: Ask,
    /// The folder of a run.
    #[arg(long, visible_alias = "out", global = true, default_value = "puntual-demo")]
    folder: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Ask {
    /// Lists them, as the last run found them.
    List {
        /// Prints one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Shows one of them with everything that was said about it, as a JSON object.
    Show {
        /// The touch.
        #[arg(value_parser = |t: &str| TouchId::new(t))]
        touch: TouchId,
        /// The customer; needed for a touch that is unknown no more.
        #[arg(long, value_parser = |t: &str| CustomerId::new(t))]
        customer: Option<CustomerId>,
    },
    /// Records what a person found out about one of them, at the provider or from the customer.
    Settle {
        /// The touch.
        #[arg(value_parser = |t: &str| TouchId::new(t))]
        touch: TouchId,
        /// The customer.
        #[arg(long, value_parser = |t: &str| CustomerId::new(t))]
        customer: CustomerId,
        /// Whether it went out.
        #[arg(long = "as")]
        found: Found,
        /// Who says so: the lender's own id of the person, no name, no address and no number.
        #[arg(long, value_parser = |t: &str| OperatorId::new(t))]
        by: OperatorId,
        /// The lender's own reference to what it rests on, such as a ticket; no address and no number of a person.
        #[arg(long, visible_alias = "note", value_parser = EvidenceRef::note)]
        evidence: EvidenceRef,
        /// The moment of the word, with its offset; without it that of the folder's clock, and none before the message's own.
        #[arg(long, value_parser = moment::read)]
        now: Option<DateTime<FixedOffset>>,
    },
}

/// When a person says something.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// As the person says.
    Told(DateTime<Utc>),
    /// By the folder's clock.
    Clock(DateTime<Utc>),
}

/// What a person found out.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Found {
    /// It went out.
    Sent,
    /// It did not: its stage may go by another channel.
    NotSent,
}

impl Found {
    const fn of_store(self) -> FoundOut {
        match self {
            Self::Sent => FoundOut::Sent,
            Self::NotSent => FoundOut::NotSent,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Sent => "went out",
            Self::NotSent => "did not go out",
        }
    }
}

pub(crate) async fn unknown(arguments: UnknownArguments) -> anyhow::Result<ExitCode> {
    let UnknownArguments { ask, folder } = arguments;
    let (store, scope, _) = folder::open(&folder).await?;
    let tenant = scope.tenant;
    match ask {
        Ask::List { json } => {
            list(&unknown_touches(&store, &tenant).await?, json)?;
            Ok(ExitCode::SUCCESS)
        }
        Ask::Show { touch, customer } => match find(&store, &tenant, &touch, customer.as_ref()).await? {
            Some(record) => {
                say!("{}", serde_json::to_string_pretty(&whole(&record))?);
                Ok(ExitCode::SUCCESS)
            }
            None => Ok(no_such(&touch, customer.as_ref())),
        },
        Ask::Settle { touch, customer, found, by, evidence, now } => {
            let word = PersonWord::new(by, evidence).context("--by and --evidence go on record for good")?;
            let _lock = folder::lock(&folder)?;
            let moment = match now {
                Some(now) => Moment::Told(now.with_timezone(&Utc)),
                None => Moment::Clock(ProductClock::open(&folder, None)?.now()),
            };
            settle(&store, &tenant, (&customer, &touch), (found, &word), moment).await
        }
    }
}

/// Every touch that is noted as unknown and is so still, the oldest day first.
async fn unknown_touches(store: &Store, tenant: &TenantId) -> anyhow::Result<Vec<TouchRecord>> {
    let (mut unknown, mut cursor, mut read) = (Vec::new(), None, 0);
    while read < LISTED_MAX {
        let page = store.noted_unknown(tenant, cursor, u32::try_from(UNKNOWN_BATCH_MAX)?).await?;
        for unreadable in &page.unreadable {
            tell!("warning: a note cannot be read: {}", unreadable.problem);
        }
        read += page.items.len();
        unknown.extend(store.still_unknown(tenant, &page.items).await?);
        cursor = page.next;
        if cursor.is_none() {
            unknown.sort_by_key(|record| (record.touch.on, TouchKey::of(&record.touch)));
            return Ok(unknown);
        }
    }
    bail!("more than {LISTED_MAX} touches are noted as unknown; expected far fewer: is the provider away?")
}

/// A touch of a customer; without one, an unknown touch of any customer.
async fn find(
    store: &Store,
    tenant: &TenantId,
    touch: &TouchId,
    customer: Option<&CustomerId>,
) -> anyhow::Result<Option<TouchRecord>> {
    let among = match customer {
        Some(customer) => store.touches(tenant, customer).await?,
        None => unknown_touches(store, tenant).await?,
    };
    // The same stage may have been planned on several days; what is unknown is what is asked about.
    let (unknown, others): (Vec<_>, Vec<_>) = among
        .into_iter()
        .filter(|record| record.touch.id == *touch)
        .partition(|record| record.state == TouchState::Unknown);
    Ok(unknown.into_iter().chain(others).next())
}

async fn settle(
    store: &Store,
    tenant: &TenantId,
    (customer, touch): (&CustomerId, &TouchId),
    (found, word): (Found, &PersonWord),
    moment: Moment,
) -> anyhow::Result<ExitCode> {
    let Some(record) = find(store, tenant, touch, Some(customer)).await? else {
        return Ok(no_such(touch, Some(customer)));
    };
    let now = match moment {
        Moment::Told(at) => at,
        // A day may be run before it comes, and nobody can know more of a message than what was last written of it.
        Moment::Clock(now) => record.settled_at.max(record.claimed_at).map_or(now, |at| at.max(now)),
    };
    let place = TouchKey::of(&record.touch);
    match store.settle_unknown(tenant, &place, found.of_store(), word, now).await {
        Ok(Recorded { is_news: true, fell_back, touch: settled, .. }) => {
            say!("{touch} of customer {customer} {}, by {word}", found.words());
            let follows = match (found, fell_back) {
                (Found::Sent, _) => "It counts as sent; nothing else changes.".to_owned(),
                (Found::NotSent, true) => format!(
                    "Its stage was taken back: the next run decides anew, by another channel than {} or not at all.",
                    settled.touch.channel
                ),
                (Found::NotSent, false) => why_it_stays(store, tenant, &settled).await?,
            };
            say!("{follows}");
            Ok(ExitCode::SUCCESS)
        }
        Ok(Recorded { touch: settled, .. }) => {
            tell!("{touch} {}; nothing to do", how_settled(&settled));
            Ok(ExitCode::SUCCESS)
        }
        Err(RecordError::Missing) => Ok(no_such(touch, Some(customer))),
        Err(RecordError::Refused { found: TouchState::Claimed, .. }) => {
            tell!("error: {touch} is claimed and may be on its way; the next run says what became of it");
            Ok(ExitCode::from(REFUSED))
        }
        Err(RecordError::Refused { why: Refused::NotUnknown | Refused::NeverSent, .. }) => {
            // What was said meanwhile is more than what was read before.
            let now = store.touch(tenant, &place).await?.unwrap_or(record);
            tell!("error: {touch} {}; expected one that is unknown. Nothing was recorded", how_settled(&now));
            Ok(ExitCode::from(REFUSED))
        }
        Err(RecordError::Refused { why: why @ Refused::BeforeClaim, .. }) => {
            let claimed_at = record.claimed_at.map_or_else(String::new, text);
            tell!("error: {why}: {touch} was claimed at {claimed_at}; say --now. Nothing was recorded");
            Ok(ExitCode::from(REFUSED))
        }
        Err(
            error @ (RecordError::Refused { .. } | RecordError::OtherClaim { .. } | RecordError::Store(_)),
        ) => Err(error.into()),
    }
}

/// Why the stage of a message that did not go out was not taken back.
async fn why_it_stays(store: &Store, tenant: &TenantId, settled: &TouchRecord) -> anyhow::Result<String> {
    let customer = &settled.touch.customer;
    if let Some(erased_at) = store.fence(tenant, customer).await?.and_then(|fence| fence.erased_at) {
        let erased_at = text(erased_at);
        return Ok(format!(
            "Nothing is sent in its place: customer {customer} was erased at {erased_at}, and nobody writes to it any more."
        ));
    }
    let other = match settled.resent_as.as_ref().or(settled.resend_of.as_ref()) {
        Some(id) => find(store, tenant, id, Some(customer)).await?,
        None => None,
    };
    Ok(other.map_or_else(|| MOVED_ON.to_owned(), |other| because_of_other(&other)))
}

/// Why the stage of a message that did not go out was not taken back, by the other attempt at it.
fn because_of_other(other: &TouchRecord) -> String {
    let (id, state) = (&other.touch.id, other.state);
    match state {
        TouchState::Unknown => format!(
            "Nothing is sent in its place yet: the other attempt at it, {id}, is unknown, too. Settle that one as well: \
             the stage goes another way only when neither went out."
        ),
        TouchState::Claimed => format!(
            "Nothing is sent in its place yet: the other attempt at it, {id}, is claimed and may be on its way; the next \
             run says what became of it."
        ),
        TouchState::Sent | TouchState::Delivered | TouchState::Complained | TouchState::Bounced => {
            format!("Nothing is sent in its place: the other attempt at it, {id}, is {state}.")
        }
        TouchState::Planned | TouchState::Failed | TouchState::Prevented | TouchState::Superseded => {
            MOVED_ON.to_owned()
        }
    }
}

/// What became of a touch, when, and by whose word.
fn how_settled(record: &TouchRecord) -> String {
    let is_decisive = |report: domain::delivery::Report| report.state() == record.state;
    let Some(said) = record.history.entries().iter().find(|said| is_decisive(said.report)) else {
        return format!("is {}: no provider was called for it", record.state);
    };
    let by = match (said.source, &record.reason) {
        (Source::Person, Some(word)) => format!("a person, {word}"),
        (source, _) => format!("the {}", source.as_str()),
    };
    format!("was settled as {} at {} by {by}", record.state, text(said.recorded_at))
}

fn no_such(touch: &TouchId, customer: Option<&CustomerId>) -> ExitCode {
    match customer {
        Some(customer) => tell!(
            "error: customer {customer} has no touch {touch}; expected one of `cargo puntual unknown list`"
        ),
        None => tell!(
            "error: no unknown touch is {touch}; expected one of `cargo puntual unknown list`, or its --customer"
        ),
    }
    ExitCode::from(REFUSED)
}

fn list(touches: &[TouchRecord], json: bool) -> anyhow::Result<()> {
    if json {
        let all: Vec<Value> = touches.iter().map(summary).collect();
        say!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for record in touches {
        let touch = &record.touch;
        say!(
            "{:<34} {:<16} {:<6} {:<6} {}  {}",
            touch.id.as_str(),
            touch.customer.as_str(),
            touch.channel.as_str(),
            touch.stage.as_str(),
            record.claimed_at.map_or_else(String::new, text),
            record.reason.as_deref().unwrap_or_default()
        );
    }
    say!("{} unknown messages", touches.len());
    Ok(())
}

fn summary(record: &TouchRecord) -> Value {
    let touch = &record.touch;
    json!({
        "touch": touch.id,
        "customer": touch.customer,
        "on": touch.on,
        "channel": touch.channel,
        "stage": touch.stage,
        "obligations": touch.items.iter().map(|item| &item.obligation).collect::<Vec<_>>(),
        "state": record.state.as_str(),
        "claimed_at": record.claimed_at.map(text),
        "reason": record.reason,
    })
}

/// A touch with everything that was said about it.
fn whole(record: &TouchRecord) -> Value {
    let said = |entry: &domain::delivery::HistoryEntry| {
        json!({
            "report": entry.report.as_str(),
            "source": entry.source.as_str(),
            "code": entry.code.as_str(),
            "at": text(entry.at),
            "recorded_at": text(entry.recorded_at),
        })
    };
    let mut shown = summary(record);
    shown["settled_at"] = json!(record.settled_at.map(text));
    shown["provider_id"] = json!(record.provider_id);
    shown["second_attempt"] = json!(record.resent_as);
    shown["second_attempt_of"] = json!(record.resend_of);
    shown["history"] = record.history.entries().iter().map(said).collect();
    shown
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
