//! A policy whose texts may not be sent: nothing is decided by it, whichever function comes first, and the error says
//! the rule and the place.

use domain::channel::Channel;
use domain::policy::Policy;
use runtime::job::DueEvent;
use runtime::rules::RulesError;
use scan_due::ScanError;

use crate::fixture::{Borrower, Function, POLICY, Stack, at};

/// The policy of the local runs with a sentence in its texts, as the next version, in use.
async fn say(stack: &Stack, version: u32, sentence: &str) {
    let policy = POLICY.replace("{{ opt_out }}", &format!("{sentence} {{{{ opt_out }}}}")).replacen(
        "version = 1",
        &format!("version = {version}"),
        1,
    );
    let parsed = Policy::parse(&policy).expect("the policy can be followed");
    assert_eq!(parsed.version, version);
    let tenant = stack.tenant();
    stack.store.put_policy(&tenant, &parsed.id, version, &policy).await.expect("the policy");
    stack.store.activate_policy(&tenant, &parsed.id, version).await.expect("the policy");
}

#[tokio::test]
async fn a_policy_whose_texts_are_refused_sends_nothing_until_it_is_changed() {
    let stack = Stack::checking_texts().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 18)]).await;
    let now = at(23, 8, 0);
    stack.plan(now).await;
    let jobs = stack.take_jobs(Channel::Email);
    assert_eq!(jobs.len(), 1);

    say(&stack, 2, "El juzgado decide.").await;
    for event in [DueEvent::Scan { tenant: stack.tenant() }, DueEvent::Wave { tenant: stack.tenant() }] {
        let Err(ScanError::Rules(error @ RulesError::Texts { .. })) = stack.start(event, now).await else {
            panic!("the start of a day asks for the texts first");
        };
        let told = error.to_string();
        assert!(told.contains("version 2 may not be used under CO: stage "), "{told}");
        assert!(told.contains("\"juzgado\"") && told.contains("(simulated_court_document)"), "{told}");
    }
    // What was on its way comes back to its queue, as often as the queue lets it, and goes out to nobody.
    assert_eq!(stack.work(Function::SendEmail, jobs.clone(), now).await, [0]);
    let shard = r#"{"v":1,"tenant":"demo","shard":0,"as_of":"2026-11-23"}"#.to_owned();
    assert_eq!(stack.work(Function::PlanShard, vec![shard], now).await, [0]);
    assert!(stack.outbox.messages().is_empty());

    say(&stack, 3, "Gracias.").await;
    assert!(stack.work(Function::SendEmail, jobs, now).await.is_empty());
    assert_eq!(stack.outbox.messages().len(), 1);
}

#[tokio::test]
async fn a_word_that_one_country_forbids_holds_up_only_its_customers() {
    let stack = Stack::checking_texts().await;
    let late = [Borrower::new("bogota").owes("a", 18), Borrower::new("lima").in_country("PE").owes("b", 18)];
    stack.import(1, &late).await;
    say(&stack, 2, "Hay gastos de cobranza.").await;
    stack.scan(at(23, 8, 0)).await;
    assert_eq!((stack.sent_to("bogota").len(), stack.sent_to("lima").len()), (1, 0));
}
