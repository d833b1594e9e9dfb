//! Delivery reports of SNS for text messages, as it writes them to its log group.
//!
//! Invariant: a report is about the message id that SNS gave when the message was sent, and about nothing else: SNS
//! echoes nothing of ours.

use channels::SNS;
use chrono::NaiveDateTime;
use domain::contact::Address;
use domain::delivery::{Report as Said, Source, Transition};
use serde::Deserialize;
use serde_json::Value;
use store::TouchEvent;

use crate::envelope::{Report, UnreadableEvent, Whose, read};

/// Beginnings of answers after which nothing sent to the number will arrive.
const HARD: &[&str] = &[
    "Invalid phone number",
    "Phone number is opted out",
    "Phone has blocked SMS",
    "Phone is on a blocked list",
    "Destination is on a blocked list",
];

/// Beginnings of answers that refuse this message, whoever it is for.
const REFUSED: &[&str] = &[
    "Blocked as spam by phone carrier",
    "Message body is invalid",
    "Phone carrier has blocked this message",
    "This delivery would exceed max price",
    "No quota left for account",
];

#[derive(Deserialize)]
struct LogRecord {
    notification: Notification,
    delivery: Delivery,
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    message_id: String,
    timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    destination: Option<Address>,
    #[serde(default)]
    provider_response: String,
}

pub(crate) fn report(value: Value) -> Result<Report, UnreadableEvent> {
    let record: LogRecord = read("delivery report of SNS", value)?;
    let answer = record.delivery.provider_response.as_str();
    let says = |words: &[&str]| words.iter().any(|w| answer.starts_with(w));
    let said = match record.status.as_str() {
        "SUCCESS" => Said::Delivered,
        "FAILURE" if says(HARD) => Said::HardBounced,
        "FAILURE" if says(REFUSED) => Said::Failed,
        // Out of reach for now, or for a reason that is not known: it counts, and the next message may arrive.
        "FAILURE" => Said::SoftBounced,
        other => {
            return Err(UnreadableEvent::unknown("status of a delivery report", other, "SUCCESS, FAILURE"));
        }
    };
    let at = NaiveDateTime::parse_from_str(&record.notification.timestamp, "%Y-%m-%d %H:%M:%S%.f");
    let at = at.map_err(|_| UnreadableEvent::Malformed {
        what: "delivery report of SNS",
        path: "notification.timestamp".to_owned(),
    })?;
    let provider_id = record.notification.message_id;
    let event = TouchEvent {
        transition: Transition { report: said, source: Source::Provider },
        reason: domain::delivery::Code::new(answer).as_str().to_owned(),
        at: at.and_utc(),
        provider_id: Some(provider_id.clone()),
        addresses: record.delivery.destination.into_iter().collect(),
    };
    Ok(Report { whose: Whose::Referred { provider: SNS, provider_id }, event })
}
