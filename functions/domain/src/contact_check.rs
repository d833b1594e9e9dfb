//! The contact check: whether a contact may be made at a moment, on which grounds, and when it may next.
//!
//! Invariant: what no rule allows is refused, and so is a day that the calendar does not know. The moment given by
//! [`Jurisdiction::next_allowed_at`] passes [`Jurisdiction::check`] with the contacts made before the asked moment.

mod open_until;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::{
    DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone,
    Timelike, Utc, Weekday,
};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::calendar::Day;
use crate::caps::{CapMoment, Lift};
use crate::channel::{Channel, Purpose};
use crate::choice::{AgreedHours, DayName};
use crate::contact::Contact;
use crate::jurisdiction::{
    Adjustment, Basis, Confidence, Grounds, Interval, Jurisdiction, Rule, RuleCap, Window,
};

/// How far ahead a lawful moment is looked for, in days.
pub const NEXT_ALLOWED_DAYS_MAX: i64 = 400;

/// The most moments that are tried: each day has a start, its intervals' starts, and at most one change of the clocks.
const NEXT_ALLOWED_STEPS_MAX: usize = 10_000;

/// The years in which local dates are computed; moments outside them are refused, whatever the profile says.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=9000;

/// Why a contact is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// A Sunday, where Sundays are closed.
    Sunday,
    /// A public holiday, where those are closed.
    Holiday,
    /// A day that the tenant closed.
    ClosedDay,
    /// Outside the hours of the day; a closed Saturday too.
    OutsideHours,
    /// The holiday table does not hold the year.
    NoCalendar,
    /// No rule speaks for the purpose on the channel.
    NoRule,
    /// Enough contacts on the day.
    DailyCap,
    /// Enough contacts in the week, or too soon after a conversation.
    WeeklyCap,
    /// Too soon after the last contact.
    MinGap,
    /// Another channel was used in the week.
    ChannelWeek,
}

impl ReasonCode {
    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sunday => "sunday",
            Self::Holiday => "holiday",
            Self::ClosedDay => "closed_day",
            Self::OutsideHours => "outside_hours",
            Self::NoCalendar => "no_calendar",
            Self::NoRule => "no_rule",
            Self::DailyCap => "daily_cap",
            Self::WeeklyCap => "weekly_cap",
            Self::MinGap => "min_gap",
            Self::ChannelWeek => "channel_week",
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A contact that someone wants to make.
#[derive(Debug, Clone, Copy)]
pub struct ContactQuery<'a> {
    /// What for.
    pub purpose: Purpose,
    /// How.
    pub channel: Channel,
    /// When.
    pub at: DateTime<Utc>,
    /// The customer's time zone, in which hours, days and weeks are judged.
    pub time_zone: Tz,
    /// The contacts made with the customer that may count against the caps, in any order. Receipts and answers to the
    /// customer's own request are not among them. Only those strictly before `at` count.
    pub prior: &'a [Contact],
    /// The other hours that the customer asked for. They widen the window where the profile takes such a request, and
    /// never the caps.
    pub agreed_hours: Option<&'a AgreedHours>,
}

/// Why a contact is allowed: the rule that speaks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission<'a> {
    /// The rule's place in the profile, counted from zero.
    pub rule: u8,
    /// Whether the rule exempts from hours and caps.
    pub exempt: bool,
    /// The article.
    pub cite: Option<&'a str>,
    /// What the rule rests on.
    pub basis: Basis,
    /// How well it is known.
    pub confidence: Option<Confidence>,
}

/// Why a contact is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The reason.
    pub code: ReasonCode,
    /// The article; absent where the refusal is our own choice.
    pub cite: Option<&'a str>,
    /// What it rests on.
    pub basis: Basis,
    /// How well it is known.
    pub confidence: Option<Confidence>,
    /// The tenant's own rule that decided, where it was not the profile alone.
    pub adjustment: Option<&'a Adjustment>,
}

/// Whether a contact may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactAnswer<'a> {
    /// It may.
    Allowed(Permission<'a>),
    /// It may not.
    Refused(Refusal<'a>),
}

impl ContactAnswer<'_> {
    /// Whether the contact may be made.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// The reason of a refusal.
    #[must_use]
    pub const fn code(&self) -> Option<ReasonCode> {
        match self {
            Self::Allowed(_) => None,
            Self::Refused(refusal) => Some(refusal.code),
        }
    }

    /// The stable name of the reason; `ok` where it is allowed.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Allowed(_) => "ok",
            Self::Refused(refusal) => refusal.code.as_str(),
        }
    }
}

impl Jurisdiction {
    /// Whether a contact may be made at a moment, as far as hours, days and caps go. Gates are the caller's
    /// ([`Jurisdiction::requires`]).
    #[must_use]
    pub fn check(&self, query: &ContactQuery<'_>) -> ContactAnswer<'_> {
        let Some((index, rule)) = self.rule(query.purpose, query.channel) else {
            return ContactAnswer::Refused(refusal(ReasonCode::NoRule, None, None));
        };
        match self.obstacle(rule, query, query.at) {
            Some(obstacle) => {
                let adjustment = self.adjustment(obstacle.by);
                ContactAnswer::Refused(refusal(obstacle.code, obstacle.grounds, adjustment))
            }
            None => ContactAnswer::Allowed(Permission {
                rule: index,
                exempt: rule.window.is_none(),
                cite: rule.grounds.cite.as_deref(),
                basis: rule.grounds.basis,
                confidence: rule.grounds.confidence,
            }),
        }
    }

    /// The earliest moment at or after the asked one at which the contact may be made, if nothing else is sent
    /// meanwhile: contacts at or after the asked moment are not looked at. `None` where there is none within
    /// [`NEXT_ALLOWED_DAYS_MAX`] days.
    #[must_use]
    pub fn next_allowed_at(&self, query: &ContactQuery<'_>) -> Option<DateTime<Utc>> {
        let (_, rule) = self.rule(query.purpose, query.channel)?;
        let horizon_at = query.at.checked_add_signed(TimeDelta::days(NEXT_ALLOWED_DAYS_MAX))?;
        let mut at = query.at;
        for _ in 0..NEXT_ALLOWED_STEPS_MAX {
            let Some(obstacle) = self.obstacle(rule, query, at) else { return Some(at) };
            // Each step goes forward, so the search ends at the horizon.
            at = obstacle.resume(at, query.time_zone).filter(|next| *next > at && *next <= horizon_at)?;
        }
        None
    }

    /// What stands in the way of the contact at `at`, where only what was sent before the asked moment counts.
    fn obstacle<'a>(
        &'a self,
        rule: &'a Rule,
        query: &ContactQuery<'_>,
        at: DateTime<Utc>,
    ) -> Option<Obstacle<'a>> {
        // Exempt: neither the window nor the calendar is asked.
        let window = rule.window.as_ref()?;
        if !YEARS.contains(&at.year()) {
            return Some(Obstacle::own(ReasonCode::NoCalendar, None, Resume::Never));
        }
        let local = at.with_timezone(&query.time_zone).naive_local();
        let on = local.date();
        let asked = self.other_hours(query.agreed_hours, query.purpose).map(|hours| (hours, query.channel));
        if let Some((code, resume)) = self.closed(window, local, asked) {
            // A day that the table does not hold is nobody's rule.
            let known = code != ReasonCode::NoCalendar;
            let by = rule.window_by.filter(|_| known);
            return Some(Obstacle { code, grounds: known.then_some(&rule.grounds), by, resume });
        }
        if let Some(obstacle) = self.closed_by_tenant(rule, local) {
            return Some(obstacle);
        }
        let moment = CapMoment {
            prior: query.prior,
            before_at: query.at,
            at,
            on,
            time_zone: query.time_zone,
            channel: query.channel,
            week: self.week(),
            mode: self.counting().mode,
        };
        rule.caps.iter().find_map(|RuleCap { cap, by }| {
            let resume = match cap.refuses(&moment)? {
                Lift::On(on) => Resume::AtLocal(on.and_time(NaiveTime::MIN)),
                Lift::At(at) => Resume::At(at),
            };
            Some(Obstacle { code: cap.code, grounds: Some(&cap.grounds), by: *by, resume })
        })
    }

    /// What the tenant itself closes at a local moment at which the profile is open, also where a customer asked for other
    /// hours: a lender need not write whenever it may.
    fn closed_by_tenant<'a>(&self, rule: &Rule, local: NaiveDateTime) -> Option<Obstacle<'a>> {
        let on = local.date();
        if let Some(by) = self.closed_by(on) {
            let resume = Resume::AtLocal(next_edge(on, 0, std::iter::empty()));
            return Some(Obstacle::own(ReasonCode::ClosedDay, Some(by), resume));
        }
        rule.narrowed.iter().find_map(|(hours, by)| {
            let (code, resume) = self.closed(hours, local, None)?;
            Some(Obstacle::own(code, Some(*by), resume))
        })
    }

    /// Why the window is closed at a local moment, and when to look again; `None` where it is open, by itself or in the
    /// other hours that a customer asked for on a channel.
    fn closed(
        &self,
        window: &Window,
        local: NaiveDateTime,
        asked: Option<(&AgreedHours, Channel)>,
    ) -> Option<(ReasonCode, Resume)> {
        let on = local.date();
        let (is_holiday, today) = match self.day(on) {
            Day::Working => (false, window.weekday(on)),
            Day::Holiday(_) => (true, &*window.holiday),
            Day::OutsideTable => return Some((ReasonCode::NoCalendar, self.first_table_day_after(on))),
        };
        let second = local.num_seconds_from_midnight();
        let open = |i: &Interval| i.from_second <= second && second < i.to_second;
        if today.iter().any(open) {
            return None;
        }
        let day = DayName::of(on, is_holiday);
        let other: Vec<Interval> =
            asked.into_iter().flat_map(|(hours, channel)| hours.on(day, channel)).collect();
        if other.iter().any(open) {
            return None;
        }
        let code = match today {
            _ if !other.is_empty() => ReasonCode::OutsideHours,
            [] if on.weekday() == Weekday::Sun && window.weekday(on).is_empty() => ReasonCode::Sunday,
            [] if is_holiday => ReasonCode::Holiday,
            _ => ReasonCode::OutsideHours,
        };
        Some((code, Resume::AtLocal(next_edge(on, second, today.iter().chain(&other)))))
    }

    fn first_table_day_after(&self, on: NaiveDate) -> Resume {
        let first_on = self.first_known_day_after(on);
        first_on.map_or(Resume::Never, |first_on| Resume::AtLocal(first_on.and_time(NaiveTime::MIN)))
    }
}

/// The start of the next interval of the day, or of the next day.
fn next_edge<'a>(on: NaiveDate, second: u32, today: impl Iterator<Item = &'a Interval>) -> NaiveDateTime {
    let from = today.map(|i| i.from_second).filter(|from| *from > second).min();
    let seconds = from.map_or(TimeDelta::days(1), |from| TimeDelta::seconds(from.into()));
    on.and_time(NaiveTime::MIN) + seconds
}

fn refusal<'a>(
    code: ReasonCode,
    grounds: Option<&'a Grounds>,
    adjustment: Option<&'a Adjustment>,
) -> Refusal<'a> {
    Refusal {
        code,
        cite: grounds.and_then(|g| g.cite.as_deref()),
        // To refuse what no rule or table speaks for is our own choice.
        basis: grounds.map_or(Basis::Policy, |g| g.basis),
        confidence: grounds.and_then(|g| g.confidence),
        adjustment,
    }
}

/// What stands in the way of a contact.
struct Obstacle<'a> {
    code: ReasonCode,
    grounds: Option<&'a Grounds>,
    /// The tenant's adjustment that it comes from.
    by: Option<usize>,
    resume: Resume,
}

/// When it is worth looking again.
enum Resume {
    /// At a local date and time that lies ahead.
    AtLocal(NaiveDateTime),
    /// At an instant.
    At(DateTime<Utc>),
    /// Waiting does not help.
    Never,
}

impl Obstacle<'_> {
    /// An obstacle that no article speaks for.
    fn own(code: ReasonCode, by: Option<usize>, resume: Resume) -> Self {
        Self { code, grounds: None, by, resume }
    }

    fn resume(&self, at: DateTime<Utc>, time_zone: Tz) -> Option<DateTime<Utc>> {
        match self.resume {
            Resume::At(next_at) => Some(next_at),
            Resume::AtLocal(local) => {
                let next_at = first_at_local(time_zone, local, at)?;
                // Where clocks change on the way, local time may run through an open hour a second time.
                Some(clock_change(time_zone, at, next_at).unwrap_or(next_at))
            }
            Resume::Never => None,
        }
    }
}

/// The first instant after `after_at` at which local clocks show `local`, or skip it.
fn first_at_local(time_zone: Tz, local: NaiveDateTime, after_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match time_zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) => Some(at.to_utc()),
        MappedLocalTime::Ambiguous(first, second) => {
            [first.to_utc(), second.to_utc()].into_iter().find(|at| *at > after_at)
        }
        MappedLocalTime::None => {
            // Clocks skip it; a day before and after, in UTC, they surely show less and more.
            let naive = local.and_utc();
            first_second(naive - TimeDelta::days(1), naive + TimeDelta::days(1), |at| {
                at.with_timezone(&time_zone).naive_local() >= local
            })
        }
    }
}

/// The instant in `(from_at, to_at]` at which the offset from UTC changes, if the ends have different ones.
fn clock_change(time_zone: Tz, from_at: DateTime<Utc>, to_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let offset = |at: DateTime<Utc>| time_zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let before = offset(from_at);
    if offset(to_at) == before {
        return None;
    }
    first_second(from_at, to_at, |at| offset(at) != before)
}

/// The first whole second in `(low_at, high_at]` at which `holds`, by halving; it holds at `high_at`, not at `low_at`.
fn first_second(
    low_at: DateTime<Utc>,
    high_at: DateTime<Utc>,
    holds: impl Fn(DateTime<Utc>) -> bool,
) -> Option<DateTime<Utc>> {
    let (mut low, mut high) = (low_at.timestamp(), high_at.timestamp());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(DateTime::from_timestamp(middle, 0)?) {
            high = middle;
        } else {
            low = middle;
        }
    }
    DateTime::from_timestamp(high, 0)
}
