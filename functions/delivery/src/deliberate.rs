//! Mistakes of a sender that are made on purpose, to prove that the simulator would see them. Only tests compile this.

use std::collections::BTreeSet;

use channels::Outcome;
use domain::channel::Channel;
use store::{CustomerFacts, DeliberateFault, Store};

/// Forgets every fact that could have come after the plan.
pub(crate) fn forget_facts(store: &Store, facts: &mut CustomerFacts, suppressed: &mut BTreeSet<Channel>) {
    if !store.is_broken_by(DeliberateFault::NoFactsRecheck) {
        return;
    }
    suppressed.clear();
    facts.customer.consents.retain(|consent| consent.granted);
    for obligation in &mut facts.obligations {
        obligation.holds.clear();
        obligation.closed_on = None;
        obligation.paid_minor = 0;
    }
}

/// Takes what is not known for what was not sent.
pub(crate) fn retry_on_timeout(store: &Store, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Unknown { reason } if store.is_broken_by(DeliberateFault::RetryOnTimeout) => {
            Outcome::NotSent { reason, retry: true }
        }
        outcome @ (Outcome::Accepted { .. }
        | Outcome::NotSent { .. }
        | Outcome::Throttled { .. }
        | Outcome::Blocked { .. }
        | Outcome::Unknown { .. }) => outcome,
    }
}
