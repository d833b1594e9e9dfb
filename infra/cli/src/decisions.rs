//! Decisions of a day: one line for each obligation, whichever steps of the work decided about it.

use std::collections::BTreeMap;

use runtime::decision_log::DecisionLine;

/// The lines of a day in a stable order, each obligation once. A later step of the work counts more: what a claim
/// carried out beats what a plan said.
pub(crate) fn day_lines(lines: Vec<DecisionLine>) -> Vec<DecisionLine> {
    let mut by_obligation: BTreeMap<_, DecisionLine> = BTreeMap::new();
    for line in lines {
        let key = (line.on, line.customer.clone(), line.obligation.clone());
        match by_obligation.get_mut(&key) {
            Some(earlier) if line.outweighs(earlier) => *earlier = line,
            Some(_) => {}
            None => {
                by_obligation.insert(key, line);
            }
        }
    }
    by_obligation.into_values().collect()
}
