//! Decisions on record: what was decided about stages that are due, on which facts, and by which rules.
//!
//! Invariants: a record holds ids, words, days and numbers, never a name, an address or a text. The order of its fields
//! is its canonical form, over which the hash of the audit chain goes; a change of it needs a new [`RECORD_VERSION`].

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Offset, SecondsFormat, SubsecRound, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::channel::{Channel, Purpose};
use crate::choice::AgreedHours;
use crate::contact::PurposeScope;
use crate::customer::{CustomerKind, Role};
use crate::fence::{Reached, RecordedDecision};
use crate::ids::{CustomerId, ObligationId, PolicyId, SegmentId, StageId, TemplateId, TenantId, TouchId};
use crate::ladder::{Rung, StageDue, stage_due};
use crate::obligation::{Hold, Obligation, dpd};
use crate::planner::{Facts, Plan, Rules};
use crate::touch::{Touch, TouchItem};
use crate::verdict::{Decision, ReasonCode, Verdict};
use crate::zone::day_zone;

/// The form of [`DecisionRecord`] that this code writes.
pub const RECORD_VERSION: u32 = 2;
/// The most verdicts of one record; what is left out is counted. What goes out is never left out.
pub const VERDICTS_MAX: usize = 500;
/// How many bytes of a digest tell two decisions of one customer and day apart.
const DIGEST_BYTES: usize = 8;

/// Which step of the work decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The plan of a scan, where it leaves nothing to send now.
    Plan,
    /// The decision at the moment of sending, where it leaves nothing to send.
    Send,
    /// The decision that a claim carries out.
    Claim,
}

/// A decision about one customer, as the audit chain keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRecord {
    /// The form of the record: [`RECORD_VERSION`].
    pub v: u32,
    /// Whose customer.
    pub tenant: TenantId,
    /// Who.
    pub customer: CustomerId,
    /// When, in milliseconds since 1970 in UTC.
    pub at_ms: i64,
    /// The same moment on the customer's clock, with its offset.
    pub local: String,
    /// The customer's time zone.
    pub zone: Tz,
    /// Which step decided.
    pub cause: Cause,
    /// The policy.
    pub policy: PolicyId,
    /// Its version.
    pub policy_version: u32,
    /// The short hash of its text, templates included.
    pub policy_hash: String,
    /// The profile of the contact rules.
    pub profile: String,
    /// Its version: the short hash of its texts, holiday table included.
    pub profile_version: String,
    /// The version of the fence that was decided on.
    pub fence_version: u64,
    /// The SHA-256 of the facts that decided, in hexadecimal digits.
    pub inputs: String,
    /// What was decided about every obligation with a stage that is due. Where a fact left none at the moment of
    /// sending: what closed.
    pub verdicts: Vec<RecordedVerdict>,
    /// How many verdicts beyond [`VERDICTS_MAX`] there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub verdicts_left_out: usize,
    /// The touch that a claim takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touch: Option<RecordedTouch>,
    /// The hash of the entry before; `None` on the customer's first.
    pub prev: Option<String>,
}

/// What was decided about one obligation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedVerdict {
    /// The obligation.
    pub obligation: ObligationId,
    /// Its due date.
    pub due_on: NaiveDate,
    /// The stage that is due.
    pub stage: Option<StageId>,
    /// The decision.
    pub decision: Decision,
    /// Why, the decisive reason first.
    pub reasons: Vec<RecordedReason>,
}

/// One reason of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedReason {
    /// The code; of a cap, the code that the profile gives it.
    pub code: Cow<'static, str>,
    /// The rule of the profile that decided, counted from zero; absent where the policy or a fact did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u8>,
    /// The article, the channel or the stage that the reason is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Cow<'static, str>>,
    /// When it ends, in milliseconds since 1970 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

/// The touch that a claim takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedTouch {
    /// Which.
    pub id: TouchId,
    /// How.
    pub channel: Channel,
    /// What for.
    pub purpose: Purpose,
    /// The stage that speaks.
    pub stage: StageId,
    /// Its text.
    pub template: TemplateId,
    /// What it is about: obligation, due date, stage and the stage's trigger, in the order of the touch.
    pub items: Vec<(ObligationId, NaiveDate, StageId, i32)>,
}

impl RecordedTouch {
    /// What a record says about a touch.
    #[must_use]
    pub fn of(touch: &Touch) -> Self {
        let item = |i: &TouchItem| (i.obligation.clone(), i.due_on, i.stage.clone(), i.dpd);
        Self {
            id: touch.id.clone(),
            channel: touch.channel,
            purpose: touch.purpose,
            stage: touch.stage.clone(),
            template: touch.template.clone(),
            items: touch.items.iter().map(item).collect(),
        }
    }
}

impl DecisionRecord {
    /// The record of a decision; `None` on a quiet day, on which no stage is due. A stage that was sent, that is for
    /// other customers, or whose days are over, is not due; one that a hold stops is.
    ///
    /// At the moment of sending there is a record also where a fact closed what was to be sent.
    #[must_use]
    pub fn of(
        rules: &Rules<'_>,
        facts: &Facts<'_>,
        plan: &Plan,
        now: DateTime<Utc>,
        cause: Cause,
    ) -> Option<Self> {
        let told = facts.obligations.iter().zip(&plan.verdicts);
        let mut verdicts: Vec<&Verdict> =
            told.filter(|(o, v)| is_due(rules, facts, o, v, plan.on)).map(|(_, v)| v).collect();
        if verdicts.is_empty() && cause == Cause::Send {
            verdicts = plan.verdicts.iter().filter(|v| closed_in_window(rules, v, plan.on)).collect();
        }
        if verdicts.is_empty() {
            return None;
        }
        // What goes out first, otherwise in the order of the facts: the sort is stable.
        verdicts.sort_by_key(|v| v.decision != Decision::Send);
        let zone = day_zone(facts.customer, rules.jurisdiction);
        let at = now.trunc_subsecs(3);
        let touch = plan.now.as_ref().filter(|_| cause == Cause::Claim);
        Some(Self {
            v: RECORD_VERSION,
            tenant: rules.tenant.clone(),
            customer: facts.customer.id.clone(),
            at_ms: at.timestamp_millis(),
            local: local_text(at, zone),
            zone,
            cause,
            policy: rules.policy.id.clone(),
            policy_version: rules.policy.version,
            policy_hash: rules.policy.hash.clone(),
            profile: rules.jurisdiction.id().to_owned(),
            profile_version: rules.jurisdiction.version().to_owned(),
            fence_version: facts.fence.version,
            inputs: inputs_hash(rules, facts),
            verdicts_left_out: verdicts.len().saturating_sub(VERDICTS_MAX),
            verdicts: verdicts.into_iter().take(VERDICTS_MAX).map(recorded).collect(),
            touch: touch.map(RecordedTouch::of),
            prev: facts.fence.audit_head.clone(),
        })
    }

    /// When, in whole milliseconds.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.at_ms).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The canonical text, over which the hash goes.
    #[must_use]
    pub fn document(&self) -> String {
        json(self)
    }

    /// What tells this decision from another one of the same customer: its local day, and a digest of its rules and
    /// verdicts. The moment, the facts and the step of the work are left out.
    #[must_use]
    pub fn recorded(&self) -> RecordedDecision {
        let told = (
            &self.policy,
            self.policy_version,
            &self.profile,
            &self.profile_version,
            &self.verdicts,
            self.verdicts_left_out,
            &self.touch,
        );
        let digest = hex(&Sha256::digest(json(&told))[..DIGEST_BYTES]);
        RecordedDecision { on: self.at().with_timezone(&self.zone).date_naive(), digest }
    }
}

/// Whether a verdict is about a stage that is due.
fn is_due(
    rules: &Rules<'_>,
    facts: &Facts<'_>,
    obligation: &Obligation,
    verdict: &Verdict,
    on: NaiveDate,
) -> bool {
    use ReasonCode::{Closed, ConditionNotMet, Held, NotDueYet, StageExpired, StageReached, WindowOver};
    let Some(code) = verdict.code() else { return false };
    if matches!(code, StageReached | NotDueYet | WindowOver | Closed | ConditionNotMet) {
        return false;
    }
    if code == StageExpired {
        // One that cannot wait for its next lawful moment is due, and its second reason says what it would wait for.
        return verdict.reasons.len() > 1;
    }
    if !matches!(code, Held(_)) {
        return true;
    }
    let rung = Rung {
        due_on: obligation.due_on,
        holds: &[],
        reached: facts.fence.reached(&obligation.id, obligation.due_on),
        debtor: Some((facts.customer, obligation.outstanding().amount_minor)),
    };
    matches!(stage_due(rules.policy, &rung, on), StageDue::Due { .. })
}

/// Whether a verdict is about an obligation that is closed and that the policy would otherwise look at.
fn closed_in_window(rules: &Rules<'_>, verdict: &Verdict, on: NaiveDate) -> bool {
    let days = rules.policy.from_dpd()..=rules.policy.until_dpd;
    verdict.code() == Some(ReasonCode::Closed) && days.contains(&dpd(verdict.due_on, on))
}

fn recorded(verdict: &Verdict) -> RecordedVerdict {
    let reasons = verdict.reasons.iter().map(|reason| RecordedReason {
        code: reason.code.as_str().into(),
        rule: reason.rule,
        // What goes out is told by the touch, with its stage and channel.
        detail: (reason.code != ReasonCode::StageDue).then(|| reason.detail.clone()),
        until_ms: reason.until.map(|at| at.timestamp_millis()),
    });
    RecordedVerdict {
        obligation: verdict.obligation.clone(),
        due_on: verdict.due_on,
        stage: verdict.stage.clone(),
        decision: verdict.decision,
        reasons: reasons.collect(),
    }
}

/// An instant on the clocks of a zone, with its offset, in whole milliseconds.
fn local_text(at: DateTime<Utc>, zone: Tz) -> String {
    let offset = at.with_timezone(&zone).offset().fix();
    at.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Millis, false)
}

/// The facts that decide, without anything that says who the customer is. The order of the fields is the canonical form.
#[derive(Serialize)]
struct Inputs<'a> {
    zone: Tz,
    country: Option<&'a str>,
    kind: Option<CustomerKind>,
    segment: Option<&'a SegmentId>,
    preferred_channel: Option<Channel>,
    hold: Option<&'a Hold>,
    role: Role,
    agreed_hours: Option<&'a AgreedHours>,
    consents: Vec<(Channel, &'a PurposeScope, bool, NaiveDate, Option<i64>)>,
    contact_points: Vec<Channel>,
    suppressed: Vec<Channel>,
    obligations: Vec<InputObligation<'a>>,
    contacts: Vec<(i64, Channel, bool)>,
    reached: Vec<(&'a ObligationId, &'a Reached)>,
    failed: Vec<(i64, Channel, &'a [TouchItem])>,
}

#[derive(Serialize)]
struct InputObligation<'a> {
    id: &'a ObligationId,
    due_on: NaiveDate,
    amount_minor: i64,
    currency: &'static str,
    paid_minor: i64,
    closed_on: Option<NaiveDate>,
    holds: &'a [Hold],
}

impl<'a> InputObligation<'a> {
    fn of(obligation: &'a Obligation) -> Self {
        let Obligation { id, due_on, amount, paid_minor, closed_on, holds, .. } = obligation;
        Self {
            id,
            due_on: *due_on,
            amount_minor: amount.amount_minor,
            currency: amount.currency.code(),
            paid_minor: *paid_minor,
            closed_on: *closed_on,
            holds,
        }
    }
}

fn inputs_hash(rules: &Rules<'_>, facts: &Facts<'_>) -> String {
    let customer = facts.customer;
    let inputs = Inputs {
        zone: day_zone(customer, rules.jurisdiction),
        country: customer.country.as_ref().map(|c| c.as_str()),
        kind: customer.kind,
        segment: customer.segment.as_ref(),
        preferred_channel: customer.preferred_channel,
        hold: customer.hold.as_ref(),
        role: customer.role,
        agreed_hours: customer.agreed_hours.as_ref(),
        consents: customer
            .consents
            .iter()
            .map(|c| (c.channel, &c.purposes, c.granted, c.on, c.at.map(|at| at.timestamp_millis())))
            .collect(),
        contact_points: customer.contact_points.iter().map(|p| p.channel).collect(),
        suppressed: facts.suppressed.iter().copied().collect(),
        obligations: facts.obligations.iter().map(InputObligation::of).collect(),
        contacts: facts
            .fence
            .contacts
            .iter()
            .map(|c| (c.at.timestamp_millis(), c.channel, c.direct))
            .collect(),
        reached: facts.fence.reached.iter().collect(),
        failed: facts
            .fence
            .failed
            .iter()
            .map(|f| (f.at.timestamp_millis(), f.channel, f.items.as_slice()))
            .collect(),
    };
    hex(&Sha256::digest(json(&inputs)))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| unreachable!("no map with keys that are not text"))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}
