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
/// How long before its moment a message is claimed, in milliseconds: what the transaction takes.
pub const CLAIM_LEAD_MS: i64 = 100;
/// How late a call may be made, in milliseconds. The rest of [`domain::send_rate::JITTER_MS`] is for clocks.
pub const LATE_MAX_MS: i64 = 12;
/// How often a claimed message whose moment has passed is granted another one.
const MISSED_MAX: usize = 3;
/// How long such a message waits at most, in milliseconds.
const MISSED_WAIT_MS: i64 = 2_000;
/// What it takes to be granted another moment, in milliseconds.
const GRANT_LEAD_MS: i64 = 20;

/// How calls are paced.
#[derive(Debug, Clone, Default)]
pub enum Pace {
    /// Time stands still while a job is done, as in runs by hand, replays and simulations. What is sent goes to no
    /// provider, so only a daily quota is kept.
    #[default]
    Still,
    /// Time passes: each call waits for its moment.
    Running(Turns),
}

/// The messages of one process that ask for their moments.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: Mutex<Asked>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Asked {
    last: u64,
    waiting: BTreeMap<TenantId, Vec<(u64, u32)>>,
    answers: HashMap<u64, Result<Slot, StoreError>>,
}

/// The moment, as it goes on from the one at which a function was called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    started_at: DateTime<Utc>,
    since: Option<Instant>,
}

impl Watch {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let elapsed = self.since.map(|since| since.elapsed());
        let elapsed = elapsed.and_then(|e| TimeDelta::from_std(e).ok()).unwrap_or_default();
        self.started_at + elapsed
    }

    /// Waits until a moment, where time passes.
    pub(crate) async fn until(&self, at: DateTime<Utc>) {
        if let (Some(since), Ok(wait)) = (self.since, (at - self.started_at).to_std()) {
            tokio::time::sleep_until(since + wait).await;
        }
    }
}

/// A moment that was granted to a message of so many units.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permit {
    pub(crate) at: DateTime<Utc>,
    pub(crate) units: u32,
    pub(crate) watch: Watch,
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
            Self::Still => None,
            Self::Running(_) => Some(Instant::now()),
        };
        Watch { started_at: now, since }
    }

    /// Whether a tenant's messages need a moment at all.
    pub(crate) fn governs(&self, whose: Whose<'_>) -> bool {
        match self {
            Self::Still => whose.tenant.send_limits(whose.channel).per_day.is_some(),
            Self::Running(_) => true,
        }
    }

    /// The moment of a message, or when to come back.
    pub(crate) async fn slot(&self, whose: Whose<'_>, units: u32, watch: Watch) -> Result<Slot, StoreError> {
        let now = watch.now();
        match self {
            Self::Still => {
                let slots = granted(whose, &[units], (now, TimeDelta::MAX)).await?;
                // Its moment on the wall is no matter where time stands still.
                Ok(match slots.first() {
                    Some(later @ Slot::Later { .. }) => *later,
                    Some(Slot::At(_)) | None => Slot::At(now),
                })
            }
            Self::Running(turns) => {
                let ends_at = watch.started_at + TimeDelta::seconds(SLOT_WAIT_MAX_SECONDS);
                let from = now + TimeDelta::milliseconds(CLAIM_LEAD_MS);
                turns.slot(whose, units, (from, ends_at - from)).await
            }
        }
    }

    /// Waits for the moment of a claimed message; one that was missed is granted another. `false` where there is none
    /// soon, so that the message must not be sent.
    pub(crate) async fn arrive(&self, whose: Whose<'_>, permit: Permit) -> bool {
        let Self::Running(turns) = self else { return true };
        let Permit { mut at, units, watch } = permit;
        for _ in 0..MISSED_MAX {
            watch.until(at).await;
            let now = watch.now();
            if now - at <= TimeDelta::milliseconds(LATE_MAX_MS) {
                return true;
            }
            let from = now + TimeDelta::milliseconds(GRANT_LEAD_MS);
            match turns.slot(whose, units, (from, TimeDelta::milliseconds(MISSED_WAIT_MS))).await {
                Ok(Slot::At(next)) => at = next,
                Ok(Slot::Later { .. }) | Err(_) => return false,
            }
        }
        false
    }
}

impl Turns {
    /// Asks together with all others that wait for the write before.
    async fn slot(
        &self,
        whose: Whose<'_>,
        units: u32,
        when: (DateTime<Utc>, TimeDelta),
    ) -> Result<Slot, StoreError> {
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
        let slots = granted(whose, &all, when).await;
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
