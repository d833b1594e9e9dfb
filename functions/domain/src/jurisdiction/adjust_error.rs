//! What can be wrong with a tenant's own contact rules, and where.

use chrono::NaiveDate;

use super::error::{BuiltInError, Problem};
use super::grounds::{Basis, Grounds};
use crate::channel::{Channel, Purpose};
use crate::locale::Country;

/// Contact rules that cannot be used: what is wrong, under which key of the tenant's settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct AdjustError {
    /// The dotted key, such as `contact_rules.CO.tighten[0].hours.mon[0]`.
    pub place: String,
    /// What is wrong.
    pub problem: Box<AdjustProblem>,
}

/// The most mistakes that are told at once; the rest are only counted.
const MISTAKES_TOLD_MAX: usize = 50;

/// Everything that is wrong with a tenant's contact rules, in the order in which it was found; at least one mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", told(.0))]
pub struct AdjustErrors(Vec<AdjustError>);

impl AdjustErrors {
    /// The mistakes, each with its place.
    #[must_use]
    pub fn mistakes(&self) -> &[AdjustError] {
        &self.0
    }
}

fn told(mistakes: &[AdjustError]) -> String {
    let lines: Vec<String> = mistakes.iter().take(MISTAKES_TOLD_MAX).map(ToString::to_string).collect();
    match (&*lines, mistakes.len().saturating_sub(MISTAKES_TOLD_MAX)) {
        ([one], _) => one.clone(),
        (lines, 0) => format!("{} mistakes:\n  {}", lines.len(), lines.join("\n  ")),
        (lines, more) => format!("{} mistakes:\n  {}\n  and {more} more", mistakes.len(), lines.join("\n  ")),
    }
}

/// The mistakes that were found so far. A place is told once, for the first purpose and channel that it is wrong for.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<AdjustError>);

impl Mistakes {
    pub(super) fn add(&mut self, mistake: AdjustError) {
        if !self.0.iter().any(|known| known.place == mistake.place) {
            self.0.push(mistake);
        }
    }

    pub(super) fn add_all(&mut self, mistakes: AdjustErrors) {
        mistakes.0.into_iter().for_each(|mistake| self.add(mistake));
    }

    /// The value of a step that went well; the mistake of another is kept.
    pub(super) fn take<T>(&mut self, step: Result<T, AdjustError>) -> Option<T> {
        step.map_err(|mistake| self.add(mistake)).ok()
    }

    pub(super) fn refuse_any(&self) -> Result<(), AdjustErrors> {
        if self.0.is_empty() { Ok(()) } else { Err(AdjustErrors(self.0.clone())) }
    }
}

/// What is wrong at a place of a tenant's contact rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdjustProblem {
    /// A profile that does not exist.
    #[error(transparent)]
    Jurisdiction(#[from] BuiltInError),
    /// What would be wrong in a profile, too.
    #[error(transparent)]
    Written(#[from] Problem),
    /// A question or an answer that the profile does not have.
    #[error("unknown {what} {found:?}; expected {expected}")]
    Unknown {
        /// A question, or an answer.
        what: &'static str,
        /// What was named.
        found: String,
        /// What could be named.
        expected: String,
    },
    /// An answer that allows more, without the record of who allowed it.
    #[error(
        "this answer allows more than the strict one; expected reason, approved_by and approved_on beside it"
    )]
    NoRecord,
    /// An approval of a day that has not come.
    #[error("{on} lies after today, {today}; expected the day on which it was approved")]
    NotYet {
        /// The day of the approval.
        on: NaiveDate,
        /// The tenant's own today.
        today: NaiveDate,
    },
    /// A text that says nothing, or too much.
    #[error("has {found} characters; expected 1 to {max}")]
    Length {
        /// How many it has.
        found: usize,
        /// The most.
        max: usize,
    },
    /// Neither hours nor a cap, or both.
    #[error("changes nothing, or two things at once; expected either hours or cap")]
    NotOneChange,
    /// The same closed day twice.
    #[error("the day stands in the list twice; expected each once")]
    Twice,
    /// A closed day that the holiday table does not hold.
    #[error("the day is outside the holiday table; expected a year that it holds")]
    OutsideTable,
    /// A country whose holidays nobody named.
    #[error(
        "no table of holidays of {0} lies in the product, and no day is closed here; expected its public holidays, \
         year by year"
    )]
    NoHolidays(Country),
    /// Nothing to adjust.
    #[error(
        "the profile has no rule for {purpose} by {channel}, so it is refused already; expected one that it allows"
    )]
    NoRule {
        /// The purpose.
        purpose: Purpose,
        /// The channel, or `any channel`.
        channel: &'static str,
    },
    /// Hours to loosen where there are none.
    #[error("{purpose} by {channel} has no hours that could be loosened: the profile exempts it")]
    Exempt {
        /// The purpose.
        purpose: Purpose,
        /// The channel.
        channel: Channel,
    },
    /// A tightening that would allow more.
    #[error(
        "is wider than the hours of {purpose} by {channel}, which {article} closes; tighten may only narrow"
    )]
    Wider {
        /// The purpose.
        purpose: Purpose,
        /// The channel.
        channel: Channel,
        /// What stands against it.
        article: String,
    },
    /// A loosening that would allow less.
    #[error("does not hold all of the hours that {purpose} by {channel} has; loosen may only widen")]
    Narrower {
        /// The purpose.
        purpose: Purpose,
        /// The channel.
        channel: Channel,
    },
    /// A loosening of what is not the profile's own choice.
    #[error(
        "the {what} of {purpose} by {channel} cannot be loosened: {article} forbids it; only what rests on policy can be"
    )]
    NotPolicy {
        /// Hours, or cap.
        what: &'static str,
        /// The purpose.
        purpose: Purpose,
        /// The channel.
        channel: Channel,
        /// What forbids it.
        article: String,
    },
    /// A loosening of a cap that the profile does not have.
    #[error("{purpose} by {channel} has no cap of this kind, period and channels to loosen")]
    NoSuchCap {
        /// The purpose.
        purpose: Purpose,
        /// The channel.
        channel: Channel,
    },
    /// A tightened cap that does not allow less.
    #[error(
        "does not allow less than the cap of {purpose} by {channel} in {article}; expected a stricter number"
    )]
    NotStricter {
        /// The purpose.
        purpose: Purpose,
        /// The channel.
        channel: Channel,
        /// Where the cap stands.
        article: String,
    },
    /// A loosened cap that does not allow more.
    #[error("does not allow more than the cap of {purpose} by {channel}; expected a looser number")]
    NotLooser {
        /// The purpose.
        purpose: Purpose,
        /// The channel.
        channel: Channel,
    },
}

/// An article and what it rests on, as a person says it.
pub(crate) fn article(grounds: &Grounds) -> String {
    match (&grounds.cite, grounds.basis) {
        (Some(cite), basis) => format!("{cite} ({})", basis.as_str()),
        (None, Basis::Law) => "the law, as the profile has it,".to_owned(),
        (None, Basis::Guidance) => "the guidance that the profile follows".to_owned(),
        (None, Basis::Policy) => "the profile's own policy".to_owned(),
    }
}
