//! The slow answer itself: a walk through the minutes over raw lists.
//!
//! Invariant: every minute is judged by its own civil time; what is kept from one minute to the next is only what the
//! lists say of the day that both lie in.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};

use super::{Case, List, Question, RawCap, Rules, has};
use crate::contact::Contact;

/// How far the slow walk goes.
pub(super) const WALK_DAYS: i64 = 9;

/// A question with what does not change from minute to minute.
pub(super) struct Walk<'a> {
    case: &'a Case,
    question: &'a Question,
    rules: &'a Rules,
    start: DateTime<Utc>,
    holidays: &'static BTreeSet<NaiveDate>,
    counted: Vec<(Contact, NaiveDate)>,
    day: Option<Day<'a>>,
}

/// What the lists say of one local day.
#[derive(Clone)]
struct Day<'a> {
    on: NaiveDate,
    in_table: bool,
    closed_by_tenant: bool,
    profile: Hours<'a>,
    narrowed: Vec<Hours<'a>>,
    /// What the customer asked for, where the profile takes such requests.
    asked: Option<&'a List>,
}

/// The open minutes of one day in one list of days, and why the others are closed.
#[derive(Clone)]
struct Hours<'a> {
    open: &'a List,
    shut: &'static str,
}

impl Hours<'_> {
    fn shut_at(&self, minute: u32) -> Option<&'static str> {
        (!has(self.open, minute)).then_some(self.shut)
    }
}

impl<'a> Walk<'a> {
    pub(super) fn of(case: &'a Case, question: &'a Question, rules: &'a Rules, start: DateTime<Utc>) -> Self {
        let counted = question.prior.iter().filter(|c| c.at < start && (rules.mode == "any" || c.direct));
        let counted = counted.map(|c| (*c, c.at.with_timezone(&case.zone).date_naive())).collect();
        Walk { case, question, rules, start, holidays: case.raw.holiday_dates(), counted, day: None }
    }

    pub(super) fn reason(&mut self, at: DateTime<Utc>) -> &'static str {
        let local = at.with_timezone(&self.case.zone).naive_local();
        let today = local.date();
        if self.day.as_ref().is_none_or(|day| day.on != today) {
            self.day = Some(self.day_of(today));
        }
        let Some(day) = &self.day else { unreachable!("it was just set") };
        let minute = local.hour() * 60 + local.minute();
        day.reason(minute).or_else(|| self.capped(at, today)).unwrap_or("ok")
    }

    fn day_of(&self, on: NaiveDate) -> Day<'a> {
        let is_holiday = self.holidays.contains(&on);
        let weekday = on.weekday() as usize;
        let place = if is_holiday { 7 } else { weekday };
        let hours = |open: &'a List, sunday: Option<&List>| {
            let shut = match () {
                () if !open.is_empty() => "outside_hours",
                () if weekday == 6 && sunday.is_some_and(Vec::is_empty) => "sunday",
                () if is_holiday => "holiday",
                () => "outside_hours",
            };
            Hours { open, shut }
        };
        let layers = self.rules.layers.iter();
        let asked = self.case.asked.as_ref().filter(|_| self.case.raw.takes_requests);
        Day {
            on,
            in_table: self.case.raw.holidays == "none" || (2024..=2030).contains(&on.year()),
            closed_by_tenant: self.rules.closed.contains(&on),
            profile: hours(&self.rules.days[place], Some(&self.rules.days[6])),
            narrowed: layers.filter_map(|l| Some(hours(l[place].as_ref()?, l[6].as_ref()))).collect(),
            asked: asked.filter(|(_, on)| on.contains(&self.question.channel)).map(|(days, _)| &days[place]),
        }
    }

    fn capped(&self, at: DateTime<Utc>, today: NaiveDate) -> Option<&'static str> {
        let same_week = |on: NaiveDate| match self.case.raw.week {
            "iso" => on.iso_week() == today.iso_week(),
            _ => (0..7).contains(&(today - on).num_days()),
        };
        self.rules.caps.iter().find(|cap| self.full(cap, at, today, &same_week)).map(|cap| cap.code)
    }

    fn full(
        &self,
        cap: &RawCap,
        at: DateTime<Utc>,
        today: NaiveDate,
        same_week: &dyn Fn(NaiveDate) -> bool,
    ) -> bool {
        let over = || self.counted.iter().filter(|(c, _)| cap.over.contains(&c.channel));
        match (cap.kind, cap.per) {
            ("count", "day") => over().filter(|(_, on)| *on == today).count() >= cap.max,
            ("count", _) => over().filter(|(_, on)| same_week(*on)).count() >= cap.max,
            ("distinct_channels", _) => {
                let used = over().filter(|(_, on)| same_week(*on)).map(|(c, _)| c.channel);
                used.chain([self.question.channel]).collect::<BTreeSet<_>>().len() > cap.max
            }
            ("min_gap", _) => over().any(|(c, _)| at - c.at < TimeDelta::hours(cap.hours)),
            ("rolling_count", _) => {
                over().filter(|(_, on)| (0..cap.days).contains(&(today - *on).num_days())).count() >= cap.max
            }
            _ => over().any(|(c, on)| c.direct && (today - *on).num_days() < cap.days),
        }
    }

    /// The first allowed moment within [`WALK_DAYS`]: the asked one, a full minute, or the end of a gap.
    pub(super) fn next(&mut self) -> Option<DateTime<Utc>> {
        let start = self.start;
        if self.reason(start) == "ok" {
            return Some(start);
        }
        let gaps = self.rules.caps.iter().filter(|cap| cap.kind == "min_gap");
        let mut ends: Vec<_> = gaps
            .flat_map(|cap| self.counted.iter().map(|(c, _)| c.at + TimeDelta::hours(cap.hours)))
            .filter(|end| start < *end)
            .collect();
        ends.sort_unstable();
        let mut ends = ends.into_iter().peekable();
        let first = DateTime::from_timestamp(start.timestamp() / 60 * 60, 0).expect("an instant");
        for minute in 1..=WALK_DAYS * 24 * 60 {
            let full = first + TimeDelta::minutes(minute);
            while let Some(end) = ends.next_if(|end| *end < full) {
                if self.reason(end) == "ok" {
                    return Some(end);
                }
            }
            if self.reason(full) == "ok" {
                return Some(full);
            }
        }
        None
    }
}

impl Day<'_> {
    /// Why a minute of the day is closed.
    fn reason(&self, minute: u32) -> Option<&'static str> {
        if !self.in_table {
            return Some("no_calendar");
        }
        // Of the profile's hours, those that the customer asked for are open too; they make no Sunday an open day.
        let by_profile = match self.asked {
            Some(list) if has(list, minute) => None,
            Some(list) if !list.is_empty() => self.profile.shut_at(minute).map(|_| "outside_hours"),
            Some(_) | None => self.profile.shut_at(minute),
        };
        let closed_day = || self.closed_by_tenant.then_some("closed_day");
        let narrowed = || self.narrowed.iter().find_map(|hours| hours.shut_at(minute));
        by_profile.or_else(closed_day).or_else(narrowed)
    }
}
