//! The second attempt at a message of which nobody knows whether it was sent, for tenants who prefer delivery.
//!
//! Invariant: there is at most one, and none where anything was heard of the first. It is claimed in one transaction:
//! the first touch stays unknown and names the second; the second is claimed; the contact counts in the fence; the
//! decision is on record. So of two sweeps one fails, and so does one that an event has overtaken.

use chrono::{DateTime, Duration, Utc};
use domain::decision::DecisionRecord;
use domain::fence::Fence;
use domain::ids::{TenantId, TouchId};
use domain::touch::{Touch, TouchState};

use crate::audit::{entry_of, follows};
use crate::backend::{Expression, Failure, Table, Write};
use crate::claim::{HeldClaim, fence_write, next_fence};
use crate::item::StoredTouch;
use crate::stage::Carriers;
use crate::{Claim, ClaimConflict, ClaimError, Scope, Store, StoreError, TouchKey, TouchRecord, failed};

/// How long nothing must have been heard of a message before it is sent once more, in minutes.
pub const RESEND_AFTER_MINUTES: i64 = 60;

impl TouchRecord {
    /// Whether it is a first attempt of which nothing was heard for [`RESEND_AFTER_MINUTES`] at `now`.
    #[must_use]
    pub fn may_be_resent(&self, now: DateTime<Utc>) -> bool {
        let is_first = self.resent_as.is_none() && self.resend_of.is_none();
        let waited =
            |at: DateTime<Utc>| now.signed_duration_since(at) >= Duration::minutes(RESEND_AFTER_MINUTES);
        is_first && self.state == TouchState::Unknown && self.claimed_at.is_some_and(waited)
    }

    /// The id of the second attempt.
    ///
    /// `None` where the first has no room for it, which no id of ours is.
    #[must_use]
    pub fn second_id(&self) -> Option<TouchId> {
        TouchId::new(format!("{}-2", self.touch.id)).ok()
    }
}

impl Store {
    /// Whether another message than `first` carries a stage of it: then the customer was told, or may have been, and there
    /// is nothing to send once more. By the fence of the decision, which any news of the other moves. Counted as `touches`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or a touch cannot be read.
    pub async fn is_told_otherwise(
        &self,
        tenant: &TenantId,
        first: &TouchRecord,
        fence: &Fence,
    ) -> Result<bool, StoreError> {
        let touches = self.touches(tenant, &first.touch.customer).await?;
        let others = Carriers::besides(&TouchKey::of(&first.touch), &touches, fence);
        Ok(!others.of(&first.touch.items).is_empty())
    }

    /// Claims the second attempt at the message of `first`. The decision names `again`. Counted as `resend`.
    ///
    /// # Errors
    /// [`ClaimError::Conflict`] when something is known about the first attempt by now, when there is a second one, or
    /// when the fence has moved; [`ClaimError::Store`] when the transaction failed.
    pub async fn claim_again(
        &self,
        scope: &Scope,
        first: &TouchRecord,
        again: &Touch,
        fence: &Fence,
        decision: &DecisionRecord,
    ) -> Result<Claim, ClaimError> {
        if !follows(decision, fence) {
            return Err(ClaimError::Conflict { which: ClaimConflict::FenceMoved });
        }
        let claimed_at = decision.at();
        let (audit, hash) = entry_of(&scope.tenant, decision);
        let next = next_fence(fence, again, claimed_at, (hash, decision.recorded()));
        let stored = StoredTouch {
            before: first.before.clone(),
            resend_of: Some(first.touch.id.clone()),
            ..StoredTouch::claimed(again.clone(), fence, claimed_at)
        };
        let still_unknown = Expression {
            text: "#st = :unknown AND attribute_not_exists(#ra) AND attribute_not_exists(#ro)",
            names: &["st", "ra", "ro"],
            values: vec![
                (":unknown", TouchState::Unknown.as_str().into()),
                (":again", again.id.as_str().into()),
            ],
        };
        let writes = vec![
            Write::Update {
                key: TouchKey::of(&first.touch).key(&scope.tenant),
                update: "SET #ra = :again",
                condition: still_unknown,
            },
            Write::Put {
                table: Table::Ops,
                item: stored.encode(TouchKey::of(again).key(&scope.tenant)),
                condition: Some(Expression::absent()),
            },
            fence_write(scope, &again.customer, fence.version, &next),
            Write::Put { table: Table::Audit, item: audit, condition: Some(Expression::absent()) },
        ];
        match self.transact("resend", writes).await {
            Ok(()) => {
                let held = HeldClaim { touch: TouchKey::of(again), fence_version: fence.version };
                Ok(Claim { held, fence: next, claimed_at })
            }
            Err(Failure::Transaction(reasons)) => {
                let failed_at = |n: usize| reasons.get(n).is_some_and(|r| r.condition);
                let which = if failed_at(0) || failed_at(1) {
                    ClaimConflict::AlreadyClaimed(TouchState::Claimed)
                } else if failed_at(2) {
                    ClaimConflict::FenceMoved
                } else {
                    ClaimConflict::AuditTaken
                };
                Err(ClaimError::Conflict { which })
            }
            Err(failure) => Err(failed("resend", failure).into()),
        }
    }
}
