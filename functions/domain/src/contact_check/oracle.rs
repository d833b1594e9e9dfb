//! A second, slow answer to the same question: it walks the minutes and reads the raw lists of a made-up profile.
//!
//! Invariant: it shares no code with the check beyond the time zone database and the words, so that an error in one
//! is not an error in both.

mod cases;
mod walk;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::thread;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use self::cases::case;
use self::walk::{WALK_DAYS, Walk};
use super::ContactQuery;
use crate::channel::{Channel, Purpose};
use crate::choice::AgreedHours;
use crate::contact::Contact;
use crate::jurisdiction::{ContactRules, Jurisdiction};

/// How many made-up profiles the minutes are walked for, each with [`QUESTIONS`]: a hundred thousand walks.
const WALKED: u32 = 25_000;
/// How many contacts each profile is asked about, each with a moment, a channel and a history of its own.
const QUESTIONS: usize = 4;
/// How many made-up profiles are asked about [`MOMENTS`] without a walk: a hundred thousand moments.
const ASKED: u32 = 2_000;
/// How many moments each of those is asked about.
const MOMENTS: usize = 50;
/// The most threads that share the cases.
const THREADS_MAX: usize = 8;

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
    questions: Vec<Question>,
    /// The hours that the customer asked for, as lists like those of a profile, and on which channels.
    asked: Option<Asked>,
}

/// A contact that someone wants to make.
#[derive(Debug, Clone)]
struct Question {
    at: DateTime<Utc>,
    channel: Channel,
    prior: Vec<Contact>,
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
        let today = self.questions[0].at.with_timezone(&self.zone).date_naive();
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
            "schema = 1\nid = \"RAW\"\nweek = \"{}\"\nholidays = \"{}\"\nreviewed = \"2026-11-22\"\n\
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

    fn holiday_dates(&self) -> &'static BTreeSet<NaiveDate> {
        /// Read once, by a reader that is not the product's.
        static TABLES: LazyLock<[BTreeSet<NaiveDate>; 3]> = LazyLock::new(|| {
            let dates =
                |text: &str| text.lines().skip(1).map(|line| line[..10].parse().expect("a date")).collect();
            [
                dates(include_str!("../../holidays/CO.csv")),
                dates(include_str!("../../holidays/CL.csv")),
                BTreeSet::new(),
            ]
        });
        let [colombia, chile, none] = &*TABLES;
        match self.holidays {
            "CO" => colombia,
            "CL" => chile,
            _ => none,
        }
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
    question: &'a Question,
    at: DateTime<Utc>,
    agreed_hours: Option<&'a AgreedHours>,
) -> ContactQuery<'a> {
    ContactQuery {
        purpose: Purpose::Overdue,
        channel: question.channel,
        at,
        time_zone: case.zone,
        prior: &question.prior,
        agreed_hours,
    }
}

fn agrees(case: &Case) -> Result<(), TestCaseError> {
    let (rules, own) = case.rules();
    let jurisdiction = profile_of(case, &own)?;
    let agreed = agreed_hours(case)?;
    for question in &case.questions {
        let at = question.at;
        let query = query_of(case, question, at, agreed.as_ref());
        let mut walk = Walk::of(case, question, &rules, at);
        prop_assert_eq!(jurisdiction.check(&query).reason(), walk.reason(at), "at {}", at);
        let found = jurisdiction.next_allowed_at(&query);
        match walk.next() {
            Some(expected) => prop_assert_eq!(found, Some(expected), "from {}", at),
            None => {
                let end = at + TimeDelta::days(WALK_DAYS) - TimeDelta::minutes(1);
                prop_assert!(found.is_none_or(|at| at > end), "{:?} is within the walk from {}", found, at);
            }
        }
        if let Some(found) = found {
            prop_assert_eq!(walk.reason(found), "ok", "at {}", found);
        }
    }
    Ok(())
}

fn agrees_at_moments(case: &Case) -> Result<(), TestCaseError> {
    let (rules, own) = case.rules();
    let jurisdiction = profile_of(case, &own)?;
    let agreed = agreed_hours(case)?;
    let question = &case.questions[0];
    for seconds in &case.moments {
        let at = question.at + TimeDelta::seconds(*seconds);
        let query = query_of(case, question, at, agreed.as_ref());
        let mut walk = Walk::of(case, question, &rules, at);
        prop_assert_eq!(jurisdiction.check(&query).reason(), walk.reason(at), "at {}", at);
    }
    Ok(())
}

/// Tries so many cases, shared by the cores there are.
fn run(cases: u32, test: impl Fn(&Case) -> Result<(), TestCaseError> + Sync) {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
    let each = cases.div_ceil(u32::try_from(threads).expect("a few threads"));
    let try_some = || {
        let config = ProptestConfig { cases: each, failure_persistence: None, ..ProptestConfig::default() };
        if let Err(failure) = TestRunner::new(config).run(&case(), |case| test(&case)) {
            panic!("{failure}");
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(try_some);
        }
    });
}

#[test]
fn a_hundred_thousand_cases_agree_with_a_walk_through_the_minutes() {
    run(WALKED, agrees);
}

#[test]
fn a_hundred_thousand_moments_have_the_answer_of_the_raw_lists() {
    run(ASKED, agrees_at_moments);
}
