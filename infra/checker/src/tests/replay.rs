//! The replay: the last two weeks of March 2026 in Colombia.
//!
//! The 22nd and the 29th are Sundays, the 23rd is the moved day of Saint Joseph.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::{Countries, Inputs, ObligationHistory, OpenQuestions, Report, check};

pub(super) const POLICY: &str = r#"
id = "standard"
version = 1
until_dpd = 10

[[stages]]
id = "d-3"
dpd = -3
tone = "friendly"
purpose = "pre_due"
channels = ["email", "sms"]
template = "d-3"

[[stages]]
id = "d0"
dpd = 0
tone = "friendly"
purpose = "pre_due"
channels = ["email", "sms"]
template = "d0"

[[stages]]
id = "d3"
dpd = 3
tone = "friendly"
purpose = "overdue"
channels = ["email", "sms"]
template = "d3"

[[stages]]
id = "d8"
dpd = 8
tone = "firm"
purpose = "overdue"
channels = ["email", "sms"]
template = "d8"

[[templates]]
id = "d0"
"#;

pub(super) const PROFILE: &str = r#"
timezone = "America/Bogota"
week = "iso"
holidays = "CO"
channels = ["email", "sms", "push"]

[windows.cobranza]
mon = [["07:00", "19:00"]]
tue = [["07:00", "19:00"]]
wed = [["07:00", "19:00"]]
thu = [["07:00", "19:00"]]
fri = [["07:00", "19:00"]]
sat = [["08:00", "15:00"]]
sun = []
holiday = []
cite = "art. 3"

[counting]
mode = "any"

[[rules]]
purposes = ["overdue"]
channels = ["*"]
window = "cobranza"
caps = [{ code = "channel_week", kind = "distinct_channels", per = "week", max = 1, basis = "law" }]

[[rules]]
purposes = ["pre_due"]
channels = ["*"]
window = "cobranza"
"#;

pub(super) const HOLIDAYS: &str =
    "date,name\n2026-01-01,New Year's Day\n2026-03-23,\"Saint Joseph's Day, moved\"\n";

/// Everything a check is given.
pub(super) struct Replay {
    pub(super) history: Vec<ObligationHistory>,
    pub(super) time_zones: BTreeMap<String, Tz>,
    pub(super) policy: String,
    pub(super) profile: String,
    pub(super) holidays: String,
    pub(super) countries: Countries,
    pub(super) open_questions: OpenQuestions,
    pub(super) messages: Vec<String>,
    pub(super) decisions: Vec<String>,
    pub(super) from: NaiveDate,
    pub(super) to: NaiveDate,
}

/// A day of March 2026; the 32nd is the first of April.
pub(super) fn march(day: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() + chrono::Days::new(day - 1)
}

pub(super) fn obligation(customer: &str, id: &str, due: u64) -> ObligationHistory {
    ObligationHistory {
        obligation: id.into(),
        customer: customer.into(),
        known_on: None,
        due_on: march(due),
        closed_on: None,
        dispute: None,
    }
}

/// A message at eight in Bogota. The first obligation leads.
pub(super) fn message(
    day: u64,
    customer: &str,
    channel: &str,
    purpose: &str,
    items: &[(&str, &str)],
) -> Value {
    let stage = items[0].1;
    json!({
        "at": format!("{}T08:00:00-05:00", march(day)),
        "touch": format!("touch-{day}-{customer}"),
        "customer": customer,
        "obligations": items.iter().map(|(id, stage)| json!({"id": id, "stage": stage})).collect::<Vec<_>>(),
        "stage": stage,
        "tone": if stage == "d8" { "firm" } else { "friendly" },
        "purpose": purpose,
        "channel": channel,
        "to": if channel == "sms" { "+573000000000" } else { "ana@example.com" },
        "subject": if channel == "sms" { Value::Null } else { "Su cuota".into() },
        "body": "Su cuota vence pronto.",
    })
}

pub(super) fn decision(day: u64, id: &str, stage: Option<&str>, verdict: &str, code: &str) -> Value {
    let customer = &id[..1];
    json!({
        "on": march(day),
        "customer": customer,
        "obligation": id,
        "stage": stage,
        "verdict": verdict,
        "reasons": [{"code": code, "detail": "why", "until": null}],
    })
}

/// A decision to wait until seven in the morning of a day.
pub(super) fn deferral(day: u64, id: &str, stage: &str, until: u64) -> Value {
    let mut line = decision(day, id, Some(stage), "defer", "sunday");
    line["reasons"][0]["until"] = format!("{}T07:00:00-05:00", march(until)).into();
    line
}

fn send(day: u64, id: &str, stage: &str) -> Value {
    decision(day, id, Some(stage), "send", "stage_due")
}

fn reached(days: std::ops::RangeInclusive<u64>, id: &str, stage: &str) -> Vec<Value> {
    days.map(|day| decision(day, id, Some(stage), "skip", "stage_reached")).collect()
}

impl Replay {
    /// A1 is paid on the 28th. B1 is known from the 18th and in dispute from the 22nd to the 26th. C lives in
    /// Santiago, three hours behind UTC.
    pub(super) fn correct() -> Self {
        let a1 = ObligationHistory { closed_on: Some(march(28)), ..obligation("A", "A1", 19) };
        let b1 = ObligationHistory {
            known_on: Some(march(18)),
            dispute: Some((march(22), Some(march(27)))),
            ..obligation("B", "B1", 20)
        };
        let history = vec![a1, obligation("A", "A2", 21), b1, obligation("C", "C1", 31)];
        Self {
            history,
            time_zones: BTreeMap::from([("C".to_owned(), "America/Santiago".parse().unwrap())]),
            policy: POLICY.into(),
            profile: PROFILE.into(),
            holidays: HOLIDAYS.into(),
            countries: Countries { home: "CO".into(), ..Countries::default() },
            open_questions: OpenQuestions::AsWritten,
            messages: correct_messages().iter().map(Value::to_string).collect(),
            decisions: correct_decisions().iter().map(Value::to_string).collect(),
            from: march(16),
            to: march(31),
        }
    }

    pub(super) fn check(&self) -> Report {
        self.try_check().unwrap()
    }

    pub(super) fn try_check(&self) -> Result<Report, crate::InputError> {
        let (messages, decisions) = (self.messages.join("\n"), self.decisions.join("\n"));
        check(Inputs {
            history: &self.history,
            time_zones: &self.time_zones,
            policy: &self.policy,
            profile: &self.profile,
            holidays: &self.holidays,
            countries: &self.countries,
            open_questions: self.open_questions,
            messages: messages.as_bytes(),
            decisions: decisions.as_bytes(),
            from: self.from,
            to: self.to,
        })
    }

    pub(super) fn history_of(&mut self, id: &str) -> &mut ObligationHistory {
        self.history.iter_mut().find(|h| h.obligation == id).unwrap()
    }

    fn index(lines: &[String], key: &str, value: &str, other: (&str, &str)) -> usize {
        let fits = |line: &String| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            text(key).starts_with(value) && text(other.0) == other.1
        };
        lines.iter().position(fits).unwrap()
    }

    /// Changes the message of a customer on a day.
    pub(super) fn edit_message(&mut self, day: u64, customer: &str, edit: impl FnOnce(&mut Value)) {
        let i = Self::index(&self.messages, "at", &march(day).to_string(), ("customer", customer));
        let mut line: Value = serde_json::from_str(&self.messages[i]).unwrap();
        edit(&mut line);
        self.messages[i] = line.to_string();
    }

    pub(super) fn remove_message(&mut self, day: u64, customer: &str) {
        let i = Self::index(&self.messages, "at", &march(day).to_string(), ("customer", customer));
        self.messages.remove(i);
    }

    /// Puts a message where its instant belongs.
    pub(super) fn add_message(&mut self, message: Value) {
        self.messages.push(message.to_string());
        // All are written with offsets of -05:00, so the order of the texts is the order of the instants.
        self.messages.sort_by_key(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            chrono::DateTime::parse_from_rfc3339(line["at"].as_str().unwrap()).unwrap()
        });
    }

    pub(super) fn edit_decision(&mut self, day: u64, id: &str, edit: impl FnOnce(&mut Value)) {
        let i = Self::index(&self.decisions, "on", &march(day).to_string(), ("obligation", id));
        let mut line: Value = serde_json::from_str(&self.decisions[i]).unwrap();
        edit(&mut line);
        self.decisions[i] = line.to_string();
    }

    pub(super) fn remove_decision(&mut self, day: u64, id: &str) {
        let i = Self::index(&self.decisions, "on", &march(day).to_string(), ("obligation", id));
        self.decisions.remove(i);
    }

    pub(super) fn add_decision(&mut self, line: &Value) {
        self.decisions.push(line.to_string());
    }

    /// Replaces the decision of a day.
    pub(super) fn decide(&mut self, day: u64, id: &str, stage: &str, verdict: &str) {
        self.edit_decision(day, id, |line| *line = decision(day, id, Some(stage), verdict, "why"));
    }
}

fn correct_messages() -> Vec<Value> {
    let santiago = |day: u64, stage: &str| {
        let mut line = message(day, "C", "email", "pre_due", &[("C1", stage)]);
        line["at"] = format!("{}T10:00:00-03:00", march(day)).into();
        line
    };
    vec![
        message(16, "A", "email", "pre_due", &[("A1", "d-3")]),
        message(18, "A", "email", "pre_due", &[("A2", "d-3")]),
        message(18, "B", "sms", "pre_due", &[("B1", "d-3")]),
        message(19, "A", "email", "pre_due", &[("A1", "d0")]),
        message(20, "B", "sms", "pre_due", &[("B1", "d0")]),
        message(21, "A", "email", "pre_due", &[("A2", "d0")]),
        message(24, "A", "email", "overdue", &[("A1", "d3"), ("A2", "d3")]),
        message(27, "A", "email", "overdue", &[("A1", "d8")]),
        message(27, "B", "sms", "overdue", &[("B1", "d3")]),
        message(28, "B", "sms", "overdue", &[("B1", "d8")]),
        santiago(28, "d-3"),
        message(30, "A", "email", "overdue", &[("A2", "d8")]),
        santiago(31, "d0"),
    ]
}

fn correct_decisions() -> Vec<Value> {
    let a1 = [
        vec![send(16, "A1", "d-3")],
        reached(17..=18, "A1", "d-3"),
        vec![send(19, "A1", "d0")],
        reached(20..=21, "A1", "d0"),
        vec![deferral(22, "A1", "d3", 24), deferral(23, "A1", "d3", 24), send(24, "A1", "d3")],
        reached(25..=26, "A1", "d3"),
        vec![send(27, "A1", "d8")],
    ];
    let a2 = [
        vec![send(18, "A2", "d-3")],
        reached(19..=20, "A2", "d-3"),
        vec![send(21, "A2", "d0")],
        reached(22..=23, "A2", "d0"),
        vec![send(24, "A2", "d3")],
        reached(25..=28, "A2", "d3"),
        vec![deferral(29, "A2", "d8", 30), send(30, "A2", "d8")],
        reached(31..=31, "A2", "d8"),
    ];
    let disputed = |day| decision(day, "B1", Some("d3"), "skip", "dispute");
    let b1 = [
        vec![send(18, "B1", "d-3")],
        reached(19..=19, "B1", "d-3"),
        vec![send(20, "B1", "d0")],
        reached(21..=21, "B1", "d0"),
        (22..=26).map(disputed).collect(),
        vec![send(27, "B1", "d3"), send(28, "B1", "d8")],
        reached(29..=30, "B1", "d8"),
    ];
    let c1 = [vec![send(28, "C1", "d-3")], reached(29..=30, "C1", "d-3"), vec![send(31, "C1", "d0")]];
    a1.into_iter().chain(a2).chain(b1).chain(c1).flatten().collect()
}
