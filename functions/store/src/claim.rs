//! The claim: the transaction before a provider is called, and the mark that says it may be called now.
//!
//! Invariant: it writes three items or none. The touch goes from absent or planned to claimed; the fence from the
//! version that was decided on to the next; the decision is put on record. So two decisions can never both pass a cap,
//! and any fact that came in between makes the claim fail. Before the call the claim gets a mark: one without it was
//! surely not sent, and a sender whose claim was taken back meanwhile cannot set it.

use chrono::{DateTime, Utc};
use domain::contact::Contact;
use domain::decision::DecisionRecord;
use domain::fence::{Fence, Reached, RecordedDecision};
use domain::ids::TenantId;
use domain::touch::{Touch, TouchState};

use crate::audit::{entry_of, follows};
use crate::backend::{Expression, Failure, Table, Write};
use crate::item::{StoredTouch, encode_fence, settled_item};
use crate::{Change, Scope, Store, StoreError, TouchError, TouchKey, failed, key};

/// Which claim of a touch a sender holds. No two claims of a touch are decided on the same version of the fence, so a
/// sender that was taken for dead cannot be mistaken for the one that came after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldClaim {
    /// The touch.
    pub touch: TouchKey,
    /// The version of the fence that was decided on.
    pub fence_version: u64,
}

/// A claim that was made: the provider may be called once, when its mark is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What its sender shows to go on with it.
    pub held: HeldClaim,
    /// The fence after the claim, for the next decision about the customer.
    pub fence: Fence,
    /// When, in whole milliseconds.
    pub claimed_at: DateTime<Utc>,
}

/// What a claim collided with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimConflict {
    /// The touch is no longer planned; someone else has taken or closed it.
    AlreadyClaimed(TouchState),
    /// A fact or another claim came in between: read the facts and decide again.
    FenceMoved,
    /// An audit entry of the same instant and fence version is there.
    AuditTaken,
}

impl std::fmt::Display for ClaimConflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AlreadyClaimed(state) => {
                write!(f, "the touch is already {state}; expected absent or planned")
            }
            Self::FenceMoved => f.write_str("the facts changed since the decision"),
            Self::AuditTaken => f.write_str("an audit entry of the same instant and fence version is there"),
        }
    }
}

/// Why a claim was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// A condition failed; nothing was written.
    #[error("not claimed: {which}")]
    Conflict {
        /// Which one.
        which: ClaimConflict,
    },
    /// The store failed. Of class unknown, the claim may have been made: nobody may send it again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Claims a touch that was decided on `fence`, and puts the decision, which names the touch, on record. The
    /// contact is made at the moment of the decision. Counted as `claim`.
    ///
    /// # Errors
    /// [`ClaimError::Conflict`] when the touch was taken or the fence has moved, [`ClaimError::Store`] when the
    /// transaction failed.
    pub async fn claim(
        &self,
        scope: &Scope,
        touch: &Touch,
        fence: &Fence,
        decision: &DecisionRecord,
    ) -> Result<Claim, ClaimError> {
        debug_assert_eq!(decision.touch.as_ref().map(|t| &t.id), Some(&touch.id), "a claim names its touch");
        if !follows(decision, fence) {
            return Err(ClaimError::Conflict { which: ClaimConflict::FenceMoved });
        }
        let claimed_at = decision.at();
        let (audit, hash) = entry_of(&scope.tenant, decision);
        let next = next_fence(fence, touch, claimed_at, (hash, decision.recorded()));
        let before = touch
            .items
            .iter()
            .filter_map(|i| Some((i.obligation.clone(), fence.reached.get(&i.obligation)?.clone())))
            .collect();
        let stored = StoredTouch { before, ..StoredTouch::claimed(touch.clone(), fence, claimed_at) };
        let touch_key = key::touch(&scope.tenant, &touch.customer, touch.on, &touch.id);
        let unclaimed = Expression {
            text: "attribute_not_exists(#pk) OR #st IN (:planned, :prevented, :superseded)",
            names: &["pk", "st"],
            // What was prevented or superseded was surely not sent, and may be asked for again on the same day when
            // the facts turn once more. The fence keeps a stage from being reached twice.
            values: [TouchState::Planned, TouchState::Prevented, TouchState::Superseded]
                .into_iter()
                .zip([":planned", ":prevented", ":superseded"])
                .map(|(state, name)| (name, state.as_str().into()))
                .collect(),
        };
        let writes = vec![
            Write::Put { table: Table::Ops, item: stored.encode(touch_key), condition: Some(unclaimed) },
            fence_write(scope, &touch.customer, fence.version, &next),
            Write::Put { table: Table::Audit, item: audit, condition: Some(Expression::absent()) },
        ];
        #[cfg(feature = "deliberate-faults")]
        let writes = {
            let mut writes = writes;
            self.forgetful(&mut writes);
            writes
        };
        match self.transact("claim", writes).await {
            Ok(()) => {
                let held = HeldClaim { touch: TouchKey::of(touch), fence_version: fence.version };
                Ok(Claim { held, fence: next, claimed_at })
            }
            Err(Failure::Transaction(reasons)) => {
                let failed_at = |n: usize| reasons.get(n).filter(|r| r.condition);
                // Whether the touch was taken says more than that its fence has moved, which follows from it.
                let which = if let Some(found) = failed_at(0) {
                    let state = found.found.as_ref().map(settled_item).transpose()?;
                    ClaimConflict::AlreadyClaimed(state.map_or(TouchState::Claimed, |(state, ..)| state))
                } else if failed_at(1).is_some() {
                    ClaimConflict::FenceMoved
                } else {
                    ClaimConflict::AuditTaken
                };
                Err(ClaimError::Conflict { which })
            }
            Err(failure) => Err(failed("claim", failure).into()),
        }
    }

    /// Marks a claim right before its provider is called. A claim without this mark was surely not sent. One write unit;
    /// again is fine. Counted as `mark`.
    ///
    /// # Errors
    /// [`TouchError::Conflict`] when the claim is no longer held: nobody may call the provider under it. After
    /// [`TouchError::Store`] the provider must not be called either.
    pub async fn mark_call(
        &self,
        tenant: &TenantId,
        claim: &HeldClaim,
        at: DateTime<Utc>,
    ) -> Result<Change, TouchError> {
        #[cfg(feature = "deliberate-faults")]
        if self.is_broken_by(crate::DeliberateFault::MarkSkipped) {
            return Ok(Change::Made);
        }
        let condition = Expression {
            text: "#st = :claimed AND #fv = :fv",
            names: &["st", "fv", "pa"],
            values: vec![
                (":claimed", TouchState::Claimed.as_str().into()),
                (":fv", claim.fence_version.into()),
                (":pa", at.timestamp_millis().into()),
            ],
        };
        let key = claim.touch.key(tenant);
        match self.write("mark", Write::Update { key, update: "SET #pa = :pa", condition }).await {
            Ok(()) => Ok(Change::Made),
            Err(Failure::Condition(found)) => {
                let found = found.as_deref().map(settled_item).transpose()?.map(|(state, ..)| state);
                Err(TouchError::Conflict { found, expected: TouchState::Claimed })
            }
            Err(failure) => Err(failed("mark", failure).into()),
        }
    }
}

/// The fence after a claim.
pub(crate) fn next_fence(
    fence: &Fence,
    touch: &Touch,
    claimed_at: DateTime<Utc>,
    (audit_head, recorded): (String, RecordedDecision),
) -> Fence {
    let mut next = fence.clone();
    next.version += 1;
    next.audit_head = Some(audit_head);
    next.tries.remove(&touch.id);
    next.recorded = Some(recorded);
    next.contacts.push(Contact { at: claimed_at, channel: touch.channel, direct: false });
    next.forget_old_contacts(claimed_at.date_naive());
    for item in &touch.items {
        // Within one cycle a fence never goes back to a lower stage.
        if next.reached(&item.obligation, item.due_on).is_none_or(|r| r.dpd <= item.dpd) {
            let reached = Reached { due_on: item.due_on, stage: item.stage.clone(), dpd: item.dpd };
            next.reached.insert(item.obligation.clone(), reached);
        }
    }
    next
}

/// Replaces the fence of a customer, when it still has the version that was read; 0 stands for none.
pub(crate) fn fence_write(
    scope: &Scope,
    customer: &domain::ids::CustomerId,
    version_read: u64,
    next: &Fence,
) -> Write {
    let condition = if version_read == 0 {
        Expression::absent()
    } else {
        Expression { text: "#v = :v", names: &["v"], values: vec![(":v", version_read.into())] }
    };
    Write::Put { table: Table::Ops, item: encode_fence(scope, customer, next), condition: Some(condition) }
}
