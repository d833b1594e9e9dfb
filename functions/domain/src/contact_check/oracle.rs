//! A second, slow answer to the same question: it walks the minutes and reads the raw lists of a made-up profile.
//!
//! Invariant: it shares no code with the check beyond the time zone database and the words, so that an error in one
//! is not an error in both.

mod cases;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use self::cases::case;
use super::ContactQuery;
use crate::channel::{Channel, Purpose};
use crate::choice::AgreedHours;
use crate::contact::Contact;
use crate::jurisdiction::{ContactRules, Jurisdiction};

/// How many made-up profiles are tried unless `PROPTEST_CASES` asks for another number:
/// `PROPTEST_CASES=100000 cargo test -p domain oracle` walks the minutes of a hundred thousand in a few minutes.
const CASES: u32 = 2_000;
/// How many moments each profile is asked about without a walk: with [`CASES`], a hundred thousand questions.
const MOMENTS: usize = 50;
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
    days: Vec<List>,
    holidays: &'static str,
    week: &'static str,
    mode: &'static str,
    caps: Vec<RawCap>,
    takes_requests: bool,
}

type List = Vec<(u32, u32)>;

/// What a tenant adds to a made-up profile.
#[derive(Debug, Clone)]
struct Own {
    /// Hours that are opened as well, on every day.
    opened: Option<(u32, u32)>,
    /// Whether the first cap is loosened.
    loosened: bool,
    /// Whether contacts are counted in the other way.
    counted: bool,
    /// Hours outside which nothing is sent, for some of the days.
    tight: Vec<Vec<Option<List>>>,
    cap: Option<RawCap>,
    /// Days from the asked one.
    closed: BTreeSet<i64>,
}

/// What a made-up profile and a tenant say together, as lists.
#[derive(Debug, Clone)]
struct Rules {
    days: Vec<List>,
    layers: Vec<Vec<Option<List>>>,
    closed: BTreeSet<NaiveDate>,
    caps: Vec<RawCap>,
    mode: &'static str,
}

/// Hours that the customer asked for, as lists like those of a profile, and on which channels.
type Asked = (Vec<List>, Vec<Channel>);

#[derive(Debug, Clone)]
struct Case {
    raw: Raw,
    own: Option<Own>,
    /// Seconds from the asked moment to others that are asked about.
    moments: Vec<i64>,
    zone: Tz,
    at: DateTime<Utc>,
    channel: Channel,
    prior: Vec<Contact>,
    /// The hours that the customer asked for, as lists like those of a profile, and on which channels.
    asked: Option<Asked>,
}

const DAYS: [&str; 8] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"];

fn written(list: &[(u32, u32)]) -> String {
    let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let pair = |(from, to): &(u32, u32)| format!("[\"{}\", \"{}\"]", clock(*from), clock(*to));
    format!("[{}]", list.iter().map(pair).collect::<Vec<_>>().join(", "))
}

fn has(list: &[(u32, u32)], minute: u32) -> bool {
    list.iter().any(|(from, to)| (*from..*to).contains(&minute))
}

/// The minutes of a day for which something holds, as intervals.
fn minutes_where(holds: impl Fn(u32) -> bool) -> List {
    let mut list: List = Vec::new();
    for minute in (0..1_440).filter(|minute| holds(*minute)) {
        match list.last_mut() {
            Some((_, to)) if *to == minute => *to += 1,
            _ => list.push((minute, minute + 1)),
        }
    }
    list
}

impl RawCap {
    fn toml(&self) -> Vec<String> {
        let over: Vec<String> = self.over.iter().map(|c| format!("\"{c}\"")).collect();
        let mut keys = vec![format!("kind = \"{}\"", self.kind), format!("over = [{}]", over.join(", "))];
        keys.extend(match self.kind {
            "count" => vec![format!("per = \"{}\"", self.per), format!("max = {}", self.max)],
            "distinct_channels" => vec!["per = \"week\"".to_owned(), format!("max = {}", self.max)],
            "min_gap" => vec![format!("hours = {}", self.hours)],
            "rolling_count" => vec![format!("days = {}", self.days), format!("max = {}", self.max)],
            _ => vec![format!("days = {}", self.days)],
        });
        keys
    }

    /// The same cap with a number that allows more, where there is one.
    fn looser(&self) -> Option<Self> {
        match self.kind {
            "min_gap" => (self.hours > 1).then(|| Self { hours: self.hours - 1, ..self.clone() }),
            "after_direct" => (self.days > 1).then(|| Self { days: self.days - 1, ..self.clone() }),
            _ => Some(Self { max: self.max + 1, ..self.clone() }),
        }
    }

    /// The code that a cap of a tenant gives.
    fn own_code(&self) -> &'static str {
        match (self.kind, self.per) {
            ("count", "day") => "daily_cap",
            ("min_gap", _) => "min_gap",
            ("distinct_channels", _) => "channel_week",
            _ => "weekly_cap",
        }
    }
}

impl Case {
    /// What profile and tenant say together, and the tenant's words for it.
    fn rules(&self) -> (Rules, String) {
        let raw = &self.raw;
        let mut rules = Rules {
            days: raw.days.clone(),
            layers: vec![],
            closed: BTreeSet::new(),
            caps: raw.caps.clone(),
            mode: raw.mode,
        };
        let mut text = String::new();
        let Some(own) = &self.own else { return (rules, text) };
        let record = "reason = \"r\"\napproved_by = \"a\"\napproved_on = \"2026-11-02\"";
        // A tenant that does not answer has the strict answer, whatever the profile says.
        rules.mode = if own.counted { "direct" } else { "any" };
        if own.counted {
            writeln!(text, "[RAW.answers.counted]\nanswer = \"{}\"\n{record}", rules.mode).unwrap();
        }
        let days_toml = |days: &[Option<List>]| {
            let named = DAYS.iter().zip(days).filter_map(|(name, list)| Some((name, list.as_ref()?)));
            named.map(|(name, list)| format!("{name} = {}", written(list))).collect::<Vec<_>>().join(", ")
        };
        let change = |kind: &str, record: &str, what: String| {
            format!("[[RAW.{kind}]]\npurposes = [\"overdue\"]\n{record}\n{what}\n")
        };
        if let Some((from, to)) = own.opened {
            let wider = |day: &List| minutes_where(|minute| has(day, minute) || (from..to).contains(&minute));
            rules.days = raw.days.iter().map(wider).collect();
            let days: Vec<_> = rules.days.iter().cloned().map(Some).collect();
            text += &change("loosen", record, format!("hours = {{ {} }}", days_toml(&days)));
        }
        if let Some(cap) = rules.caps.first().and_then(RawCap::looser).filter(|_| own.loosened) {
            text += &change("loosen", record, format!("cap = {{ {} }}", cap.toml().join(", ")));
            rules.caps[0] = cap;
        }
        for days in &own.tight {
            let within = days.iter().zip(&rules.days).map(|(list, open)| {
                list.as_ref().map(|list| minutes_where(|minute| has(list, minute) && has(open, minute)))
            });
            let layer: Vec<_> = within.collect();
            if layer.iter().any(Option::is_some) {
                text += &change("tighten", "reason = \"r\"", format!("hours = {{ {} }}", days_toml(&layer)));
                rules.layers.push(layer);
            }
        }
        // A cap of a kind that the profile has must be stricter; only others are tried here.
        if let Some(cap) = own.cap.clone().filter(|cap| raw.caps.iter().all(|c| c.kind != cap.kind)) {
            text += &change("tighten", "reason = \"r\"", format!("cap = {{ {} }}", cap.toml().join(", ")));
            rules.caps.push(RawCap { code: cap.own_code(), ..cap });
        }
        let today = self.at.with_timezone(&self.zone).date_naive();
        for on in own.closed.iter().map(|days| today + TimeDelta::days(*days)) {
            if raw.holidays == "none" || (2024..=2030).contains(&on.year()) {
                writeln!(text, "[[RAW.closed_days]]\non = \"{on}\"\nreason = \"r\"").unwrap();
                rules.closed.insert(on);
            }
        }
        if text.is_empty() {
            rules.mode = raw.mode;
        }
        (rules, text)
    }
}

impl Raw {
    fn toml(&self) -> String {
        let mut text = format!(
            "schema = 1\nid = \"RAW\"\ntimezone = \"Etc/UTC\"\nweek = \"{}\"\nholidays = \"{}\"\nreviewed = \"2026-11-22\"\n\
             channels = [\"email\", \"sms\", \"push\", \"whatsapp\", \"call\"]\n[counting]\nmode = \"{}\"\nbasis = \"policy\"\n[windows.w]\n",
            self.week, self.holidays, self.mode
        );
        for (name, day) in DAYS.iter().zip(&self.days) {
            writeln!(text, "{name} = {}", written(day)).unwrap();
        }
        text +=
            "[[rules]]\npurposes = [\"overdue\"]\nchannels = [\"*\"]\nwindow = \"w\"\nbasis = \"policy\"\n";
        for cap in &self.caps {
            writeln!(text, "[[rules.caps]]\ncode = \"{}\"\n{}", cap.code, cap.toml().join("\n")).unwrap();
        }
        if self.takes_requests {
            text += "[consent]\noff_hours = \"debtor_initiated_separate_later_instrument\"\n";
        }
        text += "[[questions]]\nid = \"counted\"\nasks = \"?\"\nstrict = \"any\"\nbasis = \"policy\"\n\
                 answers = { any = { means = \"a\", counting = \"any\" }, direct = { means = \"d\", counting = \"direct\" } }\n";
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
    rules: &'a Rules,
    start: DateTime<Utc>,
    holidays: &'a BTreeSet<NaiveDate>,
    profile: Vec<Option<List>>,
    counted: Vec<(Contact, NaiveDate)>,
}

impl<'a> Walk<'a> {
    fn of(case: &'a Case, rules: &'a Rules, holidays: &'a BTreeSet<NaiveDate>, start: DateTime<Utc>) -> Self {
        let counted = case.prior.iter().filter(|c| c.at < start && (rules.mode == "any" || c.direct));
        let counted = counted.map(|c| (*c, c.at.with_timezone(&case.zone).date_naive())).collect();
        let profile = rules.days.iter().cloned().map(Some).collect();
        Walk { case, rules, start, holidays, profile, counted }
    }

    fn reason(&self, at: DateTime<Utc>) -> &'static str {
        let local = at.with_timezone(&self.case.zone).naive_local();
        let today = local.date();
        if self.case.raw.holidays != "none" && !(2024..=2030).contains(&today.year()) {
            return "no_calendar";
        }
        let holiday = self.holidays.contains(&today);
        let minute = local.hour() * 60 + local.minute();
        let weekday = today.weekday() as usize;
        let shut = |lists: &[Option<List>]| {
            let list = lists[if holiday { 7 } else { weekday }].as_ref()?;
            if has(list, minute) {
                return None;
            }
            let sunday_is_closed = weekday == 6 && lists[6].as_ref().is_some_and(Vec::is_empty);
            Some(match () {
                () if list.is_empty() && sunday_is_closed => "sunday",
                () if list.is_empty() && holiday => "holiday",
                () => "outside_hours",
            })
        };
        let closed_day = || self.rules.closed.contains(&today).then_some("closed_day");
        let narrowed = || self.rules.layers.iter().find_map(|layer| shut(layer));
        // Of the profile's hours, those that the customer asked for are open too; they make no Sunday an open day.
        let asked = self.asked_on(if holiday { 7 } else { weekday });
        let by_profile = match asked {
            Some(list) if has(list, minute) => None,
            Some(list) if !list.is_empty() => shut(&self.profile).map(|_| "outside_hours"),
            Some(_) | None => shut(&self.profile),
        };
        let by_hours = by_profile.or_else(closed_day).or_else(narrowed);
        by_hours.or_else(|| self.capped(at, today)).unwrap_or("ok")
    }

    /// What the customer asked for on a day, where the profile takes such requests.
    fn asked_on(&self, day: usize) -> Option<&List> {
        let (days, channels) = self.case.asked.as_ref().filter(|_| self.case.raw.takes_requests)?;
        channels.contains(&self.case.channel).then(|| &days[day])
    }

    fn capped(&self, at: DateTime<Utc>, today: NaiveDate) -> Option<&'static str> {
        let raw = &self.case.raw;
        let same_week = |on: NaiveDate| match raw.week {
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
        let start = self.start;
        if self.reason(start) == "ok" {
            return Some(start);
        }
        let gaps = self.rules.caps.iter().filter(|cap| cap.kind == "min_gap");
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

/// The profile as the product reads it, adjusted where there is a tenant that says something.
fn profile_of(case: &Case, own: &str) -> Result<Jurisdiction, TestCaseError> {
    let text = case.raw.toml();
    let wrong = |e: &dyn std::fmt::Display| TestCaseError::fail(format!("{e}\n{text}\n{own}"));
    let base = Jurisdiction::parse(&text).map_err(|e| wrong(&e))?;
    if own.is_empty() {
        return Ok(base);
    }
    let rules: ContactRules = toml::from_str(own).map_err(|e| wrong(&e))?;
    let today = NaiveDate::from_ymd_opt(2026, 11, 2).expect("a day");
    let adjusted = base.adjusted(&rules, today).map_err(|e| wrong(&e))?;
    prop_assert_ne!(&adjusted, &base);
    Ok(adjusted)
}

fn request_of(days: &[List], channels: &[Channel]) -> Option<AgreedHours> {
    let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let hours: Vec<_> = DAYS
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

/// The request of a case as the product reads it.
fn agreed_hours(case: &Case) -> Result<Option<AgreedHours>, TestCaseError> {
    let agreed = case.asked.as_ref().and_then(|(days, channels)| request_of(days, channels));
    let empty = case.asked.as_ref().is_none_or(|(days, _)| days.iter().all(Vec::is_empty));
    prop_assert_eq!(agreed.is_none(), empty);
    Ok(agreed)
}

fn query_of<'a>(
    case: &'a Case,
    at: DateTime<Utc>,
    agreed_hours: Option<&'a AgreedHours>,
) -> ContactQuery<'a> {
    ContactQuery {
        purpose: Purpose::Overdue,
        channel: case.channel,
        at,
        time_zone: case.zone,
        prior: &case.prior,
        agreed_hours,
    }
}

fn agrees(case: &Case) -> Result<(), TestCaseError> {
    let (rules, own) = case.rules();
    let jurisdiction = profile_of(case, &own)?;
    let agreed = agreed_hours(case)?;
    let query = query_of(case, case.at, agreed.as_ref());
    let holidays = case.raw.holiday_dates();
    let walk = Walk::of(case, &rules, &holidays, case.at);
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

fn agrees_at_moments(case: &Case) -> Result<(), TestCaseError> {
    let (rules, own) = case.rules();
    let jurisdiction = profile_of(case, &own)?;
    let holidays = case.raw.holiday_dates();
    let agreed = agreed_hours(case)?;
    for seconds in &case.moments {
        let at = case.at + TimeDelta::seconds(*seconds);
        let query = query_of(case, at, agreed.as_ref());
        let walk = Walk::of(case, &rules, &holidays, at);
        prop_assert_eq!(jurisdiction.check(&query).reason(), walk.reason(at), "at {}", at);
    }
    Ok(())
}

fn run(test: impl Fn(&Case) -> Result<(), TestCaseError>) {
    let unasked = ProptestConfig::default();
    let cases = if unasked.cases == CASES_UNASKED { CASES } else { unasked.cases };
    let config = ProptestConfig { cases, failure_persistence: None, ..unasked };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    if let Err(failure) = runner.run(&case(), |case| test(&case)) {
        panic!("{failure}");
    }
}

#[test]
fn the_check_agrees_with_a_walk_through_the_minutes() {
    run(agrees);
}

#[test]
fn a_hundred_thousand_questions_have_the_answer_of_the_raw_lists() {
    run(agrees_at_moments);
}
