//! Claims that are taken back, because their message was surely not sent: by their own sender, or by a sweep.
//!
//! Invariant: what is taken back is the very claim that the caller names, and nobody can call a provider under it any
//! more. A sweep takes back no claim that bears the mark of a call. The fence is as if the claim had not been made, under
//! a new version, whatever happened to its stages since; the audit trail keeps the claim and has an entry that takes it
//! back.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, Utc};
use domain::fact_record::RecordedFact;
use domain::fence::Fence;
use domain::ids::ObligationId;
use domain::touch::{Touch, TouchState};

use crate::audit::fact_entry;
use crate::backend::{Expression, Table, Write};
use crate::claim::{HeldClaim, fence_write};
use crate::item::{StoredObligation, StoredTouch, decode_fence};
use crate::stage::{Carriers, Stages};
use crate::touch::clipped;
use crate::wave::waiting_item;
use crate::{Change, Scope, Store, StoreError, TouchError, TouchKey, TouchRecord, failed, key};

/// How often a take-back reads the fence again when another write came in between.
const TAKE_BACK_TRIES_MAX: usize = 8;

impl Store {
    /// Takes a claim back whose message was surely not sent: the touch is planned again and waits for `retry_at`. The
    /// fence counts the try. A claim that was taken back before stays so. Counted as `release`.
    ///
    /// # Errors
    /// [`TouchError::Conflict`] when the touch is settled, or was never claimed.
    pub async fn release(
        &self,
        scope: &Scope,
        claim: &HeldClaim,
        retry_at: DateTime<Utc>,
    ) -> Result<Change, TouchError> {
        let waits = TakenBack::Waits { until: Some(retry_at), why: Why::Refused };
        self.take_claim_back(scope, claim, &waits).await
    }

    /// The same for a claim under which nobody was called, which counts as no try. Without a moment the touch waits
    /// nowhere: the caller decides at once anew, or leaves its job to be given out again. Counted as `release`.
    ///
    /// # Errors
    /// As those of [`Store::release`].
    pub async fn put_back(
        &self,
        scope: &Scope,
        claim: &HeldClaim,
        until: Option<DateTime<Utc>>,
    ) -> Result<Change, TouchError> {
        let waits = TakenBack::Waits { until, why: Why::NotCalled };
        self.take_claim_back(scope, claim, &waits).await
    }

    /// Takes a claim back before its message was sent, because of a fact that moves no fence: the touch is prevented. A
    /// claim that was taken back before stays so. Counted as `release`.
    ///
    /// # Errors
    /// As those of [`Store::release`].
    pub async fn prevent_claim(
        &self,
        scope: &Scope,
        claim: &HeldClaim,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<Change, TouchError> {
        self.take_claim_back(scope, claim, &TakenBack::Prevented { reason: clipped(reason), at }).await
    }

    /// Takes the claim of a sender that is gone, or so slow that it may be, which bears no mark of a call. The touch waits
    /// from now on; its sender can no longer set the mark. The fence counts the try.
    pub(crate) async fn take_over(
        &self,
        scope: &Scope,
        claim: &HeldClaim,
        now: DateTime<Utc>,
    ) -> Result<Change, TouchError> {
        let waits = TakenBack::Waits { until: Some(now), why: Why::Abandoned };
        self.take_claim_back(scope, claim, &waits).await
    }

    async fn take_claim_back(
        &self,
        scope: &Scope,
        claim: &HeldClaim,
        end: &TakenBack,
    ) -> Result<Change, TouchError> {
        let place = claim.touch.key(&scope.tenant);
        let fence_place = key::fence(&scope.tenant, &claim.touch.customer);
        for _ in 0..TAKE_BACK_TRIES_MAX {
            let items = self.get_all("release", vec![place.clone(), fence_place.clone()]).await?;
            let item =
                |wanted: &key::Key| items.iter().find(|i| key::Key::of_item(i).as_ref() == Some(wanted));
            let stored = item(&place).map(StoredTouch::decode).transpose()?;
            let fence = item(&fence_place).map(decode_fence).transpose()?.unwrap_or_default();
            let Some((stored, claimed_at)) = still_held(stored, claim)? else { return Ok(Change::Already) };
            if end.is_abandoned() && stored.called_at.is_some() {
                let found = Some(TouchState::Claimed);
                return Err(TouchError::Conflict { found, expected: TouchState::Claimed });
            }
            let is_untouched = fence.version == claim.fence_version + 1;
            #[cfg(feature = "deliberate-faults")]
            let is_untouched = is_untouched || self.is_broken_by(crate::DeliberateFault::StagesOverlooked);
            let mut since =
                if is_untouched { Since::default() } else { self.since_claim(scope, &stored).await? };
            let writes = take_back_writes(scope, &fence, stored, claimed_at, (end, &mut since));
            match self.transact("release", writes).await {
                Ok(()) => return Ok(Change::Made),
                Err(failure) if failure.is_contention() => {}
                Err(failure) => return Err(failed("release", failure).into()),
            }
        }
        let reason = "the fence kept moving".to_owned();
        Err(StoreError::Retryable { operation: "release", reason }.into())
    }

    /// What may have moved the stages of a claim since it was made. Read after the fence, and written on its version.
    async fn since_claim(&self, scope: &Scope, claimed: &StoredTouch) -> Result<Since, StoreError> {
        let (tenant, customer) = (&scope.tenant, &claimed.touch.customer);
        let about: BTreeSet<&ObligationId> = claimed.touch.items.iter().map(|i| &i.obligation).collect();
        let places = about.into_iter().map(|id| key::obligation(tenant, customer, id)).collect();
        let mut obligations = BTreeMap::new();
        for item in self.get_all("release", places).await? {
            let stored = StoredObligation::decode(&item, customer)?;
            let named = stored.snapshot.as_ref().map(|o| o.id.clone());
            obligations.extend(named.map(|id| (id, stored)));
        }
        Ok(Since { obligations, touches: self.touches(tenant, customer).await? })
    }
}

/// What may have moved the stages of a claim since it was made; nothing, where no other write moved the fence.
#[derive(Default)]
struct Since {
    obligations: BTreeMap<ObligationId, StoredObligation>,
    touches: Vec<TouchRecord>,
}

/// The touch as long as it is under this claim, with the moment of the claim; `None` where it is taken back, or under
/// another claim.
fn still_held(
    stored: Option<StoredTouch>,
    claim: &HeldClaim,
) -> Result<Option<(StoredTouch, DateTime<Utc>)>, TouchError> {
    let conflict = |found| TouchError::Conflict { found, expected: TouchState::Claimed };
    let Some(stored) = stored else { return Err(conflict(None)) };
    match (stored.state, stored.claimed_at) {
        (TouchState::Claimed, Some(at)) if stored.fence_version == Some(claim.fence_version) => {
            Ok(Some((stored, at)))
        }
        (TouchState::Claimed | TouchState::Planned | TouchState::Prevented | TouchState::Superseded, _) => {
            Ok(None)
        }
        (
            found @ (TouchState::Sent
            | TouchState::Failed
            | TouchState::Unknown
            | TouchState::Delivered
            | TouchState::Bounced
            | TouchState::Complained),
            _,
        ) => Err(conflict(Some(found))),
    }
}

/// Touch, fence and audit entry of a claim that is taken back, and where the touch waits now.
fn take_back_writes(
    scope: &Scope,
    fence: &Fence,
    stored: StoredTouch,
    claimed_at: DateTime<Utc>,
    (end, since): (&TakenBack, &mut Since),
) -> Vec<Write> {
    let customer = stored.touch.customer.clone();
    let place = key::touch(&scope.tenant, &customer, stored.touch.on, &stored.touch.id);
    let mut next = fence_without(fence, &stored, claimed_at, end);
    let carriers = Carriers::besides(&TouchKey::of(&stored.touch), &since.touches, fence);
    let mut stages = Stages::new(&mut next, &mut since.obligations);
    stored.touch.items.iter().for_each(|item| stages.take_back(item, &stored.before, &carriers));
    let past = stages.writes(&scope.tenant, &customer);
    let released = RecordedFact::Released {
        touch: stored.touch.id.clone(),
        claimed_at_ms: claimed_at.timestamp_millis(),
    };
    // What takes a claim back is part of the same attempt, and has its moment.
    let (entry, hash) = fact_entry((&scope.tenant, &customer), fence, released, claimed_at);
    next.audit_head = Some(hash);
    let condition = end.condition(&stored);
    let after = end.touch(stored.touch);
    let waiting = match end {
        TakenBack::Waits { until: Some(_), .. } => Some(waiting_item(scope, after.touch.clone())),
        TakenBack::Waits { until: None, .. } | TakenBack::Prevented { .. } => None,
    };
    let item = after.encode(place);
    let mut writes = vec![
        Write::Put { table: Table::Ops, item, condition: Some(condition) },
        fence_write(scope, &customer, fence.version, &next),
        entry,
    ];
    writes.extend(waiting.map(|item| Write::Put { table: Table::Ops, item, condition: None }));
    writes.extend(past);
    writes
}

/// What becomes of a touch whose claim is taken back.
enum TakenBack {
    /// It is tried again: at a moment, or by whoever takes it back.
    Waits { until: Option<DateTime<Utc>>, why: Why },
    /// A fact forbids it.
    Prevented { reason: String, at: DateTime<Utc> },
}

/// Why a touch is tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The provider did not take it.
    Refused,
    /// Its sender called nobody.
    NotCalled,
    /// Its sender is gone.
    Abandoned,
}

impl TakenBack {
    const fn is_abandoned(&self) -> bool {
        matches!(self, Self::Waits { why: Why::Abandoned, .. })
    }

    /// Whether the fence counts it as a try.
    const fn is_try(&self) -> bool {
        matches!(self, Self::Waits { why: Why::Refused | Why::Abandoned, .. })
    }

    /// The claim is the one that was read; where it was abandoned, still without the mark of a call.
    fn condition(&self, stored: &StoredTouch) -> Expression {
        let values = vec![
            (":claimed", TouchState::Claimed.as_str().into()),
            (":fv", stored.fence_version.unwrap_or_default().into()),
        ];
        if self.is_abandoned() {
            let text = "#st = :claimed AND #fv = :fv AND attribute_not_exists(#pa)";
            Expression { text, names: &["st", "fv", "pa"], values }
        } else {
            Expression { text: "#st = :claimed AND #fv = :fv", names: &["st", "fv"], values }
        }
    }

    fn touch(&self, touch: Touch) -> StoredTouch {
        match self {
            Self::Waits { until, .. } => {
                let send_at = until.map_or(touch.send_at, |until| until.trunc_subsecs(3));
                StoredTouch::planned(Touch { send_at, ..touch })
            }
            Self::Prevented { reason, at } => StoredTouch {
                state: TouchState::Prevented,
                settled_at: Some(*at),
                reason: Some(reason.clone()),
                ..StoredTouch::planned(touch)
            },
        }
    }
}

/// The fence without the contact of one claim, and with its tries; its stages are taken back apart.
fn fence_without(fence: &Fence, claimed: &StoredTouch, claimed_at: DateTime<Utc>, end: &TakenBack) -> Fence {
    let mut next = fence.clone();
    next.version += 1;
    if end.is_try() {
        next.count_try(&claimed.touch.id, claimed.tries);
    } else if let Some(before) = claimed.tries.checked_sub(1) {
        // The claim has taken the count with it.
        next.count_try(&claimed.touch.id, before);
    }
    let contact = next.contacts.iter().position(|c| c.at == claimed_at && c.channel == claimed.touch.channel);
    if let Some(position) = contact {
        next.contacts.remove(position);
    }
    next
}
