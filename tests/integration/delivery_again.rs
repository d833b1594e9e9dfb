//! What follows a message that did not get through: the next channel at once where its own refused it; a second attempt
//! where nobody knows and the tenant prefers delivery; the next day where the quota is used up.
//!
//! Invariant under test: every further message is a contact under the same hours and caps, and there is never a third.

use channels::Fault;
use delivery::Delivered;
use domain::channel::Channel;
use domain::decision::Cause;
use domain::delivery::{Report, Source, Transition};
use domain::tenant::{OnUnknown, Tenant};
use domain::touch::TouchState;
use runtime::job::DueEvent;
use store::{TouchEvent, TouchKey, TouchRecord, verify_chain};

use crate::fixture::{Borrower, Function, Stack, TENANT, at, customer_id, day};

/// A lender in Mexico, where no rule limits how often a customer is contacted, with a customer who is late on the 23rd.
async fn stack_of(change: impl FnOnce(&mut Tenant)) -> Stack {
    let mut tenant: Tenant = toml::from_str(TENANT).expect("the demo's tenant is sound");
    tenant.jurisdiction = "MX".to_owned();
    change(&mut tenant);
    Stack::of(tenant).await
}

#[tokio::test]
async fn a_job_that_comes_again_after_its_message_stops_nothing() {
    let stack = Stack::new().await;
    // What was due a day ago can be reminded of no more, and stands first.
    let ana = Borrower::new("ana");
    stack.import(1, &[ana.owes("a", 22), ana.owes("b", 20)]).await;
    stack.plan(at(23, 10, 0)).await;
    let [job] = &stack.take_jobs(Channel::Email)[..] else { panic!("one job") };
    assert_eq!(stack.deliver(Channel::Email, job, at(23, 10, 0)).await, Delivered::Sent);
    let again = stack.deliver(Channel::Email, job, at(23, 10, 1)).await;
    assert_eq!((&again, again.stopped_by()), (&Delivered::AlreadyClaimed, None));
    assert_eq!(stack.sent_to("ana"), ["email d3:b"]);
}

#[tokio::test]
async fn a_job_whose_debt_was_paid_meanwhile_is_stopped_by_that() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 20)]).await;
    stack.plan(at(23, 10, 0)).await;
    let [job] = &stack.take_jobs(Channel::Email)[..] else { panic!("one job") };
    stack.pay("ana", "a").await;
    let stopped = stack.deliver(Channel::Email, job, at(23, 10, 0)).await;
    assert_eq!(stopped.stopped_by(), Some("closed"));
    assert_eq!(stack.sent_to("ana"), Vec::<String>::new());
}

async fn with_unknown(preferred: OnUnknown) -> Stack {
    let stack = stack_of(|tenant| tenant.on_unknown.email = preferred).await;
    stack.import(1, &[Borrower::new("ana").owes("a", 20)]).await;
    stack.outbox.fail_next(Fault::LoseRequest);
    stack.scan(at(23, 10, 0)).await;
    assert_eq!(stack.states("ana").await, [TouchState::Unknown]);
    stack
}

async fn sweep(stack: &Stack, hour: u32, minute: u32) -> usize {
    let event = DueEvent::Sweep { tenant: stack.tenant(), hours_back: 48 };
    stack.start(event, at(23, hour, minute)).await.expect("a sweep starts").again
}

async fn touches(stack: &Stack) -> Vec<TouchRecord> {
    stack.store.touches(&stack.tenant(), &customer_id("ana")).await.expect("touches")
}

async fn event(stack: &Stack, touch: &TouchRecord, report: Report) {
    let event = TouchEvent {
        transition: Transition { report, source: Source::Provider },
        reason: String::new(),
        at: at(23, 10, 30),
        provider_id: None,
        addresses: Vec::new(),
    };
    let place = TouchKey::of(&touch.touch);
    let recorded =
        stack.store.record_event(&stack.tenant(), &stack.secret, &place, &event, at(23, 10, 30)).await;
    recorded.expect("an event");
}

#[tokio::test]
async fn an_unknown_email_is_sent_once_more_after_an_hour_and_never_a_third_time() {
    let stack = with_unknown(OnUnknown::PreferDelivery).await;
    assert_eq!(sweep(&stack, 10, 59).await, 0, "the hour is not over");
    // Two sweeps at the same time: two jobs.
    assert_eq!((sweep(&stack, 11, 0).await, sweep(&stack, 11, 0).await), (1, 1));
    stack.outbox.fail_next(Fault::LoseAnswer);
    stack.send(at(23, 11, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:a"], "the second attempt arrived, and nobody knows");
    let [first, second] = &touches(&stack).await[..] else { panic!("two attempts") };
    assert_eq!((first.state, second.state), (TouchState::Unknown, TouchState::Unknown));
    assert_eq!(first.resent_as.as_ref(), Some(&second.touch.id));
    assert_eq!(second.resend_of.as_ref(), Some(&first.touch.id));
    for hour in 12..18 {
        assert_eq!(sweep(&stack, hour, 0).await, 0, "there is no third");
        stack.scan(at(23, hour, 0)).await;
    }
    assert_eq!(stack.sent_to("ana").len(), 1);
    let fence = stack.fence("ana").await;
    assert_eq!(fence.contacts.len(), 2, "both are contacts");
    let trail = stack.store.audit_trail(&stack.tenant(), &customer_id("ana")).await.unwrap();
    assert_eq!(verify_chain(&trail), Ok(fence.audit_head.as_deref()));
    let claimed = trail.iter().filter_map(|e| e.record()).filter(|r| r.cause == Cause::Claim);
    let claimed: Vec<_> = claimed.filter_map(|r| r.touch.map(|t| t.id)).collect();
    assert_eq!(claimed, [first.touch.id.clone(), second.touch.id.clone()]);
}

#[tokio::test]
async fn without_the_setting_an_unknown_email_stays_as_it_is() {
    let stack = with_unknown(OnUnknown::PreferNoDuplicate).await;
    assert_eq!(sweep(&stack, 12, 0).await, 0);
    stack.scan(at(23, 12, 0)).await;
    assert!(stack.outbox.messages().is_empty());
}

#[tokio::test]
async fn an_event_before_the_second_attempt_prevents_it() {
    let stack = with_unknown(OnUnknown::PreferDelivery).await;
    assert_eq!(sweep(&stack, 11, 0).await, 1);
    event(&stack, &touches(&stack).await[0], Report::Delivered).await;
    stack.send(at(23, 11, 0)).await;
    assert_eq!(sweep(&stack, 12, 0).await, 0);
    assert!(stack.outbox.messages().is_empty());
    assert_eq!(stack.states("ana").await, [TouchState::Delivered]);
}

#[tokio::test]
async fn a_second_attempt_is_not_made_outside_the_hours_or_for_what_is_paid() {
    let stack = with_unknown(OnUnknown::PreferDelivery).await;
    assert_eq!(sweep(&stack, 23, 30).await, 1);
    stack.send(at(23, 23, 30)).await;
    assert!(stack.outbox.messages().is_empty(), "not at night");
    stack.pay("ana", "a").await;
    assert_eq!(sweep(&stack, 23, 40).await, 1);
    stack.send(at(24, 12, 0)).await;
    assert!(stack.outbox.messages().is_empty(), "nothing is owed");
    assert_eq!(touches(&stack).await[0].resent_as, None);
}

#[tokio::test]
async fn a_second_attempt_that_fails_goes_no_other_way_while_the_first_may_have_arrived() {
    let stack = stack_of(|tenant| tenant.on_unknown.email = OnUnknown::PreferDelivery).await;
    stack.import(1, &[Borrower::new("ana").with_number("+525512345678").owes("a", 20)]).await;
    stack.outbox.fail_next(Fault::LoseRequest);
    stack.scan(at(23, 10, 0)).await;
    assert_eq!(sweep(&stack, 11, 0).await, 1);
    stack.outbox.fail_next(Fault::Refuse { retry: false });
    stack.send(at(23, 11, 0)).await;
    assert_eq!(stack.states("ana").await, [TouchState::Unknown, TouchState::Failed]);
    stack.scan(at(23, 12, 0)).await;
    assert!(stack.outbox.messages().is_empty(), "nobody knows whether the first arrived");
    // Once it is known that neither did, the stage goes another way.
    event(&stack, &touches(&stack).await[0], Report::Failed).await;
    stack.scan(at(24, 10, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["sms d3:a"]);
}

#[tokio::test]
async fn a_stage_falls_back_at_once_where_the_sender_is_refused() {
    let stack = stack_of(|_| {}).await;
    stack.import(1, &[Borrower::new("ana").with_number("+525512345678").owes("a", 20)]).await;
    stack.plan(at(23, 10, 0)).await;
    stack.outbox.fail_next(Fault::Refuse { retry: false });
    let jobs = stack.take_jobs(Channel::Email);
    assert!(stack.work(Function::SendEmail, jobs.clone(), at(23, 10, 0)).await.is_empty());
    assert_eq!(stack.states("ana").await, [TouchState::Failed]);
    // The same job again, as after a crash between the failure and what follows it.
    assert!(stack.work(Function::SendEmail, jobs, at(23, 10, 1)).await.is_empty());
    stack.send(at(23, 10, 1)).await;
    assert_eq!(stack.sent_to("ana"), ["sms d3:a"]);
    assert_eq!(stack.fence("ana").await.contacts.len(), 2);
}

#[tokio::test]
async fn what_the_daily_quota_does_not_let_go_waits_for_it_with_its_reason() {
    let stack = stack_of(|tenant| tenant.daily_quotas.email = std::num::NonZeroU32::new(2)).await;
    let names = ["ana", "bea", "caro"];
    let rows: Vec<_> = names.iter().map(|id| Borrower::new(id).owes(&format!("of-{id}"), 20)).collect();
    stack.import(1, &rows).await;
    stack.plan(at(23, 10, 0)).await;
    let jobs = stack.take_jobs(Channel::Email);
    // Each job comes twice: what is left out waits once.
    for minute in [0, 1] {
        assert!(stack.work(Function::SendEmail, jobs.clone(), at(23, 10, minute)).await.is_empty());
    }
    assert_eq!(stack.outbox.messages().len(), 2);
    let left = names.iter().find(|id| stack.sent_to(id).is_empty()).expect("one waits");
    let trail = stack.store.audit_trail(&stack.tenant(), &customer_id(left)).await.unwrap();
    let records: Vec<_> = trail.iter().filter_map(|e| e.record()).collect();
    assert_eq!(records[0].verdicts[0].reasons[0].code, "daily_quota");
    let frees_at = stack.store.next_wave_at(&stack.scope, day(23), 3).await.unwrap().expect("it waits");
    let freed = at(24, 11, 0)..at(24, 12, 0);
    assert!(freed.contains(&frees_at), "24 hours after the hour in which the quota was used: {frees_at}");
    assert_eq!(records.len(), 1, "it is on record once");
    assert_eq!(stack.wave(freed.end).await, 1);
    assert_eq!(stack.sent_to(left), [format!("email d3:of-{left}")]);
}
