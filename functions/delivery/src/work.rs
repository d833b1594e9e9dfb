//! The work on one job: decides on the facts of the moment, waits for the channel's rate, claims and sends.
//!
//! Invariants: after every wait that is long enough for something to have changed, rules and facts are read anew; after
//! every wait the hours are judged for the moment of the call. What is granted by the rate and not used is given back to
//! the daily quota. A job is carried out for a touch that somebody planned, or not at all.

use chrono::{DateTime, Duration, Utc};
use domain::decision::{Cause, DecisionRecord};
use domain::planner::{Facts, Plan, Rules, plan};
use domain::send_rate::{PutOff, Slot};
use domain::touch::Touch;
use runtime::decision_log::DecisionSource;
use runtime::job::TouchJob;
use runtime::metric::{Step, timer};
use runtime::rules::{TenantRules, suppressed_channels};
use store::{ClaimConflict, ClaimError, CustomerFacts, HeldClaim, Recording, WaveKey};

use crate::again::Second;
#[cfg(feature = "deliberate-faults")]
use crate::deliberate;
use crate::last_look::AfterClaim;
use crate::pace::{Permit, Watch, Whose};
use crate::put_off::{PutBack, fall_back, put_off};
use crate::send::{Called, compose};
use crate::{
    DECISIONS_MAX, Delivered, DeliveryError, Deps, Handled, await_open_claims, place_of, record, redirect,
};

/// After a wait of so many milliseconds rules and facts are read anew. What comes within it moves the fence, or is seen
/// by the last look.
pub const FRESH_MS: i64 = 1_000;
/// How often a message may miss its moment before it waits in a wave.
pub const MISSED_MAX: usize = 3;
/// How long a message waits that has missed its moment again and again, in minutes.
pub(crate) const MISSED_AFTER_MINUTES: i64 = 1;
/// How often rules and facts are read for one job: for every decision, and twice for every moment that is granted.
pub const LOOKS_MAX: usize = DECISIONS_MAX + 2 * (MISSED_MAX + 1);

/// What is kept from one look at a customer to the next.
#[derive(Debug, Default)]
pub(crate) struct Going {
    /// The moment that was granted and is not used yet.
    pub(crate) permit: Option<Permit>,
    /// Since when that moment is prepared for.
    prepares_since: Option<DateTime<Utc>>,
    /// How often the message has missed its moment.
    pub(crate) missed: usize,
    /// Why no rate can ever grant the message a moment.
    pub(crate) refused: Option<String>,
}

/// How far a look at the customer has come.
enum Worked {
    /// The job is done.
    Done(Handled),
    /// A fact came in between.
    Changed,
    /// Time has passed since the look.
    Waited,
}

pub(crate) async fn decide_and_send(
    deps: &Deps,
    job: &TouchJob,
    watch: &Watch,
) -> Result<Handled, DeliveryError> {
    let mut going = Going::default();
    let handled = look_until_done(deps, job, watch, &mut going).await;
    give_back(deps, job, &mut going).await;
    handled
}

async fn look_until_done(
    deps: &Deps,
    job: &TouchJob,
    watch: &Watch,
    going: &mut Going,
) -> Result<Handled, DeliveryError> {
    let mut decisions = 0;
    for _ in 0..LOOKS_MAX {
        let rules = deps.rules.load(&deps.store, &job.tenant, watch.now()).await?;
        if rules.tenant.paused.is_some() {
            return Ok(Handled::without_touch(Delivered::Paused));
        }
        rules.check_texts().await;
        let Some(facts) = deps.store.customer_facts(&job.tenant, &job.customer).await? else {
            return gone(deps, job).await;
        };
        let suppressed =
            suppressed_channels(&deps.store, &deps.suppression, &job.tenant, &facts.customer).await?;
        #[cfg(feature = "deliberate-faults")]
        let (facts, suppressed) = {
            let (mut facts, mut suppressed) = (facts, suppressed);
            deliberate::forget_facts(&deps.store, &mut facts, &mut suppressed);
            (facts, suppressed)
        };
        let rules_for = rules.for_customer(&facts.customer)?;
        let known = Facts {
            customer: &facts.customer,
            obligations: &facts.obligations,
            fence: &facts.fence,
            suppressed: &suppressed,
        };
        let at_hand = AtHand { deps, job, rules: &rules, rules_for: &rules_for, facts: &facts, known };
        match at_hand.work(watch, going).await? {
            Worked::Done(handled) => return Ok(handled),
            Worked::Changed => decisions += 1,
            Worked::Waited => {}
        }
        if decisions == DECISIONS_MAX {
            break;
        }
    }
    Err(DeliveryError::Restless { customer: job.customer.to_string() })
}

/// A customer without facts was erased, or never there.
async fn gone(deps: &Deps, job: &TouchJob) -> Result<Handled, DeliveryError> {
    let fence = deps.store.fence(&job.tenant, &job.customer).await?;
    if fence.is_some_and(|fence| fence.erased_at.is_some()) {
        return Ok(Handled::without_touch(Delivered::Prevented { reason: "customer_gone".to_owned() }));
    }
    Err(DeliveryError::NoSuchCustomer { tenant: job.tenant.clone(), customer: job.customer.clone() })
}

/// What was granted and not used counts against nobody's quota.
async fn give_back(deps: &Deps, job: &TouchJob, going: &mut Going) {
    let Some(unused) = going.permit.take().filter(|permit| permit.counts_by_day) else { return };
    let given_back = deps.store.give_back_slot(&job.tenant, deps.channel, (unused.units, unused.at)).await;
    if let Err(error) = given_back {
        tracing::warn!(touch = %job.touch, %error, "a part of the daily quota is lost");
    }
}

/// A customer whose facts were just read.
pub(crate) struct AtHand<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) job: &'a TouchJob,
    pub(crate) rules: &'a TenantRules,
    pub(crate) rules_for: &'a Rules<'a>,
    pub(crate) facts: &'a CustomerFacts,
    known: Facts<'a>,
}

/// A claimed touch on its way to its provider.
pub(crate) struct Go<'a> {
    pub(crate) touch: &'a Touch,
    pub(crate) claim: &'a HeldClaim,
    /// The moment of the call.
    pub(crate) at: DateTime<Utc>,
    pub(crate) watch: &'a Watch,
    pub(crate) is_second: bool,
}

impl AtHand<'_> {
    /// Decides and carries it out, as far as that goes without another look.
    async fn work(&self, watch: &Watch, going: &mut Going) -> Result<Worked, DeliveryError> {
        let Self { deps, job, rules, rules_for, known, .. } = *self;
        // The clock of the sender before may have been ahead of this one.
        let judged = |at| self.facts.fence.after_contacts(at);
        let now = judged(watch.now());
        let mut decided = plan(rules_for, &known, now);
        let second = match &decided.now {
            Some(_) => None,
            None => Second::at(deps, rules, rules_for, &place_of(job), &known, now).await?,
        };
        if second.is_none() && !self.was_planned(&decided).await? {
            let (customer, touch, on) = (job.customer.clone(), job.touch.clone(), job.on);
            return Err(DeliveryError::NoSuchTouch { customer, touch, on });
        }
        let known = second.as_ref().map_or(known, |second| second.facts(&known));
        let decide = |at| match &second {
            Some(second) => second.plan(rules_for, &known, at),
            None => plan(rules_for, &known, at),
        };
        if second.is_some() {
            decided = decide(now);
        }
        let mut at = now;
        going.refused = None;
        if let Some(touch) = decided.now.as_ref().filter(|t| self.is_governed(t)) {
            match self.granted(touch, watch, now, going).await? {
                Slot::At(granted_at) => at = granted_at,
                // The next sweep asks again.
                Slot::Later { .. } if second.is_some() => {
                    return Ok(Worked::Done(Handled::without_touch(Delivered::Deferred)));
                }
                Slot::Later { at, why } => {
                    let (facts, decided) = (self.facts, &decided);
                    let put_back = PutBack { rules, rules_for, facts, known, decided, touch };
                    let handled = put_back.until(deps, (at, why), now).await?;
                    return Ok(handled.map_or(Worked::Changed, Worked::Done));
                }
            }
            let claims_at = at - deps.pace.lead();
            let is_long = claims_at - watch.now() > Duration::milliseconds(FRESH_MS);
            watch.until(claims_at).await;
            going.prepares_since.get_or_insert(watch.now());
            if is_long || watch.now() > at {
                return Ok(Worked::Waited);
            }
            // Hours may have ended and a day may have begun while it waited.
            decided = decide(judged(at));
            if self.has_grown(&decided, going) {
                return Ok(Worked::Waited);
            }
        }
        self.carry_out(&decided, &known, second.as_ref(), (at, watch), going).await
    }

    /// Whether somebody planned the touch that the job names: it is what is planned now, it bears a seal, or it is on
    /// record, where it waits or where something became of it.
    async fn was_planned(&self, decided: &Plan) -> Result<bool, DeliveryError> {
        let Self { deps, job, .. } = *self;
        let is_planned_now = [&decided.now, &decided.later].into_iter().flatten().any(|t| t.id == job.touch);
        if is_planned_now || job.is_sealed_by(&deps.suppression) {
            return Ok(true);
        }
        let place = place_of(job);
        if deps.store.touch(&job.tenant, &place).await?.is_some() {
            return Ok(true);
        }
        let Some(wave) = job.wave else { return Ok(false) };
        let waiting = WaveKey { touch: place, shard: wave.shard, send_at: wave.send_at };
        Ok(deps.store.waits(&job.tenant, &waiting).await?)
    }

    fn is_governed(&self, touch: &Touch) -> bool {
        touch.channel == self.deps.channel && self.deps.pace.governs(self.whose())
    }

    /// The moment of a message: the one that it holds already, or another one.
    async fn granted(
        &self,
        touch: &Touch,
        watch: &Watch,
        now: DateTime<Utc>,
        going: &mut Going,
    ) -> Result<Slot, DeliveryError> {
        let (deps, whose) = (self.deps, self.whose());
        let (units, limits) = (self.units(touch), whose.tenant.send_limits(whose.channel));
        if units > limits.units_max() {
            going.refused = Some(format!("{units} units; {} can be sent at once", limits.units_max()));
            return Ok(Slot::At(now));
        }
        if let Some(held) = going.permit.as_ref().filter(|held| held.units >= units) {
            if held.at >= now {
                return Ok(Slot::At(held.at));
            }
            if going.prepares_since.is_some() && held.at < watch.now() {
                // Nothing is claimed yet: what takes so long are the facts, or the grant itself.
                self.prepared(watch, going);
                going.missed += 1;
                tracing::warn!(touch = %touch.id, missed = going.missed, "the moment passed before the claim");
            }
        }
        give_back(deps, self.job, going).await;
        if going.missed >= MISSED_MAX {
            let at = now + Duration::minutes(MISSED_AFTER_MINUTES);
            return Ok(Slot::Later { at, why: PutOff::SendRate });
        }
        going.prepares_since = None;
        let slot = deps.pace.slot(whose, units, watch).await?;
        if let Slot::At(at) = slot {
            going.permit = Some(Permit { at, units, counts_by_day: limits.per_day.is_some() });
        }
        Ok(slot)
    }

    /// Everything that comes before a call is done, or has taken until its moment has passed.
    pub(crate) fn prepared(&self, watch: &Watch, going: &mut Going) {
        if let Some(since) = going.prepares_since.take() {
            self.deps.pace.claim_took(watch.now() - since);
        }
    }

    /// Whether what is to be sent at the moment that was granted has more units than were.
    fn has_grown(&self, decided: &Plan, going: &Going) -> bool {
        let touch = decided.now.as_ref().filter(|t| self.is_governed(t));
        touch.zip(going.permit.as_ref()).is_some_and(|(touch, permit)| self.units(touch) > permit.units)
    }

    /// Carries a decision out: claims and sends, hands on, or puts off.
    async fn carry_out(
        &self,
        decided: &Plan,
        known: &Facts<'_>,
        second: Option<&Second>,
        (at, watch): (DateTime<Utc>, &Watch),
        going: &mut Going,
    ) -> Result<Worked, DeliveryError> {
        let Self { deps, job, rules, rules_for, facts, .. } = *self;
        let now = facts.fence.after_contacts(at);
        let touch = match &decided.now {
            Some(touch) if touch.channel == deps.channel => touch,
            Some(touch) => {
                return redirect(deps, job, touch).await.map(Handled::without_touch).map(Worked::Done);
            }
            None => return self.send_nothing(decided, known, now).await,
        };
        let Some(decision) = DecisionRecord::of(rules_for, known, decided, now, Cause::Claim) else {
            // A touch is about stages that are due, and these are what a record holds.
            return Err(DeliveryError::Unrecorded { touch: touch.id.to_string() });
        };
        let claimed = match second {
            None => {
                let _timer = timer(Step::Claim);
                deps.store.claim(&rules.scope(), touch, &facts.fence, &decision).await
            }
            Some(Second { first, .. }) => {
                deps.store.claim_again(&rules.scope(), first, touch, &facts.fence, &decision).await
            }
        };
        let claim = match claimed {
            Ok(claim) => claim.held,
            // An entry of the trail at the same place says nothing about the touch: the fence of another moment is at
            // another place.
            Err(ClaimError::Conflict { which: ClaimConflict::FenceMoved | ClaimConflict::AuditTaken }) => {
                return Ok(Worked::Changed);
            }
            Err(ClaimError::Conflict { which: ClaimConflict::AlreadyClaimed(_) }) => {
                if await_open_claims(deps, rules, job, now).await? {
                    return Ok(Worked::Changed);
                }
                return Ok(Worked::Done(Handled::without_touch(Delivered::AlreadyClaimed)));
            }
            Err(ClaimError::Store(error)) => return Err(error.into()),
        };
        let go = Go { touch, claim: &claim, at, watch, is_second: second.is_some() };
        let delivered = match self.last_look(&go, now).await? {
            AfterClaim::Goes => {
                record(deps, rules_for, facts, decided, DecisionSource::Claim);
                match self.send(&go, going).await? {
                    Called::Ended(delivered) => delivered,
                    Called::Missed => return Ok(Worked::Waited),
                }
            }
            AfterClaim::Prevented => return Ok(Worked::Changed),
            AfterClaim::Ended(delivered) => delivered,
        };
        if let Some(later) = &decided.later
            && let Err(error) = deps.store.plan_touch(&rules.scope(), later).await
        {
            tracing::warn!(touch = %later.id, %error, "the rest could not wait; the next scan plans it again");
        }
        if delivered == Delivered::Failed {
            fall_back(deps, rules, job, now).await?;
        }
        Ok(Worked::Done(Handled::by(touch, delivered)))
    }

    /// Puts on record that nothing goes out now, and why.
    async fn send_nothing(
        &self,
        decided: &Plan,
        known: &Facts<'_>,
        now: DateTime<Utc>,
    ) -> Result<Worked, DeliveryError> {
        let Self { deps, job, rules, rules_for, facts, .. } = *self;
        // A sender that died has raised the stage, which leaves nothing to send to this one.
        if await_open_claims(deps, rules, job, now).await? {
            return Ok(Worked::Changed);
        }
        if let Some(decision) = DecisionRecord::of(rules_for, known, decided, now, Cause::Send)
            && deps.store.record_decision(&rules.scope(), &decision, &facts.fence).await?
                == Recording::FenceMoved
        {
            return Ok(Worked::Changed);
        }
        record(deps, rules_for, facts, decided, DecisionSource::Revision);
        put_off(deps, rules, job, decided).await.map(Worked::Done)
    }

    pub(crate) fn whose(&self) -> Whose<'_> {
        Whose { store: &self.deps.store, tenant: &self.rules.tenant, channel: self.deps.channel }
    }

    fn units(&self, touch: &Touch) -> u32 {
        let composed = compose(&self.deps.links, &self.rules.tenant, self.rules_for, self.facts, touch);
        // What cannot be composed is not sent.
        composed.map_or(1, |composed| composed.message.send_units())
    }
}
