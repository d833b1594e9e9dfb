//! The evidence file and the documents in it, as they are written.
//!
//! Invariant: a key that is not known here, one that is missing and one that is there twice are refused wherever they
//! stand, because what is not understood is not verified. Where nothing is known, `null` says so.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer};

/// The word that tells an evidence file from any other.
pub(crate) const FORMAT: &str = "puntual-evidence";
/// The version of the format that is understood.
pub(crate) const FORMAT_VERSION: u32 = 2;
/// The form of the documents that is understood.
pub(crate) const DOCUMENT_VERSION: u32 = 2;

/// What every evidence file begins with, whatever its version.
#[derive(Deserialize)]
pub(crate) struct Opening {
    pub(crate) format: String,
    pub(crate) version: u32,
}

/// An evidence file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what no check looks at is named all the same, so that its keys are known")]
pub(crate) struct EvidenceFile {
    pub(crate) format: String,
    pub(crate) version: u32,
    pub(crate) notes: Vec<String>,
    pub(crate) tenant: String,
    pub(crate) customer: String,
    pub(crate) made_at: String,
    pub(crate) contact_data: String,
    pub(crate) fence_version: u64,
    /// The hash of the last entry, as the fence names it.
    #[serde(deserialize_with = "there")]
    pub(crate) head: Option<String>,
    /// When the customer's data was erased.
    #[serde(deserialize_with = "there")]
    pub(crate) erased_at_ms: Option<i64>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) touches: Vec<Touch>,
    /// The contacts that count against the caps.
    pub(crate) contacts: Vec<Contact>,
    /// The stage that each open obligation has reached.
    pub(crate) reached: Vec<Item>,
    /// The attempts that did not arrive, with what was taken back.
    pub(crate) failed: Vec<Failed>,
    pub(crate) obligations: Vec<Obligation>,
    pub(crate) payments: Vec<Payment>,
    pub(crate) consents: Vec<Word>,
    pub(crate) suppressions: Vec<Suppression>,
    pub(crate) contact_points: Vec<ContactPoint>,
    #[serde(deserialize_with = "there")]
    pub(crate) profile: Option<Profile>,
    pub(crate) policies: Vec<PolicyText>,
    pub(crate) profiles: Vec<ProfileText>,
    pub(crate) seals: Vec<Seal>,
}

/// A value that may be `null` and must be there.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

/// One entry of the chain, as it is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) document: String,
    pub(crate) hash: String,
}

/// One touch with what became of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Touch {
    pub(crate) id: String,
    pub(crate) on: NaiveDate,
    pub(crate) send_at_ms: i64,
    pub(crate) channel: String,
    pub(crate) purpose: String,
    pub(crate) stage: String,
    pub(crate) tone: String,
    pub(crate) template: String,
    pub(crate) items: Vec<Item>,
    pub(crate) policy: String,
    pub(crate) policy_version: u32,
    pub(crate) state: String,
    #[serde(deserialize_with = "there")]
    pub(crate) claimed_at_ms: Option<i64>,
    #[serde(deserialize_with = "there")]
    pub(crate) settled_at_ms: Option<i64>,
    #[serde(deserialize_with = "there")]
    pub(crate) fence_version: Option<u64>,
    #[serde(deserialize_with = "there")]
    pub(crate) provider_id: Option<String>,
    #[serde(deserialize_with = "there")]
    pub(crate) reason: Option<String>,
    pub(crate) history: Vec<Said>,
}

/// One report about a touch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    pub(crate) report: String,
    pub(crate) source: String,
    pub(crate) code: String,
    pub(crate) at_ms: i64,
    pub(crate) recorded_at_ms: i64,
}

/// One obligation of a touch, at the stage that the touch brings it to.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    pub(crate) obligation: String,
    pub(crate) due_on: NaiveDate,
    pub(crate) stage: String,
    pub(crate) dpd: i32,
}

/// A contact that counts against the caps.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contact {
    pub(crate) at_ms: i64,
    pub(crate) channel: String,
    pub(crate) answered: bool,
}

/// An attempt that did not arrive.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failed {
    pub(crate) at_ms: i64,
    pub(crate) channel: String,
    pub(crate) items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Obligation {
    pub(crate) id: String,
    #[serde(deserialize_with = "there")]
    pub(crate) account: Option<String>,
    pub(crate) due_on: NaiveDate,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) paid_minor: i64,
    #[serde(deserialize_with = "there")]
    pub(crate) closed_on: Option<NaiveDate>,
    pub(crate) holds: Vec<Hold>,
}

impl Obligation {
    pub(crate) fn is_open(&self) -> bool {
        self.closed_on.is_none() && self.paid_minor < self.amount_minor
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hold {
    pub(crate) reason: String,
    pub(crate) from_on: NaiveDate,
    #[serde(deserialize_with = "there")]
    pub(crate) until_on: Option<NaiveDate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what no check looks at is named all the same, so that its keys are known")]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) obligation: String,
    pub(crate) amount_minor: i64,
    pub(crate) paid_on: NaiveDate,
}

/// A word on consent.
#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Word {
    pub(crate) channel: String,
    #[serde(default)]
    pub(crate) purposes: Option<Vec<String>>,
    pub(crate) granted: bool,
    /// `None` where the lender's file gave no day.
    #[serde(deserialize_with = "there")]
    pub(crate) on: Option<NaiveDate>,
    #[serde(default)]
    pub(crate) at: Option<DateTime<Utc>>,
    pub(crate) source: String,
    #[serde(default)]
    pub(crate) evidence: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what no check looks at is named all the same, so that its keys are known")]
pub(crate) struct Suppression {
    pub(crate) channel: String,
    pub(crate) suppressed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what no check looks at is named all the same, so that its keys are known")]
pub(crate) struct ContactPoint {
    pub(crate) channel: String,
    pub(crate) address: String,
    pub(crate) test: bool,
}

/// What decides about a customer besides obligations and consents.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) name: String,
    #[serde(deserialize_with = "there")]
    pub(crate) kind: Option<String>,
    pub(crate) role: String,
    #[serde(deserialize_with = "there")]
    pub(crate) country: Option<String>,
    #[serde(deserialize_with = "there")]
    pub(crate) time_zone: Option<String>,
    #[serde(deserialize_with = "there")]
    pub(crate) language: Option<String>,
    #[serde(deserialize_with = "there")]
    pub(crate) segment: Option<String>,
    #[serde(deserialize_with = "there")]
    pub(crate) preferred_channel: Option<String>,
    #[serde(deserialize_with = "there")]
    pub(crate) hold: Option<Hold>,
    #[serde(deserialize_with = "there")]
    pub(crate) agreed_hours: Option<AgreedHours>,
}

/// Other hours that a customer asked for, and the document of the request.
#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgreedHours {
    pub(crate) channels: Vec<String>,
    pub(crate) hours: Vec<AskedHours>,
    pub(crate) document: String,
    pub(crate) document_on: NaiveDate,
    pub(crate) contract_on: NaiveDate,
}

/// A local interval on some days, `[from, to)`.
#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskedHours {
    pub(crate) days: Vec<String>,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The text of one version of a policy.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyText {
    pub(crate) id: String,
    pub(crate) version: u32,
    /// The first bytes of the SHA-256 of the text.
    pub(crate) hash: String,
    pub(crate) text: String,
}

/// The texts of one version of a profile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileText {
    pub(crate) id: String,
    /// The first bytes of the SHA-256 of all texts together, the holiday table last.
    pub(crate) version: String,
    /// A full profile, then what is laid over it, key by key, then the tenant's own rules.
    pub(crate) texts: Vec<String>,
    /// The holiday table; empty where the profile has none.
    pub(crate) holidays: String,
}

/// The SHA-256 of one section of the file, in its canonical form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    pub(crate) section: String,
    pub(crate) sha256: String,
}
