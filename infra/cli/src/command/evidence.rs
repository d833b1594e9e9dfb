//! `cargo puntual evidence`: everything that was decided, sent, received and consented for one customer, in one file.
//!
//! Invariant: entries are written exactly as they are stored, and the file holds the texts of all rules that they name,
//! so that it can be verified without anything else.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::SecondsFormat;
use clap::Args;
use domain::calendar::HolidayTable;
use domain::contact::ContactPoint;
use domain::customer::Customer;
use domain::ids::{CustomerId, PolicyId, TenantId};
use domain::jurisdiction::{Jurisdiction, TenantJurisdictions};
use domain::tenant::Tenant;
use runtime::rules::suppressed_channels;
use serde_json::{Value, json};
use store::{AuditEntry, CustomerFacts, PaymentRecord, Store, TouchRecord};

use crate::stack::suppression_key;
use crate::{clock, demo};

/// The exit code where there is no such customer.
const UNKNOWN_CUSTOMER: u8 = 2;
/// The form of the file; the verifier knows it by the same numbers and shares no code with this.
const FORMAT: &str = "puntual-evidence";
const FORMAT_VERSION: u32 = 1;

/// What a reader should know about the file.
const NOTES: [&str; 4] = [
    "entries: every decision about a stage that was due, as it is stored; each names the hash of the one before it. Days on which no stage was due leave none.",
    "inputs: a hash of the facts that were decided on. The sections below tell the facts as they stand now.",
    "The texts of messages are not stored and not here: a message follows from its template in the policy and from the facts.",
    "profiles: a version is a hash of the texts together. The holiday table is that of the program that wrote this file.",
];

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
    let Some(facts) = store.customer_facts(&tenant, &customer).await? else {
        eprintln!("error: no import has named customer {customer} of {tenant}; nothing was written");
        return Ok(ExitCode::from(UNKNOWN_CUSTOMER));
    };
    let file = gather(&store, (&tenant, &profiles), &facts, arguments.with_contact_data).await?;
    let text = serde_json::to_string_pretty(&file)? + "\n";
    fs::write(&arguments.out, text)
        .with_context(|| format!("the file {} cannot be written", arguments.out.display()))?;
    say(&arguments, &file);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "what was written is what the command is for")]
fn say(arguments: &EvidenceArguments, file: &Value) {
    let count = |section: &str| file[section].as_array().map_or(0, Vec::len);
    println!(
        "Wrote {}: {} decisions and {} touches of customer {}.",
        arguments.out.display(),
        count("entries"),
        count("touches"),
        arguments.customer
    );
}

async fn gather(
    store: &Store,
    (tenant, known): (&TenantId, &TenantJurisdictions),
    facts: &CustomerFacts,
    with_contact_data: bool,
) -> anyhow::Result<Value> {
    let CustomerFacts { customer, fence, obligations } = facts;
    let trail = store.audit_trail(tenant, &customer.id).await?;
    let (policies, profiles) = rule_texts(store, (tenant, known), &trail).await?;
    let touches = store.touches(tenant, &customer.id).await?;
    let payments = store.payments(tenant, &customer.id).await?;
    let suppressed = suppressed_channels(store, &suppression_key(), tenant, customer).await?;
    let points = customer.contact_points.iter();
    let suppressions: Vec<Value> = points
        .clone()
        .map(|p| json!({"channel": p.channel, "suppressed": suppressed.contains(&p.channel)}))
        .collect();
    Ok(json!({
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "notes": NOTES,
        "tenant": tenant,
        "customer": customer.id,
        "made_at": clock::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        "contact_data": if with_contact_data { "in full" } else { "masked" },
        "fence_version": fence.version,
        "head": fence.audit_head,
        "entries": trail.iter().map(|e| json!({"document": e.document, "hash": e.hash})).collect::<Vec<_>>(),
        "touches": touches.iter().map(touch).collect::<Vec<_>>(),
        "contacts": fence.contacts,
        "reached": fence.reached,
        "obligations": obligations,
        "payments": payments.iter().map(payment).collect::<Vec<_>>(),
        "consents": customer.consents,
        "suppressions": suppressions,
        "contact_points": points.map(|p| contact_point(p, with_contact_data)).collect::<Vec<_>>(),
        "profile": profile(customer, with_contact_data),
        "policies": policies,
        "profiles": profiles,
    }))
}

/// What decides about a customer besides obligations and consents.
fn profile(customer: &Customer, with_contact_data: bool) -> Value {
    json!({
        "name": if with_contact_data { customer.name.reveal() } else { "***" },
        "kind": customer.kind,
        "country": customer.country,
        "time_zone": customer.time_zone,
        "language": customer.language,
        "segment": customer.segment,
        "preferred_channel": customer.preferred_channel,
        "hold": customer.hold,
    })
}

fn contact_point(point: &ContactPoint, with_contact_data: bool) -> Value {
    let address = if with_contact_data { point.address.reveal() } else { "***" };
    json!({"channel": point.channel, "address": address, "test": point.test})
}

fn payment(payment: &PaymentRecord) -> Value {
    let PaymentRecord { id, obligation, amount_minor, paid_on } = payment;
    json!({"id": id, "obligation": obligation, "amount_minor": amount_minor, "paid_on": paid_on})
}

fn touch(record: &TouchRecord) -> Value {
    let touch = &record.touch;
    json!({
        "id": touch.id,
        "on": touch.on,
        "send_at": touch.send_at,
        "channel": touch.channel,
        "purpose": touch.purpose,
        "stage": touch.stage,
        "tone": touch.tone,
        "template": touch.template,
        "items": touch.items,
        "policy": touch.policy,
        "policy_version": touch.policy_version,
        "state": record.state.as_str(),
        "claimed_at_ms": record.claimed_at.map(|at| at.timestamp_millis()),
        "settled_at_ms": record.settled_at.map(|at| at.timestamp_millis()),
        "fence_version": record.fence_version,
        "provider_id": record.provider_id,
        "reason": record.reason,
    })
}

/// The texts of every policy and profile that an entry names.
async fn rule_texts(
    store: &Store,
    (tenant, known): (&TenantId, &TenantJurisdictions),
    trail: &[AuditEntry],
) -> anyhow::Result<(Vec<Value>, Vec<Value>)> {
    let (mut policies, mut profiles) = (BTreeSet::new(), BTreeSet::new());
    for (index, entry) in trail.iter().enumerate() {
        let record = entry.record().with_context(|| {
            format!("entry {} of {} cannot be read; expected a decision in JSON", index + 1, entry.at)
        })?;
        policies.insert((record.policy, record.policy_version));
        profiles.insert((record.profile, record.profile_version));
    }
    let mut policy_texts = Vec::with_capacity(policies.len());
    for (id, version) in &policies {
        policy_texts.push(policy_text(store, tenant, id, *version).await?);
    }
    let profile_texts = profiles.iter().map(|(id, version)| profile_text(known, id, version));
    Ok((policy_texts, profile_texts.collect::<anyhow::Result<_>>()?))
}

async fn policy_text(store: &Store, tenant: &TenantId, id: &PolicyId, version: u32) -> anyhow::Result<Value> {
    let stored = store.policy(tenant, id, version).await?;
    let text = stored.with_context(|| format!("policy {id} version {version} is not stored"))?.source;
    Ok(json!({"id": id, "version": version, "text": text}))
}

/// The texts of a profile, each laid over the one before it, and its holidays. An entry was decided by a profile as it
/// holds for the tenant, or by the bare one.
fn profile_text(known: &TenantJurisdictions, id: &str, version: &str) -> anyhow::Result<Value> {
    let built_in = Jurisdiction::built_in(id)?;
    let of_tenant = known.all().filter(|profile| profile.id() == id);
    let Some(profile) = of_tenant.chain([built_in]).find(|profile| profile.version() == version) else {
        let expected = known.named(id)?.version();
        bail!(
            "an entry was decided by profile {id} version {version}; this program and the tenant's settings give version {expected}; expected those that wrote the entry"
        );
    };
    let texts: Vec<&str> = profile.texts().collect();
    let mut holidays = None;
    for text in &texts {
        let table: toml::Table = text.parse()?;
        let named = table.get("holidays").and_then(toml::Value::as_str);
        holidays = named.map_or(holidays, HolidayTable::built_in_text);
    }
    Ok(json!({"id": id, "version": version, "texts": texts, "holidays": holidays}))
}
