//! Verdicts: what was decided for an obligation on a day, and why.
//!
//! Invariant: the reason codes are a closed, stable vocabulary; files, audit entries and the console speak it.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize, Serializer};

use crate::contact_check::ReasonCode as RuleCode;
use crate::ids::{ObligationId, StageId};
use crate::obligation::HoldReason;

/// What is done about an obligation today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Nothing, for a reason.
    Skip,
    /// Its stage waits for a later moment.
    Defer,
    /// Its stage goes out now.
    Send,
}

impl Decision {
    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Defer => "defer",
            Self::Send => "send",
        }
    }
}

/// Why something was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonCode {
    /// A stage falls due, or fell due and was not sent yet.
    StageDue,
    /// A lower stage that was never sent gives way to the one that is due.
    Superseded,
    /// The highest stage that is due was already sent.
    StageReached,
    /// No stage is due yet.
    NotDueYet,
    /// The obligation is past the last day of the policy.
    WindowOver,
    /// Nothing is owed any more.
    Closed,
    /// Something stops its reminders.
    Held(HoldReason),
    /// No stage applies to this customer or amount.
    ConditionNotMet,
    /// The stage speaks of a day that is over.
    StageExpired,
    /// The person does not owe the debt and must not be told of it.
    ThirdParty,
    /// The customer never authorised the channel.
    NoConsent,
    /// The customer withdrew the authorisation of the channel.
    OptedOut,
    /// The customer has no contact point on the channel.
    NoContactPoint,
    /// The contact point must not be used.
    Suppressed,
    /// The stage was tried on the channel, and the message did not arrive.
    AlreadyTried,
    /// The stage has no text for the channel.
    NoTemplate,
    /// A condition of the jurisdiction that the facts do not show to be met.
    Gate,
    /// Nobody knows by which clock the customer's hours are judged.
    NoTimeZone,
    /// The tenant's own limit of messages per customer and day.
    OneMessageADay,
    /// One message cannot carry all of the customer's obligations.
    MessageFull,
    /// What is stored about the customer or the obligation cannot be read.
    Unreadable,
    /// What the tenant may send on the channel in 24 hours is used up.
    DailyQuota,
    /// A contact rule of the jurisdiction.
    Rule(RuleCode),
}

impl ReasonCode {
    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StageDue => "stage_due",
            Self::Superseded => "superseded",
            Self::StageReached => "stage_reached",
            Self::NotDueYet => "not_due_yet",
            Self::WindowOver => "window_over",
            Self::Closed => "closed",
            Self::Held(reason) => reason.as_str(),
            Self::ConditionNotMet => "condition_not_met",
            Self::StageExpired => "stage_expired",
            Self::ThirdParty => "third_party",
            Self::NoConsent => "no_consent",
            Self::OptedOut => "opted_out",
            Self::NoContactPoint => "no_contact_point",
            Self::Suppressed => "suppressed",
            Self::AlreadyTried => "already_tried",
            Self::NoTemplate => "no_template",
            Self::Gate => "gate",
            Self::NoTimeZone => "no_time_zone",
            Self::OneMessageADay => "one_message_a_day",
            Self::MessageFull => "message_full",
            Self::Unreadable => "unreadable",
            Self::DailyQuota => "daily_quota",
            Self::Rule(code) => code.as_str(),
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ReasonCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One reason of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The code.
    pub code: ReasonCode,
    /// What it refers to: a stage, a channel, an article. Never a name or an address.
    pub detail: Cow<'static, str>,
    /// When it ends, where that is known.
    pub until: Option<DateTime<Utc>>,
    /// The contact rule that decided, by its place in the profile, counted from zero; `None` where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u8>,
}

impl Reason {
    /// A reason without an end.
    pub fn new(code: ReasonCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), until: None, rule: None }
    }
}

/// What was decided for an obligation on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The obligation.
    pub obligation: ObligationId,
    /// Its due date.
    pub due_on: NaiveDate,
    /// The stage that the verdict is about; `None` where no stage is due yet.
    pub stage: Option<StageId>,
    /// The decision.
    pub decision: Decision,
    /// Why, the decisive reason first.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// The decisive reason.
    #[must_use]
    pub fn code(&self) -> Option<ReasonCode> {
        self.reasons.first().map(|r| r.code)
    }
}
