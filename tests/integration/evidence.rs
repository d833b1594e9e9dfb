//! Evidence: every decision about a stage that is due is on record, and a file of it is verified or its first broken
//! link is named.

use std::fs;

use domain::channel::Channel;
use domain::contact::Address;
use domain::decision::{Cause, DecisionRecord};
use serde_json::Value;
use store::verify_chain;
use tempfile::TempDir;

use crate::fixture::{Borrower, Stack, at, customer_id, run, run_json, run_to, text};

/// A customer's chain as `cause obligation:decision:codes …`, after a check that it is whole.
async fn chain(stack: &Stack, customer: &str) -> Vec<String> {
    let trail = stack
        .store
        .audit_trail(&stack.scope.tenant, &customer_id(customer))
        .await
        .expect("the trail can be read");
    assert_eq!(verify_chain(&trail), Ok(stack.fence(customer).await.audit_head.as_deref()));
    trail.iter().filter_map(|entry| entry.record()).map(|record| told(&record)).collect()
}

fn told(record: &DecisionRecord) -> String {
    let cause = match record.cause {
        Cause::Plan => "plan",
        Cause::Send => "send",
        Cause::Claim => "claim",
    };
    let verdicts: Vec<String> = record
        .verdicts
        .iter()
        .map(|v| {
            let codes: Vec<&str> = v.reasons.iter().map(|r| &*r.code).collect();
            format!("{}:{}:{}", v.obligation, v.decision.as_str(), codes.join("+"))
        })
        .collect();
    format!("{cause} {}", verdicts.join(" "))
}

#[tokio::test]
async fn a_reminder_leaves_its_claim_and_a_quiet_day_nothing() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 20)]).await;
    for of_november in 21..=26 {
        stack.scan(at(of_november, 8, 0)).await;
    }
    assert_eq!(chain(&stack, "ana").await, ["claim a:send:stage_due+superseded+superseded"]);
}

#[tokio::test]
async fn what_waits_is_on_record_once_a_day_and_again_when_it_goes() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 19)]).await;
    stack.scan(at(22, 8, 0)).await;
    stack.scan(at(22, 15, 0)).await;
    stack.wave(at(23, 7, 0)).await;
    assert_eq!(
        chain(&stack, "ana").await,
        ["plan a:defer:sunday", "claim a:send:stage_due+superseded+superseded"]
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_on_record_every_day() {
    let stack = Stack::new().await;
    let opted_out = Borrower::new("ana").says(Channel::Email, false, 2);
    stack.import(1, &[opted_out.owes("a", 20)]).await;
    stack.scan(at(23, 8, 0)).await;
    stack.scan(at(23, 9, 0)).await;
    stack.scan(at(24, 8, 0)).await;
    assert_eq!(chain(&stack, "ana").await, ["plan a:skip:no_consent+opted_out"; 2]);
}

#[tokio::test]
async fn a_payment_between_plan_and_send_is_on_record() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 20)]).await;
    stack.plan(at(23, 8, 0)).await;
    stack.pay("ana", "a").await;
    stack.send(at(23, 8, 0)).await;
    assert!(stack.outbox.messages().is_empty());
    assert_eq!(chain(&stack, "ana").await, ["send a:skip:closed"]);
}

#[tokio::test]
async fn a_suppression_is_on_record_with_its_channel() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 20)]).await;
    let (address, ana, tenant) = (Address::new("ana@example.com"), customer_id("ana"), stack.tenant());
    let point = (Channel::Email, &address);
    let done = stack.store.suppress(&tenant, &stack.secret, point, Some(&ana), "bounce", at(23, 7, 0));
    done.await.unwrap();
    stack.scan(at(23, 8, 0)).await;
    assert_eq!(chain(&stack, "ana").await, ["plan a:skip:no_consent+suppressed"]);
}

/// A folder in which `run` worked on a Monday, and the customers that it wrote to.
fn folder_of_a_run() -> (TempDir, Vec<String>) {
    let folder = TempDir::new().expect("a folder can be made");
    let out = folder.path().join("run");
    let out = out.to_str().expect("paths of the tests are text");
    run_json(0, &["run", "--size", "60", "--out", out, "--at", "2026-11-23T08:00:00-05:00"]);
    let messages =
        fs::read_to_string(folder.path().join("run/messages.jsonl")).expect("the run wrote its messages");
    let customer = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a message is JSON");
        line["customer"].as_str().expect("a message names its customer").to_owned()
    };
    (folder, messages.lines().map(customer).collect())
}

#[test]
fn a_file_of_evidence_is_verified_without_the_database() {
    let (folder, customers) = folder_of_a_run();
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (run_folder, file) = (path("run"), path("evidence.json"));
    let write = ["evidence", "--customer", &customers[0], "--folder", &run_folder, "--out", &file];
    let said = text(&run_to(0, &write).stdout);
    assert!(said.contains("1 entries and 1 touches"), "{said}");
    let unknown = ["evidence", "--customer", "nobody", "--folder", &run_folder, "--out", &path("none.json")];
    assert!(text(&run_to(2, &unknown).stderr).contains("no import has named customer nobody"));
    assert!(!folder.path().join("none.json").exists());

    fs::remove_file(folder.path().join("run/puntual.sqlite")).unwrap();
    let found = run_json(0, &["verify", &file]);
    assert_eq!(
        (&found["verified"], &found["entries"], &found["claims"]),
        (&true.into(), &1.into(), &1.into())
    );
    assert!(text(&run_to(0, &["verify", &file]).stdout).starts_with("Verified: 1 entries about customer"));

    let whole = fs::read_to_string(&file).unwrap();
    assert!(!whole.contains("@example.com"), "addresses are masked");
    let forged = whole.replace("stage_due", "stage_dub");
    assert_ne!(forged, whole);
    fs::write(&file, forged).unwrap();
    let errors = text(&run_to(2, &["verify", &file]).stderr);
    assert!(errors.contains("the evidence is broken at entry 1: its document has the hash"), "{errors}");
    assert_eq!(run_json(2, &["verify", &file])["entry"], 1);
    fs::write(&file, "not evidence").unwrap();
    assert!(text(&run_to(64, &["verify", &file]).stderr).contains("this is no evidence file"));
    assert_eq!(run(&["verify", &path("missing.json")]).status.code(), Some(1));
}

#[test]
fn addresses_are_written_in_full_only_where_that_is_asked_for() {
    let (folder, customers) = folder_of_a_run();
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (run_folder, file) = (path("run"), path("evidence.json"));
    let write = ["evidence", "--customer", &customers[0], "--folder", &run_folder, "--out", &file];
    run_to(0, &[&write[..], &["--with-contact-data"]].concat());
    let whole: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(whole["contact_data"], "in full");
    assert!(whole["contact_points"].as_array().unwrap().iter().all(|p| p["address"] != "***"));
    run_to(0, &["verify", &file]);
}

/// The files of a customer after more than one run: contacts of others, choices, reports, an erasure.
struct Kept {
    folder: TempDir,
    customer: String,
}

impl Kept {
    fn new() -> Self {
        let (folder, customers) = folder_of_a_run();
        Self { folder, customer: customers[0].clone() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("paths of the tests are text").to_owned()
    }

    fn does(&self, command: &[&str]) {
        let of = ["--customer", &self.customer, "--out", &self.path("run")];
        run_to(0, &[command, &of].concat());
    }

    fn evidence(&self) -> Value {
        let (run_folder, file) = (self.path("run"), self.path("evidence.json"));
        run_to(0, &["evidence", "--customer", &self.customer, "--folder", &run_folder, "--out", &file]);
        serde_json::from_slice(&fs::read(&file).expect("the file is there")).expect("evidence is JSON")
    }

    fn verdict(&self, file: &Value) -> Value {
        let path = self.path("changed.json");
        fs::write(&path, file.to_string()).expect("the file can be written");
        let output = run(&["verify", &path, "--json"]);
        serde_json::from_slice(&output.stdout).expect("--json prints one JSON object")
    }
}

#[test]
fn contacts_and_choices_are_entries_and_an_erased_customer_keeps_them() {
    let kept = Kept::new();
    let calls = ["contact", "--channel", "call", "--at", "2026-11-23T10:00:00-05:00", "--answered"];
    kept.does(&[&calls[..], &["--now", "2026-11-23T11:00:00-05:00"]].concat());
    kept.does(&[
        "choice",
        "--channel",
        "sms",
        "--withdraw",
        "--at",
        "2026-11-23T12:00:00-05:00",
        "--now",
        "2026-11-23T12:00:00-05:00",
    ]);
    let whole = kept.evidence();
    let found = kept.verdict(&whole);
    assert_eq!(
        (&found["verified"], &found["entries"], &found["facts"]),
        (&true.into(), &3.into(), &2.into())
    );
    assert!(found["not_covered"].as_array().is_some_and(|lines| !lines.is_empty()));
    // Each is edited where it stands beside the chain.
    for (pointer, value) in [
        ("/contacts/1/answered", Value::from(false)),
        ("/touches/0/state", "delivered".into()),
        ("/touches/0/purpose", "transactional".into()),
        ("/policies/0/text", "id = \"default\"".into()),
        ("/profile/name", "Ana".into()),
    ] {
        let mut changed = whole.clone();
        *changed.pointer_mut(pointer).expect("it is there") = value;
        let found = kept.verdict(&changed);
        assert_eq!(found["verified"], false, "{pointer}");
        let section = pointer.split('/').nth(1).expect("a section");
        assert!(
            found["place"].as_str().is_some_and(|place| place.starts_with(section)),
            "{pointer}: {found}"
        );
    }
    kept.does(&["erase", "--yes"]);
    let left = kept.evidence();
    assert_eq!((&left["touches"], &left["profile"]), (&Value::Array(Vec::new()), &Value::Null));
    let found = kept.verdict(&left);
    assert_eq!((&found["verified"], &found["entries"]), (&true.into(), &4.into()));
    assert!(found["erased_at"].is_string());
    let mut unmarked = left;
    unmarked["erased_at_ms"] = Value::Null;
    assert_eq!(kept.verdict(&unmarked)["entry"], 4);
}
