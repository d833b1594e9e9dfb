//! Delivery: decide again on the facts of the moment, claim, call the provider once, settle.
//!
//! Invariants: the claim comes before the send, never the reverse. A claim names the fence version that it was decided
//! on, so a payment or an opt-out that arrives in between stops it. What is decided is on record: with the claim, or as
//! an entry of its own where nothing goes out. A provider is called once per claim, after its mark, at a moment that the
//! channel's rate grants; an outcome that is not known is kept as unknown and not sent again, unless the tenant prefers
//! delivery: then once, an hour later. A job about a customer or a touch that there never was is refused.

mod again;
#[cfg(feature = "deliberate-faults")]
mod deliberate;
mod last_look;
mod pace;
mod put_off;
mod send;
mod work;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use channels::Sender;
use chrono::{DateTime, NaiveDate, Utc};
use domain::channel::Channel;
use domain::choice::OptOutKey;
use domain::ids::{CustomerId, TenantId, TouchId};
use domain::planner::{Plan, Rules};
use domain::touch::Touch;
use domain::verdict::{Decision, ReasonCode};
use domain::zone::day_zone;
use runtime::batch::{each_job, each_job_at_once};
use runtime::decision_log::{DecisionLine, DecisionLog, DecisionSource};
use runtime::job::{Job, TouchJob, WavePlace};
use runtime::metric::{Count, Step, count, count_for, timer};
use runtime::queue::{Queue, QueueError};
use runtime::rules::{RulesCache, RulesError, TenantRules};
use runtime::trace::TraceId;
use serde::Serialize;
use store::{CustomerFacts, Store, StoreError, SuppressionKey, TouchError, TouchKey, WaveKey};

use pace::Watch;
use work::decide_and_send;

pub use pace::{CLAIM_LEAD_MS, LATE_MAX_MS, Pace, SLOT_WAIT_MAX_SECONDS, Turns};
#[cfg(feature = "faults")]
pub use pace::{ScriptedTime, Waiting};
pub use work::{FRESH_MS, LOOKS_MAX, MISSED_MAX};

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
    /// The key that opt-out links are signed with.
    pub links: OptOutKey,
    /// Where verdicts go.
    pub decisions: DecisionLog,
    /// How its calls are paced.
    pub pace: Pace,
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
    /// The job is about a customer that was never there. It is never carried out.
    /// Its id is of nobody, and may be anything: it is not repeated.
    #[error(
        "the tenant has no such customer (an id of {} characters); expected one that an import named",
        .customer.as_str().chars().count()
    )]
    NoSuchCustomer {
        /// The tenant.
        tenant: TenantId,
        /// The customer.
        customer: CustomerId,
    },
    /// The job is about a touch that nobody planned. It is never carried out, and decides nothing for the customer.
    /// Its id may be anything: it is not repeated.
    #[error(
        "customer {customer} has no such touch of {on} (an id of {} characters); expected one that was planned",
        .touch.as_str().chars().count()
    )]
    NoSuchTouch {
        /// The customer.
        customer: CustomerId,
        /// The touch.
        touch: TouchId,
        /// The day it names.
        on: NaiveDate,
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

/// Delivers the touches of a batch. Where time passes, customers do not wait for each other.
pub async fn handle(deps: &Deps, event: SqsEvent, now: DateTime<Utc>) -> SqsBatchResponse {
    let watch = deps.pace.watch(now);
    let one = async |job: TouchJob| {
        let timer = timer(Step::Deliver);
        let delivered = deliver_by(deps, &job, watch.clone()).await?;
        drop(timer);
        count_delivered(&delivered);
        tracing::info!(
            trace = %TraceId::of_day(&job.tenant, job.on), tenant = %job.tenant, customer = %job.customer, touch = %job.touch, channel = %job.channel,
            ?delivered, "touch handled"
        );
        Ok::<(), DeliveryError>(())
    };
    let customer = |job: &TouchJob| (job.tenant.clone(), job.customer.clone());
    match &deps.pace {
        Pace::Still => each_job(event, one).await,
        #[cfg(feature = "faults")]
        Pace::Scripted(..) => each_job(event, one).await,
        Pace::Running(_) => each_job_at_once(event, customer, one).await,
    }
}

impl Delivered {
    /// The code of the fact that stopped a message; `None` where nothing was stopped. What went out another way before was
    /// not stopped either.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&str> {
        match self {
            Self::Prevented { reason } => {
                Some(reason.as_str()).filter(|reason| *reason != ReasonCode::StageReached.as_str())
            }
            Self::Sent
            | Self::AlreadyClaimed
            | Self::Paused
            | Self::Deferred
            | Self::Released
            | Self::Failed
            | Self::Unknown
            | Self::Redirected => None,
        }
    }
}

fn count_delivered(delivered: &Delivered) {
    match delivered {
        Delivered::Sent => count(Count::Sent, 1),
        Delivered::Prevented { .. } => {
            if let Some(reason) = delivered.stopped_by() {
                count_for(Count::Prevented, reason);
            }
        }
        Delivered::Deferred => count(Count::Deferred, 1),
        Delivered::Released => count(Count::Released, 1),
        Delivered::Failed => count(Count::Failed, 1),
        Delivered::Unknown => count(Count::Unknown, 1),
        // Another job has it, or the first scan after the pause.
        Delivered::AlreadyClaimed | Delivered::Redirected | Delivered::Paused => {}
    }
}

/// Delivers one touch.
///
/// # Errors
/// [`DeliveryError`] when the job has to be run again: nothing was claimed, or a claim is not settled. Then the next
/// run finds the claim. It never sends a second time; once the claim is old enough, it settles it as unknown.
pub async fn deliver(deps: &Deps, job: &TouchJob, now: DateTime<Utc>) -> Result<Delivered, DeliveryError> {
    deliver_by(deps, job, deps.pace.watch(now)).await
}

async fn deliver_by(deps: &Deps, job: &TouchJob, watch: Watch) -> Result<Delivered, DeliveryError> {
    if job.channel != deps.channel {
        let touch = job.touch.to_string();
        return Err(DeliveryError::WrongQueue { found: job.channel, expected: deps.channel, touch });
    }
    let handled = decide_and_send(deps, job, &watch).await?;
    if handled.delivered == Delivered::Paused {
        // What waits keeps waiting.
        return Ok(Delivered::Paused);
    }
    if let Some(wave) = job.wave {
        end_wait(deps, job, wave, &handled, watch.now()).await;
    }
    Ok(handled.delivered)
}

/// How a job ended, and which touch carries what the job was about, and since when.
pub(crate) struct Handled {
    delivered: Delivered,
    carried_by: Option<(TouchKey, DateTime<Utc>)>,
}

impl Handled {
    pub(crate) const fn without_touch(delivered: Delivered) -> Self {
        Self { delivered, carried_by: None }
    }

    pub(crate) fn by(touch: &Touch, delivered: Delivered) -> Self {
        Self { delivered, carried_by: Some((TouchKey::of(touch), touch.send_at)) }
    }
}

/// Settles claims that their sender abandoned, and fails while one may still be at work: a job must not end before it
/// is known what became of its message.
///
/// `true` where a claim was taken over, because nobody was called under it: the customer is to be decided anew.
pub(crate) async fn await_open_claims(
    deps: &Deps,
    rules: &TenantRules,
    job: &TouchJob,
    now: DateTime<Utc>,
) -> Result<bool, DeliveryError> {
    let claims = deps.store.settle_abandoned(&rules.scope(), &job.customer, job.on, now).await?;
    if claims.settled > 0 {
        count(Count::ClaimsAbandoned, claims.settled);
        tracing::error!(customer = %job.customer, claims = claims.settled, "abandoned claims are unknown now");
    }
    if claims.taken_over > 0 {
        tracing::warn!(customer = %job.customer, claims = claims.taken_over, "claims without a call are decided anew");
    }
    if claims.open > 0 {
        return Err(DeliveryError::ClaimOpen { customer: job.customer.to_string() });
    }
    Ok(claims.taken_over > 0)
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
        // Where it was sent itself, that stands; where another touch was, this one was planned and must be found.
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

pub(crate) async fn redirect(deps: &Deps, job: &TouchJob, touch: &Touch) -> Result<Delivered, DeliveryError> {
    tracing::debug!(touch = %job.touch, job = TouchJob::NAME, channel = %touch.channel, "redirected");
    queue_job(deps, job.clone(), touch.channel).await?;
    Ok(Delivered::Redirected)
}

/// Leaves a job in the queue of a channel.
pub(crate) async fn queue_job(deps: &Deps, job: TouchJob, channel: Channel) -> Result<(), DeliveryError> {
    let job = TouchJob { channel, ..job };
    match channel {
        Channel::Email => deps.email.send(&[job]).await?,
        // Only channels with a text can be chosen, and texts exist for email and SMS.
        Channel::Sms | Channel::Push | Channel::Whatsapp | Channel::Call => deps.sms.send(&[job]).await?,
    }
    Ok(())
}

/// Records the verdicts of this moment: those of a claim, or those that revise the plan.
pub(crate) fn record(
    deps: &Deps,
    rules: &Rules<'_>,
    facts: &CustomerFacts,
    decided: &Plan,
    source: DecisionSource,
) {
    let zone = day_zone(&facts.customer, rules.jurisdiction);
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

pub(crate) fn place_of(job: &TouchJob) -> TouchKey {
    TouchKey { customer: job.customer.clone(), on: job.on, id: job.touch.clone() }
}
