//! Reports: what a run did, counted from the files that it wrote.
//!
//! Invariant: the figures come from messages and verdicts, not from counters kept beside them, so that a report cannot
//! say anything else than the files do. Only what was stopped before it became either is counted where it happens.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use runtime::decision_log::DecisionLine;
use serde::{Deserialize, Serialize};
use store::Store;

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Customers that were imported so far.
    pub(crate) customers: u64,
    /// Obligations that were imported so far.
    pub(crate) obligations: u64,
    /// Days that were worked through.
    pub(crate) days: u64,
    /// Messages that were sent.
    pub(crate) messages: u64,
    /// Messages by the stage that spoke.
    pub(crate) by_stage: BTreeMap<String, u64>,
    /// Messages by channel.
    pub(crate) by_channel: BTreeMap<String, u64>,
    /// Messages by stage and channel.
    pub(crate) by_stage_and_channel: BTreeMap<String, BTreeMap<String, u64>>,
    /// Verdicts by decision: one for each obligation and day.
    pub(crate) verdicts: BTreeMap<String, u64>,
    /// Verdicts by decision and decisive reason.
    pub(crate) reasons: BTreeMap<String, BTreeMap<String, u64>>,
    /// Messages that were planned and that a fact stopped before they were sent, by the code of the reason.
    #[serde(default)]
    pub(crate) prevented: BTreeMap<String, u64>,
    /// What DynamoDB counts, by access pattern.
    pub(crate) capacity: BTreeMap<String, Units>,
}

/// What DynamoDB counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Units {
    pub(crate) read_units: f64,
    pub(crate) write_units: f64,
    pub(crate) requests: u64,
}

/// The keys of a message line that are counted.
#[derive(Debug, Deserialize)]
struct MessageLine {
    stage: String,
    channel: String,
}

impl Totals {
    /// Counts one line of `messages.jsonl`.
    pub(crate) fn add_message(&mut self, line: &str) -> serde_json::Result<()> {
        let MessageLine { stage, channel } = serde_json::from_str(line)?;
        self.messages += 1;
        *self.by_stage.entry(stage.clone()).or_default() += 1;
        *self.by_channel.entry(channel.clone()).or_default() += 1;
        *self.by_stage_and_channel.entry(stage).or_default().entry(channel).or_default() += 1;
        Ok(())
    }

    /// Counts one verdict.
    pub(crate) fn add_decision(&mut self, line: &DecisionLine) {
        let verdict = line.verdict.as_str().to_owned();
        *self.verdicts.entry(verdict.clone()).or_default() += 1;
        let code = line.reasons.first().map_or("none", |r| r.code.as_str());
        *self.reasons.entry(verdict).or_default().entry(code.to_owned()).or_default() += 1;
    }

    /// Adds messages that were stopped.
    pub(crate) fn add_prevented(&mut self, prevented: BTreeMap<String, u64>) {
        for (code, count) in prevented {
            *self.prevented.entry(code).or_default() += count;
        }
    }

    /// Adds what the store has used since the last call.
    pub(crate) fn take_capacity(&mut self, store: &Store) {
        for (name, used) in store.capacity().snapshot() {
            let units = self.capacity.entry(name.to_owned()).or_default();
            units.read_units += used.read_units;
            units.write_units += used.write_units;
            units.requests += used.requests;
        }
        store.capacity().reset();
    }

    fn verdicts_of(&self, decision: &str) -> u64 {
        self.verdicts.get(decision).copied().unwrap_or_default()
    }

    fn all_verdicts(&self) -> u64 {
        self.verdicts.values().sum()
    }

    /// Units per thousand obligations scanned, and per touch: the figures that the cost of running hangs on.
    pub(crate) fn unit_rates(&self) -> UnitRates {
        // A sum of nothing is minus zero, and zero added makes it zero.
        let of = |names: &[&str], pick: fn(&Units) -> f64| -> f64 {
            names.iter().filter_map(|n| self.capacity.get(*n)).map(pick).sum::<f64>() + 0.0
        };
        let scanned = self.all_verdicts().max(1) as f64 / 1_000.0;
        let messages = self.messages.max(1) as f64;
        let per = |units: f64, times: f64| if times > 0.0 { units / times } else { 0.0 };
        let closing = ["prevent", "supersede"];
        // To close a waiting touch takes three requests: it is read, written at its customer, and leaves its wave.
        let left = of(&["unwait"], |u| u.requests as f64) + of(&closing, |u| u.requests as f64) / 3.0;
        let entering = per(of(&["plan"], |u| u.write_units), of(&["plan"], |u| u.requests as f64));
        let leaving = per(of(&["unwait", closing[0], closing[1]], |u| u.write_units), left);
        UnitRates {
            scan_read_units_per_1000_obligations: of(&["scan"], |u| u.read_units) / scanned,
            facts_read_units_per_touch: of(&["facts", "suppressed"], |u| u.read_units) / messages,
            write_units_per_touch: of(&["claim", "mark", "settle", "release"], |u| u.write_units) / messages,
            write_units_per_wait: entering + leaving,
        }
    }
}

/// Capacity units as ratios.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct UnitRates {
    /// The two index queries of a scan.
    pub(crate) scan_read_units_per_1000_obligations: f64,
    /// Customer partitions and suppressions, for those who may be due.
    pub(crate) facts_read_units_per_touch: f64,
    /// From claim to sent.
    pub(crate) write_units_per_touch: f64,
    /// What it costs to enter a wave and to leave it, each on average where it happened.
    pub(crate) write_units_per_wait: f64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Read        {} customers, {} obligations", self.customers, self.obligations)?;
        let (all, sends) = (self.all_verdicts(), self.verdicts_of("send"));
        writeln!(
            f,
            "Decided     {all} verdicts: {sends} send, {} defer, {} skip",
            self.verdicts_of("defer"),
            self.verdicts_of("skip")
        )?;
        writeln!(f, "Sent        {} messages for {sends} stages", self.messages)?;
        let mut table = String::new();
        let mut stages: Vec<_> = self.by_stage_and_channel.iter().collect();
        // Names such as d-3, d0 and d15 read best in the order of their days.
        let days =
            |stage: &str| stage.trim_start_matches(char::is_alphabetic).parse::<i64>().unwrap_or(i64::MAX);
        stages.sort_by_key(|(stage, _)| days(stage));
        for (stage, channels) in stages {
            let channels: Vec<String> = channels.iter().map(|(c, n)| format!("{c} {n}")).collect();
            writeln!(table, "  {stage:<10} {}", channels.join(", "))?;
        }
        f.write_str(&table)?;
        for (decision, title) in [("defer", "Deferred"), ("skip", "Skipped")] {
            let reasons = self.reasons.get(decision);
            writeln!(f, "{title:<11} {}", self.verdicts_of(decision))?;
            for (code, count) in reasons.into_iter().flatten() {
                writeln!(f, "  {code:<18} {count}")?;
            }
        }
        writeln!(f, "Prevented   {}", self.prevented.values().sum::<u64>())?;
        for (code, count) in &self.prevented {
            writeln!(f, "  {code:<18} {count}")?;
        }
        let rates = self.unit_rates();
        writeln!(
            f,
            "Capacity    {:.1} read units per 1,000 obligations scanned; {:.1} write units per touch, {:.1} for each that waits",
            rates.scan_read_units_per_1000_obligations,
            rates.write_units_per_touch,
            rates.write_units_per_wait
        )
    }
}
