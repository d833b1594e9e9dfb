//! `cargo puntual choice`: what a customer chooses about being contacted, told by a person or by the link of a message.
//!
//! Invariant: the function that records choices decides. What is printed is the difference between the customer's facts
//! before it and after it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use clap::{ArgGroup, Args};
use domain::channel::{Channel, Purpose};
use domain::choice::{HoursRequest, OptOutLink, RequestedHours};
use domain::contact::{ConsentSource, EvidenceRef, PurposeScope};
use domain::customer::Customer;
use domain::ids::{ChoiceId, CustomerId};
use domain::jurisdiction::Requirement;
use domain::tenant::Tenant;
use record_choice::{
    Channels, ChoiceEvent, Deps, HoursEvent, LinkEvent, Outcome, RecordError, Version, WordEvent, handle,
};
use runtime::decision_log::local;
use runtime::rules::RulesCache;
use serde_json::json;
use sha2::{Digest, Sha256};
use store::Store;

use crate::stack::{opt_out_key, put_rules, suppression_key};
use crate::{WRONG_USAGE, clock, demo, folder, moment};

/// The exit code of an unknown customer, and of a token that was not made here.
const REFUSED: u8 = 2;

/// Records what a customer chooses about being contacted. It holds for the next message, and no import undoes it.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("word").required(true).args(["withdraw", "grant", "link", "token", "hours", "no_hours"])))]
pub(crate) struct ChoiceArguments {
    /// The customer.
    #[arg(long, required_unless_present = "token", conflicts_with = "token", value_parser = |t: &str| CustomerId::new(t))]
    customer: Option<CustomerId>,
    /// How: email, sms, push, whatsapp, call, or all.
    #[arg(long, required_unless_present_any = ["token", "no_hours"], conflicts_with_all = ["token", "no_hours"], value_parser = |t: &str| Channels::try_from(t.to_owned()))]
    channel: Option<Channels>,
    /// The customer withdraws the authorisation.
    #[arg(long)]
    withdraw: bool,
    /// The customer gives the authorisation.
    #[arg(long)]
    grant: bool,
    /// Prints the token of the customer's opt-out link for the channel, and records nothing.
    #[arg(long)]
    link: bool,
    /// The opt-out link that was followed, or its token.
    #[arg(long)]
    token: Option<String>,
    /// Other hours in which the customer asks to be reminded, besides those of the law: "sat,sun 10:00-12:00", with the
    /// days mon to sun and holiday; several times for several. They replace what was asked for before.
    #[arg(long, requires_all = ["document", "document_on", "contract_on"])]
    hours: Vec<String>,
    /// The customer takes its request for other hours back.
    #[arg(long)]
    no_hours: bool,
    /// The document of the request, by the lender's own reference; never an address.
    #[arg(long, requires = "hours", value_parser = EvidenceRef::new)]
    document: Option<EvidenceRef>,
    /// The date of that document, which is later than the contract.
    #[arg(long, requires = "hours")]
    document_on: Option<NaiveDate>,
    /// The date of the contract of the loan.
    #[arg(long, requires = "hours")]
    contract_on: Option<NaiveDate>,
    /// For which purpose: pre_due, overdue, transactional, requested or marketing; several times for several, and all
    /// of them where it is not said.
    #[arg(long, conflicts_with_all = ["token", "link", "hours", "no_hours"])]
    purpose: Vec<Purpose>,
    /// The lender's own reference to what it keeps of the word, such as a recording; never an address.
    #[arg(long, conflicts_with_all = ["token", "link", "hours", "no_hours"], value_parser = EvidenceRef::new)]
    evidence: Option<EvidenceRef>,
    /// When it was said, with its offset: 2026-11-20T10:00:00-05:00; this moment where it is not said.
    #[arg(long, value_parser = moment::read)]
    at: Option<DateTime<FixedOffset>>,
    /// The moment of the report, with its offset; this one where it is not said.
    #[arg(long, value_parser = moment::read)]
    now: Option<DateTime<FixedOffset>>,
    /// The folder of the database.
    #[arg(long, visible_alias = "folder", default_value = "puntual-demo")]
    out: PathBuf,
}

/// What the arguments ask for.
enum Asked {
    /// To record a word of a customer.
    Word(WordEvent, bool),
    /// To keep a request for other hours, or to end it.
    Hours(HoursEvent),
    /// To follow a link.
    Follow(OptOutLink, LinkEvent),
}

pub(crate) async fn choice(arguments: ChoiceArguments) -> anyhow::Result<ExitCode> {
    let now = arguments.now.map_or_else(clock::now, |now| now.with_timezone(&Utc));
    let (store, scope, demo_tenant) = folder::open(&arguments.out).await?;
    let _lock = folder::lock(&arguments.out)?;
    if arguments.link {
        return print_token(&arguments, &store, &demo_tenant, now).await;
    }
    let asked = match asked(&arguments, &demo_tenant, now) {
        Ok(asked) => asked,
        Err(refusal) => {
            tell!("error: {refusal:#}; nothing was recorded");
            return Ok(ExitCode::from(REFUSED));
        }
    };
    let (customer, channels) = match &asked {
        Asked::Word(event, _) => (event.customer.clone(), event.channel),
        Asked::Hours(event) => (event.customer.clone(), Channels::All),
        Asked::Follow(link, _) => (link.customer.clone(), Channels::One(link.channel)),
    };
    let Some(before) = store.customer_facts(&scope.tenant, &customer).await? else {
        return Ok(unknown(&customer));
    };
    // An import alone leaves a folder without settings, which say whose calendar the word is of.
    if store.settings(&scope.tenant).await?.is_none() {
        put_rules(&store, &demo_tenant, demo::POLICY).await?;
    }
    let deps = Deps {
        store: store.clone(),
        rules: RulesCache::default(),
        suppression: suppression_key(),
        links: opt_out_key(),
    };
    let said = sentence(&asked, &demo_tenant);
    let event = match asked {
        Asked::Word(event, true) => ChoiceEvent::Given(event),
        Asked::Word(event, false) => ChoiceEvent::Withdrawn(event),
        Asked::Hours(event) => ChoiceEvent::Hours(event),
        Asked::Follow(_, event) => ChoiceEvent::Link(event),
    };
    let outcome = match handle(&deps, event, now).await {
        Err(RecordError::Hours(refusal)) => {
            tell!("error: the request for other hours is refused: {refusal}; nothing was recorded");
            return Ok(ExitCode::from(REFUSED));
        }
        other => other?,
    };
    let Some(after) = store.customer_facts(&scope.tenant, &customer).await? else {
        bail!("customer {customer} was erased meanwhile; expected it to be there");
    };
    print(&said, &outcome, &changes(&before.customer, &after.customer, channels));
    Ok(ExitCode::SUCCESS)
}

/// The event of the arguments; an error where the token is refused.
fn asked(arguments: &ChoiceArguments, tenant: &Tenant, now: DateTime<Utc>) -> anyhow::Result<Asked> {
    let at = arguments.at.map_or(now, |at| at.with_timezone(&Utc));
    if let Some(token) = &arguments.token {
        // A token has no slash, so what follows the last one of a link is all of it.
        let token = token.rsplit('/').next().unwrap_or_default();
        let link = opt_out_key().verify(token)?;
        return Ok(Asked::Follow(link, LinkEvent { v: Version, token: token.to_owned(), at }));
    }
    if arguments.no_hours || !arguments.hours.is_empty() {
        return hours_event(arguments, tenant, at).map(Asked::Hours);
    }
    let (customer, channel) = named(arguments)?;
    let purposes = PurposeScope::only(arguments.purpose.iter().copied()).unwrap_or(PurposeScope::ALL);
    let word = if arguments.grant { "given" } else { "withdrawn" };
    let about = if purposes.is_all() { "all".to_owned() } else { list(&purposes, "+") };
    let id = format!("person {} {} {word} {about}", at.timestamp_millis(), String::from(channel));
    let event = WordEvent {
        v: Version,
        id: ChoiceId::new(id).context("the choice")?,
        tenant: tenant.id.clone(),
        customer,
        channel,
        purposes,
        source: ConsentSource::Person,
        evidence: arguments.evidence.clone(),
        at,
    };
    Ok(Asked::Word(event, arguments.grant))
}

/// A request for other hours, with the document that it rests on, or the end of one.
fn hours_event(
    arguments: &ChoiceArguments,
    tenant: &Tenant,
    at: DateTime<Utc>,
) -> anyhow::Result<HoursEvent> {
    let customer = arguments.customer.clone().context("--customer is missing")?;
    let request = if arguments.no_hours {
        None
    } else {
        let (_, channels) = named(arguments)?;
        let hours = arguments.hours.iter().map(|text| requested(text));
        Some(HoursRequest {
            channels: channels.each().collect(),
            hours: hours.collect::<anyhow::Result<_>>()?,
            document: arguments.document.clone().context("--document is missing")?,
            document_on: arguments.document_on.context("--document-on is missing")?,
            contract_on: arguments.contract_on.context("--contract-on is missing")?,
        })
    };
    let said = serde_json::to_string(&request).context("the request")?;
    // The same words at the same moment are one choice, other words are another.
    let mark: String = Sha256::digest(said).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let id = ChoiceId::new(format!("person {} hours {mark}", at.timestamp_millis())).context("the choice")?;
    Ok(HoursEvent { v: Version, id, tenant: tenant.id.clone(), customer, request, at })
}

/// One interval, such as `sat,sun 10:00-12:00`.
fn requested(text: &str) -> anyhow::Result<RequestedHours> {
    let expected = || format!("--hours {text:?}: expected days and times such as \"sat,sun 10:00-12:00\"");
    let (days, times) = text.trim().split_once(' ').with_context(expected)?;
    let (from, to) = times.split_once('-').with_context(expected)?;
    let days: Vec<&str> = days.split(',').map(str::trim).collect();
    let written = json!({"days": days, "from": from.trim(), "to": to.trim()});
    serde_json::from_value(written).with_context(expected)
}

/// The customer and the channel, which the arguments name wherever they bring no token.
fn named(arguments: &ChoiceArguments) -> anyhow::Result<(CustomerId, Channels)> {
    let customer =
        arguments.customer.clone().context("--customer is missing; expected it beside --channel")?;
    let channel = arguments.channel.context("--channel is missing; expected it beside --customer")?;
    Ok((customer, channel))
}

fn unknown(customer: &CustomerId) -> ExitCode {
    tell!("error: customer {customer} is not known here; expected one that was imported");
    ExitCode::from(REFUSED)
}

async fn print_token(
    arguments: &ChoiceArguments,
    store: &Store,
    tenant: &Tenant,
    now: DateTime<Utc>,
) -> anyhow::Result<ExitCode> {
    let (customer, channels) = named(arguments)?;
    let Channels::One(channel) = channels else {
        tell!("error: --channel all with --link; expected one channel, because a link withdraws only one");
        return Ok(ExitCode::from(WRONG_USAGE));
    };
    if store.customer_facts(&tenant.id, &customer).await?.is_none() {
        return Ok(unknown(&customer));
    }
    let issued_on = now.with_timezone(&tenant.time_zone).date_naive();
    say!("{}", opt_out_key().token(&OptOutLink { tenant: tenant.id.clone(), customer, channel, issued_on }));
    Ok(ExitCode::SUCCESS)
}

/// Who said what, and when.
fn sentence(asked: &Asked, tenant: &Tenant) -> String {
    let when = |at| local(at, tenant.time_zone).format("%Y-%m-%d %H:%M %:z");
    match asked {
        Asked::Word(event, granted) => {
            let word = if *granted { "authorised" } else { "withdrew" };
            let (customer, channel) = (&event.customer, String::from(event.channel));
            let every = event.purposes.is_all();
            let purposes = if every { "every purpose".to_owned() } else { list(&event.purposes, ", ") };
            format!("customer {customer} {word} {channel} for {purposes} at {}", when(event.at))
        }
        Asked::Hours(event) => {
            let what =
                if event.request.is_some() { "asked for other hours" } else { "took back its other hours" };
            format!("customer {} {what} at {}", event.customer, when(event.at))
        }
        Asked::Follow(link, event) => {
            let OptOutLink { customer, channel, .. } = link;
            format!(
                "customer {customer} withdrew {channel} for every purpose by a link at {}",
                when(event.at)
            )
        }
    }
}

fn list(purposes: &PurposeScope, between: &str) -> String {
    names(Purpose::ALL.iter().copied().filter(|p| purposes.covers(*p)), between)
}

fn names(purposes: impl Iterator<Item = Purpose>, between: &str) -> String {
    purposes.map(Purpose::as_str).collect::<Vec<_>>().join(between)
}

/// What the word made of the customer's authorisations, one line for each difference.
fn changes(before: &Customer, after: &Customer, channels: Channels) -> Vec<String> {
    let authorised =
        |customer: &Customer, channel, purpose| customer.passes(Requirement::OptIn, channel, purpose);
    let mut lines = Vec::new();
    if before.agreed_hours != after.agreed_hours {
        lines.push(after.agreed_hours.as_ref().map_or_else(
            || "no other hours from now on: only those of the law".to_owned(),
            |hours| {
                let (document, on) = hours.document();
                let document = document.as_str();
                format!("other hours from now on, on every channel, for pre_due, overdue, by the document {document} of {on}")
            },
        ));
    }
    for channel in channels.each() {
        let now = |is: bool| {
            let changed = move |p: &Purpose| {
                authorised(after, channel, *p) == is && authorised(before, channel, *p) != is
            };
            names(Purpose::ALL.iter().copied().filter(changed), ", ")
        };
        lines.extend(line(channel, "authorised from now on", &now(true)));
        lines.extend(line(channel, "no longer authorised", &now(false)));
    }
    lines
}

fn line(channel: Channel, what: &str, purposes: &str) -> Option<String> {
    (!purposes.is_empty()).then(|| format!("{channel}: {what} for {purposes}"))
}

fn print(said: &str, outcome: &Outcome, changes: &[String]) {
    let kept = match outcome {
        Outcome::Recorded { .. } => "recorded",
        Outcome::Unchanged { .. } => "known before",
        Outcome::Suppressed { .. } | Outcome::Lifted { .. } | Outcome::ForPerson(_) => "handled",
    };
    say!("{kept}: {said}");
    if changes.is_empty() {
        say!("nothing else changed: what is authorised is as it was before");
    }
    for change in changes {
        say!("{change}");
    }
}
