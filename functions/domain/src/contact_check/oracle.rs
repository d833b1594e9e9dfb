//! A second, slow answer to the same question: it walks the minutes and reads the raw lists of a made-up profile.
//!
//! Invariant: it shares no code with the check beyond the time zone database and the words, so that an error in one
//! is not an error in both.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::select;

use super::ContactQuery;
use crate::channel::{Channel, Purpose};
use crate::choice::AgreedHours;
use crate::contact::Contact;
use crate::jurisdiction::Jurisdiction;

/// How many made-up profiles are tried unless `PROPTEST_CASES` asks for another number.
const CASES: u32 = 2_000;
/// What proptest itself would try: the sign that nobody asked.
const CASES_UNASKED: u32 = 256;
/// How far the slow walk goes.
const WALK_DAYS: i64 = 9;

#[derive(Debug, Clone)]
struct RawCap {
    kind: &'static str,
    code: &'static str,
    per: &'static str,
    max: usize,
    days: i64,
    hours: i64,
    over: Vec<Channel>,
}

/// A profile as lists: minutes of the day for Monday to Sunday and for holidays, caps in order.
#[derive(Debug, Clone)]
struct Raw {
    days: Vec<Vec<(u32, u32)>>,
    holidays: &'static str,
    week: &'static str,
    mode: &'static str,
    caps: Vec<RawCap>,
    takes_requests: bool,
}

type Asked = (Vec<Vec<(u32, u32)>>, Vec<Channel>);

#[derive(Debug, Clone)]
struct Case {
    raw: Raw,
    zone: Tz,
    at: DateTime<Utc>,
    channel: Channel,
    prior: Vec<Contact>,
    /// The hours that the customer asked for, as lists like those of a profile, and on which channels.
    asked: Option<Asked>,
}

impl Raw {
    fn toml(&self) -> String {
        let mut text = format!(
            "schema = 1\nid = \"RAW\"\ntimezone = \"Etc/UTC\"\nweek = \"{}\"\nholidays = \"{}\"\nreviewed = \"2026-11-22\"\n\
             channels = [\"email\", \"sms\", \"push\", \"whatsapp\", \"call\"]\n[counting]\nmode = \"{}\"\nbasis = \"policy\"\n[windows.w]\n",
            self.week, self.holidays, self.mode
        );
        let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        for (name, day) in ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"].iter().zip(&self.days)
        {
            let list: Vec<String> =
                day.iter().map(|(from, to)| format!("[\"{}\", \"{}\"]", clock(*from), clock(*to))).collect();
            writeln!(text, "{name} = [{}]", list.join(", ")).unwrap();
        }
        text +=
            "[[rules]]\npurposes = [\"overdue\"]\nchannels = [\"*\"]\nwindow = \"w\"\nbasis = \"policy\"\n";
        for cap in &self.caps {
            let over: Vec<String> = cap.over.iter().map(|c| format!("\"{c}\"")).collect();
            let numbers = match cap.kind {
                "count" => format!("per = \"{}\"\nmax = {}", cap.per, cap.max),
                "distinct_channels" => format!("per = \"week\"\nmax = {}", cap.max),
                "min_gap" => format!("hours = {}", cap.hours),
                "rolling_count" => format!("days = {}\nmax = {}", cap.days, cap.max),
                _ => format!("days = {}", cap.days),
            };
            let (kind, code, over) = (cap.kind, cap.code, over.join(", "));
            writeln!(
                text,
                "[[rules.caps]]\nkind = \"{kind}\"\ncode = \"{code}\"\nover = [{over}]\n{numbers}"
            )
            .unwrap();
        }
        if self.takes_requests {
            text += "[consent]\noff_hours = \"debtor_initiated_separate_later_instrument\"\n";
        }
        text
    }

    fn holiday_dates(&self) -> BTreeSet<NaiveDate> {
        let text = match self.holidays {
            "CO" => include_str!("../../holidays/CO.csv"),
            "CL" => include_str!("../../holidays/CL.csv"),
            _ => "",
        };
        text.lines().skip(1).map(|line| line[..10].parse().expect("a date")).collect()
    }
}

/// A case with what does not change from minute to minute.
struct Walk<'a> {
    case: &'a Case,
    holidays: BTreeSet<NaiveDate>,
    counted: Vec<(Contact, NaiveDate)>,
}

impl Walk<'_> {
    fn of(case: &Case) -> Walk<'_> {
        let counted = case.prior.iter().filter(|c| c.at < case.at && (case.raw.mode == "any" || c.direct));
        Walk {
            case,
            holidays: case.raw.holiday_dates(),
            counted: counted.map(|c| (*c, c.at.with_timezone(&case.zone).date_naive())).collect(),
        }
    }

    fn reason(&self, at: DateTime<Utc>) -> &'static str {
        let raw = &self.case.raw;
        let local = at.with_timezone(&self.case.zone).naive_local();
        let today = local.date();
        if raw.holidays != "none" && !(2024..=2030).contains(&today.year()) {
            return "no_calendar";
        }
        let holiday = self.holidays.contains(&today);
        let sunday = today.weekday().number_from_monday() == 7;
        let which = if holiday { 7 } else { today.weekday() as usize };
        let mut list = raw.days[which].clone();
        if let Some((days, channels)) = self.case.asked.as_ref().filter(|_| raw.takes_requests)
            && channels.contains(&self.case.channel)
        {
            list.extend(&days[which]);
        }
        let minute = local.hour() * 60 + local.minute();
        if list.iter().any(|(from, to)| (*from..*to).contains(&minute)) {
            return self.capped(at, today).unwrap_or("ok");
        }
        match () {
            () if list.is_empty() && sunday && raw.days[6].is_empty() => "sunday",
            () if list.is_empty() && holiday => "holiday",
            () => "outside_hours",
        }
    }

    fn capped(&self, at: DateTime<Utc>, today: NaiveDate) -> Option<&'static str> {
        let raw = &self.case.raw;
        let same_week = |on: NaiveDate| match raw.week {
            "iso" => on.iso_week() == today.iso_week(),
            _ => (0..7).contains(&(today - on).num_days()),
        };
        raw.caps.iter().find(|cap| self.full(cap, at, today, &same_week)).map(|cap| cap.code)
    }

    fn full(
        &self,
        cap: &RawCap,
        at: DateTime<Utc>,
        today: NaiveDate,
        same_week: &dyn Fn(NaiveDate) -> bool,
    ) -> bool {
        let over: Vec<_> = self.counted.iter().filter(|(c, _)| cap.over.contains(&c.channel)).collect();
        match (cap.kind, cap.per) {
            ("count", "day") => over.iter().filter(|(_, on)| *on == today).count() >= cap.max,
            ("count", _) => over.iter().filter(|(_, on)| same_week(*on)).count() >= cap.max,
            ("distinct_channels", _) => {
                let used = over.iter().filter(|(_, on)| same_week(*on)).map(|(c, _)| c.channel);
                used.chain([self.case.channel]).collect::<BTreeSet<_>>().len() > cap.max
            }
            ("min_gap", _) => over.iter().any(|(c, _)| at - c.at < TimeDelta::hours(cap.hours)),
            ("rolling_count", _) => {
                over.iter().filter(|(_, on)| (0..cap.days).contains(&(today - *on).num_days())).count()
                    >= cap.max
            }
            _ => over.iter().any(|(c, on)| c.direct && (today - *on).num_days() < cap.days),
        }
    }

    /// The first allowed moment within [`WALK_DAYS`]: the asked one, a full minute, or the end of a gap.
    fn next(&self) -> Option<DateTime<Utc>> {
        let start = self.case.at;
        if self.reason(start) == "ok" {
            return Some(start);
        }
        let gaps = self.case.raw.caps.iter().filter(|cap| cap.kind == "min_gap");
        let mut ends: Vec<_> = gaps
            .flat_map(|cap| self.counted.iter().map(|(c, _)| c.at + TimeDelta::hours(cap.hours)))
            .collect();
        ends.sort_unstable();
        let mut before = start;
        let first = DateTime::from_timestamp(start.timestamp() / 60 * 60, 0).expect("an instant");
        for minute in 1..=WALK_DAYS * 24 * 60 {
            let full = first + TimeDelta::minutes(minute);
            let inside = ends.iter().copied().filter(|end| before < *end && *end < full);
            if let Some(found) = inside.chain([full]).find(|at| self.reason(*at) == "ok") {
                return Some(found);
            }
            before = full;
        }
        None
    }
}

fn day() -> impl Strategy<Value = Vec<(u32, u32)>> {
    let edge =
        prop_oneof![select(vec![0, 15, 30, 60, 90, 120, 150, 180, 1_380, 1_410, 1_440]), 0_u32..=1_440];
    let points = proptest::collection::btree_set(edge, 0..=6);
    prop_oneof![
        2 => Just(vec![]),
        3 => Just(vec![(420, 1_140)]),
        5 => points.prop_map(|points| {
            let points: Vec<u32> = points.into_iter().collect();
            points.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
        }),
    ]
}

/// At most two intervals, so that a request has no more than it may.
fn asked_day() -> impl Strategy<Value = Vec<(u32, u32)>> {
    day().prop_map(|list| list.into_iter().take(2).collect())
}

fn request_of(days: &[Vec<(u32, u32)>], channels: &[Channel]) -> Option<AgreedHours> {
    let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"];
    let hours: Vec<_> = names
        .iter()
        .zip(days)
        .flat_map(|(name, day)| day.iter().map(move |(from, to)| (name, *from, *to)))
        .map(|(name, from, to)| serde_json::json!({"days": [name], "from": clock(from), "to": clock(to)}))
        .collect();
    let request = serde_json::json!({
        "channels": channels, "hours": hours,
        "document": "d", "document_on": "2020-01-02", "contract_on": "2020-01-01",
    });
    // Only a request for no hours at all cannot be.
    serde_json::from_value(request).ok()
}

fn cap() -> impl Strategy<Value = RawCap> {
    (
        select(vec!["count", "distinct_channels", "min_gap", "rolling_count", "after_direct"]),
        select(vec!["daily_cap", "weekly_cap", "min_gap", "channel_week"]),
        select(vec!["day", "week"]),
        1_usize..=3,
        1_i64..=8,
        1_i64..=60,
        proptest::sample::subsequence(Channel::ALL.to_vec(), 1..=5),
    )
        .prop_map(|(kind, code, per, max, days, hours, over)| RawCap {
            kind,
            code,
            per,
            max,
            days,
            hours,
            over,
        })
}

fn raw() -> impl Strategy<Value = Raw> {
    (
        proptest::collection::vec(day(), 8),
        select(vec!["none", "CO", "CL"]),
        select(vec!["iso", "seven_days"]),
        select(vec!["any", "direct"]),
        proptest::collection::vec(cap(), 0..=3),
        any::<bool>(),
    )
        .prop_map(|(days, holidays, week, mode, caps, takes_requests)| Raw {
            days,
            holidays,
            week,
            mode,
            caps,
            takes_requests,
        })
}

/// Moments near which answers change: clocks that change (once over midnight), holidays, the ends of the tables.
const NEAR: [(&str, &str); 16] = [
    ("America/Santiago", "2026-04-05T03:00:00Z"),
    ("America/Santiago", "2026-09-06T04:00:00Z"),
    ("America/Santiago", "2025-04-06T03:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("America/New_York", "2027-11-07T06:00:00Z"),
    ("America/Los_Angeles", "2026-11-01T09:00:00Z"),
    ("America/Havana", "2026-03-08T05:00:00Z"),
    ("America/Havana", "2026-11-01T05:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("America/St_Johns", "2010-11-07T02:31:00Z"),
    ("America/Bogota", "2026-12-25T05:00:00Z"),
    ("America/Bogota", "2026-04-02T05:00:00Z"),
    ("America/Bogota", "2023-12-31T05:00:00Z"),
    ("America/Mexico_City", "2030-12-30T06:00:00Z"),
    ("America/Santiago", "2029-09-18T03:00:00Z"),
];

fn case() -> impl Strategy<Value = Case> {
    let seconds =
        prop_oneof![-7_200_i64..7_200, -345_600_i64..345_600, (-5_760_i64..5_760).prop_map(|m| m * 60)];
    let channels = proptest::sample::subsequence(Channel::ALL.to_vec(), 1..=5);
    let asked = (proptest::collection::vec(asked_day(), 8), channels);
    let sent = (1_i64..900_000, select(Channel::ALL.to_vec()), any::<bool>(), any::<bool>());
    (
        raw(),
        select(NEAR.to_vec()),
        seconds,
        select(vec![0, 0, 0, 1, 500_000_000, 999_999_999]),
        select(Channel::ALL.to_vec()),
        proptest::collection::vec(sent, 0..=5),
        proptest::option::of(asked),
    )
        .prop_map(|(raw, (zone, near), seconds, nanos, channel, sent, asked)| {
            let near: DateTime<Utc> = near.parse().expect("an instant");
            let at = near + TimeDelta::seconds(seconds) + TimeDelta::nanoseconds(nanos);
            let prior = sent.into_iter().map(|(ago, channel, direct, later)| {
                // One in sixteen or so lies at or after the asked moment and must be ignored.
                let ago = if later && ago % 8 == 0 { -(ago % 90_000) } else { ago };
                Contact { at: at - TimeDelta::seconds(ago), channel, direct }
            });
            Case { raw, zone: zone.parse().expect("a zone"), at, channel, prior: prior.collect(), asked }
        })
}

fn agrees(case: &Case) -> Result<(), TestCaseError> {
    let text = case.raw.toml();
    let jurisdiction = Jurisdiction::parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
    let agreed = case.asked.as_ref().and_then(|(days, channels)| request_of(days, channels));
    let empty = case.asked.as_ref().is_none_or(|(days, _)| days.iter().all(Vec::is_empty));
    prop_assert_eq!(agreed.is_none(), empty);
    let query = ContactQuery {
        purpose: Purpose::Overdue,
        channel: case.channel,
        at: case.at,
        time_zone: case.zone,
        prior: &case.prior,
        agreed_hours: agreed.as_ref(),
    };
    let walk = Walk::of(case);
    prop_assert_eq!(jurisdiction.check(&query).reason(), walk.reason(case.at));
    let found = jurisdiction.next_allowed_at(&query);
    match walk.next() {
        Some(expected) => prop_assert_eq!(found, Some(expected)),
        None => {
            let end = case.at + TimeDelta::days(WALK_DAYS) - TimeDelta::minutes(1);
            prop_assert!(found.is_none_or(|at| at > end), "{:?} is within the walk", found);
        }
    }
    if let Some(found) = found {
        prop_assert_eq!(walk.reason(found), "ok");
    }
    Ok(())
}

#[test]
fn the_check_agrees_with_a_walk_through_the_minutes() {
    let unasked = ProptestConfig::default();
    let cases = if unasked.cases == CASES_UNASKED { CASES } else { unasked.cases };
    let config = ProptestConfig { cases, failure_persistence: None, ..unasked };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    if let Err(failure) = runner.run(&case(), |case| agrees(&case)) {
        panic!("{failure}");
    }
}
