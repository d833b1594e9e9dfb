//! Bad input: what no function can handle lies with the dead letters, with its reason, and costs no other message.
//!
//! Invariant under test: whatever an operator does with a dead letter, and however often, sends nothing twice.

use std::fs;

use aws_lambda_events::event::sqs::SqsBatchResponse;
use channels::tag::{TagKey, TouchTags};
use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::ids::TenantId;
use domain::touch::TouchState;
use runtime::batch::refuse_all;
use runtime::dead_letter::{DeadLetter, MessageId, QueueName};
use runtime::local_queue::{LocalQueues, RECEIVES_MAX};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command_line::path;
use crate::delivery_events::{event, sent_to};
use crate::fixture::{Borrower, Function, Stack, at, customer_id, run_json, run_to, tag_key, text};

/// How many messages a function gets at once, as SQS would give it.
const BATCH_SIZE: usize = 10;

/// Gives a queue to its function until nothing waits in it.
async fn drain(stack: &Stack, queues: &LocalQueues, queue: QueueName, now: DateTime<Utc>) {
    let function = match queue {
        QueueName::PlanShard => Function::PlanShard,
        QueueName::SendEmail => Function::SendEmail,
        QueueName::SendSms => Function::SendSms,
        QueueName::RecordDelivery => Function::RecordDelivery,
    };
    let answer = async |event| stack.answer(function, event, now).await;
    while queues.give(queue, BATCH_SIZE, now, answer).await.expect("queues in memory").messages > 0 {}
}

fn reason(letter: &DeadLetter) -> &str {
    letter.reason.as_deref().expect("its function said why")
}

#[tokio::test]
async fn an_event_that_cannot_be_believed_is_dead_with_its_reason() {
    let stack = sent_to(Borrower::new("ana"), 20).await;
    let tags = stack.tags().await;
    let other_tenant = TouchTags { tenant: TenantId::new("other").expect("an id"), ..tags.clone() };
    let mut untagged = event("Bounce", &tags, &tag_key());
    untagged["mail"]["tags"] = json!({});
    let bad = [
        (event("Bounce", &tags, &TagKey::new(*b"somebody's key")).to_string(), "not signed"),
        (untagged.to_string(), "tag"),
        (event("Bounce", &other_tenant, &tag_key()).to_string(), "other"),
        (event("Open", &tags, &tag_key()).to_string(), "Open"),
        ("not JSON".to_owned(), "unreadable"),
    ];
    let queues = LocalQueues::memory();
    let mut bodies: Vec<String> = bad.iter().map(|(body, _)| body.clone()).collect();
    bodies.insert(2, event("Delivery", &tags, &tag_key()).to_string());
    queues.put(QueueName::RecordDelivery, bodies).expect("queues in memory");
    drain(&stack, &queues, QueueName::RecordDelivery, at(23, 8, 1)).await;
    let dead = queues.dead(Some(QueueName::RecordDelivery));
    assert_eq!(dead.len(), bad.len());
    for (letter, (_, word)) in dead.iter().zip(&bad) {
        assert!(reason(letter).contains(word), "{word}: {}", reason(letter));
        assert!(!reason(letter).contains("ana@"), "a reason names an address");
        assert_eq!(letter.receives, RECEIVES_MAX);
    }
    assert_eq!(stack.states("ana").await, [TouchState::Delivered]);
}

#[tokio::test]
async fn ten_thousand_poisoned_messages_are_dead_and_cost_no_good_one() {
    let stack = sent_to(Borrower::new("ana"), 20).await;
    let tags = stack.tags().await;
    let mut bodies = vec![event("Bounce", &tags, &TagKey::new(*b"somebody's key")).to_string(); 10_000];
    bodies[9_999] = event("Delivery", &tags, &tag_key()).to_string();
    let queues = LocalQueues::memory();
    queues.put(QueueName::RecordDelivery, bodies).expect("queues in memory");
    drain(&stack, &queues, QueueName::RecordDelivery, at(23, 8, 1)).await;
    assert_eq!(queues.dead(None).len(), 9_999);
    assert_eq!(stack.states("ana").await, [TouchState::Delivered]);
}

#[tokio::test]
async fn a_redriven_job_whose_touch_went_out_meanwhile_sends_nothing() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 20), Borrower::new("bo").owes("b", 20)]).await;
    stack.plan(at(23, 8, 0)).await;
    let queues = LocalQueues::memory();
    queues.put(QueueName::SendEmail, stack.take_jobs(Channel::Email)).expect("queues in memory");
    // The store, say, does not answer for a while.
    let away = async |event| -> SqsBatchResponse { refuse_all(event, "the store did not answer") };
    let now = at(23, 8, 0);
    while queues.give(QueueName::SendEmail, BATCH_SIZE, now, away).await.expect("memory").messages > 0 {}
    let dead: Vec<MessageId> = queues.dead(None).into_iter().map(|letter| letter.id).collect();
    assert_eq!(dead.len(), 2);

    // One goes out by the next scan; then both are sent back, twice.
    let jobs = [queues.find(&dead[0]).expect("it is dead").body];
    let first = if jobs[0].contains("ana") { ["ana", "bo"] } else { ["bo", "ana"] };
    assert!(stack.work(Function::SendEmail, jobs.to_vec(), at(23, 9, 0)).await.is_empty());
    for _ in 0..2 {
        for id in &dead {
            queues.redrive(id, at(23, 10, 0)).expect("queues in memory");
        }
        drain(&stack, &queues, QueueName::SendEmail, at(23, 10, 0)).await;
    }
    assert_eq!(first.map(|customer| stack.sent_to(customer).len()), [1, 1]);
    assert_eq!(queues.dead(None), []);
}

#[tokio::test]
async fn a_job_about_what_never_was_is_dead_with_its_reason_and_decides_nothing() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 20), Borrower::new("bo").owes("b", 20)]).await;
    stack.import(2, &[Borrower::new("eva").owes("e", 20)]).await;
    stack.plan(at(23, 8, 0)).await;
    let jobs = stack.take_jobs(Channel::Email);
    let of = |customer: &str| jobs.iter().find(|job| job.contains(customer)).expect("a job").clone();
    let changed = |job: String, field: &str, to: &str| {
        let mut job: Value = serde_json::from_str(&job).expect("a job is JSON");
        job[field] = json!(to);
        job.to_string()
    };
    // Erased while the job was on its way: that is no mistake.
    stack.store.erase_customer(&stack.scope, &customer_id("eva"), at(23, 8, 0)).await.expect("an erasure");
    let queues = LocalQueues::memory();
    let made_up = json!({"send_at": at(23, 8, 0), "shard": 0});
    let mut waiting: Value = serde_json::from_str(&changed(of("ana"), "touch", "made-up")).expect("JSON");
    waiting["wave"] = made_up;
    let bodies = vec![
        changed(of("ana"), "touch", "00000000000000000000000000000000"),
        waiting.to_string(),
        changed(of("ana"), "customer", "nobody"),
        of("eva"),
        of("bo"),
    ];
    queues.put(QueueName::SendEmail, bodies).expect("queues in memory");
    let shard = |shard: u32, as_of: &str| {
        json!({"v": 1, "tenant": stack.tenant(), "shard": shard, "as_of": as_of}).to_string()
    };
    let bodies = vec![shard(999, "2026-11-23"), shard(0, "2126-11-23"), shard(0, "1996-11-23")];
    queues.put(QueueName::PlanShard, bodies).expect("queues in memory");
    for queue in [QueueName::SendEmail, QueueName::PlanShard] {
        drain(&stack, &queues, queue, at(23, 8, 1)).await;
    }
    let dead = queues.dead(None);
    let words = [
        "no such touch of 2026-11-23 (an id of 32",
        "no such touch of 2026-11-23 (an id of 7",
        "no such customer (an id of 6",
        "no shard 999",
        "2126-11-23",
        "1996-11-23",
    ];
    assert_eq!(dead.len(), words.len());
    for word in words {
        assert!(dead.iter().any(|letter| reason(letter).contains(word)), "{word}");
    }
    assert!(dead.iter().all(|letter| !reason(letter).contains("nobody")), "an id of nobody may be anything");
    assert!(stack.states("ana").await.is_empty(), "a made-up job decides nothing");
    assert_eq!(stack.sent_to("bo").len(), 1);
    assert!(stack.sent_to("eva").is_empty());
}

/// Jobs that no run can carry out, with a word of the reason.
fn bad_jobs(tenant: &str) -> Vec<(QueueName, String, &'static str)> {
    let touch = |v: u32, tenant: &str, channel: &str| {
        json!({"v": v, "tenant": tenant, "customer": "C-000001", "touch": "t", "on": "2026-11-23", "channel": channel})
            .to_string()
    };
    let shard =
        |tenant: &str| json!({"v": 1, "tenant": tenant, "shard": 0, "as_of": "2026-11-23"}).to_string();
    vec![
        (QueueName::PlanShard, shard("nobody"), "nobody"),
        (QueueName::SendEmail, "not JSON: ana@example.com".to_owned(), "not a touch job"),
        (QueueName::SendEmail, touch(9, tenant, "email"), "version 9"),
        (QueueName::SendEmail, touch(1, "nobody", "email"), "nobody"),
        (QueueName::SendSms, touch(1, tenant, "email"), "email touch t is in the sms queue"),
    ]
}

#[test]
fn an_operator_lists_inspects_redrives_and_discards() {
    let (folder, clean) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (out, clean) = (path(folder.path()), path(clean.path()));
    let at_eight = "2026-11-23T08:00:00-05:00";
    let day =
        |out: &str| run_json(0, &["run", "--size", "40", "--seed", "3", "--at", at_eight, "--out", out]);
    let dlq = |code: i32, rest: &[&str]| run_to(code, &[&["dlq", "--out", &out], rest].concat());
    let list = || -> Vec<Value> {
        serde_json::from_slice(&dlq(0, &["list", "--json"]).stdout).expect("a JSON array")
    };

    let bad = bad_jobs("demo");
    let queues = LocalQueues::open(&folder.path().join("queues.jsonl"), at(23, 8, 0)).unwrap();
    for (queue, body, _) in &bad {
        queues.put(*queue, vec![body.clone()]).unwrap();
    }
    drop(queues);
    let (with_bad, without) = (day(&out), day(&clean));
    assert_eq!((&with_bad["dead_letters"], &without["dead_letters"]), (&json!(bad.len()), &json!(0)));
    assert_eq!(with_bad["messages"], without["messages"], "the rest goes through");

    let listed = list();
    assert_eq!(listed.len(), bad.len());
    for (letter, (queue, _, word)) in listed.iter().zip(&bad) {
        assert!(letter["reason"].as_str().unwrap().contains(word), "{word}: {letter}");
        assert_eq!((&letter["queue"], &letter["receives"]), (&json!(queue), &json!(RECEIVES_MAX)));
        let shown = text(&dlq(0, &["inspect", letter["id"].as_str().unwrap()]).stdout);
        assert!(shown.contains("\"body\"") && !shown.contains("ana@"), "{shown}");
    }
    let people = text(&dlq(0, &["list"]).stdout);
    assert!(people.ends_with("5 dead letters\n") && !people.contains('@'), "{people}");

    let first = listed[0]["id"].as_str().unwrap();
    dlq(0, &["discard", first, "--reason", "a lender that left"]);
    assert!(text(&dlq(0, &["discard", first, "--reason", "again"]).stderr).contains("a lender that left"));
    dlq(1, &["discard", first, "--reason", " "]);
    for names_a_person in ["ana@example.com", "3001234567"] {
        dlq(1, &["discard", first, "--reason", names_a_person]);
    }
    dlq(2, &["inspect", "m999"]);
    dlq(1, &["list", "--queue", "calls"]);
    dlq(64, &["list", "--stack", "puntual", "--region", "us-east-1"]);
    run_to(64, &["dlq", "list", "--stack", "puntual"]);
    dlq(2, &["redrive", "nonsense"]);

    let second = listed[1]["id"].as_str().unwrap();
    dlq(0, &["redrive", second]);
    assert!(text(&dlq(0, &["redrive", second]).stderr).contains("nothing to do"));
    dlq(0, &["redrive", "--all"]);
    assert_eq!(list(), Vec::<Value>::new());
    let messages = || fs::read_to_string(folder.path().join("messages.jsonl")).unwrap();
    let before = messages();
    assert_eq!(day(&out)["dead_letters"], json!(bad.len() - 1), "what is still bad is dead again");
    assert_eq!(messages(), before);
}
