//! Lines: the two files of a replay, read strictly.
//!
//! Invariant: addresses, subjects and texts of messages do not leave this module; only whether they are there does.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::InputError;
use crate::report::{Findings, LogFile, Rule, Violation};

/// The most lines of a file.
pub const LINES_MAX: usize = 50_000_000;
/// The longest line, in bytes.
pub const LINE_BYTES_MAX: u64 = 1 << 20;

/// The one channel whose messages have no subject.
const WITHOUT_SUBJECT: &str = "sms";

const MESSAGE_KEYS: &[&str] = &[
    "at",
    "touch",
    "customer",
    "obligations",
    "stage",
    "tone",
    "purpose",
    "channel",
    "to",
    "subject",
    "body",
];
const ITEM_KEYS: &[&str] = &["id", "stage"];
const DECISION_KEYS: &[&str] = &["on", "customer", "obligation", "stage", "verdict", "reasons"];
const REASON_KEYS: &[&str] = &["code", "detail", "until"];

/// A message, without what it says and to which address.
pub(crate) struct Message {
    pub(crate) line: usize,
    pub(crate) at: DateTime<FixedOffset>,
    pub(crate) touch: String,
    pub(crate) customer: String,
    pub(crate) items: Vec<Item>,
    pub(crate) stage: String,
    pub(crate) tone: String,
    pub(crate) purpose: String,
    pub(crate) channel: String,
}

/// An obligation of a message.
#[derive(Deserialize)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) stage: String,
}

/// A decision about an obligation on a day.
pub(crate) struct Decision {
    pub(crate) line: usize,
    pub(crate) on: NaiveDate,
    pub(crate) customer: String,
    pub(crate) obligation: String,
    pub(crate) stage: Option<String>,
    pub(crate) verdict: VerdictWord,
    pub(crate) reasons: Vec<Reason>,
}

/// What was decided.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VerdictWord {
    Send,
    Defer,
    Skip,
}

/// Why, without the words for people.
#[derive(Deserialize)]
pub(crate) struct Reason {
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) until: Option<DateTime<FixedOffset>>,
}

// Keys are checked apart from values, so that a line with a key too many or too few can still be checked further.

#[derive(Deserialize)]
struct MessageLine {
    at: DateTime<FixedOffset>,
    touch: String,
    customer: String,
    obligations: Vec<Item>,
    stage: String,
    tone: String,
    purpose: String,
    channel: String,
    #[serde(default = "missing")]
    to: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default = "missing")]
    body: String,
}

#[derive(Deserialize)]
struct DecisionLine {
    on: NaiveDate,
    customer: String,
    obligation: String,
    #[serde(default)]
    stage: Option<String>,
    verdict: VerdictWord,
    reasons: Vec<Reason>,
}

/// Stands for a text whose key is missing, which is reported as such and not as an empty text.
fn missing() -> String {
    "missing".into()
}

/// Reads `messages.jsonl`; returns the messages and the number of lines.
pub(crate) fn read_messages(
    reader: impl BufRead,
    findings: &mut Findings,
) -> Result<(Vec<Message>, usize), InputError> {
    let mut messages = Vec::new();
    let lines = each_line(reader, LogFile::Messages, |line, bytes| {
        let Some(raw) = parse::<MessageLine>(LogFile::Messages, line, bytes, findings) else { return };
        let problems = [
            (raw.to.trim().is_empty(), Rule::Empty, "the address is empty"),
            (raw.body.trim().is_empty(), Rule::Empty, "the text is empty"),
            (raw.touch.trim().is_empty(), Rule::Empty, "the touch has no id"),
            (raw.obligations.is_empty(), Rule::Empty, "there is no obligation"),
            (
                raw.channel == WITHOUT_SUBJECT && raw.subject.is_some(),
                Rule::Subject,
                "an SMS has a subject; expected null",
            ),
            (
                raw.channel != WITHOUT_SUBJECT && raw.subject.as_ref().is_none_or(|s| s.trim().is_empty()),
                Rule::Subject,
                "there is no subject",
            ),
        ];
        for (_, rule, detail) in problems.into_iter().filter(|(found, _, _)| *found) {
            let violation = Violation::new(rule, detail).at(LogFile::Messages, line);
            let (customer, touch) = (Some(raw.customer.clone()), Some(raw.touch.clone()));
            findings.add(Violation { customer, touch, ..violation });
        }
        messages.push(Message {
            line,
            at: raw.at,
            touch: raw.touch,
            customer: raw.customer,
            items: raw.obligations,
            stage: raw.stage,
            tone: raw.tone,
            purpose: raw.purpose,
            channel: raw.channel,
        });
    })?;
    Ok((messages, lines))
}

/// Reads `decisions.jsonl`; returns the decisions and the number of lines.
pub(crate) fn read_decisions(
    reader: impl BufRead,
    findings: &mut Findings,
) -> Result<(Vec<Decision>, usize), InputError> {
    let mut decisions = Vec::new();
    let lines = each_line(reader, LogFile::Decisions, |line, bytes| {
        let Some(raw) = parse::<DecisionLine>(LogFile::Decisions, line, bytes, findings) else { return };
        decisions.push(Decision {
            line,
            on: raw.on,
            customer: raw.customer,
            obligation: raw.obligation,
            stage: raw.stage,
            verdict: raw.verdict,
            reasons: raw.reasons,
        });
    })?;
    Ok((decisions, lines))
}

/// Hands out the lines with their numbers, without their ends; returns how many there are.
fn each_line(
    mut reader: impl BufRead,
    file: LogFile,
    mut take: impl FnMut(usize, &[u8]),
) -> Result<usize, InputError> {
    let mut bytes = Vec::new();
    for line in 1..=LINES_MAX {
        bytes.clear();
        let read = reader
            .by_ref()
            .take(LINE_BYTES_MAX + 1)
            .read_until(b'\n', &mut bytes)
            .map_err(|source| InputError::Read { file, line, source })?;
        if read == 0 {
            return Ok(line - 1);
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if bytes.len() as u64 > LINE_BYTES_MAX {
            return Err(InputError::LineTooLong { file, line });
        }
        take(line, &bytes);
    }
    Err(InputError::TooManyLines { file })
}

/// Parses a line and reports what is wrong with it; `None` where it cannot be checked further.
fn parse<T: DeserializeOwned>(
    file: LogFile,
    line: usize,
    bytes: &[u8],
    findings: &mut Findings,
) -> Option<T> {
    let mut report = |detail: String| findings.add(Violation::new(Rule::Line, detail).at(file, line));
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(e) => {
            report(format!("no JSON: {}", without_values(&e)));
            return None;
        }
    };
    for problem in key_problems(file, &value) {
        report(problem);
    }
    match serde_json::from_slice(bytes) {
        Ok(parsed) => Some(parsed),
        Err(e) => {
            report(without_values(&e));
            None
        }
    }
}

/// What is wrong with a value, without the value: it may be an address or a text.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let about_key = ["missing field", "duplicate field"].iter().any(|start| text.starts_with(start));
    if about_key {
        return text;
    }
    let what = if error.is_data() { "a value of the wrong kind" } else { "wrong syntax" };
    format!("{what} before column {}", error.column())
}

fn key_problems(file: LogFile, value: &Value) -> Vec<String> {
    let (keys, list, list_keys) = match file {
        LogFile::Messages => (MESSAGE_KEYS, "obligations", ITEM_KEYS),
        LogFile::Decisions => (DECISION_KEYS, "reasons", REASON_KEYS),
    };
    let mut problems = differing_keys("", value, keys);
    for element in value.get(list).and_then(Value::as_array).into_iter().flatten() {
        problems.extend(differing_keys(&format!("{list}."), element, list_keys));
    }
    problems
}

fn differing_keys(prefix: &str, value: &Value, expected: &[&str]) -> Vec<String> {
    let Some(object) = value.as_object() else { return vec![format!("{prefix}: no object")] };
    let found: BTreeSet<&str> = object.keys().map(String::as_str).collect();
    let expected: BTreeSet<&str> = expected.iter().copied().collect();
    let unknown = found.difference(&expected).map(|key| format!("unknown key {prefix}{key}"));
    let missing = expected.difference(&found).map(|key| format!("missing key {prefix}{key}"));
    unknown.chain(missing).collect()
}
