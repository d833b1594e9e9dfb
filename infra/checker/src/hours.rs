//! Contact hours: whether a profile and its holidays allow a local moment, whatever was sent before.
//!
//! Invariant: what no rule allows, and a year that the holiday table does not know, is objected to.

use chrono::{Datelike, NaiveDateTime};

use crate::InputError;
use crate::profile::{ContactRule, HolidayTable, OpenQuestions, Profile};
use crate::report::Rule;

/// The hours of a profile, read from its raw text.
pub struct ContactHours {
    profile: Profile,
    holidays: HolidayTable,
}

impl ContactHours {
    /// Reads a profile, in full, and its holiday table (`date,name`), which is not read where the profile has none. Open
    /// questions have the answers that stand beside them under `answers`, else what the profile says.
    ///
    /// # Errors
    /// [`InputError`] where either cannot be read.
    pub fn parse(profile: &str, holidays: &str) -> Result<Self, InputError> {
        let profile = Profile::parse(profile, OpenQuestions::AsWritten)?;
        let holidays = if profile.has_holidays { HolidayTable::parse(holidays)? } else { HolidayTable::None };
        Ok(Self { profile, holidays })
    }

    /// The rule that a contact at a local moment would break; `None` where it is allowed.
    #[must_use]
    pub fn objection(&self, purpose: &str, channel: &str, local: NaiveDateTime) -> Option<Rule> {
        match self.profile.rule(purpose, channel) {
            None => Some(Rule::NoRule),
            Some(rule) if rule.exempt => None,
            Some(rule) => broken_hours(&self.profile, &self.holidays, (rule, purpose, channel), local),
        }
    }
}

/// The rule of hours that a local moment breaks for a purpose by a channel, which a rule of the profile speaks for.
pub(crate) fn broken_hours(
    profile: &Profile,
    holidays: &HolidayTable,
    (rule, purpose, channel): (&ContactRule, &str, &str),
    local: NaiveDateTime,
) -> Option<Rule> {
    let window = profile.window_of(rule, purpose, channel)?;
    let on = local.date();
    if !holidays.knows_year_of(on) {
        return Some(Rule::NoCalendar);
    }
    let is_holiday = holidays.is_holiday(on);
    let hours = if is_holiday { window.holiday() } else { window.weekday(on.weekday()) };
    if hours.hold(local) {
        return None;
    }
    Some(match (is_holiday, hours.are_closed()) {
        (true, true) => Rule::Holiday,
        (false, true) => Rule::ClosedDay,
        (_, false) => Rule::OutsideHours,
    })
}
