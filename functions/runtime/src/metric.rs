//! Metrics: what the functions did, as counts and durations. On Lambda they go to the log in CloudWatch's embedded
//! metric format; elsewhere nothing records them.
//!
//! Invariant: a metric carries no id of a tenant, a customer or a touch: its labels come from closed lists. No decision
//! reads a metric or the time that one measures.

use std::time::Instant;

use store::Usage;

/// What is counted. The names are those of the alarms and the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Count {
    /// Daily scans that were started.
    ScansStarted,
    /// Parts of a scan that were planned.
    ShardsPlanned,
    /// Open obligations that a scan looked at.
    Scanned,
    /// Touches that were handed to their channel.
    Planned,
    /// Touches that were put off to a later moment.
    Deferred,
    /// Obligations for which nothing is sent.
    Skipped,
    /// Customers who could not be planned.
    Unplanned,
    /// Messages that a provider accepted.
    Sent,
    /// Touches that the facts of the moment stopped.
    Prevented,
    /// Touches that surely did not go out and are tried again.
    Released,
    /// Touches that surely did not go out and will not.
    Failed,
    /// Touches that may have gone out.
    Unknown,
    /// Claims that their sender left, and of which nobody knows whether the message went out.
    ClaimsAbandoned,
    /// Reports of providers.
    Reports,
    /// Rows of files that were imported.
    RowsImported,
    /// Rows of files that were refused.
    RowsRefused,
}

impl Count {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::ScansStarted,
        Self::ShardsPlanned,
        Self::Scanned,
        Self::Planned,
        Self::Deferred,
        Self::Skipped,
        Self::Unplanned,
        Self::Sent,
        Self::Prevented,
        Self::Released,
        Self::Failed,
        Self::Unknown,
        Self::ClaimsAbandoned,
        Self::Reports,
        Self::RowsImported,
        Self::RowsRefused,
    ];

    /// The name in CloudWatch.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScansStarted => "ScansStarted",
            Self::ShardsPlanned => "ShardsPlanned",
            Self::Scanned => "Scanned",
            Self::Planned => "Planned",
            Self::Deferred => "Deferred",
            Self::Skipped => "Skipped",
            Self::Unplanned => "Unplanned",
            Self::Sent => "Sent",
            Self::Prevented => "Prevented",
            Self::Released => "Released",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
            Self::ClaimsAbandoned => "ClaimsAbandoned",
            Self::Reports => "Reports",
            Self::RowsImported => "RowsImported",
            Self::RowsRefused => "RowsRefused",
        }
    }
}

/// A step of the work whose duration is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Starting a scan.
    Scan,
    /// Dispatching what waits.
    Wave,
    /// Looking for claims that were left.
    Sweep,
    /// Planning a part of a scan.
    Plan,
    /// Delivering a touch, from its job to its settlement; waiting for its turn is part of it.
    Deliver,
    /// Claiming a touch.
    Claim,
    /// The call of the provider.
    Call,
    /// Writing down what came of the call.
    Settle,
    /// Recording a provider's reports.
    Report,
    /// Importing a file.
    Import,
}

impl Step {
    /// The value of the label `Step`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Wave => "wave",
            Self::Sweep => "sweep",
            Self::Plan => "plan",
            Self::Deliver => "deliver",
            Self::Claim => "claim",
            Self::Call => "call",
            Self::Settle => "settle",
            Self::Report => "report",
            Self::Import => "import",
        }
    }
}

/// The duration of a step, in milliseconds, with the label `Step`.
pub const LATENCY: &str = "Latency";
/// Read units of DynamoDB that a call consumed.
pub const READ_UNITS: &str = "ReadUnits";
/// Write units of DynamoDB that a call consumed.
pub const WRITE_UNITS: &str = "WriteUnits";

/// Counts something.
pub fn count(what: Count, number: impl TryInto<u64>) {
    let number = number.try_into().unwrap_or(u64::MAX);
    if number > 0 {
        metrics::counter!(what.name()).increment(number);
    }
}

/// Counts one, and once more under its reason: a code of a closed list.
pub fn count_for(what: Count, reason: &str) {
    count(what, 1);
    metrics::counter!(what.name(), "Reason" => reason.to_owned()).increment(1);
}

/// Measures how long a step takes, from here to the end of the value that it gives, however the step ends.
///
/// It stands beside the work and not around it: a wrapped future would be stored twice, and these are deep.
#[must_use = "the step ends with the value"]
pub fn timer(step: Step) -> Timer {
    Timer { step, started: stopwatch() }
}

/// A step that is being done.
#[derive(Debug)]
pub struct Timer {
    step: Step,
    started: Instant,
}

impl Drop for Timer {
    fn drop(&mut self) {
        let took_ms = self.started.elapsed().as_secs_f64() * 1e3;
        metrics::histogram!(LATENCY, "Step" => self.step.name()).record(took_ms);
    }
}

/// Adds what a call of a function consumed of DynamoDB.
pub fn consumed(usage: Usage) {
    if usage.requests > 0 {
        metrics::histogram!(READ_UNITS).record(usage.read_units);
        metrics::histogram!(WRITE_UNITS).record(usage.write_units);
    }
}

#[expect(clippy::disallowed_methods, reason = "a duration for the metrics; no decision reads it")]
fn stopwatch() -> Instant {
    Instant::now()
}

/// Where metrics go on Lambda: the function's log, a line for each set of labels after each call.
#[cfg(feature = "aws")]
pub(crate) mod log {
    use metrics::Unit;
    use metrics_cloudwatch_embedded::{Builder, Collector};

    use super::{LATENCY, READ_UNITS, WRITE_UNITS};

    /// Records from now on what is counted, for the whole process. `timestamp_ms` is for tests.
    pub(crate) fn record(
        namespace: String,
        function: String,
        timestamp_ms: Option<u64>,
    ) -> anyhow::Result<&'static Collector> {
        let builder = Builder::new().cloudwatch_namespace(namespace).with_dimension("FunctionName", function);
        let builder = match timestamp_ms {
            Some(timestamp_ms) => builder.with_timestamp(timestamp_ms),
            None => builder,
        };
        let collector = builder.init().map_err(|e| anyhow::anyhow!("metrics cannot be recorded: {e}"))?;
        metrics::describe_histogram!(LATENCY, Unit::Milliseconds, "how long a step took");
        metrics::describe_histogram!(READ_UNITS, Unit::Count, "read units of a call");
        metrics::describe_histogram!(WRITE_UNITS, Unit::Count, "write units of a call");
        Ok(collector)
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::metric::{Count, count, count_for};

        #[test]
        fn a_line_names_the_function_and_its_metrics_and_says_each_count_once() {
            let collector = record("Puntual/test".to_owned(), "test-send-email".to_owned(), Some(7)).unwrap();
            let lines = || {
                let mut written = Vec::new();
                collector.flush(&mut written).unwrap();
                let text = String::from_utf8(written).unwrap();
                text.lines().map(|l| serde_json::from_str(l).unwrap()).collect::<Vec<serde_json::Value>>()
            };
            count(Count::Sent, 2);
            count(Count::Failed, 0);
            count_for(Count::Prevented, "opted_out");
            metrics::histogram!(LATENCY, "Step" => "call").record(12.5);
            let written = lines();
            let directive = |metrics: serde_json::Value, dimensions: serde_json::Value| {
                serde_json::json!({
                    "Timestamp": 7,
                    "CloudWatchMetrics": [
                        { "Namespace": "Puntual/test", "Dimensions": [dimensions], "Metrics": metrics }
                    ],
                })
            };
            let name = |name: &str| serde_json::json!([{ "Name": name }]);
            let expected = serde_json::json!([
                {
                    "_aws": directive(serde_json::json!([{"Name": "Prevented"}, {"Name": "Sent"}]), serde_json::json!(["FunctionName"])),
                    "FunctionName": "test-send-email", "Prevented": 1, "Sent": 2,
                },
                {
                    "_aws": directive(name("Prevented"), serde_json::json!(["FunctionName", "Reason"])),
                    "FunctionName": "test-send-email", "Reason": "opted_out", "Prevented": 1,
                },
                {
                    "_aws": directive(
                        serde_json::json!([{ "Name": "Latency", "Unit": "Milliseconds" }]),
                        serde_json::json!(["FunctionName", "Step"]),
                    ),
                    "FunctionName": "test-send-email", "Step": "call", "Latency": [12.5],
                },
            ]);
            assert_eq!(serde_json::Value::Array(written), expected);
            assert_eq!(lines(), Vec::<serde_json::Value>::new(), "what was told is not told again");
        }
    }
}
