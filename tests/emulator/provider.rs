//! The providers of the emulator: what they were given to send, and what they say of it afterwards.
//!
//! Invariant: the emulator's SES and SNS never report by themselves, so the test says what they would, in their own form
//! and with the tags of the message.

use std::collections::HashMap;

use channels::tag::{TagKey, TouchTags};
use chrono::{DateTime, NaiveDate, Utc};
use domain::ids::{CustomerId, TenantId, TouchId};
use serde_json::{Value, json};

use crate::aws::{ACCOUNT, Aws, REGION, http};
use crate::deployment::{ADMINISTRATOR, Deployment, STACK};
use crate::lender::TENANT;

/// A message that a provider took.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Message {
    /// The provider's own id.
    pub(crate) id: String,
    /// An address or a number.
    pub(crate) to: String,
    /// What it says.
    pub(crate) text: String,
}

fn shown(aws: &Aws, path: &str) -> Value {
    http("GET", &format!("{}/_ministack/{path}", aws.endpoint), &[], &[]).json()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The email that SES took for customers: Cognito's invitation to the administrator is among all that it took.
pub(crate) fn email(aws: &Aws) -> Vec<Message> {
    let shown = shown(aws, "ses/messages");
    let all = shown["messages"][ACCOUNT].as_array().cloned().unwrap_or_default();
    let one = |m: &Value| {
        let to = m["To"].as_array().and_then(|to| to.first()).unwrap_or(&m["To"]);
        Message { id: text(&m["MessageId"]), to: text(to), text: text(&m["BodyText"]) }
    };
    let mut found: Vec<Message> = all.iter().map(one).filter(|m| m.to != ADMINISTRATOR).collect();
    found.sort();
    found
}

/// The text messages that SNS took.
pub(crate) fn sms(aws: &Aws) -> Vec<Message> {
    let shown = shown(aws, "sns/sms-messages");
    let by_number = shown["sms_messages"].as_object().cloned().unwrap_or_default();
    let one = |number: &String, m: &Value| Message {
        id: text(&m["MessageId"]),
        to: number.clone(),
        text: text(&m["Message"]),
    };
    let of_number = |(number, all): (&String, &Value)| {
        all.as_array().into_iter().flatten().map(|m| one(number, m)).collect::<Vec<_>>()
    };
    let mut found: Vec<Message> = by_number.iter().flat_map(of_number).collect();
    found.sort();
    found
}

/// What is on record about a message: the touch in the customer's partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) touch: String,
    pub(crate) on: NaiveDate,
    pub(crate) channel: String,
    pub(crate) state: String,
    pub(crate) provider_id: String,
}

/// The touches of a customer.
pub(crate) fn touches(aws: &Aws, table: &str, customer: &str) -> Vec<Recorded> {
    let asked = json!({
        "TableName": table, "ConsistentRead": true,
        "KeyConditionExpression": "pk = :p AND begins_with(sk, :s)",
        "ExpressionAttributeValues": {
            ":p": { "S": format!("T#{TENANT}#CUST#{customer}") }, ":s": { "S": "TOUCH#" },
        },
    });
    let answer = aws.dynamodb("Query", &asked).json();
    let one = |item: &Value| {
        let attribute = |name: &str| text(&item[name]["S"]);
        let key = attribute("sk");
        let [_, on, touch] = key.split('#').collect::<Vec<_>>()[..] else {
            panic!("a key of a touch: {key}")
        };
        Recorded {
            touch: touch.to_owned(),
            on: NaiveDate::parse_from_str(on, "%Y%m%d").expect("a day"),
            channel: attribute("n"),
            state: attribute("st"),
            provider_id: attribute("pi"),
        }
    };
    answer["Items"].as_array().expect("a list").iter().map(one).collect()
}

/// The key that signs the tags of email.
pub(crate) fn tag_key(deployment: &Deployment) -> TagKey {
    let asked = json!({ "SecretId": deployment.resource("EventTagKey") });
    let answer =
        deployment.aws.target("secretsmanager", "1.1", "secretsmanager.GetSecretValue", &asked).json();
    TagKey::new(answer["SecretString"].as_str().expect("a secret").as_bytes())
}

/// The event of SES that says that a message was delivered.
pub(crate) fn delivered(customer: &str, recorded: &Recorded, key: &TagKey, at: DateTime<Utc>) -> Value {
    let tags = TouchTags {
        tenant: TenantId::new(TENANT).expect("an id"),
        customer: CustomerId::new(customer).expect("an id"),
        on: recorded.on,
        touch: TouchId::new(recorded.touch.as_str()).expect("an id"),
    };
    let tags: HashMap<String, Vec<String>> =
        tags.write(key).into_iter().map(|(name, value)| (name, vec![value])).collect();
    let at = at.to_rfc3339();
    json!({
        "eventType": "Delivery",
        "mail": { "timestamp": at, "messageId": recorded.provider_id, "destination": [], "tags": tags },
        "delivery": { "timestamp": at },
    })
}

/// Publishes an event of SES, as its configuration set does.
pub(crate) fn publish(aws: &Aws, event: &Value) {
    let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{STACK}-events");
    let message = event.to_string();
    aws.form("sns", "2010-03-31", "Publish", &[("TopicArn", &topic), ("Message", &message)]).ok();
}

/// Writes the delivery report of a text message, as SNS does.
pub(crate) fn report_sms(aws: &Aws, message: &Message, at: DateTime<Utc>) {
    let group = format!("sns/{REGION}/{ACCOUNT}/DirectPublishToPhoneNumber");
    // A report that comes twice comes in another stream.
    let stream = format!("{}-{}", message.id, at.timestamp_millis());
    let logs = |action: &str, body: &Value| {
        aws.target("logs", "1.1", &format!("Logs_20140328.{action}"), body).ok();
    };
    logs("CreateLogStream", &json!({ "logGroupName": group, "logStreamName": stream }));
    let report = json!({
        "notification": { "messageId": message.id, "timestamp": at.format("%Y-%m-%d %H:%M:%S%.3f").to_string() },
        "delivery": { "destination": message.to, "providerResponse": "Message has been accepted by phone" },
        "status": "SUCCESS",
    });
    let event = json!({ "timestamp": at.timestamp_millis(), "message": report.to_string() });
    logs("PutLogEvents", &json!({ "logGroupName": group, "logStreamName": stream, "logEvents": [event] }));
}
