//! Stages: how far an obligation has come in one of its cycles, wherever that is kept, and which messages brought it there.
//!
//! The rule: the cycle that is open now has its stage in the fence; the cycles that are over for now have theirs with the
//! obligation. Both move to the other place when the obligation is closed, opened again or due on another day, also while
//! a message about it is on its way.
//!
//! Invariant: a stage is taken back, or counts as reached again, in the place where it is then. What is changed of either
//! is written in one transaction, on the version of the fence under which both were read. A stage goes back to no less
//! than what other messages have reached that went out, or may have.

use std::collections::{BTreeMap, BTreeSet};

use domain::delivery::Report;
use domain::fence::{FailedAttempt, Fence, Reached};
use domain::ids::{CustomerId, ObligationId, TenantId, TouchId};
use domain::touch::{TouchItem, TouchState};

use crate::backend::{Expression, Write};
use crate::item::StoredObligation;
use crate::touch::TouchKey;
use crate::{TouchRecord, key};

/// The stages of one customer, as they are changed.
pub(crate) struct Stages<'a> {
    fence: &'a mut Fence,
    obligations: &'a mut BTreeMap<ObligationId, StoredObligation>,
    changed: BTreeSet<ObligationId>,
}

impl<'a> Stages<'a> {
    /// Those of a fence and of the obligations that were read with it or after it.
    pub(crate) const fn new(
        fence: &'a mut Fence,
        obligations: &'a mut BTreeMap<ObligationId, StoredObligation>,
    ) -> Self {
        Self { fence, obligations, changed: BTreeSet::new() }
    }

    /// Whether an item's obligation stands at its very stage: no other message has brought it further, and it was not
    /// taken back.
    pub(crate) fn is_at(&self, item: &TouchItem) -> bool {
        self.of(item).is_some_and(|r| r.stage == item.stage && r.dpd == item.dpd)
    }

    /// Takes the stage of an item back, where its obligation still stands there and no other message carries it: to what
    /// was reached `before`, or to what others have reached since.
    pub(crate) fn take_back(
        &mut self,
        item: &TouchItem,
        before: &BTreeMap<ObligationId, Reached>,
        carriers: &Carriers<'_>,
    ) {
        if !self.is_at(item) || carriers.carry(item) {
            return;
        }
        let before = before.get(&item.obligation).filter(|r| r.due_on == item.due_on).cloned();
        let rest = before.into_iter().chain(carriers.reached_below(item)).max_by_key(|r| r.dpd);
        self.set(item, rest);
    }

    /// Counts the stage of an item as reached, where its obligation has come less far.
    pub(crate) fn reach(&mut self, item: &TouchItem) {
        if self.of(item).is_none_or(|r| r.dpd < item.dpd) {
            self.set(item, Some(reached_by(item)));
        }
    }

    /// The writes of the obligations that were changed; the fence is the caller's to write.
    pub(crate) fn writes(self, tenant: &TenantId, customer: &CustomerId) -> Vec<Write> {
        let write = |id: &ObligationId| {
            let past = self.obligations.get(id)?.past_text();
            let key = key::obligation(tenant, customer, id);
            let (text, names) = ("attribute_exists(#x)", &["x", "pc"][..]);
            let (update, values) = match past {
                None => ("REMOVE #pc", Vec::new()),
                Some(past) => ("SET #pc = :pc", vec![(":pc", past.into())]),
            };
            Some(Write::Update { key, update, condition: Expression { text, names, values } })
        };
        self.changed.iter().filter_map(write).collect()
    }

    fn of(&self, item: &TouchItem) -> Option<&Reached> {
        let past = || self.obligations.get(&item.obligation)?.past.iter().find(|p| p.due_on == item.due_on);
        self.fence.reached(&item.obligation, item.due_on).or_else(past)
    }

    fn set(&mut self, item: &TouchItem, stage: Option<Reached>) {
        let id = &item.obligation;
        let Some(obligation) = self.obligations.get_mut(id) else {
            // Nothing is known of it, so the fence is the only place where it can stand.
            if self.fence.reached(id, item.due_on).is_some() {
                self.set_in_fence(id, stage);
            }
            return;
        };
        if obligation.current_cycle() == Some(item.due_on) {
            self.set_in_fence(id, stage);
        } else if obligation.snapshot.is_some() {
            obligation.set_past(item.due_on, stage);
            self.changed.insert(id.clone());
        }
    }

    fn set_in_fence(&mut self, id: &ObligationId, stage: Option<Reached>) {
        match stage {
            Some(stage) => self.fence.reached.insert(id.clone(), stage),
            None => self.fence.reached.remove(id),
        };
    }
}

fn reached_by(item: &TouchItem) -> Reached {
    Reached { due_on: item.due_on, stage: item.stage.clone(), dpd: item.dpd }
}

/// The messages of a customer that went out or may have, but for one.
pub(crate) struct Carriers<'a>(Vec<&'a TouchRecord>);

impl<'a> Carriers<'a> {
    /// Those of `touches` besides `ours`, by a fence.
    pub(crate) fn besides(ours: &TouchKey, touches: &'a [TouchRecord], fence: &Fence) -> Self {
        let carries = |touch: &TouchRecord| match touch.state {
            TouchState::Claimed
            | TouchState::Unknown
            | TouchState::Sent
            | TouchState::Delivered
            | TouchState::Complained => true,
            // What came back for now may have been read all the same: its stage stays, unless it was taken back. What came
            // back for good never was.
            TouchState::Bounced => {
                let is_it =
                    |a: &FailedAttempt| Some(a.at) == touch.claimed_at && a.channel == touch.touch.channel;
                !touch.history.has(Report::HardBounced) && !fence.failed.iter().any(is_it)
            }
            TouchState::Planned | TouchState::Failed | TouchState::Prevented | TouchState::Superseded => {
                false
            }
        };
        Self(touches.iter().filter(|t| carries(t) && TouchKey::of(&t.touch) != *ours).collect())
    }

    /// The messages that carry one of these items.
    pub(crate) fn of(&self, items: &[TouchItem]) -> BTreeSet<TouchId> {
        let carries = |t: &&&TouchRecord| t.touch.items.iter().any(|item| items.contains(item));
        self.0.iter().filter(carries).map(|t| t.touch.id.clone()).collect()
    }

    fn carry(&self, item: &TouchItem) -> bool {
        self.0.iter().any(|t| t.touch.items.contains(item))
    }

    /// The stages of the same cycle below that of an item.
    fn reached_below(&self, item: &TouchItem) -> impl Iterator<Item = Reached> {
        let is_below = |other: &&TouchItem| {
            other.obligation == item.obligation && other.due_on == item.due_on && other.dpd < item.dpd
        };
        self.0.iter().flat_map(|t| &t.touch.items).filter(is_below).map(reached_by)
    }
}
