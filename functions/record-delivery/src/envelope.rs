//! Envelopes: the ways in which a provider's event may arrive, opened down to the event itself.
//!
//! Invariant: an error names fields and kinds, never a value: events carry addresses.

use std::collections::HashMap;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::delivery::Code;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::TouchEvent;

use crate::{ses, sms};

/// The most bytes that a delivery of a log group may hold once inflated; CloudWatch Logs sends far less.
pub const INFLATED_BYTES_MAX: u64 = 16 << 20;

/// Why a text is no event that this function knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableEvent {
    /// It is no JSON, or lacks a field.
    #[error("the {what} is unreadable at {path:?}; expected it as AWS documents it")]
    Malformed {
        /// What it should be.
        what: &'static str,
        /// The first field that is missing or of another type.
        path: String,
    },
    /// Neither an SES event nor a delivery report of SNS.
    #[error("the message is no event of SES and no delivery report of SNS")]
    Stranger,
    /// A kind that is not expected.
    #[error("the {what} {found:?} is not known; expected one of {expected}")]
    UnknownKind {
        /// What the word says.
        what: &'static str,
        /// The word, made harmless.
        found: String,
        /// The words that are known.
        expected: &'static str,
    },
    /// The compressed records of a log group.
    #[error("the log records cannot be inflated to at most {INFLATED_BYTES_MAX} bytes")]
    Compression,
}

impl UnreadableEvent {
    pub(crate) fn unknown(what: &'static str, found: &str, expected: &'static str) -> Self {
        Self::UnknownKind { what, found: Code::new(found).as_str().to_owned(), expected }
    }
}

/// One report with what says whose it is.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) whose: Whose,
    pub(crate) event: TouchEvent,
}

/// What says which touch a report is about.
#[derive(Debug)]
pub(crate) enum Whose {
    /// The tags of the message, not checked yet.
    Tagged(HashMap<String, Vec<String>>),
    /// The provider's own id.
    Referred { provider: &'static str, provider_id: String },
}

/// A message of an SNS topic, of which only the text counts.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    message: String,
}

/// What a subscription filter of CloudWatch Logs delivers.
#[derive(Deserialize)]
struct LogDelivery {
    awslogs: Compressed,
}

#[derive(Deserialize)]
struct Compressed {
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogRecords {
    message_type: String,
    #[serde(default)]
    log_events: Vec<LogRecord>,
}

#[derive(Deserialize)]
struct LogRecord {
    message: String,
}

/// The reports in a message, each readable or not: those of a log group come several at once.
pub(crate) fn reports_of(body: &str) -> Result<Vec<Result<Report, UnreadableEvent>>, UnreadableEvent> {
    let value: Value = read_text("event", body)?;
    if value.get("awslogs").is_some() {
        return of_log_group(value);
    }
    if value.get("Type").is_some_and(|t| t == "Notification") {
        let notification: Notification = read("SNS notification", value)?;
        return report_of(read_text("message of the SNS notification", &notification.message)?)
            .map(|report| vec![Ok(report)]);
    }
    report_of(value).map(|report| vec![Ok(report)])
}

fn report_of(value: Value) -> Result<Report, UnreadableEvent> {
    let is_from_event_bridge = value.get("source").is_some_and(|source| source == "aws.ses");
    match value {
        Value::Object(mut fields) if is_from_event_bridge => {
            ses::report(fields.remove("detail").unwrap_or_default())
        }
        event if event.get("eventType").is_some() => ses::report(event),
        event if event.get("notification").is_some() => sms::report(event),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => Err(UnreadableEvent::Stranger),
    }
}

fn of_log_group(value: Value) -> Result<Vec<Result<Report, UnreadableEvent>>, UnreadableEvent> {
    let delivery: LogDelivery = read("delivery of a log group", value)?;
    let compressed = STANDARD.decode(delivery.awslogs.data).map_err(|_| UnreadableEvent::Compression)?;
    let mut text = String::new();
    let mut inflated = flate2::read::GzDecoder::new(compressed.as_slice()).take(INFLATED_BYTES_MAX + 1);
    let bytes = inflated.read_to_string(&mut text).map_err(|_| UnreadableEvent::Compression)?;
    if bytes as u64 > INFLATED_BYTES_MAX {
        return Err(UnreadableEvent::Compression);
    }
    let records: LogRecords = read_text("records of a log group", &text)?;
    match records.message_type.as_str() {
        "DATA_MESSAGE" => {
            let one = |record: LogRecord| report_of(read_text("record of a log group", &record.message)?);
            Ok(records.log_events.into_iter().map(one).collect())
        }
        // CloudWatch Logs asks now and then whether anybody listens.
        "CONTROL_MESSAGE" => Ok(Vec::new()),
        other => Err(UnreadableEvent::unknown("message type", other, "DATA_MESSAGE, CONTROL_MESSAGE")),
    }
}

fn read_text<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, UnreadableEvent> {
    let malformed = |path: String| UnreadableEvent::Malformed { what, path };
    let mut json = serde_json::Deserializer::from_str(text);
    let value =
        serde_path_to_error::deserialize(&mut json).map_err(|error| malformed(error.path().to_string()))?;
    // What goes on after its end is not what anybody signed or AWS sent.
    json.end().map_err(|_| malformed(".".to_owned()))?;
    Ok(value)
}

/// Reads a part of an event.
pub(crate) fn read<T: DeserializeOwned>(what: &'static str, value: Value) -> Result<T, UnreadableEvent> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| UnreadableEvent::Malformed { what, path: error.path().to_string() })
}
