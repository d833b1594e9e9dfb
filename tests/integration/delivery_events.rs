//! Delivery events: what the providers report after a message was sent, in any order, twice, late, forged or broken.
//!
//! Invariant under test: what surely did not arrive goes another way under the same hours and caps, what is in doubt is
//! settled by its event, and no event makes a message go out twice.

use std::io::Write as _;

use base64::Engine as _;
use channels::tag::{TagKey, TouchTags};
use channels::{Fault, SNS};
use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::ids::TenantId;
use domain::touch::TouchState;
use serde_json::{Value, json};
use store::{TouchKey, TouchRecord};

use crate::fixture::{Borrower, Function, Stack, at, customer_id, email_of, tag_key};

const NUMBER: &str = "+51999000001";

/// A company, which is reached by email before SMS, on Monday the 23rd.
fn company(country: &str) -> Borrower {
    Borrower::new("ana").with_number(NUMBER).in_country(country)
}

/// A stack whose customer `ana` was sent the stage of an obligation that is due on a day of November.
pub(crate) async fn sent_to(borrower: Borrower, due_on: u32) -> Stack {
    let stack = Stack::new().await;
    stack.import(1, &[borrower.owes("a", due_on)]).await;
    stack.scan(at(23, 8, 0)).await;
    stack
}

impl Stack {
    async fn touches(&self) -> Vec<TouchRecord> {
        self.store.touches(&self.scope.tenant, &customer_id("ana")).await.expect("touches can be read")
    }

    pub(crate) async fn tags(&self) -> TouchTags {
        let touch = self.touches().await.into_iter().next().expect("there is a touch").touch;
        TouchTags { tenant: self.tenant(), customer: touch.customer, on: touch.on, touch: touch.id }
    }

    async fn report(&self, bodies: Vec<String>, now: DateTime<Utc>) -> Vec<usize> {
        self.work(Function::RecordDelivery, bodies, now).await
    }

    async fn reported(&self, event: &Value, now: DateTime<Utc>) {
        assert!(self.report(vec![event.to_string()], now).await.is_empty(), "{event}");
    }
}

/// An event of SES about the touch of some tags, as its configuration set publishes it.
pub(crate) fn event(kind: &str, tags: &TouchTags, key: &TagKey) -> Value {
    let tags: serde_json::Map<String, Value> =
        tags.write(key).into_iter().map(|(name, value)| (name, json!([value]))).collect();
    let (address, timestamp) = (email_of("ana"), "2026-11-23T13:00:05.250Z");
    let recipients =
        json!([{"emailAddress": address, "status": "5.1.1", "diagnosticCode": "smtp; 550 unknown"}]);
    json!({
        "eventType": kind,
        "mail": {
            "timestamp": "2026-11-23T13:00:01.000Z",
            "messageId": "0100018f-ses",
            "destination": [address],
            "tags": tags,
        },
        "bounce": {
            "bounceType": "Permanent", "bounceSubType": "General",
            "bouncedRecipients": recipients, "timestamp": timestamp,
        },
        "complaint": {
            "complainedRecipients": recipients, "complaintFeedbackType": "abuse", "timestamp": timestamp,
        },
        "delivery": {"timestamp": timestamp, "recipients": [address]},
        "deliveryDelay": {"delayType": "MailboxFull", "timestamp": timestamp},
    })
}

fn through_a_topic(event: &Value) -> Value {
    json!({"Type": "Notification", "MessageId": "1", "TopicArn": "arn", "Message": event.to_string()})
}

fn through_event_bridge(event: &Value) -> Value {
    json!({"version": "0", "detail-type": "Email Bounced", "source": "aws.ses", "detail": event})
}

#[tokio::test]
async fn what_bounces_before_the_due_date_goes_by_sms_on_the_same_day() {
    let stack = sent_to(company("PE"), 26).await;
    assert_eq!(stack.sent_to("ana"), ["email d-3:a"]);
    let bounced = event("Bounce", &stack.tags().await, &tag_key());
    stack.reported(&through_a_topic(&bounced), at(23, 8, 1)).await;
    stack.send(at(23, 8, 1)).await;
    assert_eq!(stack.sent_to("ana"), ["email d-3:a", "sms d-3:a"]);
    assert_eq!(stack.fence("ana").await.contacts.len(), 2, "an attempt that bounced is a contact, too");
    // The same news by the other way, and every later scan: nothing goes out once more.
    stack.reported(&through_event_bridge(&bounced), at(23, 9, 0)).await;
    stack.send(at(23, 9, 0)).await;
    for of_november in 23..=25 {
        stack.scan(at(of_november, 10, 0)).await;
    }
    assert_eq!(stack.sent_to("ana").len(), 2);
    let states: Vec<_> = stack.touches().await.iter().map(|t| (t.touch.channel, t.state)).collect();
    assert!(states.contains(&(Channel::Email, TouchState::Bounced)), "{states:?}");
    assert!(states.contains(&(Channel::Sms, TouchState::Sent)), "{states:?}");
}

#[tokio::test]
async fn what_bounces_when_overdue_waits_for_the_week_in_which_another_channel_is_allowed() {
    // Ley 2300/2023 art. 3: one contact a day, and no other channel within the same week.
    let stack = sent_to(company("CO"), 20).await;
    let bounced = event("Bounce", &stack.tags().await, &tag_key());
    stack.reported(&bounced, at(23, 8, 1)).await;
    stack.send(at(23, 8, 1)).await;
    for of_november in 24..=29 {
        stack.wave(at(of_november, 12, 0)).await;
        stack.scan(at(of_november, 12, 0)).await;
    }
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
    stack.wave(at(30, 7, 0)).await;
    assert_eq!(stack.sent_to("ana").len(), 2);
    assert!(stack.sent_to("ana")[1].starts_with("sms "));
}

#[tokio::test]
async fn a_stage_is_never_tried_twice_on_one_channel_also_at_a_new_address() {
    let stack = sent_to(Borrower::new("ana"), 20).await;
    stack.reported(&event("Bounce", &stack.tags().await, &tag_key()), at(23, 8, 1)).await;
    let moved = Borrower::new("ana").reached_at(Channel::Email, "otra@example.com");
    stack.import(2, &[moved.owes("a", 20)]).await;
    stack.scan(at(24, 8, 0)).await;
    stack.scan(at(25, 8, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
    stack.scan(at(28, 8, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:a", "email d8:a"], "the next stage is another matter");
}

#[tokio::test]
async fn a_complaint_stops_the_channel_and_goes_nowhere_else() {
    let stack = sent_to(company("PE"), 26).await;
    let tags = stack.tags().await;
    stack.reported(&event("Delivery", &tags, &tag_key()), at(23, 8, 1)).await;
    stack.reported(&event("Complaint", &tags, &tag_key()), at(23, 8, 2)).await;
    stack.reported(&event("Bounce", &tags, &tag_key()), at(23, 8, 3)).await;
    stack.send(at(23, 8, 3)).await;
    stack.scan(at(24, 8, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d-3:a"]);
    assert_eq!(stack.states("ana").await, [TouchState::Complained]);
    stack.scan(at(26, 8, 0)).await;
    assert_eq!(stack.sent_to("ana").last().map(String::as_str), Some("sms d0:a"));
}

#[tokio::test]
async fn events_out_of_order_and_twice_end_in_the_same_state() {
    let orders = [["Send", "DeliveryDelay", "Delivery"], ["Delivery", "Send", "DeliveryDelay"]];
    for order in orders {
        let stack = sent_to(Borrower::new("ana"), 20).await;
        let tags = stack.tags().await;
        let bodies = order.iter().chain(&order).map(|kind| event(kind, &tags, &tag_key()).to_string());
        assert!(stack.report(bodies.collect(), at(23, 8, 1)).await.is_empty());
        assert_eq!(stack.states("ana").await, [TouchState::Delivered]);
        assert_eq!(stack.touches().await[0].history.entries().len(), 3, "each kind once");
    }
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_a_late_event() {
    for (kind, state) in [
        ("Send", TouchState::Sent),
        ("Delivery", TouchState::Delivered),
        ("Reject", TouchState::Failed),
        ("Bounce", TouchState::Bounced),
    ] {
        let stack = Stack::new().await;
        stack.import(1, &[Borrower::new("ana").owes("a", 20)]).await;
        stack.outbox.fail_next(Fault::LoseAnswer);
        stack.scan(at(23, 8, 0)).await;
        assert_eq!(stack.states("ana").await, [TouchState::Unknown]);
        stack.reported(&event(kind, &stack.tags().await, &tag_key()), at(25, 8, 0)).await;
        assert_eq!(stack.states("ana").await, [state]);
        let touch = stack.touches().await.remove(0);
        assert_eq!(touch.provider_id.as_deref(), Some("0100018f-ses"));
        stack.scan(at(25, 9, 0)).await;
        assert_eq!(stack.sent_to("ana").len(), 1, "{kind}: it is not sent again");
    }
}

#[tokio::test]
async fn what_is_forged_foreign_new_or_broken_fails_alone() {
    let stack = sent_to(Borrower::new("ana"), 20).await;
    let tags = stack.tags().await;
    let good = |kind| event(kind, &tags, &tag_key());
    let other_tenant = TouchTags { tenant: TenantId::new("other").expect("an id"), ..tags.clone() };
    let mut untagged = good("Bounce");
    untagged["mail"]["tags"] = json!({});
    let mut rewritten = good("Bounce");
    rewritten["mail"]["tags"]["tenant"] = json!(["other"]);
    let mut new_bounce = good("Bounce");
    new_bounce["bounce"]["bounceType"] = json!("Quantum");
    let mut torn = good("Bounce");
    torn["bounce"]["timestamp"] = json!("yesterday");
    let bad = [
        event("Bounce", &tags, &TagKey::new(*b"somebody's key")),
        event("Bounce", &other_tenant, &tag_key()),
        untagged,
        rewritten,
        new_bounce,
        torn,
        good("Open"),
        json!({"hello": "world"}),
        json!([]),
    ];
    let mut bodies: Vec<String> = bad.iter().map(Value::to_string).collect();
    bodies.push("not JSON".to_owned());
    let failing: Vec<usize> = (0..bodies.len()).collect();
    bodies.push(good("Delivery").to_string());
    assert_eq!(stack.report(bodies, at(23, 8, 1)).await, failing);
    assert_eq!(stack.states("ana").await, [TouchState::Delivered]);
}

#[tokio::test]
async fn ten_thousand_bad_messages_cost_no_good_one() {
    let stack = sent_to(Borrower::new("ana"), 20).await;
    let tags = stack.tags().await;
    let forged = event("Bounce", &tags, &TagKey::new(*b"somebody's key")).to_string();
    let mut bodies = vec![forged; 10_000];
    bodies[4_321] = event("Send", &tags, &tag_key()).to_string();
    bodies[9_999] = event("Delivery", &tags, &tag_key()).to_string();
    let failed = stack.report(bodies, at(23, 8, 1)).await;
    assert_eq!(failed.len(), 9_998);
    assert!(!failed.contains(&4_321) && !failed.contains(&9_999));
    assert_eq!(stack.states("ana").await, [TouchState::Delivered]);
}

/// A delivery report of SNS.
fn sms_report(id: &str, status: &str, answer: &str) -> Value {
    json!({
        "notification": {"messageId": id, "timestamp": "2026-11-23 13:00:34.558"},
        "delivery": {"destination": NUMBER, "providerResponse": answer, "smsType": "Transactional"},
        "status": status,
    })
}

fn through_a_log_group(records: &[Value]) -> Value {
    let events: Vec<Value> =
        records.iter().map(|r| json!({"id": "1", "timestamp": 1, "message": r.to_string()})).collect();
    let text = json!({"messageType": "DATA_MESSAGE", "logEvents": events}).to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("a vector takes it");
    let bytes = gzip.finish().expect("a vector takes it");
    json!({"awslogs": {"data": base64::engine::general_purpose::STANDARD.encode(bytes)}})
}

#[tokio::test]
async fn a_text_message_is_found_by_the_id_that_its_provider_gave() {
    let stack = sent_to(Borrower::new("ana").with_sms(NUMBER).in_country("PE"), 26).await;
    assert_eq!(stack.sent_to("ana"), ["sms d-3:a"]);
    let place = TouchKey::of(&stack.touches().await[0].touch);
    stack.store.refer(SNS, "m-1", &stack.tenant(), &place, at(23, 8, 0)).await.expect("a reference");
    let invalid = sms_report("m-1", "FAILURE", "Invalid phone number");
    // One of the records refers to nothing: the whole delivery is reported, and the good one is recorded.
    let records = [sms_report("m-2", "SUCCESS", "ok"), invalid.clone()];
    let body = through_a_log_group(&records).to_string();
    assert_eq!(stack.report(vec![body], at(23, 8, 1)).await, [0]);
    stack.reported(&through_a_log_group(std::slice::from_ref(&invalid)), at(23, 8, 2)).await;
    stack.reported(&invalid, at(23, 8, 3)).await;
    stack.send(at(23, 8, 3)).await;
    assert_eq!(stack.sent_to("ana"), ["sms d-3:a", "email d-3:a"]);
    let states: Vec<_> = stack.touches().await.iter().map(|t| (t.touch.channel, t.state)).collect();
    assert!(states.contains(&(Channel::Sms, TouchState::Bounced)), "{states:?}");
}

#[tokio::test]
async fn a_report_of_a_text_message_tells_delivered_from_refused() {
    for (status, answer, state) in [
        ("SUCCESS", "Message has been accepted by phone carrier", TouchState::Delivered),
        ("FAILURE", "Phone is currently unreachable/unavailable", TouchState::Bounced),
        ("FAILURE", "Blocked as spam by phone carrier", TouchState::Failed),
    ] {
        let stack = sent_to(Borrower::new("ana").with_sms(NUMBER), 20).await;
        let place = TouchKey::of(&stack.touches().await[0].touch);
        stack.store.refer(SNS, "m-1", &stack.tenant(), &place, at(23, 8, 0)).await.expect("a reference");
        stack.reported(&sms_report("m-1", status, answer), at(23, 8, 1)).await;
        assert_eq!(stack.states("ana").await[0], state);
    }
    let stack = Stack::new().await;
    let strange = sms_report("m-1", "PENDING", "");
    assert_eq!(stack.report(vec![strange.to_string()], at(23, 8, 1)).await, [0]);
}
