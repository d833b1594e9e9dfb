//! Delivery: decide again on the facts of the moment, claim, call the provider once, settle.
//!
//! Invariants: the claim comes before the send, never the reverse. A claim names the fence version that it was decided
//! on, so a payment or an opt-out that arrives in between stops it. What is decided is on record: with the claim, or as
//! an entry of its own where nothing goes out. A provider is called once per claim; an outcome
//! that is not known is kept as unknown and never sent again from here.

#[cfg(feature = "deliberate-faults")]
mod deliberate;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use channels::{Outcome, Outgoing, Sender};
use chrono::{DateTime, Duration, Utc};
use domain::channel::Channel;
use domain::customer::Reach;
use domain::decision::{Cause, DecisionRecord};
use domain::message::message_context;
use domain::planner::{Facts, Plan, Rules, plan};
use domain::touch::Touch;
use domain::verdict::{Decision, ReasonCode, Verdict};
use runtime::batch::each_job;
use runtime::decision_log::{DecisionLine, DecisionLog, DecisionSource, local};
use runtime::job::{Job, TouchJob, WavePlace};
use runtime::queue::{Queue, QueueError};
use runtime::rules::{RulesCache, RulesError, TenantRules, suppressed_channels};
use serde::Serialize;
use store::{
    Change, ClaimConflict, ClaimError, CustomerFacts, Recording, Store, StoreError, SuppressionKey,
    TouchError, TouchKey, WaveKey,
};

/// How often a customer is decided anew when facts keep arriving between decision and claim.
pub const DECISIONS_MAX: usize = 5;
/// How long a touch that was surely not sent waits before its second try, in minutes. Every further wait is twice the
/// one before, up to [`RETRY_AFTER_MINUTES_MAX`].
pub const RETRY_AFTER_MINUTES: i64 = 15;
/// The longest wait between two tries, in minutes.
pub const RETRY_AFTER_MINUTES_MAX: i64 = 240;
/// How often a touch that the provider refuses for now is tried before it fails.
pub const TRIES_MAX: u32 = 8;
/// How often a settlement is written at most, before the job is left to be given out again.
pub const SETTLE_TRIES_MAX: usize = 3;

/// What a sending function works with.
#[derive(Debug)]
pub struct Deps {
    /// The facts.
    pub store: Store,
    /// Compiled policies.
    pub rules: RulesCache,
    /// The provider of this function's channel.
    pub sender: Sender,
    /// The channel that this function sends on.
    pub channel: Channel,
    /// Where email touches go.
    pub email: Queue,
    /// Where SMS touches go.
    pub sms: Queue,
    /// The key that hides suppressed addresses.
    pub suppression: SuppressionKey,
    /// Where verdicts go.
    pub decisions: DecisionLog,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Delivered {
    /// The provider accepted the message.
    Sent,
    /// Somebody else claimed it; nothing was done.
    AlreadyClaimed,
    /// The facts of the moment forbid it, or leave nothing to send.
    Prevented {
        /// The code of the decisive reason.
        reason: String,
    },
    /// The tenant is paused: nothing was decided or claimed. A touch that waited keeps waiting, another is planned again
    /// by the first scan after the pause.
    Paused,
    /// The contact rules move it to a later moment.
    Deferred,
    /// The facts of the moment ask for another channel, whose queue has it now.
    Redirected,
    /// It was surely not sent and is tried again later.
    Released,
    /// It was surely not sent and will not be.
    Failed,
    /// The provider may or may not have accepted it.
    Unknown,
}

/// Why a job could not be carried out. It can be run again: what may have been sent is claimed, and never sent again.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The tenant's rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// What came of the call could not be written.
    #[error("touch {touch} is still claimed: {problem}")]
    Unsettled {
        /// The touch.
        touch: String,
        /// What the store said.
        problem: TouchError,
    },
    /// Another sender has a claim of the customer that may still be at work.
    #[error("customer {customer} has an open claim; expected it to be settled")]
    ClaimOpen {
        /// The customer.
        customer: String,
    },
    /// Facts kept arriving.
    #[error(
        "customer {customer} changed {DECISIONS_MAX} times between decision and claim; expected it to settle"
    )]
    Restless {
        /// The customer.
        customer: String,
    },
    /// A touch without a decision to put on record, which is never sent.
    #[error("the touch {touch} has no decision to put on record; expected a stage that is due")]
    Unrecorded {
        /// The touch.
        touch: String,
    },
    /// The job is in the wrong queue.
    #[error("the {found} touch {touch} is in the {expected} queue")]
    WrongQueue {
        /// The channel of the job.
        found: Channel,
        /// The channel of the function.
        expected: Channel,
        /// The touch.
        touch: String,
    },
}

/// Delivers the touches of a batch.
pub async fn handle(deps: &Deps, event: SqsEvent, now: DateTime<Utc>) -> SqsBatchResponse {
    each_job(event, async |job: TouchJob| {
        let delivered = deliver(deps, &job, now).await?;
        tracing::info!(
            tenant = %job.tenant, customer = %job.customer, touch = %job.touch, channel = %job.channel,
            ?delivered, "touch handled"
        );
        Ok::<(), DeliveryError>(())
    })
    .await
}

/// Delivers one touch.
///
/// # Errors
/// [`DeliveryError`] when the job has to be run again: nothing was claimed, or a claim is not settled. Then the next
/// run finds the claim. It never sends a second time; once the claim is old enough, it settles it as unknown.
pub async fn deliver(deps: &Deps, job: &TouchJob, now: DateTime<Utc>) -> Result<Delivered, DeliveryError> {
    if job.channel != deps.channel {
        let touch = job.touch.to_string();
        return Err(DeliveryError::WrongQueue { found: job.channel, expected: deps.channel, touch });
    }
    let rules = deps.rules.load(&deps.store, &job.tenant).await?;
    if rules.tenant.paused.is_some() {
        return Ok(Delivered::Paused);
    }
    let handled = decide_and_send(deps, job, &rules, now).await?;
    if let Some(wave) = job.wave {
        end_wait(deps, job, wave, &handled, now).await;
    }
    Ok(handled.delivered)
}

/// How a job ended, and which touch carries what the job was about, and since when.
struct Handled {
    delivered: Delivered,
    carried_by: Option<(TouchKey, DateTime<Utc>)>,
}

impl Handled {
    const fn without_touch(delivered: Delivered) -> Self {
        Self { delivered, carried_by: None }
    }

    fn by(touch: &Touch, delivered: Delivered) -> Self {
        Self { delivered, carried_by: Some((TouchKey::of(touch), touch.send_at)) }
    }
}

async fn decide_and_send(
    deps: &Deps,
    job: &TouchJob,
    rules: &TenantRules,
    now: DateTime<Utc>,
) -> Result<Handled, DeliveryError> {
    for _ in 0..DECISIONS_MAX {
        let Some(facts) = deps.store.customer_facts(&job.tenant, &job.customer).await? else {
            return Ok(Handled::without_touch(Delivered::Prevented { reason: "customer_gone".to_owned() }));
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
        let decided = plan(&rules_for, &known, now);
        let on_record = |cause| DecisionRecord::of(&rules_for, &known, &decided, now, cause);
        let touch = match &decided.now {
            Some(touch) if touch.channel == deps.channel => touch,
            Some(touch) => return redirect(deps, job, touch).await.map(Handled::without_touch),
            None => {
                // A sender that died has raised the stage, which leaves nothing to send to this one.
                await_open_claims(deps, job, now).await?;
                if let Some(decision) = on_record(Cause::Send)
                    && deps.store.record_decision(&rules.scope(), &decision, &facts.fence).await?
                        == Recording::FenceMoved
                {
                    continue;
                }
                record(deps, &rules_for, &facts, &decided, DecisionSource::Revision);
                return put_off(deps, rules, &decided).await;
            }
        };
        let Some(decision) = on_record(Cause::Claim) else {
            // A touch is about stages that are due, and these are what a record holds.
            return Err(DeliveryError::Unrecorded { touch: touch.id.to_string() });
        };
        match deps.store.claim(&rules.scope(), touch, &facts.fence, &decision).await {
            Ok(_) => {}
            Err(ClaimError::Conflict { which: ClaimConflict::FenceMoved }) => continue,
            Err(ClaimError::Conflict {
                which: ClaimConflict::AlreadyClaimed(_) | ClaimConflict::AuditTaken,
            }) => {
                await_open_claims(deps, job, now).await?;
                return Ok(Handled::without_touch(Delivered::AlreadyClaimed));
            }
            Err(ClaimError::Store(error)) => return Err(error.into()),
        }
        record(deps, &rules_for, &facts, &decided, DecisionSource::Claim);
        let delivered = send(deps, rules, &rules_for, &facts, touch, now).await?;
        if let Some(later) = &decided.later
            && let Err(error) = deps.store.plan_touch(&rules.scope(), later).await
        {
            tracing::warn!(touch = %later.id, %error, "the rest could not wait; the next scan plans it again");
        }
        return Ok(Handled::by(touch, delivered));
    }
    Err(DeliveryError::Restless { customer: job.customer.to_string() })
}

/// Calls the provider once and settles what came of it.
async fn send(
    deps: &Deps,
    tenant: &TenantRules,
    rules: &Rules<'_>,
    facts: &CustomerFacts,
    touch: &Touch,
    now: DateTime<Utc>,
) -> Result<Delivered, DeliveryError> {
    let tries = facts.fence.tries.get(&touch.id).map_or(1, |before| before.saturating_add(1));
    let place = TouchKey::of(touch);
    #[cfg(feature = "deliberate-faults")]
    if deps.store.is_broken_by(store::DeliberateFault::SettleBeforeSend) {
        let early = store::Outcome::Sent { provider_id: "early".to_owned() };
        write_down(touch, async || deps.store.settle(&tenant.tenant.id, &place, &early, now).await).await?;
        call_provider(deps, &tenant.tenant, rules, facts, touch, now).await;
        return Ok(Delivered::Sent);
    }
    let outcome = call_provider(deps, &tenant.tenant, rules, facts, touch, now).await;
    #[cfg(feature = "deliberate-faults")]
    let outcome = deliberate::retry_on_timeout(&deps.store, outcome);
    let (settlement, delivered) = match outcome {
        Outcome::Accepted { provider_id } => (store::Outcome::Sent { provider_id }, Delivered::Sent),
        Outcome::NotSent { reason, retry: false } => (store::Outcome::Failed { reason }, Delivered::Failed),
        Outcome::Unknown { reason } => (store::Outcome::Unknown { reason }, Delivered::Unknown),
        Outcome::NotSent { reason, retry: true } if tries >= TRIES_MAX => {
            let reason = format!("refused {tries} times: {reason}");
            (store::Outcome::Failed { reason }, Delivered::Failed)
        }
        Outcome::NotSent { reason, retry: true } => {
            let retry_at = now + retry_after(tries);
            tracing::warn!(touch = %touch.id, %reason, tries, %retry_at, "not sent; released");
            write_down(touch, async || deps.store.release(&tenant.scope(), &place, retry_at).await).await?;
            return Ok(Delivered::Released);
        }
    };
    write_down(touch, async || deps.store.settle(&tenant.tenant.id, &place, &settlement, now).await).await?;
    if let (Some(provider), store::Outcome::Sent { provider_id }) = (deps.sender.reports_by_id(), &settlement)
    {
        let referred = deps.store.refer(provider, provider_id, &tenant.tenant.id, &place, now).await;
        if let Err(error) = referred {
            tracing::error!(touch = %touch.id, %error, "delivery reports will not find the touch");
        }
    }
    Ok(delivered)
}

/// Writes what came of a call. Writing the same twice is fine, so it is tried again at once.
async fn write_down(
    touch: &Touch,
    write: impl AsyncFn() -> Result<Change, TouchError>,
) -> Result<(), DeliveryError> {
    let mut written = write().await;
    for _ in 1..SETTLE_TRIES_MAX {
        match &written {
            Err(TouchError::Store(_)) => written = write().await,
            Ok(_) | Err(TouchError::Conflict { .. }) => break,
        }
    }
    written.map(|_| ()).map_err(|problem| DeliveryError::Unsettled { touch: touch.id.to_string(), problem })
}

/// Settles claims that their sender abandoned, and fails while one may still be at work: a job must not end before it
/// is known what became of its message.
async fn await_open_claims(deps: &Deps, job: &TouchJob, now: DateTime<Utc>) -> Result<(), DeliveryError> {
    let claims = deps.store.settle_abandoned(&job.tenant, &job.customer, job.on, now).await?;
    if claims.settled > 0 {
        tracing::error!(customer = %job.customer, claims = claims.settled, "abandoned claims are unknown now");
    }
    if claims.open > 0 {
        return Err(DeliveryError::ClaimOpen { customer: job.customer.to_string() });
    }
    Ok(())
}

/// How long to wait after so many tries.
fn retry_after(tries: u32) -> Duration {
    let doubled = RETRY_AFTER_MINUTES.saturating_mul(1 << tries.saturating_sub(1).min(16));
    Duration::minutes(doubled.min(RETRY_AFTER_MINUTES_MAX))
}

async fn call_provider(
    deps: &Deps,
    tenant: &domain::tenant::Tenant,
    rules: &Rules<'_>,
    facts: &CustomerFacts,
    touch: &Touch,
    now: DateTime<Utc>,
) -> Outcome {
    let not_sent = |reason: String| Outcome::NotSent { reason, retry: false };
    let Reach::At(point) = facts.customer.reachable(touch.channel, touch.purpose) else {
        return not_sent("no_contact_point".to_owned());
    };
    let zone = facts.customer.time_zone.unwrap_or(rules.jurisdiction.time_zone());
    let context = message_context(tenant, &facts.customer, &facts.obligations, touch);
    let message = match rules.policy.templates.render(&touch.template, touch.channel, &context) {
        Ok(message) => message,
        Err(error) => return not_sent(error.to_string()),
    };
    let outgoing = Outgoing {
        tenant: &tenant.id,
        touch,
        to: point,
        lender: &tenant.lender,
        message: &message,
        at: local(now, zone),
    };
    // The future of an SDK call is large and deep; on the heap it burdens neither the stack nor the compiler.
    Box::pin(deps.sender.send(&outgoing)).await
}

/// Nothing goes out now: the touch moves to its next lawful moment, or ends with the reason.
async fn put_off(deps: &Deps, rules: &TenantRules, decided: &Plan) -> Result<Handled, DeliveryError> {
    if let Some(later) = &decided.later {
        deps.store.plan_touch(&rules.scope(), later).await?;
        return Ok(Handled::by(later, Delivered::Deferred));
    }
    Ok(Handled::without_touch(Delivered::Prevented { reason: decisive(&decided.verdicts) }))
}

/// The code of the first reason of what is most alive among the verdicts.
fn decisive(verdicts: &[Verdict]) -> String {
    let code = |v: &Verdict| v.code().map_or_else(|| "no_obligation".to_owned(), |c| c.to_string());
    let open = verdicts.iter().find(|v| v.decision == Decision::Skip && v.stage.is_some());
    open.or_else(|| verdicts.first()).map_or_else(|| "no_obligation".to_owned(), code)
}

/// Takes the touch of the job out of its wave, and says what became of it where nothing else does.
async fn end_wait(deps: &Deps, job: &TouchJob, wave: WavePlace, handled: &Handled, now: DateTime<Utc>) {
    let waiting = WaveKey { touch: place_of(job), shard: wave.shard, send_at: wave.send_at };
    let done = match (&handled.delivered, &handled.carried_by) {
        // The job is in another queue by now, and whoever takes it there ends the wait.
        (Delivered::Redirected, _) => Ok(()),
        // By this clock its moment has not quite come: it stays where it is.
        (Delivered::Deferred, Some((place, send_at)))
            if *place == waiting.touch && *send_at == wave.send_at =>
        {
            Ok(())
        }
        // It was sent from another place, which says so.
        (Delivered::Prevented { reason }, _) if reason == ReasonCode::StageReached.as_str() => {
            deps.store.leave_wave(&job.tenant, &waiting).await
        }
        (Delivered::Prevented { reason }, _) => {
            deps.store.prevent(&job.tenant, &waiting, reason, now).await.map(|_| ())
        }
        // What it was about goes out in another touch, which carries more or less than was planned.
        (_, Some((by, _))) if *by != waiting.touch => {
            deps.store.supersede(&job.tenant, &waiting, &by.id, now).await.map(|_| ())
        }
        _ => deps.store.leave_wave(&job.tenant, &waiting).await,
    };
    if let Err(error) = done {
        // It is dispatched again with the next wave, finds nothing left to do, and ends then.
        tracing::warn!(touch = %job.touch, %error, "the touch could not leave its wave");
    }
}

async fn redirect(deps: &Deps, job: &TouchJob, touch: &Touch) -> Result<Delivered, DeliveryError> {
    let moved = TouchJob { channel: touch.channel, ..job.clone() };
    tracing::debug!(touch = %job.touch, job = TouchJob::NAME, channel = %touch.channel, "redirected");
    match touch.channel {
        Channel::Email => deps.email.send(&[moved]).await?,
        // Only channels with a text can be chosen, and texts exist for email and SMS.
        Channel::Sms | Channel::Push | Channel::Whatsapp | Channel::Call => deps.sms.send(&[moved]).await?,
    }
    Ok(Delivered::Redirected)
}

/// Records the verdicts of this moment: those of a claim, or those that revise the plan.
fn record(deps: &Deps, rules: &Rules<'_>, facts: &CustomerFacts, decided: &Plan, source: DecisionSource) {
    let zone = facts.customer.time_zone.unwrap_or(rules.jurisdiction.time_zone());
    let from_dpd = rules.policy.from_dpd();
    deps.decisions.record(|| {
        let seen = decided
            .verdicts
            .iter()
            .filter(|v| v.stage.is_some() && domain::obligation::dpd(v.due_on, decided.on) >= from_dpd);
        seen.map(|v| {
            let line = DecisionLine::new(decided.on, &facts.customer.id, zone, v.clone());
            // A claim carries out what it sends; the rest of the plan is still only a plan.
            let carried_out = source != DecisionSource::Claim || v.decision == Decision::Send;
            DecisionLine { source: if carried_out { source } else { DecisionSource::Plan }, ..line }
        })
        .collect()
    });
}

fn place_of(job: &TouchJob) -> TouchKey {
    TouchKey { customer: job.customer.clone(), on: job.on, id: job.touch.clone() }
}
