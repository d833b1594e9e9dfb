//! The whole product on an emulator of AWS: deployed by its own command, from an uploaded file to recorded reminders.
//!
//! Invariant: the stack is that of `infra/template.yaml` with the functions of the workspace, every role is enforced, and
//! nothing is asked of the network but what installs the emulator.

mod aws;
mod deployment;
mod lender;
mod memory;
mod people;
mod poll;
mod provider;
mod roles;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use aws::{Aws, http, now};
use deployment::{Deployment, STACK};
use lender::{CUSTOMERS, Lender, POLICY, TENANT, customer};
use people::Caller;
use poll::{LOOKS_MAX, until};
use provider::{Message, Recorded};

/// After how many scans everybody must have a message.
const SCANS_MAX: u32 = 5;
/// How often a message is received before it is a dead letter, as the template says.
const RECEIVED_MAX: &str = "5";

fn moment() -> DateTime<Utc> {
    now().into()
}

#[test]
fn from_an_empty_stack_to_reminders_that_are_recorded_once() {
    let deployment = Deployment::make();
    roles::put_right_what_the_emulator_misjudges(&deployment);
    let lender = Lender::at(moment());

    // On a busy machine a request comes too late now and then, and its job is given out again. The template waits for
    // eighteen minutes and more, six times the function's limit; three are longer than any batch of the test.
    for name in ["plan", "email", "sms"] {
        visible_after(&deployment.aws, name, 180);
    }

    nobody_is_let_in(&deployment);
    let administrator = Caller::administrator(&deployment);
    make_tenant(&deployment, &administrator, &lender);
    import(&deployment, &lender, false);
    let scans = scan(&deployment, &administrator, 0);
    let (sent, scans) = sent_to_everybody(&deployment, &administrator, scans);
    let recorded = recorded(&deployment, "sent");
    let key = provider::tag_key(&deployment);
    report(&deployment, &sent, &recorded, &key);
    let settled = self::recorded(&deployment, "delivered");

    // Everything once more: the same file, the same scan, the same events. A schedule takes a minute and more to start,
    // in which other things are looked at.
    import(&deployment, &lender, true);
    ask_for_a_scan(&administrator);
    a_forged_event_becomes_a_dead_letter(&deployment);
    roles::each_role_may_do_its_work_and_nothing_else(&deployment);
    scanned(&deployment, scans);
    report(&deployment, &sent, &settled, &key);
    queues_are_empty(&deployment.aws);
    assert_eq!(messages(&deployment.aws), sent, "nothing is sent twice");
    assert_eq!(self::recorded(&deployment, "delivered"), settled, "nothing is recorded twice");

    memory::no_function_took_more_than_its_budget(&deployment.aws);
    the_same_deployment_changes_nothing(&deployment);
    the_stack_goes_and_its_data_stays_until_it_is_told_otherwise(&deployment);
}

fn nobody_is_let_in(deployment: &Deployment) {
    let nobody = Caller::nobody(deployment);
    assert_eq!(nobody.call("GET", "/health", None).status, 200);
    assert_eq!(nobody.call("GET", "/tenants", None).status, 401);
}

fn make_tenant(deployment: &Deployment, administrator: &Caller, lender: &Lender) {
    let made =
        administrator.call("POST", "/tenants", Some(&json!({ "id": TENANT, "settings": lender.settings() })));
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["schedules"], "followed", "its daily scan is scheduled");
    let policies = format!("/tenants/{TENANT}/policies/default");
    let brought = administrator.call("PUT", &policies, Some(&json!({ "text": POLICY })));
    assert_eq!(brought.status, 200, "{}", brought.text);
    let daily = format!("/schedules/scan-{TENANT}?groupName={STACK}");
    let schedule = deployment.aws.call("scheduler", "GET", &daily, &[], &[]).json();
    assert_eq!(schedule["ScheduleExpressionTimezone"], lender.settings()["time_zone"]);
}

/// Brings the file, as the lender's partner does, and waits until it is imported.
fn import(deployment: &Deployment, lender: &Lender, again: bool) {
    let partner = Caller::partner(deployment);
    let file = lender.file();
    let imports = format!("/tenants/{TENANT}/imports");
    let address = partner.call("POST", &imports, Some(&json!({ "bytes": file.len() })));
    assert_eq!(address.status, 201, "{}", address.text);
    let address = address.json();
    let headers: Vec<(String, String)> = address["headers"]
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned()))
        .collect();
    http("PUT", address["url"].as_str().expect("an address"), &headers, &file).ok();
    let path = format!("{imports}/{}", address["id"].as_str().expect("an id"));
    let done = until("the import", LOOKS_MAX, || {
        let view = partner.call("GET", &path, None).json();
        assert_ne!(view["state"], "refused", "{view}");
        (view["state"] == "done").then_some(view)
    });
    // A file that was imported before is not read again, and says what the first import did.
    assert_eq!(done["rows"], if again { 0 } else { CUSTOMERS }, "{done}");
    assert_eq!(done["counts"]["customers_new"], CUSTOMERS, "{done}");
    assert_eq!(done["bad"], 0, "{done}");
    assert_eq!(done["already_imported"], again, "{done}");
}

/// Asks for a scan and waits for it; gives how many there were by then.
fn scan(deployment: &Deployment, administrator: &Caller, before: usize) -> usize {
    ask_for_a_scan(administrator);
    scanned(deployment, before)
}

/// Asks for a scan, which a schedule starts.
fn ask_for_a_scan(administrator: &Caller) {
    let asked = administrator.call("POST", &format!("/tenants/{TENANT}/scan"), None);
    assert_eq!(asked.status, 202, "{}", asked.text);
}

/// Waits for one more scan; gives how many there were by then.
fn scanned(deployment: &Deployment, before: usize) -> usize {
    until("the scan", LOOKS_MAX, || Some(planned(&deployment.aws)).filter(|planned| *planned > before))
}

/// How many shards were planned so far, as the function's log says.
fn planned(aws: &Aws) -> usize {
    let asked = json!({ "logGroupName": format!("/aws/lambda/{STACK}-plan-shard"), "filterPattern": "\"shard planned\"" });
    let answer = aws.target("logs", "1.1", "Logs_20140328.FilterLogEvents", &asked).json();
    let is_it = |event: &&Value| event["message"].as_str().is_some_and(|text| text.contains("shard planned"));
    answer["events"].as_array().expect("a list").iter().filter(is_it).count()
}

fn messages(aws: &Aws) -> (Vec<Message>, Vec<Message>) {
    (provider::email(aws), provider::sms(aws))
}

/// Waits until every customer has its message; reads them, and says how many scans there were by then.
///
/// A busy machine starts a call too late now and then. Such a message is put back before the call, and a later scan
/// finds it.
fn sent_to_everybody(
    deployment: &Deployment,
    administrator: &Caller,
    mut scans: usize,
) -> ((Vec<Message>, Vec<Message>), usize) {
    for _ in 0..SCANS_MAX {
        queues_are_empty(&deployment.aws);
        let sent = messages(&deployment.aws);
        if sent.0.len() + sent.1.len() >= CUSTOMERS {
            assert_eq!((sent.0.len(), sent.1.len()), (CUSTOMERS / 2, CUSTOMERS / 2));
            for message in sent.0.iter().chain(&sent.1) {
                let lender = ["Crédito Andino", "Credito Andino"];
                assert!(lender.iter().any(|name| message.text.contains(name)), "{message:?}");
            }
            return (sent, scans);
        }
        scans = scan(deployment, administrator, scans);
    }
    panic!("not everybody has a message after {SCANS_MAX} scans");
}

/// What is on record about every customer, once all of it has this state.
fn recorded(deployment: &Deployment, state: &str) -> Vec<Recorded> {
    let table = deployment.output("OpsTableName");
    let of_customer = |number| {
        until(&format!("{state} of customer {number}"), LOOKS_MAX, || {
            let found = provider::touches(&deployment.aws, &table, &customer(number));
            found.iter().any(|touch| touch.state == state).then_some(found)
        })
    };
    let all: Vec<Recorded> = (0..CUSTOMERS).flat_map(of_customer).collect();
    assert_eq!(all.len(), CUSTOMERS, "one touch a customer: {all:?}");
    all
}

/// Lets the providers say that everything was delivered.
fn report(
    deployment: &Deployment,
    (_, sms): &(Vec<Message>, Vec<Message>),
    recorded: &[Recorded],
    key: &channels::tag::TagKey,
) {
    let at = moment();
    for (number, recorded) in recorded.iter().enumerate().filter(|(_, recorded)| recorded.channel == "email")
    {
        let event = provider::delivered(&customer(number), recorded, key, at);
        provider::publish(&deployment.aws, &event);
    }
    for message in sms {
        provider::report_sms(&deployment.aws, message, at);
    }
}

/// An event with tags of somebody else's making is tried as often as the queue allows, and then waits for a person, who
/// sends it back, in vain, and throws it away.
fn a_forged_event_becomes_a_dead_letter(deployment: &Deployment) {
    let aws = &deployment.aws;
    // Six minutes between two tries are the template's; a second is enough here, and for this message only.
    visible_after(aws, "events", 1);
    let at = moment().to_rfc3339();
    let tags = json!({ "touch": ["t"], "tenant": [TENANT], "customer": ["C-000"], "on": ["2026-01-01"], "sig": ["00"] });
    let forged = json!({
        "eventType": "Delivery",
        "mail": { "timestamp": at, "messageId": "forged", "destination": [], "tags": tags },
        "delivery": { "timestamp": at },
    });
    provider::publish(aws, &forged);
    // Looked for without being taken, so that it is there for the command.
    let is_dead = || {
        let asked = json!({ "QueueUrl": queue(aws, "events-dead"), "AttributeNames": ["All"] });
        until("the dead letter", LOOKS_MAX, || {
            let attributes = aws.sqs("GetQueueAttributes", &asked).json()["Attributes"].clone();
            (attributes["ApproximateNumberOfMessages"].as_str() == Some("1")).then_some(())
        });
    };
    let id = || {
        let listed: Value = serde_json::from_str(&deployment.dlq(&["list", "--json"])).expect("a JSON array");
        assert_eq!(
            (listed.as_array().map(Vec::len), &listed[0]["queue"]),
            (Some(1), &json!("record-delivery"))
        );
        listed[0]["id"].as_str().expect("an id").to_owned()
    };
    is_dead();
    let first = id();
    assert!(deployment.dlq(&["inspect", &first]).contains("forged"));
    assert!(deployment.dlq(&["redrive", &first]).contains("waits in its queue again"));
    is_dead();
    deployment.dlq(&["discard", &id(), "--reason", "a forgery of this test"]);
    assert_eq!(deployment.dlq(&["list"]), "0 dead letters\n");
    visible_after(aws, "events", 360);
    let redrive = json!({ "QueueUrl": queue(aws, "events"), "AttributeNames": ["RedrivePolicy"] });
    let policy = aws.sqs("GetQueueAttributes", &redrive).json()["Attributes"]["RedrivePolicy"].to_string();
    assert!(policy.contains(RECEIVED_MAX), "{policy}");
}

/// Says after how many seconds a message is given out again that nobody has handled.
fn visible_after(aws: &Aws, name: &str, seconds: u32) {
    let attributes = json!({ "VisibilityTimeout": seconds.to_string() });
    aws.sqs("SetQueueAttributes", &json!({ "QueueUrl": queue(aws, name), "Attributes": attributes })).ok();
}

fn queue(aws: &Aws, name: &str) -> String {
    format!("{}/{}/{STACK}-{name}", aws.endpoint, aws::ACCOUNT)
}

/// Waits until no message is left, waiting or in somebody's hands.
fn queues_are_empty(aws: &Aws) {
    for name in ["plan", "email", "sms", "events"] {
        let asked = json!({ "QueueUrl": queue(aws, name), "AttributeNames": ["All"] });
        until(&format!("the end of queue {name}"), LOOKS_MAX, || {
            let attributes = aws.sqs("GetQueueAttributes", &asked).json()["Attributes"].clone();
            let count =
                |name: &str| attributes[format!("ApproximateNumberOfMessages{name}")].as_str() == Some("0");
            (count("") && count("NotVisible") && count("Delayed")).then_some(())
        });
    }
}

fn the_same_deployment_changes_nothing(deployment: &Deployment) {
    let (done, said) = deployment.again(&["--yes"]);
    assert!(done && said.contains("nothing changes"), "{said}");
    let (done, said) = deployment.again(&["--plan", "--parameter", "LogDays=30"]);
    assert!(done && said.contains("SendEmailLog") && said.contains("nothing was changed"), "{said}");
    let (done, said) = deployment.again(&["--plan"]);
    assert!(done && said.contains("nothing changes"), "a plan leaves nothing behind: {said}");
}

fn the_stack_goes_and_its_data_stays_until_it_is_told_otherwise(deployment: &Deployment) {
    let table = deployment.output("OpsTableName");
    let (done, said) = deployment.destroy(&[]);
    assert!(done && said.contains(&table), "what stays is named: {said}");
    let asked = json!({ "TableName": table });
    let kept = deployment.aws.dynamodb("DescribeTable", &asked);
    assert_eq!(kept.status, 200, "{}", kept.text);
    let (done, said) = deployment.again(&["--yes"]);
    assert!(!done && said.contains(&table) && said.contains("--begin-anew"), "{said}");
    let (done, said) = deployment.destroy(&["--delete-data"]);
    assert!(done, "{said}");
    let gone = deployment.aws.dynamodb("DescribeTable", &asked);
    assert!(gone.text.contains("ResourceNotFoundException"), "{}", gone.text);
}
