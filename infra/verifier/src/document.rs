//! The documents of the chain: what was decided, and what became known or was done beside decisions.
//!
//! Invariant: a document is read whole or refused.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::file::{AgreedHours, Item, Word};

/// What an entry says.
pub(crate) enum Document {
    Decision(Box<Decision>),
    Fact(Box<FactDocument>),
}

impl Document {
    /// Reads a document; what is wrong with it is a sentence.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Peek {
            fact: Option<IgnoredAny>,
        }
        let unreadable = |e: serde_json::Error| format!("its document cannot be read: {e}");
        // Most entries are decisions, which need no second look. A key that is written with escapes is refused as unknown.
        if !text.contains("\"fact\"") {
            return Ok(Self::Decision(serde_json::from_str(text).map_err(unreadable)?));
        }
        let peek: Peek = serde_json::from_str(text).map_err(unreadable)?;
        Ok(match peek.fact {
            None => Self::Decision(serde_json::from_str(text).map_err(unreadable)?),
            Some(_) => Self::Fact(serde_json::from_str(text).map_err(unreadable)?),
        })
    }

    pub(crate) fn head(&self) -> Head<'_> {
        match self {
            Self::Decision(d) => Head {
                v: d.v,
                tenant: &d.tenant,
                customer: &d.customer,
                at_ms: d.at_ms,
                fence_version: d.fence_version,
                prev: d.prev.as_deref(),
            },
            Self::Fact(f) => Head {
                v: f.v,
                tenant: &f.tenant,
                customer: &f.customer,
                at_ms: f.at_ms,
                fence_version: f.fence_version,
                prev: f.prev.as_deref(),
            },
        }
    }
}

/// What every document says.
pub(crate) struct Head<'a> {
    pub(crate) v: u32,
    pub(crate) tenant: &'a str,
    pub(crate) customer: &'a str,
    pub(crate) at_ms: i64,
    pub(crate) fence_version: u64,
    pub(crate) prev: Option<&'a str>,
}

/// A decision.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what no check looks at is named all the same, so that its keys are known")]
pub(crate) struct Decision {
    pub(crate) v: u32,
    pub(crate) tenant: String,
    pub(crate) customer: String,
    pub(crate) at_ms: i64,
    pub(crate) local: String,
    pub(crate) zone: String,
    pub(crate) cause: Cause,
    pub(crate) policy: String,
    pub(crate) policy_version: u32,
    pub(crate) policy_hash: String,
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
    pub(crate) decision: Decided,
    pub(crate) reasons: Vec<Reason>,
}

/// What can be decided.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decided {
    Send,
    Defer,
    Skip,
}

/// One reason of a verdict.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what no check looks at is named all the same, so that its keys are known")]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) rule: Option<u8>,
    pub(crate) detail: Option<String>,
    pub(crate) until_ms: Option<i64>,
}

/// The touch that a claim takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimedTouch {
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) purpose: String,
    pub(crate) stage: String,
    pub(crate) template: String,
    pub(crate) items: Vec<(String, NaiveDate, String, i32)>,
}

impl ClaimedTouch {
    /// What it is about, as a touch says it.
    pub(crate) fn items(&self) -> Vec<Item> {
        let item = |(obligation, due_on, stage, dpd): &(String, NaiveDate, String, i32)| Item {
            obligation: obligation.clone(),
            due_on: *due_on,
            stage: stage.clone(),
            dpd: *dpd,
        };
        self.items.iter().map(item).collect()
    }
}

/// A fact.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FactDocument {
    pub(crate) v: u32,
    pub(crate) tenant: String,
    pub(crate) customer: String,
    pub(crate) at_ms: i64,
    pub(crate) fence_version: u64,
    pub(crate) fact: Fact,
    pub(crate) prev: Option<String>,
}

/// What became known or was done.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fact {
    Contact {
        at_ms: i64,
        channel: String,
        answered: bool,
    },
    Choice(Choice),
    Released {
        touch: String,
        claimed_at_ms: i64,
    },
    Report(Report),
    Erased {
        #[serde(default)]
        kept: Vec<KeptTouch>,
    },
}

/// A touch that an erasure has left.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptTouch {
    pub(crate) on: NaiveDate,
    pub(crate) id: String,
}

/// A report that a person made, or that changed more than its touch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what no check looks at is named all the same, so that its keys are known")]
pub(crate) struct Report {
    pub(crate) touch: String,
    pub(crate) claimed_at_ms: i64,
    pub(crate) report: String,
    pub(crate) source: String,
    pub(crate) suppressed: bool,
    pub(crate) fell_back: Vec<String>,
    #[serde(default)]
    pub(crate) restored: Vec<String>,
    #[serde(default)]
    pub(crate) told_by: Vec<String>,
    pub(crate) person: Option<Person>,
}

/// Whose word a report is, and what it rests on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    pub(crate) by: String,
    pub(crate) evidence: String,
}

/// A choice of the customer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    pub(crate) id: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) what: Chosen,
}

/// What was chosen.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Chosen {
    Words(Vec<Word>),
    Hours(Option<AgreedHours>),
}
