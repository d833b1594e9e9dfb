//! Faults that are put in on purpose, to prove that the simulator would see them. Only tests compile this.
//!
//! Invariant: a store without such a fault behaves as if this module were not there.

use domain::delivery::{Folded, Ignored, Step, Transition};

use crate::Store;
use crate::backend::Write;

/// A mistake that the pipeline must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliberateFault {
    /// A claim is written whatever is stored.
    ClaimWithoutCondition,
    /// A touch is settled as sent before the provider is called.
    SettleBeforeSend,
    /// A sender does not look whether a payment, a hold or an opt-out came after the plan.
    NoFactsRecheck,
    /// A claim does not look whether the fence has moved since the decision.
    StaleFence,
    /// A call without an answer is taken for one that was not sent.
    RetryOnTimeout,
    /// A late event of the provider moves a touch backwards.
    RankCheckRemoved,
    /// A sweep does not wait until the sender of a claim must be gone.
    SweepWithoutLease,
    /// A sender calls its provider without the mark on its claim.
    MarkSkipped,
    /// A word that a message did not go out stands, whatever the provider says.
    WordStands,
    /// An erasure does not look whether a claim is in flight.
    ErasureInFlight,
    /// The stage of a message that did not arrive counts as told.
    NoFallBack,
    /// A claim is taken back as if nothing had happened since it was made.
    StagesOverlooked,
}

impl Store {
    /// The same store with a mistake.
    #[must_use]
    pub fn broken_by(&self, fault: DeliberateFault) -> Self {
        Self { deliberate: Some(fault), ..self.clone() }
    }

    /// Whether this store has the mistake.
    #[must_use]
    pub fn is_broken_by(&self, fault: DeliberateFault) -> bool {
        self.deliberate == Some(fault)
    }

    /// What a report does to a touch where nobody asks whether more is known already.
    pub(crate) fn without_ranks(&self, folded: Folded, transition: Transition) -> Folded {
        if folded.went_out && self.is_broken_by(DeliberateFault::WordStands) {
            return Folded { step: Step::Ignored(Ignored::Behind), went_out: false, ..folded };
        }
        match folded.step {
            Step::Ignored(_) if self.is_broken_by(DeliberateFault::RankCheckRemoved) => {
                Folded { step: Step::Made(transition.report.state()), is_news: true, ..folded }
            }
            Step::Ignored(_) | Step::Made(_) | Step::Already | Step::Refused(_) => folded,
        }
    }

    /// The writes of a claim, without the conditions that the mistake forgets.
    pub(crate) fn forgetful(&self, writes: &mut [Write]) {
        for (position, write) in writes.iter_mut().enumerate() {
            let forgotten = self.is_broken_by(DeliberateFault::ClaimWithoutCondition)
                || self.is_broken_by(DeliberateFault::StaleFence) && position == FENCE_POSITION;
            if let (Write::Put { condition, .. }, true) = (write, forgotten) {
                *condition = None;
            }
        }
    }
}

/// Where the fence stands among the writes of a claim.
const FENCE_POSITION: usize = 1;
