//! Evidence: everything that was decided, sent, received and consented for one customer, as one document.
//!
//! Invariant: entries are written exactly as they are stored, and the document holds the texts of all rules that they
//! name, so that it can be verified without anything else.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use domain::contact::{Consent, Contact, ContactPoint};
use domain::customer::Customer;
use domain::delivery::HistoryEntry;
use domain::fact_record::AuditRecord;
use domain::fence::{FailedAttempt, Fence, Reached};
use domain::ids::{CustomerId, ObligationId, PolicyId, TenantId};
use domain::import::row::CONSENT_FLOOR_ON;
use domain::jurisdiction::{BuiltInError, Jurisdiction, TenantJurisdictions};
use domain::obligation::{Hold, Obligation};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{
    AuditEntry, CustomerFacts, PaymentRecord, ProfileDoc, Store, StoreError, SuppressionKey, TouchRecord,
};

use crate::rules::suppressed_channels;

/// The form of the file; the verifier knows it by the same numbers and shares no code with this.
const FORMAT: &str = "puntual-evidence";
const FORMAT_VERSION: u32 = 2;
/// The section that seals the others.
const SEALS: &str = "seals";

/// What a reader should know about the file.
const NOTES: [&str; 6] = [
    "entries: every decision about a stage that was due, every contact of others, every choice of the customer and every report that changed more than its message, as they are stored; each names the hash of the one before it. Days on which no stage was due leave none.",
    "inputs: a hash of the facts that were decided on. The sections below tell the facts as they stand now.",
    "The texts of messages are not stored and not here: a message follows from its template in the policy and from the facts.",
    "policies: a hash is that of the text, which holds the templates. profiles: a version is a hash of the texts together, with the tenant's own rules and the holiday table.",
    "erased_at_ms: when the customer's data was erased. Of what was before, the entries are what is left.",
    "seals: the SHA-256 of each section as compact JSON with sorted keys. They show a change in passing; the head and the seal that verify prints are worth keeping elsewhere.",
];

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A profile that no program knows.
    #[error(transparent)]
    Profile(#[from] BuiltInError),
    /// An entry of the chain.
    #[error("entry {number} of {at} cannot be read; expected a document in JSON")]
    Entry {
        /// Its number, counted from one.
        number: usize,
        /// Its moment, as it is stored.
        at: String,
    },
    /// A policy that an entry names.
    #[error("policy {id} version {version} is not stored; expected every version that was decided by")]
    Policy {
        /// The policy.
        id: PolicyId,
        /// Its version.
        version: u32,
    },
    /// A profile that an entry names, whose texts were not kept.
    #[error(
        "an entry was decided by profile {id} version {version}, which was not kept; this program and the tenant's \
         settings give version {given}"
    )]
    NotKept {
        /// The profile.
        id: String,
        /// The version of the entry.
        version: String,
        /// The version that there is.
        given: String,
    },
    /// The customer is half erased.
    #[error("the erasure of customer {customer} was cut off; expected it to be finished first")]
    Erasing {
        /// The customer.
        customer: CustomerId,
    },
}

/// Whose evidence is asked for, and of what it is made.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Where everything is stored.
    pub store: &'a Store,
    /// The key that hides suppressed addresses.
    pub secret: &'a SuppressionKey,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The profiles that hold for it, for entries whose own were not kept.
    pub profiles: &'a TenantJurisdictions,
    /// The customer.
    pub customer: &'a CustomerId,
    /// Whether addresses and numbers are written in full; otherwise they are masked.
    pub with_contact_data: bool,
}

impl Asked<'_> {
    /// The document as it is made `now`; `None` where no import has named the customer.
    ///
    /// # Errors
    /// [`EvidenceError`] when the store does not answer, something in it cannot be read or is missing, or the customer is
    /// half erased.
    pub async fn evidence(&self, now: DateTime<Utc>) -> Result<Option<Value>, EvidenceError> {
        let Some(fence) = self.store.fence(self.tenant, self.customer).await? else { return Ok(None) };
        if fence.erasing {
            return Err(EvidenceError::Erasing { customer: self.customer.clone() });
        }
        self.gather(fence, now).await.map(Some)
    }

    async fn gather(&self, read: Fence, now: DateTime<Utc>) -> Result<Value, EvidenceError> {
        let Self { store, secret, tenant, customer: id, with_contact_data, .. } = *self;
        let facts = store.customer_facts(tenant, id).await?;
        let trail = store.audit_trail(tenant, id).await?;
        let (policies, profiles) = self.rule_texts(&trail).await?;
        let touches = store.touches(tenant, id).await?;
        let payments = store.payments(tenant, id).await?;
        // The fence that was read with the facts fits them; without facts there is only the one that was read before.
        let (fence, customer, obligations) = match facts {
            Some(CustomerFacts { customer, fence, obligations }) => (fence, Some(customer), obligations),
            None => (read, None, Vec::new()),
        };
        let suppressed = match &customer {
            Some(customer) => suppressed_channels(store, secret, tenant, customer).await?,
            None => BTreeSet::new(),
        };
        let points = customer.iter().flat_map(|c| &c.contact_points);
        let suppressions: Vec<Value> = points
            .clone()
            .map(|p| json!({"channel": p.channel, "suppressed": suppressed.contains(&p.channel)}))
            .collect();
        let mut file = json!({
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "notes": NOTES,
            "tenant": tenant,
            "customer": id,
            "made_at": now.to_rfc3339_opts(SecondsFormat::Secs, true),
            "contact_data": if with_contact_data { "in full" } else { "masked" },
            "fence_version": fence.version,
            "head": fence.audit_head,
            "erased_at_ms": fence.erased_at.map(|at| at.timestamp_millis()),
            "entries": trail.iter().map(|e| json!({"document": e.document, "hash": e.hash})).collect::<Vec<_>>(),
            "touches": touches.iter().map(touch).collect::<Vec<_>>(),
            "contacts": fence.contacts.iter().map(contact).collect::<Vec<_>>(),
            "reached": fence.reached.iter().map(reached).collect::<Vec<_>>(),
            "failed": fence.failed.iter().map(failed).collect::<Vec<_>>(),
            "obligations": obligations.iter().map(obligation).collect::<Vec<_>>(),
            "payments": payments.iter().map(payment).collect::<Vec<_>>(),
            "consents": customer.iter().flat_map(|c| &c.consents).map(consent).collect::<Vec<_>>(),
            "suppressions": suppressions,
            "contact_points": points.map(|p| contact_point(p, with_contact_data)).collect::<Vec<_>>(),
            "profile": customer.as_ref().map(|c| profile(c, with_contact_data)),
            "policies": policies,
            "profiles": profiles,
        });
        let seals = seals(&file);
        file[SEALS] = seals;
        Ok(file)
    }

    /// The texts of every policy and profile that an entry names.
    async fn rule_texts(&self, trail: &[AuditEntry]) -> Result<(Vec<Value>, Vec<Value>), EvidenceError> {
        let (mut policies, mut profiles) = (BTreeSet::new(), BTreeSet::new());
        for (index, entry) in trail.iter().enumerate() {
            let unreadable = || EvidenceError::Entry { number: index + 1, at: entry.at.to_string() };
            let record = entry.any().ok_or_else(unreadable)?;
            let AuditRecord::Decision(decision) = record else { continue };
            policies.insert((decision.policy, decision.policy_version, decision.policy_hash));
            profiles.insert((decision.profile, decision.profile_version));
        }
        let (mut policy_texts, mut profile_texts) = (Vec::new(), Vec::new());
        for (id, version, hash) in &policies {
            let stored = self.store.policy(self.tenant, id, *version).await?;
            let missing = || EvidenceError::Policy { id: id.clone(), version: *version };
            let text = stored.ok_or_else(missing)?.source;
            policy_texts.push(json!({"id": id, "version": version, "hash": hash, "text": text}));
        }
        for (id, version) in &profiles {
            profile_texts.push(self.profile_text(id, version).await?);
        }
        Ok((policy_texts, profile_texts))
    }

    /// The texts of a profile: those that were kept when it was first decided by, else those that this program has.
    async fn profile_text(&self, id: &str, version: &str) -> Result<Value, EvidenceError> {
        if let Some(kept) = self.store.kept_profile(self.tenant, id, version).await? {
            let ProfileDoc { id, version, texts, holidays } = kept;
            return Ok(json!({"id": id, "version": version, "texts": texts, "holidays": holidays}));
        }
        // As it holds for the tenant, or the bare one.
        let of_tenant = self.profiles.all().filter(|profile| profile.id() == id);
        let mut known = of_tenant.chain([Jurisdiction::built_in(id)?]);
        let Some(profile) = known.find(|profile| profile.version() == version) else {
            return Err(EvidenceError::NotKept {
                id: id.to_owned(),
                version: version.to_owned(),
                given: self.profiles.named(id)?.version().to_owned(),
            });
        };
        let texts: Vec<&str> = profile.texts().collect();
        Ok(json!({"id": id, "version": version, "texts": texts, "holidays": profile.holiday_text()}))
    }
}

/// The SHA-256 of every section.
fn seals(file: &Value) -> Value {
    let seal = |(section, value): (&String, &Value)| {
        let digest = Sha256::digest(canonical(value).to_string());
        let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        json!({"section": section, "sha256": hex})
    };
    let sections: BTreeMap<&String, &Value> = file.as_object().into_iter().flatten().collect();
    sections.into_iter().map(seal).collect()
}

/// A value whose objects have their keys in order, whatever the maps of this build do.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<&String, Value> = object.iter().map(|(k, v)| (k, canonical(v))).collect();
            Value::Object(sorted.into_iter().map(|(k, v)| (k.clone(), v)).collect())
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// What decides about a customer besides obligations and consents.
fn profile(customer: &Customer, with_contact_data: bool) -> Value {
    json!({
        "name": if with_contact_data { customer.name.reveal() } else { "***" },
        "kind": customer.kind,
        "role": customer.role,
        "country": customer.country,
        "time_zone": customer.time_zone,
        "language": customer.language,
        "segment": customer.segment,
        "preferred_channel": customer.preferred_channel,
        "hold": customer.hold.as_ref().map(hold),
        "agreed_hours": customer.agreed_hours,
    })
}

/// A word on consent. The day that stands for none is told as none.
fn consent(word: &Consent) -> Value {
    let mut told = json!(word);
    if word.at.is_none() && word.on == CONSENT_FLOOR_ON {
        told["on"] = Value::Null;
    }
    told
}

fn hold(hold: &Hold) -> Value {
    json!({"reason": hold.reason, "from_on": hold.from_on, "until_on": hold.until_on})
}

fn contact_point(point: &ContactPoint, with_contact_data: bool) -> Value {
    let address = if with_contact_data { point.address.reveal() } else { "***" };
    json!({"channel": point.channel, "address": address, "test": point.test})
}

fn contact(contact: &Contact) -> Value {
    let Contact { at, channel, direct } = contact;
    json!({"at_ms": at.timestamp_millis(), "channel": channel, "answered": direct})
}

fn reached((obligation, reached): (&ObligationId, &Reached)) -> Value {
    let Reached { due_on, stage, dpd } = reached;
    json!({"obligation": obligation, "due_on": due_on, "stage": stage, "dpd": dpd})
}

fn failed(attempt: &FailedAttempt) -> Value {
    json!({"at_ms": attempt.at.timestamp_millis(), "channel": attempt.channel, "items": attempt.items})
}

fn obligation(obligation: &Obligation) -> Value {
    json!({
        "id": obligation.id,
        "account": obligation.account,
        "due_on": obligation.due_on,
        "amount_minor": obligation.amount.amount_minor,
        "currency": obligation.amount.currency.code(),
        "paid_minor": obligation.paid_minor,
        "closed_on": obligation.closed_on,
        "holds": obligation.holds.iter().map(hold).collect::<Vec<_>>(),
    })
}

fn payment(payment: &PaymentRecord) -> Value {
    let PaymentRecord { id, obligation, amount_minor, paid_on } = payment;
    json!({"id": id, "obligation": obligation, "amount_minor": amount_minor, "paid_on": paid_on})
}

fn touch(record: &TouchRecord) -> Value {
    let touch = &record.touch;
    let said = |entry: &HistoryEntry| {
        json!({
            "report": entry.report.as_str(),
            "source": entry.source.as_str(),
            "code": entry.code.as_str(),
            "at_ms": entry.at.timestamp_millis(),
            "recorded_at_ms": entry.recorded_at.timestamp_millis(),
        })
    };
    json!({
        "id": touch.id,
        "on": touch.on,
        "send_at_ms": touch.send_at.timestamp_millis(),
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
        "history": record.history.entries().iter().map(said).collect::<Vec<_>>(),
    })
}
