//! What the planning of a shard tells the metrics.

use domain::verdict::{Decision, Verdict};
use runtime::metric::{Count, count, count_for};

use crate::Planned;

/// Counts a shard that was planned.
pub(crate) fn planned(planned: &Planned) {
    count(Count::ShardsPlanned, 1);
    count(Count::Scanned, planned.obligations);
    count(Count::Planned, planned.touches);
    count(Count::Deferred, planned.waiting);
    count(Count::Unplanned, planned.failed.len());
}

/// Counts what is not sent, by the first of its reasons. Days without a stage are no news.
pub(crate) fn skipped(verdicts: &[Verdict]) {
    let skipped = verdicts.iter().filter(|v| v.stage.is_some() && v.decision == Decision::Skip);
    for code in skipped.filter_map(Verdict::code) {
        count_for(Count::Skipped, code.as_str());
    }
}
