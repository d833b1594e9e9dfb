//! What does not go out now: moved to its lawful moment, put back because the rate or the quota is used, or handed on to
//! the next channel because this one failed.
//!
//! Invariant: what is not sent waits in a wave or lies in a queue before its job is done, so nothing is lost.

use chrono::{DateTime, Utc};
use domain::decision::{Cause, DecisionRecord};
use domain::planner::{Facts, Plan, Rules, plan};
use domain::send_rate::PutOff;
use domain::touch::{Touch, TouchState};
use domain::verdict::{Decision, Reason, ReasonCode, Verdict};
use runtime::decision_log::DecisionSource;
use runtime::job::TouchJob;
use runtime::rules::{TenantRules, suppressed_channels};
use store::{CustomerFacts, Recording};

use crate::{Delivered, DeliveryError, Deps, Handled, place_of, queue_job, record};

/// How many seconds an hour has.
const HOUR_SECONDS: i64 = 3_600;
/// How many digits of a touch's id say where in its hour it waits.
const ID_DIGITS: usize = 8;

/// Nothing goes out now: the touch moves to its next lawful moment, or ends with the reason. A job that comes again after
/// its message went out has nothing left that could be stopped.
pub(crate) async fn put_off(
    deps: &Deps,
    rules: &TenantRules,
    job: &TouchJob,
    decided: &Plan,
) -> Result<Handled, DeliveryError> {
    if let Some(later) = &decided.later {
        deps.store.plan_touch(&rules.scope(), later).await?;
        return Ok(Handled::by(later, Delivered::Deferred));
    }
    let own = deps.store.touch(&job.tenant, &place_of(job)).await?;
    if own.is_some_and(|own| was_called(own.state)) {
        return Ok(Handled::without_touch(Delivered::AlreadyClaimed));
    }
    Ok(Handled::without_touch(Delivered::Prevented { reason: decisive(&decided.verdicts) }))
}

/// A decision to send that the rate or the quota does not let go now.
pub(crate) struct PutBack<'a> {
    pub(crate) rules: &'a TenantRules,
    pub(crate) rules_for: &'a Rules<'a>,
    pub(crate) facts: &'a CustomerFacts,
    pub(crate) known: Facts<'a>,
    pub(crate) decided: &'a Plan,
    pub(crate) touch: &'a Touch,
}

impl PutBack<'_> {
    /// Lets the touch wait for the first lawful moment from `at` on. That the quota is used up goes on record; `None`
    /// when a fact came in between and the customer has to be decided again.
    pub(crate) async fn until(
        &self,
        deps: &Deps,
        (at, why): (DateTime<Utc>, PutOff),
        now: DateTime<Utc>,
    ) -> Result<Option<Handled>, DeliveryError> {
        let at = match why {
            PutOff::SendRate => at,
            PutOff::DailyQuota => same_place(self.touch, at),
        };
        let then = plan(self.rules_for, &self.known, at);
        // Where nothing may go then, that is decided, and recorded, then.
        let later = then.now.or(then.later).unwrap_or_else(|| Touch { send_at: at, ..self.touch.clone() });
        match why {
            PutOff::SendRate => {}
            PutOff::DailyQuota => {
                let revised = self.revised(later.send_at);
                if let Some(decision) =
                    DecisionRecord::of(self.rules_for, &self.known, &revised, now, Cause::Send)
                    && deps.store.record_decision(&self.rules.scope(), &decision, self.known.fence).await?
                        == Recording::FenceMoved
                {
                    return Ok(None);
                }
                record(deps, self.rules_for, self.facts, &revised, DecisionSource::Revision);
            }
        }
        tracing::info!(touch = %self.touch.id, until = %later.send_at, ?why, "put back");
        for waiting in std::iter::once(&later).chain(&self.decided.later) {
            deps.store.plan_touch(&self.rules.scope(), waiting).await?;
        }
        Ok(Some(Handled::by(&later, Delivered::Deferred)))
    }

    /// The decision with what was to be sent deferred for the quota.
    fn revised(&self, until: DateTime<Utc>) -> Plan {
        let reason =
            Reason { until: Some(until), ..Reason::new(ReasonCode::DailyQuota, self.touch.channel.as_str()) };
        let revise = |v: &Verdict| match v.decision {
            Decision::Send => {
                Verdict { decision: Decision::Defer, reasons: vec![reason.clone()], ..v.clone() }
            }
            Decision::Skip | Decision::Defer => v.clone(),
        };
        let verdicts = self.decided.verdicts.iter().map(revise).collect();
        Plan { on: self.decided.on, now: None, later: None, verdicts }
    }
}

/// Where a touch waits within the hour in which its quota frees. It is the same however often its job is given out, so
/// that a job which comes twice leaves one touch that waits and one decision on record, and others have other places.
fn same_place(touch: &Touch, at: DateTime<Utc>) -> DateTime<Utc> {
    let digits = touch.id.as_str().get(..ID_DIGITS).and_then(|digits| i64::from_str_radix(digits, 16).ok());
    let hour = at.timestamp().div_euclid(HOUR_SECONDS) * HOUR_SECONDS;
    let place = hour + digits.unwrap_or_default() % HOUR_SECONDS;
    DateTime::from_timestamp_secs(place).unwrap_or(at)
}

/// Lets the planner decide what follows a failure of this channel: the stage goes by the next channel at once, or waits
/// for its lawful moment there. A job that is given again after a stop in between does the same.
pub(crate) async fn fall_back(
    deps: &Deps,
    rules: &TenantRules,
    job: &TouchJob,
    now: DateTime<Utc>,
) -> Result<(), DeliveryError> {
    let Some(facts) = deps.store.customer_facts(&job.tenant, &job.customer).await? else { return Ok(()) };
    let suppressed =
        suppressed_channels(&deps.store, &deps.suppression, &job.tenant, &facts.customer).await?;
    let known = Facts {
        customer: &facts.customer,
        obligations: &facts.obligations,
        fence: &facts.fence,
        suppressed: &suppressed,
    };
    let decided = plan(&rules.for_customer(&facts.customer)?, &known, now);
    if let Some(later) = &decided.later {
        deps.store.plan_touch(&rules.scope(), later).await?;
    }
    if let Some(touch) = &decided.now {
        let next = TouchJob { touch: touch.id.clone(), on: touch.on, wave: None, ..job.clone() };
        let next = next.sealed(&deps.suppression);
        tracing::info!(touch = %job.touch, next = %touch.id, channel = %touch.channel, "falls back");
        queue_job(deps, next, touch.channel).await?;
    }
    Ok(())
}

/// Whether a touch went to its provider, whatever came of it.
const fn was_called(state: TouchState) -> bool {
    match state {
        TouchState::Claimed
        | TouchState::Sent
        | TouchState::Failed
        | TouchState::Unknown
        | TouchState::Delivered
        | TouchState::Bounced
        | TouchState::Complained => true,
        TouchState::Planned | TouchState::Prevented | TouchState::Superseded => false,
    }
}

/// The code of the first reason of what is most alive among the verdicts.
fn decisive(verdicts: &[Verdict]) -> String {
    let code = |v: &Verdict| v.code().map_or_else(|| "no_obligation".to_owned(), |c| c.to_string());
    let open = verdicts.iter().find(|v| v.decision == Decision::Skip && v.stage.is_some());
    open.or_else(|| verdicts.first()).map_or_else(|| "no_obligation".to_owned(), code)
}
