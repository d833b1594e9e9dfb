//! Pauses: a tenant that is paused plans nothing and claims nothing, and loses nothing by it.

use domain::channel::Channel;
use domain::tenant::{Pause, Rate, Rates, Tenant};
use domain::touch::TouchState;
use runtime::job::DueEvent;
use runtime::schedule::{MemorySchedules, Schedules};
use store::SettingsDoc;

use crate::delivery_races::ana_is_late;
use crate::fixture::{Borrower, Function, Stack, TENANT, at};

/// Stores the settings of the demo's tenant, paused or not.
async fn pause(stack: &Stack, version: u64, is_paused: bool) {
    let demo: Tenant = toml::from_str(TENANT).expect("the demo's tenant is sound");
    let pause = Pause { reason: "audit".to_owned(), by: "test".to_owned(), paused_at: at(23, 7, 0) };
    let tenant = Tenant { paused: is_paused.then_some(pause), ..demo };
    let document = serde_json::to_string(&tenant).expect("settings are JSON");
    stack.store.put_settings(&tenant.id, &SettingsDoc { version, document }).await.expect("settings");
}

#[tokio::test]
async fn nothing_is_planned_while_paused_and_all_of_it_after() {
    let stack = ana_is_late().await;
    pause(&stack, 2, true).await;
    let scan = DueEvent::Scan { tenant: stack.tenant() };
    let started = stack.start(scan, at(23, 8, 0)).await.unwrap();
    assert_eq!((started.paused, started.shards, started.touches), (true, 0, 0));
    stack.scan(at(23, 8, 0)).await;
    assert_eq!(stack.states("ana").await, []);
    pause(&stack, 3, false).await;
    stack.scan(at(23, 9, 0)).await;
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
}

#[tokio::test]
async fn what_was_queued_before_the_pause_is_not_claimed() {
    let stack = ana_is_late().await;
    stack.plan(at(23, 8, 0)).await;
    pause(&stack, 2, true).await;
    let jobs = stack.take_jobs(Channel::Email);
    assert_eq!(jobs.len(), 1);
    let version = stack.fence("ana").await.version;
    assert!(stack.work(Function::SendEmail, jobs, at(23, 8, 1)).await.is_empty(), "the job is done with");
    assert!(stack.outbox.messages().is_empty());
    assert_eq!((stack.states("ana").await, stack.fence("ana").await.version), (vec![], version));
    pause(&stack, 3, false).await;
    stack.scan(at(23, 9, 0)).await;
    assert_eq!(stack.states("ana").await, [TouchState::Sent]);
}

#[tokio::test]
async fn what_waits_keeps_waiting_through_a_pause() {
    let stack = Stack::new().await;
    stack.import(1, &[Borrower::new("ana").owes("a", 19)]).await;
    stack.scan(at(22, 8, 0)).await;
    pause(&stack, 2, true).await;
    assert_eq!(stack.wave(at(23, 7, 30)).await, 0);
    pause(&stack, 3, false).await;
    assert_eq!(stack.wave(at(23, 8, 30)).await, 1);
    assert_eq!(stack.sent_to("ana"), ["email d3:a"]);
}

#[tokio::test]
async fn the_first_wave_is_scheduled_by_the_plan_and_the_next_by_the_wave_before() {
    let memory = MemorySchedules::default();
    let slow = Rate::try_from(1).expect("one message a second is a rate");
    let demo: Tenant = toml::from_str(TENANT).expect("the demo's tenant is sound");
    let tenant = Tenant { rates: Rates { email: slow, sms: slow }, ..demo };
    let stack = Stack::of(tenant).await.scheduled_by(Schedules::Memory(memory.clone()));
    let rows: Vec<_> = (0..240).map(|n| Borrower::new(&format!("c{n}")).owes("a", 19)).collect();
    stack.import(1, &rows).await;
    // A Sunday: everything waits for Monday, spread over the minutes that the rate asks for.
    stack.scan(at(22, 8, 0)).await;
    let mut now = at(22, 9, 0);
    let mut waves = 0;
    while let Some(next) = memory.next_after(now) {
        for (_, event) in memory.take_due(now, next) {
            stack.start(event, next).await.unwrap();
            waves += 1;
        }
        stack.send(next).await;
        now = next;
    }
    assert_eq!(stack.outbox.messages().len(), 240, "after {waves} waves");
    assert!((3..=10).contains(&waves), "{waves} waves, one for each minute");
}
