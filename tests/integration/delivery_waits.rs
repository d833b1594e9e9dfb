//! Touches that wait: for their lawful moment, and for a provider that refuses them for now.
//!
//! Invariant under test: what waits is looked at when its moment comes, goes out once or ends with its reason, and then
//! waits no more.

use std::collections::BTreeSet;

use channels::Fault;
use domain::decision::Cause;
use domain::tenant::{Rate, Rates, Tenant};
use domain::touch::TouchState;
use runtime::job::DueEvent;

use crate::delivery_races::ana_is_late;
use crate::fixture::{Borrower, Stack, TENANT, at, customer_id, day};

#[tokio::test]
async fn what_was_refused_for_now_is_sent_exactly_once_by_the_next_wave() {
    let stack = ana_is_late().await;
    for _ in 0..3 {
        stack.outbox.fail_next(Fault::Refuse { retry: true });
    }
    stack.scan(at(23, 8, 0)).await;
    assert_eq!(stack.states("ana").await, [TouchState::Planned]);
    assert_eq!(stack.fence("ana").await.tries.len(), 1);
    assert!(stack.fence("ana").await.reached.is_empty(), "a stage that was not sent is not reached");
    assert_eq!(stack.wave(at(23, 8, 14)).await, 0);
    assert_eq!(stack.wave(at(23, 8, 15)).await, 1);
    // The waits double: 15 minutes, 30, an hour.
    assert_eq!(stack.wave(at(23, 8, 44)).await, 0);
    assert_eq!(stack.wave(at(23, 8, 45)).await, 1);
    assert!(stack.outbox.messages().is_empty());
    assert_eq!(stack.wave(at(23, 9, 45)).await, 1);
    assert_eq!(stack.wave(at(23, 18, 0)).await, 0);
    stack.scan(at(23, 18, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
    assert_eq!(stack.states("ana").await, [TouchState::Sent]);
}

#[tokio::test]
async fn what_is_refused_again_and_again_fails_after_eight_tries() {
    let stack = ana_is_late().await;
    for _ in 0..100 {
        stack.outbox.fail_next(Fault::Refuse { retry: true });
    }
    // Waves come around the clock and scans every day: neither starts the count anew.
    for day in 23..=26 {
        for hour in 0..24 {
            stack.wave(at(day, hour, 5)).await;
            stack.wave(at(day, hour, 35)).await;
            if hour == 8 {
                stack.scan(at(day, hour, 40)).await;
            }
        }
    }
    assert!(stack.outbox.messages().is_empty());
    let states = stack.states("ana").await;
    assert_eq!(states.iter().filter(|s| **s == TouchState::Failed).count(), 1, "{states:?}");
    assert!(!states.contains(&TouchState::Planned), "what was put off is closed: {states:?}");
    let trail = stack.store.audit_trail(&stack.tenant(), &customer_id("ana")).await.unwrap();
    let claims = trail.iter().filter(|e| e.record().is_some_and(|r| r.cause == Cause::Claim)).count();
    assert_eq!(claims, usize::try_from(delivery::TRIES_MAX).unwrap());
    assert_eq!(stack.wave(at(27, 18, 0)).await, 0, "what failed waits no more");
}

#[tokio::test]
async fn a_sender_whose_clock_is_behind_leaves_the_touch_where_it_waits() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 19)]).await;
    stack.scan(at(22, 8, 0)).await;
    let wave = DueEvent::Wave { tenant: stack.tenant() };
    assert_eq!(stack.start(wave, at(23, 7, 0)).await.unwrap().touches, 1);
    stack.send(at(23, 7, 0) - chrono::Duration::milliseconds(50)).await;
    assert!(stack.outbox.messages().is_empty());
    assert_eq!(stack.wave(at(23, 7, 1)).await, 1, "it still waits");
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
}

#[tokio::test]
async fn customers_with_the_same_obligation_id_all_get_their_message() {
    let stack = Stack::new().await;
    let rows: Vec<_> = ["ana", "bea", "caro"].map(|id| Borrower::new(id).owes("1", 19)).into();
    for (n, row) in rows.into_iter().enumerate() {
        stack.import(n as u64 + 1, &[row]).await;
    }
    stack.scan(at(22, 8, 0)).await;
    assert_eq!(stack.wave(at(23, 7, 0)).await, 3);
    for id in ["ana", "bea", "caro"] {
        assert_eq!(stack.sent_to(id), ["email d3:1"]);
    }
}

#[tokio::test]
async fn what_was_left_in_an_old_wave_is_found_by_the_scan() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 2)]).await;
    stack.scan(at(8, 8, 0)).await;
    assert_eq!(stack.store.next_wave_at(&stack.scope, day(8), 5).await, Ok(Some(at(9, 7, 0))));
    // Nothing ran for two weeks.
    stack.scan(at(23, 8, 0)).await;
    assert_eq!(stack.store.next_wave_at(&stack.scope, day(1), 30).await, Ok(None));
    assert_eq!(stack.sent_to("ana"), ["email d15:a"]);
}

#[tokio::test]
async fn a_scan_may_come_before_the_wave_of_a_retry() {
    let stack = ana_is_late().await;
    stack.outbox.fail_next(Fault::Refuse { retry: true });
    stack.scan(at(23, 8, 0)).await;
    stack.scan(at(23, 8, 5)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
    assert_eq!(stack.wave(at(23, 8, 15)).await, 1, "it is looked at once more and ends");
    assert_eq!(stack.wave(at(23, 8, 16)).await, 0);
    assert_eq!(stack.sent_to("ana").len(), 1);
    assert_eq!(stack.states("ana").await, [TouchState::Sent]);
}

#[tokio::test]
async fn a_sunday_touch_goes_out_on_monday_morning_with_what_falls_due_then() {
    let stack = Stack::new().await;
    let ana = Borrower::new("ana");
    stack.import(1, &[ana.owes("a", 19), ana.owes("b", 20)]).await;
    stack.scan(at(22, 8, 0)).await;
    assert!(stack.outbox.messages().is_empty(), "nobody is dunned on a Sunday in Colombia");
    assert_eq!(stack.store.next_wave_at(&stack.scope, day(22), 2).await, Ok(Some(at(23, 7, 0))));
    assert_eq!(stack.wave(at(23, 6, 59)).await, 0);
    assert_eq!(stack.wave(at(23, 7, 0)).await, 1);
    assert_eq!(stack.sent_to("ana"), ["email d3:a,d3:b"]);
    assert_eq!(stack.outbox.messages()[0].at.to_rfc3339(), "2026-11-23T07:00:00-05:00");
    stack.scan(at(23, 8, 0)).await;
    assert_eq!(stack.wave(at(23, 8, 0)).await, 0);
    assert_eq!(stack.sent_to("ana").len(), 1);
    let mut states = stack.states("ana").await;
    states.sort_unstable();
    assert_eq!(states, [TouchState::Sent, TouchState::Superseded]);
}

/// A lender that sends so many emails a second.
async fn stack_with_rate(per_second: u16) -> Stack {
    let mut tenant: Tenant = toml::from_str(TENANT).expect("the demo's tenant is sound");
    tenant.rates = Rates { email: Rate::try_from(per_second).expect("a rate"), ..Rates::default() };
    Stack::of(tenant).await
}

#[tokio::test]
async fn what_a_sunday_defers_is_spread_over_monday_by_the_rate() {
    let stack = stack_with_rate(1).await;
    let rows: Vec<_> = (0..300).map(|n| Borrower::new(&format!("c{n}")).owes(&format!("o{n}"), 19)).collect();
    stack.import(1, &rows).await;
    stack.scan(at(22, 8, 0)).await;
    // Planned again, with a customer more: everyone waits where they waited.
    stack.import(2, &[Borrower::new("late").owes("late", 19)]).await;
    stack.scan(at(22, 9, 0)).await;
    assert!(stack.outbox.messages().is_empty());
    assert_eq!(stack.wave(at(23, 6, 59)).await, 0);
    let mut by_minute = Vec::new();
    for minute in 0..=5 {
        by_minute.push(stack.wave(at(23, 7, minute)).await);
    }
    // 301 emails at one a second, counted as 320: five minutes and twenty seconds.
    assert_eq!(by_minute.iter().sum::<usize>(), 301, "each waits once: {by_minute:?}");
    assert!(by_minute[..5].iter().all(|n| (30..=90).contains(n)), "{by_minute:?}");
    assert!((1..=40).contains(&by_minute[5]), "{by_minute:?}");
    assert_eq!(stack.store.next_wave_at(&stack.scope, day(22), 5).await, Ok(None));
    let messages = stack.outbox.messages();
    let served: BTreeSet<&str> = messages.iter().map(|m| m.customer.as_str()).collect();
    assert_eq!((messages.len(), served.len()), (301, 301), "each is sent once");
}

#[tokio::test]
async fn a_scan_before_the_moved_moment_sends_once() {
    let stack = stack_with_rate(1).await;
    let rows: Vec<_> = (0..100).map(|n| Borrower::new(&format!("c{n}")).owes(&format!("o{n}"), 19)).collect();
    stack.import(1, &rows).await;
    stack.scan(at(22, 8, 0)).await;
    let first = stack.wave(at(23, 7, 0)).await;
    assert!((1..100).contains(&first), "some wait for the next minute: {first}");
    stack.scan(at(23, 7, 0)).await;
    assert_eq!(stack.wave(at(23, 7, 1)).await, 100 - first, "they are looked at and end");
    assert_eq!(stack.wave(at(23, 18, 0)).await, 0);
    assert_eq!(stack.outbox.messages().len(), 100);
}
