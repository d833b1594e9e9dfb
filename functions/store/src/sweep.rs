//! Abandoned claims: what is done about a touch that was claimed and never settled.
//!
//! Invariant: one with the mark of a call becomes unknown, because the provider may have the message. One without it was
//! surely not sent: it is taken over, which its sender sees when it is alive after all and comes to set the mark, and
//! the touch is planned again, or fails. Two sweeps at the same time do no harm: whatever they do is conditional on the
//! claim that was read, and on the absence of its mark. A race that is lost is looked at by the next sweep.

use chrono::{DateTime, Duration, NaiveDate, Utc};
use domain::channel::Channel;
use domain::delivery::History;
use domain::ids::{CustomerId, TenantId};
use domain::touch::TouchState;

use crate::backend::{Expression, Failure, Query, Table, Write};
use crate::claim::HeldClaim;
use crate::item::{StoredTouch, history_text};
use crate::key::{self, TOUCH, customer_partition, day_text, end_of};
use crate::record::TouchEvent;
use crate::touch::{Change, Outcome, TouchError, TouchKey};
use crate::{Scope, Store, StoreError, failed};

/// How long a claim may be open, in minutes. No sender may run this long, the error of its clock included.
pub const CLAIM_LEASE_MINUTES: i64 = 15;
/// How often a touch is planned again because its sender was gone before the call, tries that a provider refused for now
/// included. Then it fails: whoever takes it dies of it.
pub const TAKE_OVERS_MAX: u32 = 8;
/// The reason of a touch that became unknown, or failed, because nobody settled its claim in time.
pub const CLAIM_ABANDONED: &str = "claim_abandoned";
/// The most pages of one customer's recent touches, of 1 MB each.
const TOUCH_PAGES_MAX: usize = 8;

/// A touch of which nobody knows whether it was sent, and which was not tried a second time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTouch {
    /// Which.
    pub place: TouchKey,
    /// How it went.
    pub channel: Channel,
    /// When.
    pub claimed_at: DateTime<Utc>,
}

/// What was found among the recent touches of a customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenClaims {
    /// Claims that were abandoned, and are unknown now.
    pub settled: usize,
    /// Claims that were abandoned before their provider was called: their touches wait for a new decision, from now on.
    pub taken_over: usize,
    /// Claims that a sender may still be working on.
    pub open: usize,
    /// Touches that are unknown: those that were settled now, and those that nobody has settled since.
    pub unknown: usize,
    /// Those of them that were unknown before and were tried once.
    pub tried_once: Vec<UnknownTouch>,
}

impl Store {
    /// Settles the abandoned claims among a customer's touches of `from_on` and later as unknown, and takes those over
    /// under which nobody was called. Strongly consistent; counted as `sweep`.
    ///
    /// # Errors
    /// [`StoreError`] when the query or a settlement fails. What was settled before stays so.
    pub async fn settle_abandoned(
        &self,
        scope: &Scope,
        customer: &CustomerId,
        from_on: NaiveDate,
        now: DateTime<Utc>,
    ) -> Result<OpenClaims, StoreError> {
        let query = Query {
            table: Table::Ops,
            index: None,
            condition: Expression {
                text: "#pk = :pk AND #sk BETWEEN :from AND :to",
                names: &["pk", "sk"],
                values: vec![
                    (":pk", customer_partition(&scope.tenant, customer).into()),
                    (":from", format!("{TOUCH}{}", day_text(from_on)).into()),
                    (":to", end_of(TOUCH.trim_end_matches('#')).into()),
                ],
            },
            consistent: true,
            limit: None,
            start: None,
        };
        let mut found = OpenClaims::default();
        for item in self.query_all("sweep", query, TOUCH_PAGES_MAX).await? {
            let stored = StoredTouch::decode(&item)?;
            found.unknown += usize::from(stored.state == TouchState::Unknown);
            if stored.state != TouchState::Claimed {
                found.tried_once.extend(unknown_of(stored));
                continue;
            }
            let lease = self.claim_lease();
            if stored.claimed_at.is_some_and(|at| now.signed_duration_since(at) < lease) {
                found.open += 1;
                continue;
            }
            match self.end_abandoned(scope, stored, now).await {
                Ok(Ended::Unknown) => {
                    found.settled += 1;
                    found.unknown += 1;
                }
                Ok(Ended::TakenOver) => found.taken_over += 1,
                // Its sender, or another sweep, was quicker.
                Ok(Ended::Already) | Err(TouchError::Conflict { .. }) => {}
                Err(TouchError::Store(error)) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn end_abandoned(
        &self,
        scope: &Scope,
        stored: StoredTouch,
        now: DateTime<Utc>,
    ) -> Result<Ended, TouchError> {
        let touch = TouchKey::of(&stored.touch);
        let held = HeldClaim { touch, fence_version: stored.fence_version.unwrap_or_default() };
        if stored.called_at.is_some() {
            return self.end_as_unknown(scope, &held, now).await;
        }
        // A second attempt, and one that killed whoever took it, ends: it was surely not sent.
        if stored.resend_of.is_some() || stored.tries + 1 >= TAKE_OVERS_MAX {
            self.fail_uncalled(&scope.tenant, &held, CLAIM_ABANDONED, now).await?;
            return Ok(Ended::Already);
        }
        match self.take_over(scope, &held, now).await? {
            Change::Made => Ok(Ended::TakenOver),
            Change::Already => Ok(Ended::Already),
        }
    }

    /// Settles the very claim that was read as unknown: a sender may have taken its own claim back meanwhile, and
    /// another one may hold the touch.
    async fn end_as_unknown(
        &self,
        scope: &Scope,
        claim: &HeldClaim,
        now: DateTime<Utc>,
    ) -> Result<Ended, TouchError> {
        let event = TouchEvent::of_outcome(&Outcome::Unknown { reason: CLAIM_ABANDONED.to_owned() }, now);
        let history: History = [event.entry(now)].into_iter().collect();
        let condition = Expression {
            text: "#st = :from AND #fv = :fv",
            names: &["st", "fv", "sa", "hs", "rs"],
            values: vec![
                (":from", TouchState::Claimed.as_str().into()),
                (":fv", claim.fence_version.into()),
                (":to", TouchState::Unknown.as_str().into()),
                (":at", now.timestamp_millis().into()),
                (":hs", history_text(&history).into()),
                (":rs", CLAIM_ABANDONED.into()),
            ],
        };
        let key = claim.touch.key(&scope.tenant);
        let update = "SET #st = :to, #sa = :at, #hs = :hs, #rs = :rs";
        match self.write("sweep", Write::Update { key, update, condition }).await {
            Ok(()) => Ok(Ended::Unknown),
            Err(Failure::Condition(_)) => Ok(Ended::Already),
            Err(failure) => Err(failed("sweep", failure).into()),
        }
    }

    /// Takes a fence out of the open index: no stage is reached any more, and no claim is open. One write unit for the
    /// fence and one for the index, once. It stays where a stage was reached or a contact made meanwhile. Counted as
    /// `sweep`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn leave_open_index(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
        last_contact_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let condition = Expression {
            text: "#lc = :lc AND attribute_not_exists(#r)",
            names: &["lc", "r", "op", "os"],
            values: vec![(":lc", last_contact_at.timestamp_millis().into())],
        };
        let key = key::fence(tenant, customer);
        let write = Write::Update { key, update: "REMOVE #op, #os", condition };
        match self.write("sweep", write).await {
            Ok(()) | Err(Failure::Condition(_)) => Ok(()),
            Err(failure) => Err(failed("sweep", failure)),
        }
    }

    /// How long a claim may be open before it counts as abandoned.
    #[must_use]
    pub fn claim_lease(&self) -> Duration {
        if self.held_alone {
            return Duration::zero();
        }
        #[cfg(feature = "deliberate-faults")]
        if self.is_broken_by(crate::DeliberateFault::SweepWithoutLease) {
            return Duration::zero();
        }
        Duration::minutes(CLAIM_LEASE_MINUTES)
    }
}

/// What became of an abandoned claim.
enum Ended {
    Unknown,
    TakenOver,
    /// Nothing is left to do about it.
    Already,
}

fn unknown_of(stored: StoredTouch) -> Option<UnknownTouch> {
    let is_first = stored.resent_as.is_none() && stored.resend_of.is_none();
    let claimed_at = stored.claimed_at.filter(|_| is_first && stored.state == TouchState::Unknown)?;
    Some(UnknownTouch { place: TouchKey::of(&stored.touch), channel: stored.touch.channel, claimed_at })
}
