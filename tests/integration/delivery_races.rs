//! Delivery races: what may come between two steps of the work, and what may come twice.
//!
//! Invariant under test: a reminder goes out once or not at all, to the right person, and never against a fact that
//! was known before its claim.

use std::sync::Barrier;

use channels::Fault;
use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::choice::{Choice, Chosen};
use domain::contact::Consent;
use domain::decision::{Cause, DecisionRecord};
use domain::ids::ChoiceId;
use domain::planner::{Facts, plan};
use domain::touch::TouchState;
use runtime::job::DueEvent;
use runtime::rules::{RulesCache, RulesError};
use store::{ClaimConflict, ClaimError, verify_chain};

use crate::fixture::{Borrower, Function, Stack, TENANT, at, customer_id, day, email_of};

/// How many customers a race is run for: each of them is another chance to interleave badly.
const RACES: usize = 300;
/// How often a job is given out, while another thread holds the customer's claim, before a test is given up.
const RECEIVES_MAX: usize = 100_000;
/// How often a payer reads before it pays, at most.
const READS_BEFORE_PAYMENT_MAX: usize = 15;

/// A stack with one customer, `ana`, whose invoice `a` is three days late on Monday the 23rd.
pub(crate) async fn ana_is_late() -> Stack {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 20)]).await;
    stack
}

#[tokio::test]
async fn a_late_customer_gets_one_reminder() {
    let stack = ana_is_late().await;
    stack.scan(at(23, 8, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
    assert_eq!(stack.states("ana").await, [TouchState::Sent]);
}

#[tokio::test]
async fn a_payment_between_plan_and_send_prevents_the_message() {
    let stack = ana_is_late().await;
    stack.plan(at(23, 8, 0)).await;
    stack.pay("ana", "a").await;
    stack.send(at(23, 8, 0)).await;
    assert!(stack.outbox.messages().is_empty());
    assert!(stack.fence("ana").await.contacts.is_empty(), "what was not sent does not count as a contact");
}

#[tokio::test]
async fn a_payment_stops_only_what_it_pays() {
    let stack = Stack::new().await;
    let ana = Borrower::new("ana");
    stack.import(1, &[ana.owes("a", 20), ana.owes("b", 20)]).await;
    stack.plan(at(23, 8, 0)).await;
    stack.pay("ana", "a").await;
    stack.send(at(23, 8, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:b"]);
}

#[tokio::test]
async fn a_payment_prevents_a_touch_that_waits_for_its_moment() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 19)]).await;
    stack.scan(at(22, 8, 0)).await;
    stack.pay("ana", "a").await;
    assert_eq!(stack.wave(at(23, 7, 0)).await, 1);
    assert!(stack.outbox.messages().is_empty());
    assert_eq!(stack.states("ana").await, [TouchState::Prevented]);
    assert_eq!(stack.wave(at(23, 7, 1)).await, 0, "a prevented touch waits no more");
}

#[tokio::test]
async fn an_opt_out_between_plan_and_send_prevents_the_message() {
    let stack = ana_is_late().await;
    stack.plan(at(23, 8, 0)).await;
    let opted_out = Borrower::new("ana").says(Channel::Email, false, 23);
    stack.import(2, &[opted_out.owes("a", 20)]).await;
    stack.send(at(23, 8, 0)).await;
    assert!(stack.outbox.messages().is_empty());
}

/// Ana's word on email of a moment, as her own systems or a link would bring it.
async fn ana_says(stack: &Stack, granted: bool, at: DateTime<Utc>) {
    let word = Consent { at: Some(at), ..Consent::of_contract(Channel::Email, granted, at.date_naive()) };
    let id = ChoiceId::new(format!("{granted} at {at}")).expect("an id");
    let choice = Choice { id, at, what: Chosen::Words(vec![word]) };
    let recorded = stack.store.record_choice(&stack.scope, &customer_id("ana"), &choice, choice.at).await;
    recorded.expect("a choice can be recorded");
}

#[tokio::test]
async fn a_withdrawal_between_plan_and_claim_prevents_the_message() {
    let stack = ana_is_late().await;
    stack.plan(at(23, 8, 0)).await;
    ana_says(&stack, false, at(23, 8, 0)).await;
    stack.send(at(23, 8, 0)).await;
    assert!(stack.outbox.messages().is_empty());
    // A newer file that still calls her authorised does not bring the message back; her own later word does.
    stack.import(2, &[Borrower::new("ana").in_country("CO").owes("a", 20)]).await;
    stack.scan(at(23, 9, 0)).await;
    assert!(stack.outbox.messages().is_empty());
    ana_says(&stack, true, at(23, 10, 0)).await;
    stack.scan(at(23, 11, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
}

#[tokio::test]
async fn a_withdrawal_between_decision_and_claim_stops_the_claim() {
    let stack = ana_is_late().await;
    let before = stack.fence("ana").await;
    stack.plan(at(23, 8, 0)).await;
    ana_says(&stack, false, at(23, 8, 0)).await;
    assert!(
        stack.fence("ana").await.version > before.version,
        "a decision on the old fence cannot be claimed"
    );
    stack.send(at(23, 8, 0)).await;
    assert!(stack.states("ana").await.is_empty() && stack.outbox.messages().is_empty());
}

#[tokio::test]
async fn a_fact_between_decision_and_claim_stops_the_claim() {
    let stack = ana_is_late().await;
    let facts = stack.facts("ana").await;
    let rules =
        RulesCache::of_checked_texts().load(&stack.store, &stack.tenant(), at(23, 8, 0)).await.unwrap();
    let suppressed = std::collections::BTreeSet::new();
    let (customer, obligations, fence) = (&facts.customer, &facts.obligations, &facts.fence);
    let decided_on = Facts { customer, obligations, fence, suppressed: &suppressed };
    let (rules, now) = (rules.for_customer(customer).unwrap(), at(23, 8, 0));
    let decided = plan(&rules, &decided_on, now);
    let record = DecisionRecord::of(&rules, &decided_on, &decided, now, Cause::Claim).unwrap();
    stack.pay("ana", "a").await;
    let claim = stack.store.claim(&stack.scope, &decided.now.unwrap(), fence, &record).await;
    assert_eq!(claim, Err(ClaimError::Conflict { which: ClaimConflict::FenceMoved }));
    assert!(stack.states("ana").await.is_empty());
}

#[tokio::test]
async fn a_job_that_comes_twice_is_sent_once() {
    let stack = ana_is_late().await;
    stack.plan(at(23, 8, 0)).await;
    let jobs = stack.take_jobs(Channel::Email);
    assert_eq!(jobs.len(), 1);
    let twice = [jobs.clone(), jobs.clone()].concat();
    assert!(stack.work(Function::SendEmail, twice, at(23, 8, 0)).await.is_empty());
    assert!(stack.work(Function::SendEmail, jobs, at(23, 9, 0)).await.is_empty());
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
    assert_eq!(stack.fence("ana").await.contacts.len(), 1);
}

#[tokio::test]
async fn a_second_scan_of_the_day_sends_nothing_more() {
    let stack = ana_is_late().await;
    // Planned twice before anything is sent, and once more after it.
    stack.plan(at(23, 8, 0)).await;
    stack.plan(at(23, 8, 0)).await;
    stack.send(at(23, 8, 0)).await;
    stack.scan(at(23, 8, 0)).await;
    stack.scan(at(23, 15, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
    stack.scan(at(24, 8, 0)).await;
    assert_eq!(stack.sent_to("ana").len(), 1, "no stage is due on the next day");
}

/// Loses one call, and then looks for a second message of its stage by every way that one could come.
async fn lost(fault: Fault, kept: &[&str]) -> Stack {
    let stack = ana_is_late().await;
    stack.plan(at(23, 8, 0)).await;
    let jobs = stack.take_jobs(Channel::Email);
    stack.outbox.fail_next(fault);
    assert!(stack.work(Function::SendEmail, jobs.clone(), at(23, 8, 0)).await.is_empty());
    assert_eq!(stack.states("ana").await, [TouchState::Unknown]);
    assert!(stack.work(Function::SendEmail, jobs, at(23, 8, 0)).await.is_empty());
    for of_november in 23..=27 {
        assert_eq!(stack.wave(at(of_november, 8, 30)).await, 0);
        stack.scan(at(of_november, 9, 0)).await;
    }
    assert_eq!(stack.sent_to("ana"), kept);
    assert_eq!(stack.states("ana").await, [TouchState::Unknown]);
    stack
}

#[tokio::test]
async fn a_lost_answer_stays_unknown_and_is_never_sent_again() {
    lost(Fault::LoseAnswer, &["email d3:a"]).await;
}

#[tokio::test]
async fn a_lost_request_stays_unknown_and_holds_up_no_later_stage() {
    let stack = lost(Fault::LoseRequest, &[]).await;
    stack.scan(at(28, 9, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d8:a"]);
}

#[tokio::test]
async fn a_refusal_for_good_fails_the_touch() {
    let stack = ana_is_late().await;
    stack.outbox.fail_next(Fault::Refuse { retry: false });
    stack.scan(at(23, 8, 0)).await;
    stack.wave(at(23, 9, 0)).await;
    stack.scan(at(23, 9, 0)).await;
    assert!(stack.outbox.messages().is_empty());
    assert_eq!(stack.states("ana").await, [TouchState::Failed]);
}

#[tokio::test]
async fn a_bad_message_fails_alone_in_its_batch() {
    let stack = ana_is_late().await;
    stack.plan(at(23, 8, 0)).await;
    let good = stack.take_jobs(Channel::Email).remove(0);
    let other_version = good.replace("\"v\":1", "\"v\":2");
    let other_channel = good.replace("\"channel\":\"email\"", "\"channel\":\"sms\"");
    assert!(good != other_version && good != other_channel);
    let batch =
        vec!["no JSON".to_owned(), other_version, String::new(), good, other_channel, "{}".to_owned()];
    assert_eq!(stack.work(Function::SendEmail, batch, at(23, 8, 0)).await, [0, 1, 2, 4, 5]);
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);

    let shard = r#"{"v":1,"tenant":"demo","shard":0,"as_of":"2026-11-23"}"#.to_owned();
    let batch = vec!["[]".to_owned(), shard.replace("\"v\":1", "\"v\":7"), shard];
    assert_eq!(stack.work(Function::PlanShard, batch, at(23, 8, 0)).await, [0, 1]);
}

#[tokio::test]
async fn an_unknown_tenant_is_an_error_and_no_send() {
    let stack = ana_is_late().await;
    stack.plan(at(23, 8, 0)).await;
    let nobodys =
        stack.take_jobs(Channel::Email).remove(0).replace("\"tenant\":\"demo\"", "\"tenant\":\"x\"");
    assert_eq!(stack.work(Function::SendEmail, vec![nobodys], at(23, 8, 0)).await, [0]);
    let shard = r#"{"v":1,"tenant":"x","shard":0,"as_of":"2026-11-23"}"#.to_owned();
    assert_eq!(stack.work(Function::PlanShard, vec![shard], at(23, 8, 0)).await, [0]);
    let tenant = domain::ids::TenantId::new("x").unwrap();
    for event in [DueEvent::Scan { tenant: tenant.clone() }, DueEvent::Wave { tenant: tenant.clone() }] {
        let started = stack.start(event, at(23, 8, 0)).await;
        assert!(matches!(
            started,
            Err(scan_due::ScanError::Rules(RulesError::Missing { what: "tenant", .. }))
        ));
    }
    assert!(stack.outbox.messages().is_empty());
}

#[tokio::test]
async fn a_customer_of_peru_is_judged_by_the_rules_of_peru() {
    let stack = Stack::new().await;
    let (bogota, lima) = (Borrower::new("bogota"), Borrower::new("lima").in_country("PE"));
    let (medellin, cusco) = (Borrower::new("medellin"), Borrower::new("cusco").in_country("PE"));
    let late = [bogota.owes("a", 18), lima.owes("b", 18)];
    let coming_up = [medellin.owes("c", 25), cusco.owes("d", 25)];
    stack.import(1, &[&late[..], &coming_up[..]].concat()).await;
    // Saturday: Colombia lets a lender dun until three in the afternoon, Peru not at all.
    stack.scan(at(21, 8, 0)).await;
    assert_eq!((stack.sent_to("bogota"), stack.sent_to("lima")), (vec!["email d3:a".to_owned()], vec![]));
    // Sunday: not even a friendly word before the due date, as long as the lender has not answered whether the law of
    // Peru lets it.
    stack.scan(at(22, 8, 0)).await;
    assert!(stack.sent_to("medellin").is_empty() && stack.sent_to("cusco").is_empty());
    stack.wave(at(23, 7, 0)).await;
    assert_eq!(stack.sent_to("lima"), ["email d3:b"]);
    assert_eq!(stack.sent_to("medellin"), ["email d-3:c"]);
    assert_eq!(stack.sent_to("cusco"), ["email d-3:d"]);
    assert_eq!(stack.outbox.messages().len(), 4);
}

#[tokio::test]
async fn an_open_question_that_the_lender_answered_on_record_opens_the_sunday() {
    let record = "[contact_rules.PE.answers.hours_cover_pre_due]\nanswer = \"no\"\nreason = \"r\"\n\
                  approved_by = \"a\"\napproved_on = \"2026-11-02\"";
    let tenant = toml::from_str(&format!("{TENANT}\n{record}")).expect("the settings can be read");
    let stack = Stack::of(tenant).await;
    stack.import(1, &[Borrower::new("cusco").in_country("PE").owes("d", 25)]).await;
    stack.scan(at(22, 8, 0)).await;
    assert_eq!(stack.sent_to("cusco"), ["email d-3:d"]);
}

#[tokio::test]
async fn two_obligations_go_out_in_one_message() {
    let stack = Stack::new().await;
    let ana = Borrower::new("ana");
    stack.import(1, &[ana.owes("b", 23), ana.owes("a", 15)]).await;
    stack.scan(at(23, 8, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d8:a,d0:b"]);
    assert_eq!(stack.outbox.messages()[0].stage.as_str(), "d8", "the most overdue one speaks");
    let fence = stack.fence("ana").await;
    assert_eq!((fence.contacts.len(), fence.reached.len()), (1, 2));
}

#[tokio::test]
async fn a_suppressed_address_falls_to_the_next_channel() {
    let stack = Stack::new().await;
    let numbers = ["+573000000001", "+573000000002"];
    let rows = ["ana", "eva"].map(|id| (id, Borrower::new(id)));
    let rows: Vec<_> =
        rows.into_iter().zip(numbers).map(|((id, b), number)| b.with_sms(number).owes(id, 20)).collect();
    stack.import(1, &rows).await;
    let suppress = async |customer: &str, number: &str| {
        let (address, customer) = (domain::contact::Address::new(number), customer_id(customer));
        let point = (Channel::Sms, &address);
        let tenant = stack.tenant();
        let done =
            stack.store.suppress(&tenant, &stack.secret, point, Some(&customer), "bounce", at(23, 7, 0));
        done.await.unwrap();
    };
    // One of them before the plan, the other one when its job lies in the queue for SMS already.
    suppress("ana", numbers[0]).await;
    stack.plan(at(23, 8, 0)).await;
    suppress("eva", numbers[1]).await;
    stack.send(at(23, 8, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:ana"]);
    assert_eq!(stack.sent_to("eva"), ["email d3:eva"]);
    assert_eq!(stack.outbox.messages().len(), 2);
}

#[tokio::test]
async fn a_message_goes_to_its_own_customer_and_nobody_else() {
    let stack = Stack::new().await;
    let number = |n: usize| format!("+5730000001{n:02}");
    let borrower = |n: usize| {
        let borrower = Borrower::new(&format!("c{n:02}"));
        if n.is_multiple_of(2) { borrower } else { borrower.with_sms(&number(n)) }
    };
    let rows: Vec<_> = (0..60).map(|n| borrower(n).owes(&format!("o{n:02}"), 20)).collect();
    stack.import(1, &rows).await;
    stack.plan(at(23, 8, 0)).await;
    // A customer whose address changes after the plan is written to at the new one.
    let moved = Borrower::new("c00").reached_at(Channel::Email, "elsewhere@example.com");
    stack.import(2, &[moved.owes("o00", 20)]).await;
    stack.send(at(23, 8, 0)).await;
    let messages = stack.outbox.messages();
    assert_eq!(messages.len(), 60);
    for message in messages {
        let id = message.customer.as_str();
        let n: usize = id[1..].parse().unwrap();
        let own = match (n, n.is_multiple_of(2)) {
            (0, _) => "elsewhere@example.com".to_owned(),
            (_, true) => email_of(id),
            (_, false) => number(n),
        };
        assert!(message.to.reveal() == own, "the message of {id} went to somebody else");
        let about: Vec<&str> = message.obligations.iter().map(|o| o.id.as_str()).collect();
        assert_eq!(about, [format!("o{n:02}")]);
    }
}

/// Runs two pieces of work for each customer at the same time, on two threads.
fn race(one: impl AsyncFn(usize) + Send + Sync, other: impl AsyncFn(usize) + Send + Sync) {
    fn run(work: &impl AsyncFn(usize), n: usize, start: &Barrier) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime can be made");
        start.wait();
        runtime.block_on(work(n));
    }
    for n in 0..RACES {
        let start = Barrier::new(2);
        std::thread::scope(|threads| {
            threads.spawn(|| run(&one, n, &start));
            threads.spawn(|| run(&other, n, &start));
        });
    }
}

/// A stack with many customers, each with one late invoice, and their jobs by customer.
fn many_late() -> (Stack, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    runtime.block_on(async {
        let stack = Stack::new().await;
        let rows: Vec<_> =
            (0..RACES).map(|n| Borrower::new(&racer(n)).owes(&format!("a{n:03}"), 20)).collect();
        stack.import(1, &rows).await;
        stack.plan(at(23, 8, 0)).await;
        let mut jobs = stack.take_jobs(Channel::Email);
        assert_eq!(jobs.len(), RACES);
        jobs.sort_unstable();
        (stack, jobs)
    })
}

/// Gives a job to its function, again while another sender of the customer is still at work, as the queue would.
async fn send_at_last(stack: &Stack, job: &str) {
    for _ in 0..RECEIVES_MAX {
        if stack.work(Function::SendEmail, vec![job.to_owned()], at(23, 8, 0)).await.is_empty() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("a job was given out {RECEIVES_MAX} times");
}

fn racer(n: usize) -> String {
    format!("r{n:03}")
}

/// How many messages each racer got, and what its fence says about them, whose audit chain must be whole.
fn outcomes(stack: &Stack) -> Vec<(usize, domain::fence::Fence)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    runtime.block_on(async {
        let mut outcomes = Vec::new();
        for n in 0..RACES {
            let fence = stack.fence(&racer(n)).await;
            let trail = stack.store.audit_trail(&stack.scope.tenant, &customer_id(&racer(n))).await;
            let trail = trail.expect("the trail can be read");
            assert_eq!(verify_chain(&trail), Ok(fence.audit_head.as_deref()));
            outcomes.push((stack.sent_to(&racer(n)).len(), fence));
        }
        outcomes
    })
}

#[test]
fn two_senders_of_one_touch_send_it_once() {
    let (stack, jobs) = many_late();
    let send = async |n: usize| send_at_last(&stack, &jobs[n]).await;
    race(send, send);
    for (sent, fence) in outcomes(&stack) {
        assert_eq!((sent, fence.contacts.len(), fence.version), (1, 1, 2));
    }
}

#[test]
fn a_payment_and_a_sender_never_overwrite_each_other() {
    let (stack, jobs) = many_late();
    let send = async |n: usize| send_at_last(&stack, &jobs[n]).await;
    // A payment is quicker than a sender: some reads before it let it fall into every part of the other's work.
    let read_and_pay = async |n: usize| {
        for _ in 0..n % READS_BEFORE_PAYMENT_MAX {
            stack.facts(&racer(n)).await;
        }
        stack.pay(&racer(n), &format!("a{n:03}")).await;
    };
    race(send, read_and_pay);
    for (sent, fence) in outcomes(&stack) {
        assert!(sent <= 1);
        // One version for the import, one for the payment, and one for the claim or for the decision not to send.
        assert_eq!((fence.version, fence.contacts.len()), (3, sent));
    }
}

#[test]
fn two_decisions_never_both_pass_the_limit_of_a_day() {
    let (stack, jobs) = many_late();
    let send = async |n: usize| send_at_last(&stack, &jobs[n]).await;
    // Another invoice becomes known, so that the second sender decides for another touch than the first one.
    let know_more_and_send = async |n: usize| {
        stack.import(1, &[Borrower::new(&racer(n)).owes(&format!("b{n:03}"), 20)]).await;
        send(n).await;
    };
    race(send, know_more_and_send);
    for (sent, fence) in outcomes(&stack) {
        assert_eq!((sent, fence.contacts.len()), (1, 1));
        // One version for the import, one for the claim, and one where the other invoice was put off to another day.
        assert!((2..=3).contains(&fence.version), "{}", fence.version);
    }
    assert!(stack.outbox.messages().iter().all(|m| m.at.date_naive() == day(23)));
}
