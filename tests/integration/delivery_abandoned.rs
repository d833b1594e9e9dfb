//! What follows when a sender dies between its claim and the call of its provider.
//!
//! Invariant under test: a claim without the mark of a call is decided and sent anew; one with it is unknown.

use domain::decision::{Cause, DecisionRecord};
use domain::planner::{Facts, plan};
use domain::touch::TouchState;
use runtime::job::DueEvent;
use runtime::rules::RulesCache;
use scan_due::Started;
use store::HeldClaim;

use crate::delivery_races::ana_is_late;
use crate::fixture::{Function, Stack, at};

/// Claims what is to be sent to `ana` at eight, and goes no further.
async fn claim_and_die(stack: &Stack) -> HeldClaim {
    let facts = stack.facts("ana").await;
    let rules =
        RulesCache::default().load(&stack.store, &stack.tenant(), at(23, 8, 0)).await.expect("the rules");
    let suppressed = std::collections::BTreeSet::new();
    let (customer, obligations, fence) = (&facts.customer, &facts.obligations, &facts.fence);
    let known = Facts { customer, obligations, fence, suppressed: &suppressed };
    let rules = rules.for_customer(customer).expect("a profile");
    let decided = plan(&rules, &known, at(23, 8, 0));
    let record =
        DecisionRecord::of(&rules, &known, &decided, at(23, 8, 0), Cause::Claim).expect("a stage is due");
    let claim = stack.store.claim(&stack.scope, &decided.now.expect("it goes now"), fence, &record).await;
    claim.expect("nobody else claims").held
}

async fn sweep(stack: &Stack, hour: u32, minute: u32) -> Started {
    let event = DueEvent::Sweep { tenant: stack.tenant(), hours_back: 48 };
    stack.start(event, at(23, hour, minute)).await.expect("a sweep starts")
}

#[tokio::test]
async fn a_claim_that_was_never_dispatched_is_sent_by_the_sweep_once() {
    let stack = ana_is_late().await;
    let dead = claim_and_die(&stack).await;
    let early = sweep(&stack, 8, 14).await;
    assert_eq!((early.taken_over, early.touches), (0, 0), "its sender may still be at work");
    let swept = sweep(&stack, 8, 16).await;
    assert_eq!((swept.taken_over, swept.abandoned, swept.unknown, swept.touches), (1, 0, 0, 1));
    stack.send(at(23, 8, 16)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
    let late = stack.store.mark_call(&stack.tenant(), &dead, at(23, 8, 16)).await;
    assert!(late.is_err(), "a sender that was only slow must not call any more");
    assert_eq!(sweep(&stack, 9, 0).await.taken_over, 0);
    stack.scan(at(23, 9, 0)).await;
    assert_eq!(stack.sent_to("ana").len(), 1);
    assert_eq!(stack.states("ana").await, [TouchState::Sent]);
    assert_eq!(stack.fence("ana").await.contacts.len(), 1, "the claim that was taken over is no contact");
}

#[tokio::test]
async fn what_was_paid_meanwhile_is_not_sent_and_what_was_called_is_unknown() {
    let stack = ana_is_late().await;
    claim_and_die(&stack).await;
    stack.pay("ana", "a").await;
    assert_eq!(sweep(&stack, 8, 16).await.taken_over, 1);
    stack.send(at(23, 8, 16)).await;
    assert!(stack.outbox.messages().is_empty());
    assert_eq!(stack.states("ana").await, [TouchState::Prevented]);

    let stack = ana_is_late().await;
    let claim = claim_and_die(&stack).await;
    stack.store.mark_call(&stack.tenant(), &claim, at(23, 8, 0)).await.unwrap();
    let swept = sweep(&stack, 8, 16).await;
    assert_eq!((swept.taken_over, swept.abandoned, swept.unknown), (0, 1, 1));
    stack.scan(at(23, 8, 16)).await;
    assert!(stack.outbox.messages().is_empty());
    assert_eq!(stack.states("ana").await, [TouchState::Unknown]);
}

#[tokio::test]
async fn the_job_of_a_dead_sender_decides_anew_when_it_is_given_out_again() {
    let stack = ana_is_late().await;
    stack.plan(at(23, 8, 0)).await;
    let jobs = stack.take_jobs(domain::channel::Channel::Email);
    claim_and_die(&stack).await;
    assert_eq!(stack.work(Function::SendEmail, jobs.clone(), at(23, 8, 5)).await, [0], "it may be at work");
    assert!(stack.work(Function::SendEmail, jobs, at(23, 8, 16)).await.is_empty());
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
    // What the take-over left in its wave finds nothing to do.
    assert_eq!(stack.wave(at(23, 8, 17)).await, 1);
    assert_eq!(stack.wave(at(23, 8, 18)).await, 0);
    assert_eq!(stack.sent_to("ana").len(), 1);
}
