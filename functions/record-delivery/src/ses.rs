//! Events of SES, as its configuration sets publish them.
//!
//! Invariant: whatever is published for a message of ours becomes one report or an error; nothing is passed over.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::contact::Address;
use domain::delivery::{Report as Said, Source, Transition};
use serde::Deserialize;
use serde_json::Value;
use store::TouchEvent;

use crate::envelope::{Report, UnreadableEvent, Whose, read};

/// The kinds of events that a configuration set is to publish.
const KINDS: &str = "Send, Delivery, Bounce, Complaint, Reject, Rendering Failure, DeliveryDelay";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_type: String,
    mail: Mail,
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
    delivery: Option<Delivery>,
    delivery_delay: Option<Delay>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mail {
    timestamp: DateTime<Utc>,
    message_id: String,
    #[serde(default)]
    destination: Vec<Address>,
    #[serde(default)]
    tags: HashMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: String,
    bounce_sub_type: Option<String>,
    #[serde(default)]
    bounced_recipients: Vec<Recipient>,
    timestamp: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    complaint_feedback_type: Option<String>,
    complaint_sub_type: Option<String>,
    #[serde(default)]
    complained_recipients: Vec<Recipient>,
    timestamp: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Delivery {
    timestamp: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delay {
    delay_type: Option<String>,
    timestamp: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: Address,
}

/// What was said, why, when, and about which addresses.
type Told = (Said, String, DateTime<Utc>, Vec<Address>);

pub(crate) fn report(value: Value) -> Result<Report, UnreadableEvent> {
    let event: Event = read("SES event", value)?;
    let sent_at = event.mail.timestamp;
    let plain = |said, code: &str| (said, code.to_owned(), sent_at, Vec::new());
    let (said, code, at, told) = match event.event_type.as_str() {
        "Send" => plain(Said::Sent, ""),
        "Reject" => plain(Said::Failed, "reject"),
        "Rendering Failure" => plain(Said::Failed, "rendering_failure"),
        "Delivery" => {
            let at = part("delivery", event.delivery)?.timestamp;
            (Said::Delivered, String::new(), at, Vec::new())
        }
        "DeliveryDelay" => {
            let delay = part("deliveryDelay", event.delivery_delay)?;
            (Said::Delayed, delay.delay_type.unwrap_or_default(), delay.timestamp, Vec::new())
        }
        "Bounce" => bounce(part("bounce", event.bounce)?)?,
        "Complaint" => complaint(part("complaint", event.complaint)?),
        other => return Err(UnreadableEvent::unknown("type of SES event", other, KINDS)),
    };
    // A message has one recipient; a forwarder may name another one in the bounce.
    let addresses = event.mail.destination.into_iter().chain(told).collect();
    let transition = Transition { report: said, source: Source::Provider };
    let provider_id = Some(event.mail.message_id);
    let event_of_touch = TouchEvent { transition, reason: code, at, provider_id, addresses };
    Ok(Report { whose: Whose::Tagged(event.mail.tags), event: event_of_touch })
}

fn part<T>(name: &'static str, part: Option<T>) -> Result<T, UnreadableEvent> {
    part.ok_or_else(|| UnreadableEvent::Malformed { what: "SES event", path: name.to_owned() })
}

fn bounce(bounce: Bounce) -> Result<Told, UnreadableEvent> {
    let said = match bounce.bounce_type.as_str() {
        "Permanent" => Said::HardBounced,
        // SES has given this message up, too; the next one may arrive.
        "Transient" | "Undetermined" => Said::SoftBounced,
        other => {
            let expected = "Permanent, Transient, Undetermined";
            return Err(UnreadableEvent::unknown("type of bounce", other, expected));
        }
    };
    let code = format!("{}/{}", bounce.bounce_type, bounce.bounce_sub_type.unwrap_or_default());
    let addresses = bounce.bounced_recipients.into_iter().map(|r| r.email_address).collect();
    Ok((said, code, bounce.timestamp, addresses))
}

fn complaint(complaint: Complaint) -> Told {
    let kind = complaint.complaint_feedback_type.or(complaint.complaint_sub_type).unwrap_or_default();
    // The recipient takes a complaint back: the message arrived and is welcome (RFC 5965 and IANA: `not-spam`).
    let said = if kind == "not-spam" { Said::Delivered } else { Said::Complained };
    let addresses = complaint.complained_recipients.into_iter().map(|r| r.email_address).collect();
    (said, format!("complaint/{kind}"), complaint.timestamp, addresses)
}
