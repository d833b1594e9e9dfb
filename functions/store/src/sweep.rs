//! Abandoned claims: what is done about a touch that was claimed and never settled.
//!
//! Invariant: such a touch becomes unknown, never planned again. Its sender died, or could not write what came of the
//! call, so the provider may have the message; a claim whose message was surely not sent is released by its sender.
//! Two sweeps at the same time do no harm: a settlement is conditional on the claim.

use chrono::{DateTime, Duration, NaiveDate, Utc};
use domain::channel::Channel;
use domain::ids::{CustomerId, TenantId};
use domain::touch::TouchState;

use crate::backend::{Expression, Failure, Query, Table, Write};
use crate::item::StoredTouch;
use crate::key::{self, TOUCH, customer_partition, day_text, end_of};
use crate::touch::{Outcome, TouchError, TouchKey};
use crate::{Store, StoreError, failed};

/// How long a claim may be open, in minutes. No sender may run this long, the error of its clock included.
pub const CLAIM_LEASE_MINUTES: i64 = 15;
/// The reason of a touch that became unknown because nobody settled its claim in time.
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
    /// Claims that a sender may still be working on.
    pub open: usize,
    /// Touches that are unknown: those that were settled now, and those that nobody has settled since.
    pub unknown: usize,
    /// Those of them that were unknown before and were tried once.
    pub tried_once: Vec<UnknownTouch>,
}

impl Store {
    /// Settles the abandoned claims among a customer's touches of `from_on` and later as unknown. Strongly
    /// consistent; counted as `sweep`.
    ///
    /// # Errors
    /// [`StoreError`] when the query or a settlement fails. What was settled before stays so.
    pub async fn settle_abandoned(
        &self,
        tenant: &TenantId,
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
                    (":pk", customer_partition(tenant, customer).into()),
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
            let outcome = Outcome::Unknown { reason: CLAIM_ABANDONED.to_owned() };
            match self.settle(tenant, &TouchKey::of(&stored.touch), &outcome, now).await {
                Ok(_) => {
                    found.settled += 1;
                    found.unknown += 1;
                }
                // Its sender, or another sweep, was quicker.
                Err(TouchError::Conflict { .. }) => {}
                Err(TouchError::Store(error)) => return Err(error),
            }
        }
        Ok(found)
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

fn unknown_of(stored: StoredTouch) -> Option<UnknownTouch> {
    let is_first = stored.resent_as.is_none() && stored.resend_of.is_none();
    let claimed_at = stored.claimed_at.filter(|_| is_first && stored.state == TouchState::Unknown)?;
    Some(UnknownTouch { place: TouchKey::of(&stored.touch), channel: stored.touch.channel, claimed_at })
}
