//! The pace of a sender: at which moment each of its calls may be made, and the waiting for it.
//!
//! Invariants: where time passes, no provider is called outside of a moment that was granted to this message. Messages
//! that ask at the same time are granted their moments by one write. Who cannot be served soon is told so before
//! anything is claimed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use domain::channel::Channel;
use domain::ids::TenantId;
use domain::send_rate::Slot;
use domain::tenant::Tenant;
use store::{Store, StoreError};
use tokio::time::Instant;

/// How long one call of a function may wait for its moments, in seconds. The function's own limit must be longer by a
/// call to the provider and the writes around it.
pub const SLOT_WAIT_MAX_SECONDS: i64 = 20;
/// How long before its moment a message is claimed at least, in milliseconds: what the facts take where they are read
/// anew, the transaction, the last look and the mark. Where the tables answer slower than that, it is longer.
pub const CLAIM_LEAD_MS: i64 = 150;
/// The longest that it becomes, in milliseconds: what is known at the claim must still count at the call.
const CLAIM_LEAD_MAX_MS: i64 = 1_000;
/// How late a call may be made, in milliseconds. The rest of [`domain::send_rate::JITTER_MS`] is for clocks.
pub const LATE_MAX_MS: i64 = 12;

/// How calls are paced.
#[derive(Debug, Clone, Default)]
pub enum Pace {
    /// Time stands still while a job is done, as in runs by hand, replays and simulations. What is sent goes to no
    /// provider, so only a daily quota is kept.
    #[default]
    Still,
    /// Time passes: each call waits for its moment.
    Running(Turns),
    /// Time passes as a simulation plays it.
    #[cfg(feature = "faults")]
    Scripted(Turns, Arc<dyn ScriptedTime>),
}

/// The messages of one process that ask for their moments.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: Mutex<Asked>,
    took: Mutex<Took>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Asked {
    last: u64,
    /// By ticket.
    waiting: BTreeMap<TenantId, Vec<(u64, u32)>>,
    answers: HashMap<u64, Result<Slot, StoreError>>,
}

/// What the steps before a call take in this process. Tables that answer slowly do so for a while.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    /// To be granted a moment.
    grant: Span,
    /// From the start of a claim until the provider may be called.
    claim: Span,
}

/// How long the next of some steps may take, in milliseconds, by what the last ones took.
#[derive(Debug, Clone, Copy, Default)]
struct Span(i64);

impl Span {
    /// Half as much again as the longest, which is forgotten by and by.
    fn saw(&mut self, took: TimeDelta) {
        let took_ms = took.num_milliseconds().max(0);
        self.0 = (took_ms + took_ms / 2).max(self.0 - self.0 / 8).min(CLAIM_LEAD_MAX_MS);
    }
}

/// Waiting until a moment of a scripted time.
#[cfg(feature = "faults")]
pub type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Time as a simulation plays it.
#[cfg(feature = "faults")]
pub trait ScriptedTime: std::fmt::Debug + Send + Sync {
    /// The milliseconds since any moment in the past.
    fn elapsed_ms(&self) -> i64;

    /// Waits until so many milliseconds are over since that moment.
    fn until_ms(&self, elapsed_ms: i64) -> Waiting<'_>;
}

/// The moment, as it goes on from the one at which a function was called.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    started_at: DateTime<Utc>,
    since: Since,
}

#[derive(Debug, Clone)]
enum Since {
    /// Time stands still.
    Still,
    Running(Instant),
    #[cfg(feature = "faults")]
    Scripted(Arc<dyn ScriptedTime>, i64),
}

impl Watch {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let elapsed = match &self.since {
            Since::Still => TimeDelta::zero(),
            Since::Running(since) => TimeDelta::from_std(since.elapsed()).unwrap_or_default(),
            #[cfg(feature = "faults")]
            Since::Scripted(time, since_ms) => TimeDelta::milliseconds(time.elapsed_ms() - since_ms),
        };
        self.started_at + elapsed
    }

    /// Waits until a moment, where time passes.
    pub(crate) async fn until(&self, at: DateTime<Utc>) {
        match &self.since {
            Since::Still => {}
            Since::Running(since) => {
                if let Ok(wait) = (at - self.started_at).to_std() {
                    tokio::time::sleep_until(*since + wait).await;
                }
            }
            #[cfg(feature = "faults")]
            Since::Scripted(time, since_ms) => {
                time.until_ms(since_ms + (at - self.started_at).num_milliseconds()).await;
            }
        }
    }
}

/// A moment that was granted to a message of so many units.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    pub(crate) at: DateTime<Utc>,
    pub(crate) units: u32,
    /// Whether a daily quota counts it.
    pub(crate) counts_by_day: bool,
}

/// Whose rate is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tenant: &'a Tenant,
    pub(crate) channel: Channel,
}

impl Pace {
    /// Starts the watch of one call of a function.
    pub(crate) fn watch(&self, now: DateTime<Utc>) -> Watch {
        let since = match self {
            Self::Still => Since::Still,
            Self::Running(_) => Since::Running(Instant::now()),
            #[cfg(feature = "faults")]
            Self::Scripted(_, time) => Since::Scripted(Arc::clone(time), time.elapsed_ms()),
        };
        Watch { started_at: now, since }
    }

    /// Whether a tenant's messages need a moment at all.
    pub(crate) fn governs(&self, whose: Whose<'_>) -> bool {
        self.turns().is_some() || whose.tenant.send_limits(whose.channel).per_day.is_some()
    }

    /// Who asks for moments, where time passes.
    const fn turns(&self) -> Option<&Turns> {
        match self {
            Self::Still => None,
            Self::Running(turns) => Some(turns),
            #[cfg(feature = "faults")]
            Self::Scripted(turns, _) => Some(turns),
        }
    }

    /// How long before its moment a message is to be claimed.
    pub(crate) fn lead(&self) -> TimeDelta {
        self.turns().map_or_else(TimeDelta::zero, Turns::lead)
    }

    /// Notes what it took from the start of a claim until the provider could be called.
    pub(crate) fn claim_took(&self, took: TimeDelta) {
        if let Some(turns) = self.turns() {
            turns.took().claim.saw(took);
        }
    }

    /// The moment of a message, or when to come back.
    pub(crate) async fn slot(&self, whose: Whose<'_>, units: u32, watch: &Watch) -> Result<Slot, StoreError> {
        let Some(turns) = self.turns() else {
            let now = watch.now();
            let slots = granted(whose, &[units], (now, TimeDelta::MAX)).await?;
            // Its moment on the wall is no matter where time stands still.
            return Ok(match slots.first() {
                Some(later @ Slot::Later { .. }) => *later,
                Some(Slot::At(_)) | None => Slot::At(now),
            });
        };
        turns.slot(whose, units, watch).await
    }

    /// Waits for the moment of a claimed message; `false` where it has passed, so that the provider must not be called.
    pub(crate) async fn arrive(&self, at: DateTime<Utc>, watch: &Watch) -> bool {
        if self.turns().is_none() {
            return true;
        }
        watch.until(at).await;
        watch.now() - at <= TimeDelta::milliseconds(LATE_MAX_MS)
    }
}

impl Turns {
    /// Asks together with all others that wait for the write before.
    async fn slot(&self, whose: Whose<'_>, units: u32, watch: &Watch) -> Result<Slot, StoreError> {
        let tenant = &whose.tenant.id;
        let ticket = {
            let mut asked = self.asked();
            asked.last += 1;
            let ticket = asked.last;
            asked.waiting.entry(tenant.clone()).or_default().push((ticket, units));
            ticket
        };
        let _turn = self.0.turn.lock().await;
        let together = {
            let mut asked = self.asked();
            if let Some(answer) = asked.answers.remove(&ticket) {
                return answer;
            }
            asked.waiting.remove(tenant).unwrap_or_default()
        };
        let all: Vec<u32> = together.iter().map(|(_, units)| *units).collect();
        let asked_at = watch.now();
        let from = asked_at + self.before_claim() + self.lead();
        let ends_at = watch.started_at + TimeDelta::seconds(SLOT_WAIT_MAX_SECONDS);
        let slots = granted(whose, &all, (from, ends_at - from)).await;
        self.took().grant.saw(watch.now() - asked_at);
        let mut asked = self.asked();
        for (n, (asking, _)) in together.into_iter().enumerate() {
            let answer = match &slots {
                Ok(slots) => slots.get(n).copied().ok_or_else(unanswered),
                Err(error) => Err(error.clone()),
            };
            asked.answers.insert(asking, answer);
        }
        asked.answers.remove(&ticket).unwrap_or_else(|| Err(unanswered()))
    }

    fn before_claim(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.took().grant.0)
    }

    fn lead(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.took().claim.0.max(CLAIM_LEAD_MS))
    }

    fn took(&self) -> MutexGuard<'_, Took> {
        self.0.took.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        // A panic of another job leaves whole answers behind.
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn granted(
    whose: Whose<'_>,
    units: &[u32],
    when: (DateTime<Utc>, TimeDelta),
) -> Result<Vec<Slot>, StoreError> {
    let limits = whose.tenant.send_limits(whose.channel);
    whose.store.grant_slots(&whose.tenant.id, whose.channel, limits, units, when).await
}

fn unanswered() -> StoreError {
    StoreError::Retryable { operation: "rate", reason: "the message was left out".to_owned() }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
