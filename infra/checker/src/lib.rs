//! The product's own check of a replay: were the messages lawful, sent once, and is every decision there?
//!
//! Invariant: nothing here comes from the planner or from any other crate of the workspace. Facts, policy, profile
//! and holidays are read again from their raw files by code that prefers the slow and obvious way, so that a
//! mistake of the planner cannot hide in what both share.

mod contact;
mod decision;
mod history;
mod hours;
mod ladder;
mod law;
mod line;
mod message;
mod profile;
mod report;
#[cfg(test)]
mod tests;
mod zones;

use std::collections::BTreeMap;
use std::io::BufRead;

use chrono::NaiveDate;
use chrono_tz::Tz;

pub use history::ObligationHistory;
pub use hours::ContactHours;
pub use law::Countries;
pub use line::{LINE_BYTES_MAX, LINES_MAX};
pub use profile::OpenQuestions;
pub use report::{Checked, LogFile, Report, Rule, VIOLATIONS_KEPT_PER_RULE_MAX, Violation};
pub use zones::only_zone_of;

use history::Histories;
use ladder::Ladder;
use law::{Law, Laws};
use report::Findings;

/// The most days of a replay: a century.
pub const DAYS_MAX: i64 = 36_600;

/// What is checked, and by what.
#[derive(Debug, Clone)]
pub struct Inputs<'a, M, D> {
    /// What the imported file says about every obligation, over time.
    pub history: &'a [ObligationHistory],
    /// The customers who have a time zone of their own; all others live in that of their country where it has one clock,
    /// else in that of their profile.
    pub time_zones: &'a BTreeMap<String, Tz>,
    /// The text of the policy file.
    pub policy: &'a str,
    /// The text of the lender's profile, in full: a profile that extends another is refused.
    pub profile: &'a str,
    /// The text of the holiday table (`date,name`); not read where the profile says `holidays = "none"`, nor where it
    /// is of no country and the customer's has a table.
    pub holidays: &'a str,
    /// Where customers of other countries live, and the law there.
    pub countries: &'a Countries,
    /// Which answers open legal questions have.
    pub open_questions: OpenQuestions,
    /// The lines of `messages.jsonl`.
    pub messages: M,
    /// The lines of `decisions.jsonl`.
    pub decisions: D,
    /// The first local day of the replay.
    pub from: NaiveDate,
    /// The last local day of the replay.
    pub to: NaiveDate,
}

/// Inputs that nothing can be checked by. What is wrong with a line of the replay is a [`Violation`] instead.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The last day lies before the first, or too far after it.
    #[error("the replay goes from {from} to {to}; expected at least one day and at most {DAYS_MAX}")]
    Period {
        /// The first day.
        from: NaiveDate,
        /// The last day.
        to: NaiveDate,
    },
    /// Two histories of one obligation contradict each other.
    #[error("obligation {obligation:?} of customer {customer:?} is twice in the history; expected once")]
    ObligationTwice {
        /// The customer.
        customer: String,
        /// The obligation.
        obligation: String,
    },
    /// The policy file is not TOML or lacks a key.
    #[error("the policy cannot be read: {0}")]
    Policy(String),
    /// The profile is not TOML, lacks a key, or asks for something that is not checked.
    #[error("the profile cannot be read: {0}")]
    Profile(String),
    /// The holiday table is not a table of dates.
    #[error("the holiday table cannot be read: {0}")]
    Holidays(String),
    /// A file could not be read to its end.
    #[error("{file} line {line} cannot be read: {source}")]
    Read {
        /// The file.
        file: LogFile,
        /// The line, counted from 1.
        line: usize,
        /// What the reader said.
        source: std::io::Error,
    },
    /// A line is longer than any message.
    #[error("{file} line {line} is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong {
        /// The file.
        file: LogFile,
        /// The line, counted from 1.
        line: usize,
    },
    /// A file has more lines than can be checked in memory.
    #[error("{file} has more than {LINES_MAX} lines")]
    TooManyLines {
        /// The file.
        file: LogFile,
    },
}

/// What the rules are checked against.
struct Ground<'a> {
    histories: Histories<'a>,
    time_zones: &'a BTreeMap<String, Tz>,
    ladder: Ladder,
    laws: Laws<'a>,
    from: NaiveDate,
    to: NaiveDate,
}

impl Ground<'_> {
    /// The zone in which a customer's hours are judged; `None` where nobody knows by which clock it lives. Who has no country
    /// is taken to live in the lender's.
    fn zone_of(&self, customer: &str) -> Option<Tz> {
        if let Some(own) = self.time_zones.get(customer) {
            return Some(*own);
        }
        let own_country = self.laws.country_of(customer);
        let by_country = own_country.and_then(only_zone_of);
        let by_profile = self.law_of(customer).profile.time_zone;
        let lender_lives_there = own_country.is_none_or(|country| country == self.laws.home_country());
        let by_lender = || only_zone_of(self.laws.home_country()).filter(|_| lender_lives_there);
        by_country.or(by_profile).or_else(by_lender)
    }

    /// The zone in which a customer's days are written down.
    fn day_zone_of(&self, customer: &str) -> Tz {
        self.zone_of(customer).unwrap_or(Tz::Etc__UTC)
    }

    fn law_of(&self, customer: &str) -> &Law {
        self.laws.of(customer)
    }

    fn covers(&self, on: NaiveDate) -> bool {
        self.from <= on && on <= self.to
    }
}

/// Checks a replay.
///
/// Stages with conditions (`stages.when`) are the one thing that is not derived again, because the history does not
/// say for whom they are: such a stage may be sent, and may be passed over for a lower one.
///
/// # Errors
/// [`InputError`] when the policy, the profile, the holidays, the history or the period cannot be used, or a file
/// cannot be read to its end.
pub fn check<M: BufRead, D: BufRead>(inputs: Inputs<'_, M, D>) -> Result<Report, InputError> {
    let Inputs { from, to, .. } = inputs;
    if to < from || (to - from).num_days() >= DAYS_MAX {
        return Err(InputError::Period { from, to });
    }
    let laws = Laws::read(&inputs)?;
    let ground = Ground {
        histories: Histories::new(inputs.history)?,
        time_zones: inputs.time_zones,
        ladder: Ladder::parse(inputs.policy)?,
        laws,
        from,
        to,
    };
    let mut findings = Findings::default();
    let (messages, message_lines) = line::read_messages(inputs.messages, &mut findings)?;
    let (decisions, decision_lines) = line::read_decisions(inputs.decisions, &mut findings)?;
    let sent = message::check_messages(&ground, &messages, &mut findings);
    contact::check_contacts(&ground, &sent, &mut findings);
    let stages_due = decision::check_decisions(&ground, &decisions, &sent, &mut findings);
    let checked = Checked {
        messages: message_lines,
        decisions: decision_lines,
        obligations: inputs.history.len(),
        stages_due,
    };
    Ok(findings.into_report(checked))
}
