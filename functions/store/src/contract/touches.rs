//! Touches around their claim, and the wave index.

use domain::touch::TouchState;

use super::*;
use crate::{Change, Outcome, TouchError, TouchKey};

on_every_backend!(
    planning_twice_changes_nothing,
    an_outcome_settles_once,
    a_planned_touch_is_prevented_or_superseded,
    the_wave_index_gives_what_is_due,
    the_timeline_has_every_touch_in_order,
);

async fn planning_twice_changes_nothing(store: &Store) {
    let wanted = touch("c", &["a"], ("s1", 1), 6);
    let first = store.plan_touch(&scope(), &wanted, Waiting::Wave).await;
    assert_eq!(first, Ok((TouchState::Planned, Change::Made)));
    let mut later = wanted.clone();
    later.send_at = at(7, 15);
    let second = store.plan_touch(&scope(), &later, Waiting::Wave).await;
    assert_eq!(second, Ok((TouchState::Planned, Change::Already)));
    let record = store.touch(&scope().tenant, &TouchKey::of(&wanted)).await.unwrap().unwrap();
    assert_eq!(record.touch, wanted);
}

async fn an_outcome_settles_once(store: &Store) {
    with_two_obligations(store).await;
    let tenant = &scope().tenant;
    let outcomes = [
        (Outcome::Sent { provider_id: "m-1".to_owned() }, TouchState::Sent),
        (Outcome::Failed { reason: "invalid_number".to_owned() }, TouchState::Failed),
        (Outcome::Unknown { reason: "timeout".to_owned() }, TouchState::Unknown),
    ];
    let other = Outcome::Sent { provider_id: "m-2".to_owned() };
    for (n, (outcome, state)) in outcomes.into_iter().enumerate() {
        let wanted = touch("c", &["a"], (&format!("s{n}"), 1), 6);
        let place = TouchKey::of(&wanted);
        let expected = TouchState::Claimed;
        let early = store.settle(tenant, &place, &outcome, at(6, 16)).await;
        assert_eq!(early, Err(TouchError::Conflict { found: None, expected }));
        plan(store, &wanted).await;
        let early = store.settle(tenant, &place, &outcome, at(6, 16)).await;
        assert_eq!(early, Err(TouchError::Conflict { found: Some(TouchState::Planned), expected }));
        let fence = facts(store, "c").await.fence;
        store.claim(&scope(), &wanted, &fence, at(6, n as u32)).await.unwrap();
        assert_eq!(store.settle(tenant, &place, &outcome, at(6, 16)).await, Ok(Change::Made));
        assert_eq!(store.settle(tenant, &place, &outcome, at(6, 17)).await, Ok(Change::Already));
        let different = store.settle(tenant, &place, &other, at(6, 17)).await;
        assert_eq!(different, Err(TouchError::Conflict { found: Some(state), expected }));
        let record = store.touch(tenant, &place).await.unwrap().unwrap();
        assert_eq!((record.state, record.settled_at), (state, Some(at(6, 16))));
        assert_eq!(record.provider_id.is_some(), state == TouchState::Sent);
        assert_eq!(record.reason.is_some(), state != TouchState::Sent);
        assert!(store.release(&scope(), &place, at(7, 1)).await.is_err());
    }
}

async fn a_planned_touch_is_prevented_or_superseded(store: &Store) {
    with_two_obligations(store).await;
    let tenant = &scope().tenant;
    let (one, two) = (touch("c", &["a"], ("s1", 1), 6), touch("c", &["b"], ("s1", 1), 6));
    plan(store, &one).await;
    plan(store, &two).await;
    let (one_at, two_at) = (TouchKey::of(&one), TouchKey::of(&two));
    assert_eq!(store.prevent(tenant, &one_at, "paid", at(6, 1)).await, Ok(Change::Made));
    assert_eq!(store.prevent(tenant, &one_at, "paid", at(6, 2)).await, Ok(Change::Already));
    assert!(store.prevent(tenant, &one_at, "held", at(6, 2)).await.is_err());
    assert_eq!(store.supersede(tenant, &two_at, &other_touch_id(), at(6, 1)).await, Ok(Change::Made));
    assert!(store.prevent(tenant, &two_at, "paid", at(6, 2)).await.is_err());
    let shard = scope().shard_of(&customer_id("c"));
    let waves = store.due_waves(tenant, shard, day(6), at(6, 23), None, 10).await.unwrap();
    assert!(waves.items.is_empty());
    let states: Vec<_> = store
        .touches(tenant, &customer_id("c"))
        .await
        .unwrap()
        .into_iter()
        .map(|r| (r.state, r.reason.unwrap()))
        .collect();
    assert!(states.contains(&(TouchState::Prevented, "paid".to_owned())));
    assert!(states.contains(&(TouchState::Superseded, "another".to_owned())));
    // Neither was sent: when the facts turn once more on the same day, the contact may be asked for again.
    let fence = facts(store, "c").await.fence;
    assert!(store.claim(&scope(), &one, &fence, at(6, 15)).await.is_ok());
}

async fn the_wave_index_gives_what_is_due(store: &Store) {
    with_two_obligations(store).await;
    let scope = scope();
    let shard = scope.shard_of(&customer_id("c"));
    assert_eq!(store.next_wave_at(&scope, day(0), 30).await, Ok(None));
    let mut planned = Vec::new();
    for hour in [15, 9, 12] {
        let mut wanted = touch("c", &["a"], (&format!("s{hour}"), 1), 6);
        wanted.send_at = at(6, hour);
        plan(store, &wanted).await;
        planned.push(wanted);
    }
    let queued = touch("c", &["b"], ("s1", 1), 6);
    store.plan_touch(&scope, &queued, Waiting::Queued).await.unwrap();

    let due = store.due_waves(&scope.tenant, shard, day(6), at(6, 12), None, 10).await.unwrap();
    assert_eq!(due.items.iter().map(|w| w.send_at).collect::<Vec<_>>(), [at(6, 9), at(6, 12)]);
    assert_eq!(due.items[0].touch, TouchKey::of(&planned[1]));
    let page = store.due_waves(&scope.tenant, shard, day(6), at(6, 23), None, 2).await.unwrap();
    let rest = store.due_waves(&scope.tenant, shard, day(6), at(6, 23), page.next, 2).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.next), (2, 1, None));

    assert_eq!(store.next_wave_at(&scope, day(0), 30).await, Ok(Some(at(6, 9))));
    assert_eq!(store.next_wave_at(&scope, day(0), 5).await, Ok(None));
    let fence = facts(store, "c").await.fence;
    store.claim(&scope, &planned[1], &fence, at(6, 9)).await.unwrap();
    assert_eq!(store.next_wave_at(&scope, day(0), 30).await, Ok(Some(at(6, 12))));
}

async fn the_timeline_has_every_touch_in_order(store: &Store) {
    for on in [9, 6, 30] {
        plan(store, &touch("c", &["a", "b,|"], (&format!("s{on}"), 1), on)).await;
    }
    plan(store, &touch("d", &["a"], ("s1", 1), 1)).await;
    let told = store.touches(&scope().tenant, &customer_id("c")).await.unwrap();
    assert_eq!(told.iter().map(|r| r.touch.on).collect::<Vec<_>>(), [day(6), day(9), day(30)]);
    assert_eq!(told[0].touch.items[1].obligation, obligation_id("b,|"));
}
