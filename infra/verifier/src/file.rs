//! The evidence file and the documents in it, as they are written.
//!
//! Invariant: a document with a key that is not known here is refused, because what is not understood is not verified.
//! Sections of the file that no check looks at are skipped.

use chrono::NaiveDate;
use serde::Deserialize;

/// The word that tells an evidence file from any other.
pub(crate) const FORMAT: &str = "puntual-evidence";
/// The version of the format that is understood.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// The form of the documents that is understood.
pub(crate) const DOCUMENT_VERSION: u32 = 1;

/// What every evidence file begins with, whatever its version.
#[derive(Deserialize)]
pub(crate) struct Opening {
    pub(crate) format: String,
    pub(crate) version: u32,
}

/// An evidence file.
#[derive(Deserialize)]
pub(crate) struct EvidenceFile {
    pub(crate) tenant: String,
    pub(crate) customer: String,
    pub(crate) fence_version: u64,
    /// The hash of the last entry, as the fence names it.
    pub(crate) head: Option<String>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) touches: Vec<Touch>,
    pub(crate) policies: Vec<PolicyText>,
    pub(crate) profiles: Vec<ProfileText>,
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
pub(crate) struct Touch {
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) items: Vec<Item>,
    pub(crate) state: String,
    pub(crate) claimed_at_ms: Option<i64>,
}

/// One obligation of a touch.
#[derive(Deserialize, PartialEq)]
pub(crate) struct Item {
    pub(crate) obligation: String,
    pub(crate) due_on: NaiveDate,
    pub(crate) stage: String,
}

/// The text of one version of a policy.
#[derive(Deserialize)]
pub(crate) struct PolicyText {
    pub(crate) id: String,
    pub(crate) version: u32,
    pub(crate) text: String,
}

/// The texts of one version of a profile.
#[derive(Deserialize)]
pub(crate) struct ProfileText {
    pub(crate) id: String,
    /// The first bytes of the SHA-256 of all texts together.
    pub(crate) version: String,
    /// A full profile, then what is laid over it, key by key.
    pub(crate) texts: Vec<String>,
    /// The holiday table; absent where the profile has none.
    pub(crate) holidays: Option<String>,
}

/// What an entry says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "a key that no check looks at is named all the same, so that an unknown one is refused"
)]
pub(crate) struct Document {
    pub(crate) v: u32,
    pub(crate) tenant: String,
    pub(crate) customer: String,
    pub(crate) at_ms: i64,
    pub(crate) local: String,
    pub(crate) zone: String,
    pub(crate) cause: Cause,
    pub(crate) policy: String,
    pub(crate) policy_version: u32,
    pub(crate) profile: String,
    pub(crate) profile_version: String,
    pub(crate) fence_version: u64,
    pub(crate) inputs: String,
    pub(crate) verdicts: Vec<Verdict>,
    #[serde(default)]
    pub(crate) verdicts_left_out: u64,
    pub(crate) touch: Option<ClaimedTouch>,
    pub(crate) prev: Option<String>,
}

/// Which step of the work decided.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    Plan,
    Send,
    Claim,
}

/// What was decided about one obligation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verdict {
    pub(crate) obligation: String,
    pub(crate) due_on: NaiveDate,
    pub(crate) stage: Option<String>,
    pub(crate) decision: String,
    pub(crate) reasons: Vec<Reason>,
}

/// One reason of a verdict.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "a key that no check looks at is named all the same, so that an unknown one is refused"
)]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) rule: Option<u8>,
    pub(crate) detail: Option<String>,
    pub(crate) until_ms: Option<i64>,
}

/// The touch that a claim takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "a key that no check looks at is named all the same, so that an unknown one is refused"
)]
pub(crate) struct ClaimedTouch {
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) purpose: String,
    pub(crate) stage: String,
    pub(crate) template: String,
    pub(crate) items: Vec<(String, NaiveDate, String, i32)>,
}

impl ClaimedTouch {
    /// What it is about, as the touch says it. The trigger of a stage is the policy's.
    pub(crate) fn items(&self) -> Vec<Item> {
        let item = |(obligation, due_on, stage, _): &(String, NaiveDate, String, i32)| Item {
            obligation: obligation.clone(),
            due_on: *due_on,
            stage: stage.clone(),
        };
        self.items.iter().map(item).collect()
    }
}
