//! Touches: one planned contact with one customer about one or several obligations.
//!
//! Invariant: the id of a touch is derived from what it is about ([`touch_id`]), so planning twice gives the same
//! touch, and two plans of the same contact meet at the same claim.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::channel::{Channel, Purpose, Tone};
use crate::delivery::{Ignored, Refused, Report, Source, Step, Transition};
use crate::ids::{CustomerId, ObligationId, PolicyId, StageId, TemplateId, TenantId, TouchId};

/// The most obligations that one message carries; the rest of a customer's waits for the next one.
pub const ITEMS_PER_TOUCH_MAX: usize = 20;

/// One obligation in a touch, with the stage that this touch brings it to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchItem {
    /// The obligation.
    pub obligation: ObligationId,
    /// Its due date when the touch was planned: the cycle.
    pub due_on: NaiveDate,
    /// The stage it reaches with this touch.
    pub stage: StageId,
    /// The trigger of the stage, in days past due.
    pub dpd: i32,
}

/// One planned contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// Derived from tenant, items and channel.
    pub id: TouchId,
    /// Who is contacted.
    pub customer: CustomerId,
    /// The customer's local date of the contact.
    pub on: NaiveDate,
    /// When it is to be sent.
    pub send_at: DateTime<Utc>,
    /// How.
    pub channel: Channel,
    /// The stage of the most overdue item: it decides tone, purpose and template.
    pub stage: StageId,
    /// The tone of that stage.
    pub tone: Tone,
    /// The purpose on the date of the contact.
    pub purpose: Purpose,
    /// The template of that stage.
    pub template: TemplateId,
    /// What it is about, most overdue first.
    pub items: Vec<TouchItem>,
    /// The policy that asked for it.
    pub policy: PolicyId,
    /// The version of that policy.
    pub policy_version: u32,
}

/// The id of a contact: the same obligations at the same due dates and stages on the same channel give the same id.
#[must_use]
pub fn touch_id(tenant: &TenantId, items: &[TouchItem], channel: Channel) -> TouchId {
    let mut lines: Vec<String> =
        items.iter().map(|i| format!("{}\u{1f}{}\u{1f}{}", i.obligation, i.due_on, i.stage)).collect();
    lines.sort_unstable();
    let mut hasher = Sha256::new();
    for part in [tenant.as_str(), channel.as_str()].into_iter().chain(lines.iter().map(String::as_str)) {
        hasher.update(part.as_bytes());
        hasher.update([0x1e]);
    }
    let hex: String = hasher.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect();
    TouchId::new(hex).unwrap_or_else(|_| unreachable!("32 hexadecimal digits are an id"))
}

/// Where a touch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TouchState {
    /// It waits for its moment.
    Planned,
    /// A sender has taken it; the provider may be called.
    Claimed,
    /// The provider accepted it.
    Sent,
    /// It was surely not sent and will not be.
    Failed,
    /// The provider may or may not have accepted it.
    Unknown,
    /// It reached the customer's mailbox or telephone.
    Delivered,
    /// The provider accepted it, and it did not reach the customer.
    Bounced,
    /// It reached the customer, who does not want such messages.
    Complained,
    /// A fact arrived that forbids it.
    Prevented,
    /// Another touch carries what it was about.
    Superseded,
}

impl TouchState {
    /// Every state.
    pub const ALL: &'static [Self] = &[
        Self::Planned,
        Self::Claimed,
        Self::Sent,
        Self::Failed,
        Self::Unknown,
        Self::Delivered,
        Self::Bounced,
        Self::Complained,
        Self::Prevented,
        Self::Superseded,
    ];

    /// How much is known about the message of a claim: a touch only moves to a state of a higher rank, so that what
    /// is said late, twice or out of order never takes back what is known. `None` where no provider was called.
    #[must_use]
    pub const fn rank(self) -> Option<u8> {
        match self {
            Self::Planned | Self::Prevented | Self::Superseded => None,
            Self::Claimed => Some(0),
            Self::Unknown => Some(1),
            Self::Sent => Some(2),
            // A provider may accept a message and refuse it afterwards.
            Self::Failed => Some(3),
            Self::Delivered => Some(4),
            // A mailbox may take a message and return it afterwards.
            Self::Bounced => Some(5),
            Self::Complained => Some(6),
        }
    }

    /// What a transition does to a touch in this state, as far as the state alone tells; [`crate::delivery::fold`] looks
    /// at what was said before as well. Total: every state has an answer to everything that may be said, by whomever.
    #[must_use]
    pub fn advance(self, transition: Transition) -> Step {
        let Transition { report, source } = transition;
        let Some(rank) = self.rank() else { return Step::Refused(Refused::NeverSent) };
        if !source.may_say(report) {
            return Step::Refused(Refused::NotItsWord);
        }
        let to = report.state();
        if self == to {
            return Step::Already;
        }
        let is_open = matches!(self, Self::Claimed | Self::Unknown);
        match source {
            Source::Provider => {}
            // Whoever gave a claim up, the sender's own answer says more.
            Source::Sender if is_open => {}
            Source::Sender if report == Report::Failed => return Step::Refused(Refused::Contradiction),
            Source::Sender => return Step::Ignored(Ignored::Behind),
            Source::Sweeper if self == Self::Claimed => {}
            Source::Sweeper => return Step::Ignored(Ignored::Behind),
            // While it is claimed, the call to the provider may still be under way.
            Source::Person if self == Self::Unknown => {}
            Source::Person => return Step::Refused(Refused::NotUnknown),
        }
        if to.rank() > Some(rank) { Step::Made(to) } else { Step::Ignored(Ignored::Behind) }
    }

    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Claimed => "claimed",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Complained => "complained",
            Self::Prevented => "prevented",
            Self::Superseded => "superseded",
        }
    }
}

impl fmt::Display for TouchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is not a state of a touch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown touch state {0:?}")]
pub struct UnknownState(String);

impl FromStr for TouchState {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .iter()
            .copied()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| UnknownState(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(obligation: &str, stage: &str) -> TouchItem {
        TouchItem {
            obligation: ObligationId::new(obligation).unwrap(),
            due_on: NaiveDate::from_ymd_opt(2026, 3, 10).unwrap(),
            stage: StageId::new(stage).unwrap(),
            dpd: 3,
        }
    }

    #[test]
    fn the_id_depends_on_what_the_touch_is_about_and_not_on_order() {
        let tenant = TenantId::new("demo").unwrap();
        let one = touch_id(&tenant, &[item("a", "s1"), item("b", "s2")], Channel::Sms);
        assert_eq!(one, touch_id(&tenant, &[item("b", "s2"), item("a", "s1")], Channel::Sms));
        assert_ne!(one, touch_id(&tenant, &[item("a", "s1"), item("b", "s2")], Channel::Email));
        assert_ne!(one, touch_id(&tenant, &[item("a", "s2"), item("b", "s1")], Channel::Sms));
        assert_ne!(
            one,
            touch_id(&TenantId::new("x").unwrap(), &[item("a", "s1"), item("b", "s2")], Channel::Sms)
        );
        assert_eq!(one.as_str().len(), 32);
    }
}
