//! Messages of which nobody knows whether they went out: they stay in the report until somebody says what became of
//! them, and a person may say it.
//!
//! Invariant under test: what is unknown is never forgotten and never sent again by itself.

use std::fs;
use std::process::Stdio;

use channels::Fault;
use chrono::{DateTime, Duration, Utc};
use domain::channel::Channel;
use domain::contact::EvidenceRef;
use domain::delivery::{Report, Source, Transition};
use domain::fact_record::PersonWord;
use domain::ids::OperatorId;
use domain::tenant::{OnUnknown, Tenant};
use domain::touch::TouchState;
use domain::verdict::ReasonCode;
use runtime::job::DueEvent;
use serde_json::{Value, json};
use store::{FoundOut, Recorded, Store, TouchEvent, TouchKey};
use tempfile::TempDir;

use crate::command_line::{mapping, path, written};
use crate::fixture::{Borrower, Stack, TENANT, at, customer_id, puntual, run_json, run_to, text};

/// A customer whose message may have gone out on the 23rd or not.
async fn with_unknown() -> Stack {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 20)]).await;
    stack.outbox.fail_next(Fault::LoseRequest);
    stack.scan(at(23, 10, 0)).await;
    assert_eq!(stack.states("ana").await, [TouchState::Unknown]);
    stack
}

/// How many touches are unknown, by a sweep that looks two days back.
async fn unknown(stack: &Stack, now: DateTime<Utc>) -> usize {
    let event = DueEvent::Sweep { tenant: stack.tenant(), hours_back: 48 };
    stack.start(event, now).await.expect("a sweep starts").unknown
}

/// How many fences are in the open index.
async fn in_index(stack: &Stack) -> usize {
    let mut fences = 0;
    for shard in 0..stack.scope.shards {
        let page = stack.store.contacted_page(&stack.tenant(), shard, None, 100).await;
        fences += page.expect("the index can be read").items.len();
    }
    fences
}

#[tokio::test]
async fn what_is_unknown_stays_in_the_report_when_the_debt_is_paid_and_as_time_goes_by() {
    let stack = with_unknown().await;
    assert_eq!((unknown(&stack, at(23, 11, 0)).await, in_index(&stack).await), (1, 1));
    stack.pay("ana", "a").await;
    assert_eq!(unknown(&stack, at(24, 9, 0)).await, 1);
    assert_eq!(in_index(&stack).await, 0, "whoever owes nothing is scanned no more");
    let much_later = at(23, 10, 0) + Duration::days(400);
    for _ in 0..2 {
        assert_eq!(unknown(&stack, much_later).await, 1);
    }

    let touch = &stack.store.touches(&stack.tenant(), &customer_id("ana")).await.expect("touches")[0];
    let delivered = TouchEvent {
        transition: Transition { report: Report::Delivered, source: Source::Provider },
        reason: String::new(),
        at: much_later,
        provider_id: None,
        addresses: Vec::new(),
    };
    let place = TouchKey::of(&touch.touch);
    let recorded =
        stack.store.record_event(&stack.tenant(), &stack.secret, &place, &delivered, much_later).await;
    recorded.expect("an event");
    assert_eq!(unknown(&stack, much_later).await, 0);
    let notes = stack.store.noted_unknown(&stack.tenant(), None, 10).await.expect("notes can be read");
    assert_eq!(notes.items, [], "what is settled is noted no more");
}

#[tokio::test]
async fn whoever_pays_is_looked_at_before_it_leaves_the_index_however_late_the_sweep() {
    let stack = with_unknown().await;
    stack.import(2, &[Borrower::new("bo").owes("b", 20)]).await;
    stack.scan(at(23, 12, 0)).await;
    stack.pay("ana", "a").await;
    stack.pay("bo", "b").await;
    let late = at(23, 10, 0) + Duration::days(50);
    assert_eq!((unknown(&stack, late).await, in_index(&stack).await), (1, 0));
    assert_eq!(stack.sent_to("ana"), Vec::<String>::new());
}

/// A folder with a customer in Peru whose text message of the 23rd may have gone out or not, and the touch.
async fn folder_with_unknown() -> (TempDir, String) {
    let folder = TempDir::new().expect("a folder can be made");
    let store = Store::file(&folder.path().join("puntual.sqlite")).expect("a database");
    let stack = Stack::on(store, toml::from_str(TENANT).expect("the demo's tenant is sound")).await;
    let ana = Borrower::new("ana").with_sms("+51987654321").in_country("PE");
    stack.import(1, &[ana.owes("a", 20)]).await;
    stack.outbox.fail_next(Fault::LoseRequest);
    stack.scan(at(23, 10, 0)).await;
    assert_eq!(unknown(&stack, at(23, 11, 0)).await, 1);
    let touches = stack.store.touches(&stack.tenant(), &customer_id("ana")).await.expect("touches");
    (folder, touches[0].touch.id.to_string())
}

#[tokio::test]
async fn a_person_settles_what_is_unknown_on_record_and_the_next_run_decides_anew() {
    let (folder, touch) = folder_with_unknown().await;
    let out = path(folder.path());
    let ask = |code: i32, rest: &[&str]| run_to(code, &[&["unknown", "--folder", &out], rest].concat());
    let settle = |code: i32, as_what: &str, by: &str| {
        let rest =
            ["settle", &touch, "--customer", "ana", "--as", as_what, "--by", by, "--note", "ticket 4411"];
        ask(code, &rest)
    };
    let list = || -> Vec<Value> {
        serde_json::from_slice(&ask(0, &["list", "--json"]).stdout).expect("a JSON array")
    };
    let listed = list();
    assert_eq!(
        (listed.len(), &listed[0]["touch"], &listed[0]["customer"]),
        (1, &json!(touch), &json!("ana"))
    );
    assert_eq!((&listed[0]["channel"], &listed[0]["obligations"]), (&json!("sms"), &json!(["a"])));
    let people = text(&ask(0, &["list"]).stdout);
    assert!(people.contains(&touch) && people.ends_with("1 unknown messages\n"), "{people}");
    let shown: Value = serde_json::from_slice(&ask(0, &["show", &touch]).stdout).expect("a JSON object");
    assert_eq!((&shown["state"], &shown["history"][0]["source"]), (&json!("unknown"), &json!("sender")));

    ask(2, &["show", "nobody's"]);
    ask(2, &["settle", "t", "--customer", "ana", "--as", "sent", "--by", "ops-7", "--evidence", "x"]);
    ask(2, &["settle", &touch, "--customer", "bo", "--as", "sent", "--by", "ops-7", "--evidence", "x"]);
    ask(64, &["settle", &touch, "--customer", "ana", "--as", "sent", "--evidence", "x"]);
    ask(64, &["settle", &touch, "--customer", "ana", "--as", "sent", "--by", "ops-7"]);
    settle(64, "perhaps", "ops-7");
    for person in ["ana@example.com", "Ana Rojas", "3001234567"] {
        let refused = text(&settle(1, "sent", person).stderr);
        assert!(refused.contains("expected the lender's own id") && !refused.contains(person), "{refused}");
    }
    let note = ["--by", "ops-7", "--note", "Ana, 300 123 4567"];
    let refused = ask(1, &[&["settle", &touch, "--customer", "ana", "--as", "sent"], &note[..]].concat());
    assert!(text(&refused.stderr).contains("expected the lender's own reference"));
    assert_eq!(list().len(), 1, "nothing of this was recorded");

    let settled = text(&settle(0, "not-sent", "ops-7").stdout);
    assert!(settled.contains("did not go out, by ops-7: ticket 4411"), "{settled}");
    assert!(settled.contains("by another channel than sms"), "{settled}");
    let again = text(&settle(0, "not-sent", "ops-8").stderr);
    assert!(
        again.contains("was settled as failed") && again.contains("a person, ops-7: ticket 4411"),
        "{again}"
    );
    let other = text(&settle(2, "sent", "ops-7").stderr);
    assert!(other.contains("was settled as failed") && other.contains("Nothing was recorded"), "{other}");
    assert_eq!(list(), Vec::<Value>::new());
    let shown = text(&ask(0, &["show", &touch, "--customer", "ana"]).stdout);
    assert!(shown.contains("\"failed\"") && shown.contains("ops-7: ticket 4411"), "{shown}");

    let day = run_json(0, &["run", "--size", "1", "--at", "2026-11-24T09:00:00-05:00", "--folder", &out]);
    assert_eq!(day["unknown"], 0);
    let messages = fs::read_to_string(folder.path().join("messages.jsonl")).unwrap();
    let to_ana: Vec<Value> = messages.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let to_ana: Vec<&Value> = to_ana.iter().filter(|message| message["customer"] == "ana").collect();
    assert_eq!(to_ana.len(), 1, "{messages}");
    assert_eq!((&to_ana[0]["channel"], &to_ana[0]["stage"]), (&json!("email"), &json!("d3")));

    let file = path(&folder.path().join("evidence.json"));
    run_to(0, &["evidence", "--customer", "ana", "--folder", &out, "--out", &file]);
    run_to(0, &["verify", &file]);
    let whole = fs::read_to_string(&file).unwrap();
    assert!(whole.contains("ops-7") && whole.contains("ticket 4411"));
    fs::write(&file, whole.replace("ops-7", "ops-8")).unwrap();
    let code = puntual().args(["verify", &file]).output().expect("puntual starts").status.code();
    assert_ne!(code, Some(0), "somebody else's word");
}

/// Writes the evidence about ana and verifies it.
fn verified(folder: &TempDir) -> Value {
    let (out, file) = (path(folder.path()), path(&folder.path().join("evidence.json")));
    run_to(0, &["evidence", "--customer", "ana", "--folder", &out, "--out", &file]);
    run_to(0, &["verify", &file]);
    serde_json::from_str(&fs::read_to_string(&file).expect("the evidence was written"))
        .expect("evidence is JSON")
}

#[tokio::test]
async fn the_evidence_of_a_wrong_word_and_of_what_outdid_it_can_be_verified() {
    let (folder, touch) = folder_with_unknown().await;
    let out = path(folder.path());
    let now = "2026-11-23T11:30:00-05:00";
    let settle = ["unknown", "settle", &touch, "--customer", "ana", "--as", "not-sent", "--by", "ops-7"];
    run_to(0, &[&settle[..], &["--note", "ticket 4411", "--now", now, "--folder", &out]].concat());
    let wrong = verified(&folder);
    assert_eq!(wrong["touches"][0]["history"][1]["recorded_at_ms"], json!(at(23, 11, 30).timestamp_millis()));
    assert_eq!(
        (wrong["reached"].as_array().unwrap().len(), wrong["failed"].as_array().unwrap().len()),
        (0, 1)
    );

    let store = Store::file(&folder.path().join("puntual.sqlite")).expect("a database");
    let stack = Stack::on(store, toml::from_str(TENANT).expect("the demo's tenant is sound")).await;
    let touches = stack.store.touches(&stack.tenant(), &customer_id("ana")).await.expect("touches");
    provider_says(&stack, &TouchKey::of(&touches[0].touch), Report::Sent, at(23, 12, 0)).await;
    drop(stack);
    let right = verified(&folder);
    assert_eq!(
        (right["reached"].as_array().unwrap().len(), right["failed"].as_array().unwrap().len()),
        (1, 0)
    );
    assert_eq!(right["touches"][0]["state"], "sent");
    let without = serde_json::to_string(&right).unwrap().replace("restored", "fell_back");
    let file = path(&folder.path().join("changed.json"));
    fs::write(&file, without).unwrap();
    let code = puntual().args(["verify", &file]).output().expect("puntual starts").status.code();
    assert_ne!(code, Some(0), "a stage that was not brought back");
}

#[tokio::test]
async fn what_nobody_knows_of_an_erased_customer_is_counted_settled_and_verified() {
    let (folder, touch) = folder_with_unknown().await;
    let out = path(folder.path());
    let erased = run_to(0, &["erase", "--customer", "ana", "--yes", "--folder", &out]);
    assert!(text(&erased.stdout).contains("1 touches stay"), "{}", text(&erased.stdout));
    let listed = text(&run_to(0, &["unknown", "list", "--folder", &out]).stdout);
    assert!(listed.contains(&touch), "{listed}");
    let left = verified(&folder);
    assert_eq!((left["touches"][0]["state"].as_str(), &left["profile"]), (Some("unknown"), &Value::Null));
    let settle = ["unknown", "settle", &touch, "--customer", "ana", "--as", "not-sent", "--by", "ops-7"];
    let settled = run_to(0, &[&settle[..], &["--note", "ticket 4411", "--folder", &out]].concat());
    let words = "Nothing is sent in its place: customer ana was erased at";
    assert!(text(&settled.stdout).contains(words), "{}", text(&settled.stdout));
    assert_eq!(verified(&folder)["touches"][0]["state"], "failed");
    let listed = text(&run_to(0, &["unknown", "list", "--folder", &out]).stdout);
    assert_eq!(listed, "0 unknown messages\n");
}

#[tokio::test]
async fn of_two_attempts_that_nobody_knows_of_the_stage_waits_for_a_word_on_both() {
    let folder = TempDir::new().expect("a folder can be made");
    let store = Store::file(&folder.path().join("puntual.sqlite")).expect("a database");
    let mut tenant: Tenant = toml::from_str(TENANT).expect("the demo's tenant is sound");
    (tenant.jurisdiction, tenant.on_unknown.email) = ("MX".to_owned(), OnUnknown::PreferDelivery);
    let stack = Stack::on(store, tenant).await;
    stack.import(1, &[Borrower::new("ana").owes("a", 20)]).await;
    stack.outbox.fail_next(Fault::LoseRequest);
    stack.scan(at(23, 10, 0)).await;
    assert_eq!(unknown(&stack, at(23, 11, 0)).await, 1);
    stack.outbox.fail_next(Fault::LoseRequest);
    stack.send(at(23, 11, 0)).await;
    assert_eq!(unknown(&stack, at(23, 12, 0)).await, 2);
    let touches = stack.store.touches(&stack.tenant(), &customer_id("ana")).await.expect("touches");
    let [first, second] = &touches[..] else { panic!("two attempts") };
    let (first, second) = (first.touch.id.to_string(), second.touch.id.to_string());
    drop(stack);

    let settle = |touch: &str| {
        let out = path(folder.path());
        let words = ["unknown", "settle", touch, "--customer", "ana", "--as", "not-sent", "--by", "ops-7"];
        text(&run_to(0, &[&words[..], &["--note", "ticket 4411", "--folder", &out]].concat()).stdout)
    };
    let waits = settle(&first);
    let expected =
        format!("Nothing is sent in its place yet: the other attempt at it, {second}, is unknown, too");
    assert!(waits.contains(&expected), "{waits}");
    let goes = settle(&second);
    assert!(goes.contains("Its stage was taken back"), "{goes}");
}

/// What the provider says of a touch.
async fn provider_says(stack: &Stack, place: &TouchKey, report: Report, now: DateTime<Utc>) -> Recorded {
    let event = TouchEvent {
        transition: Transition { report, source: Source::Provider },
        reason: String::new(),
        at: now,
        provider_id: None,
        addresses: Vec::new(),
    };
    let recorded = stack.store.record_event(&stack.tenant(), &stack.secret, place, &event, now).await;
    recorded.expect("an event")
}

/// A customer whose text message of the 23rd went out unknown to everybody, and of whom a person says that it did not.
async fn with_wrong_word() -> (Stack, TouchKey) {
    let stack = Stack::new().await;
    let ana = Borrower::new("ana").with_sms("+51987654321").in_country("PE");
    stack.import(1, &[ana.owes("a", 20)]).await;
    stack.outbox.fail_next(Fault::LoseAnswer);
    stack.scan(at(23, 10, 0)).await;
    let touches = stack.store.touches(&stack.tenant(), &customer_id("ana")).await.expect("touches");
    let place = TouchKey::of(&touches[0].touch);
    let id = OperatorId::new("ops-7").expect("an id");
    let word = PersonWord::new(id, EvidenceRef::note("ticket 4411").expect("a reference")).expect("a word");
    let said =
        stack.store.settle_unknown(&stack.tenant(), &place, FoundOut::NotSent, &word, at(23, 11, 0)).await;
    assert!(said.expect("a word").fell_back);
    (stack, place)
}

#[tokio::test]
async fn the_provider_outdoes_a_wrong_word_before_the_stage_goes_another_way() {
    for report in [Report::Sent, Report::Delivered, Report::SoftBounced, Report::Complained] {
        let (stack, place) = with_wrong_word().await;
        stack.plan(at(24, 9, 0)).await;
        stack.take_decisions();
        let wrong = stack.fence("ana").await;
        assert!(wrong.reached.is_empty());
        let recorded = provider_says(&stack, &place, report, at(24, 9, 1)).await;
        assert_eq!((recorded.fell_back, recorded.told_by), (false, Vec::new()), "{report}");
        let right = stack.fence("ana").await;
        assert_eq!((right.version, right.reached.len(), right.failed.len()), (wrong.version + 1, 1, 0));
        // The job that waits in the queue of the other channel finds the stage reached.
        stack.send(at(24, 9, 2)).await;
        assert_eq!(stack.sent_to("ana"), ["sms d3:a"], "{report}");
        let said: Vec<ReasonCode> = stack.take_decisions().iter().map(|line| line.reasons[0].code).collect();
        assert_eq!(said, [ReasonCode::StageReached], "{report}");
        stack.scan(at(24, 10, 0)).await;
        assert_eq!(stack.sent_to("ana").len(), 1, "{report}");
    }
}

#[tokio::test]
async fn what_was_called_before_the_provider_spoke_is_told_and_goes_no_third_way() {
    let (stack, place) = with_wrong_word().await;
    stack.scan(at(24, 9, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["sms d3:a", "email d3:a"]);
    let recorded = provider_says(&stack, &place, Report::Delivered, at(24, 9, 1)).await;
    let touches = stack.store.touches(&stack.tenant(), &customer_id("ana")).await.expect("touches");
    let second = touches.iter().find(|t| t.touch.channel == Channel::Email).expect("the email");
    assert_eq!(recorded.told_by, std::slice::from_ref(&second.touch.id));
    let trail = stack.store.audit_trail(&stack.tenant(), &customer_id("ana")).await.expect("a trail");
    let last = &trail.last().expect("an entry").document;
    assert!(last.contains("told_by") && last.contains(second.touch.id.as_str()), "{last}");
    assert!(store::verify_chain(&trail).is_ok());
    // The second comes back: the first has told the stage.
    provider_says(&stack, &TouchKey::of(&second.touch), Report::Failed, at(24, 9, 2)).await;
    assert_eq!(stack.fence("ana").await.reached.len(), 1);
    stack.scan(at(24, 10, 0)).await;
    assert_eq!(stack.sent_to("ana").len(), 2);
}

#[tokio::test]
async fn a_refusal_that_a_delivery_follows_goes_no_other_way() {
    let stack = Stack::new().await;
    let ana = Borrower::new("ana").with_sms("+51987654321").in_country("PE");
    stack.import(1, &[ana.owes("a", 20)]).await;
    stack.scan(at(23, 10, 0)).await;
    let touches = stack.store.touches(&stack.tenant(), &customer_id("ana")).await.expect("touches");
    let place = TouchKey::of(&touches[0].touch);
    assert!(provider_says(&stack, &place, Report::Failed, at(23, 11, 0)).await.fell_back);
    provider_says(&stack, &place, Report::Delivered, at(23, 11, 1)).await;
    stack.scan(at(24, 9, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["sms d3:a"]);
}

#[test]
fn what_a_payment_stops_between_plan_and_send_is_counted_by_its_reason() {
    let folder = TempDir::new().unwrap();
    let out = path(folder.path());
    let day = |day: &str| {
        let at = format!("{day}T08:00:00-05:00");
        run_json(0, &["run", "--size", "60", "--seed", "3", "--at", &at, "--out", &out])
    };
    // A Sunday: what is planned waits for Monday.
    let sunday = day("2026-11-22");
    assert_eq!((&sunday["messages"], &sunday["prevented"]), (&json!(0), &json!({})));
    let waiting = sunday["verdicts"]["defer"].as_u64().expect("some wait");
    let portfolio = fs::read_to_string(folder.path().join("portfolio-60-3.csv")).unwrap();
    let (header, rows) = portfolio.split_once('\n').expect("a header");
    let paid_on = header.split(';').position(|column| column == "Pagado el").expect("the column");
    let paid = rows.lines().map(|row| {
        let mut fields: Vec<&str> = row.split(';').collect();
        fields[paid_on] = "22/11/2026";
        fields.join(";")
    });
    let paid: Vec<String> = std::iter::once(header.to_owned()).chain(paid).collect();
    let file = written(&folder, "paid.csv", paid.join("\n") + "\n");
    run_to(
        0,
        &["import", "--file", &file, "--mapping", &mapping(), "--as-of", "2026-11-22", "--folder", &out],
    );
    let monday = day("2026-11-23");
    let prevented = monday["prevented"]["closed"].as_u64().unwrap_or_default();
    assert!(prevented > 0 && prevented <= waiting, "{monday}");
    assert_eq!(monday["prevented"].as_object().map(serde_json::Map::len), Some(1), "{monday}");
    assert_eq!(monday["messages"], 0);
    assert_eq!(day("2026-11-23")["prevented"], json!({}), "what was stopped is stopped once");
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    let folder = TempDir::new().unwrap();
    let out = path(folder.path());
    let run = ["run", "--size", "30", "--at", "2026-11-23T08:00:00-05:00", "--out", &out];
    let asked = [
        &run[..],
        &["--help"],
        &["dlq", "list", "--out", &out],
        &["unknown", "list", "--out", &out],
        &["check-policy", "--policy", "infra/demo/policy.toml", "--jurisdiction", "CO"],
        &["sms", "--text", "hola"],
    ];
    for arguments in asked {
        let mut child = puntual()
            .current_dir(crate::tidy::root())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("puntual starts");
        drop(child.stdout.take());
        let ended = child.wait_with_output().expect("the program ends");
        let errors = text(&ended.stderr);
        assert_eq!(
            (ended.status.code(), errors.contains("panic")),
            (Some(0), false),
            "{arguments:?}: {errors}"
        );
    }
    let sent = fs::read_to_string(folder.path().join("messages.jsonl")).unwrap();
    assert!(!sent.is_empty(), "the work went on");
    let mut child = puntual()
        .args(["import", "--file", "nowhere.csv", "--mapping", "nowhere.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("puntual starts");
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().expect("the program ends").code(), Some(1), "a failure stays one");
}
