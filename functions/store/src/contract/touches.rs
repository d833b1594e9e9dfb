//! Touches around their claim, and the waves they wait in.

use domain::touch::TouchState;

use super::*;
use crate::{CLAIM_ABANDONED, Change, OpenClaims, Outcome, TouchError, TouchKey, WaveEntry};

on_every_backend!(
    planning_twice_changes_nothing,
    an_outcome_settles_once,
    a_waiting_touch_is_prevented_or_superseded,
    a_wave_gives_what_is_due,
    customers_with_the_same_obligation_id_wait_side_by_side,
    the_timeline_has_every_touch_in_order,
    an_abandoned_claim_becomes_unknown_once_its_lease_is_over,
    a_claim_that_nobody_called_under_is_taken_over_and_its_sender_cannot_call,
    a_touch_that_kills_every_sender_fails_in_the_end,
);

async fn planning_twice_changes_nothing(store: &Store) {
    let wanted = touch("c", &["a"], ("s1", 1), 6);
    assert_eq!(store.plan_touch(&scope(), &wanted).await, Ok(Change::Made));
    assert_eq!(store.plan_touch(&scope(), &wanted).await, Ok(Change::Already));
    let shard = scope().shard_of(&customer_id("c"));
    let waves = store.due_waves(&scope().tenant, shard, day(6), at(6, 23), None, 10).await.unwrap();
    let expected = WaveEntry { place: wave_of(&wanted), channel: wanted.channel };
    assert_eq!(waves.items, [expected]);
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
        let early = store.settle(tenant, &held(store, &place).await, &outcome, at(6, 16)).await;
        assert_eq!(early, Err(TouchError::Conflict { found: None, expected }));
        let fence = facts(store, "c").await.fence;
        let claim = claim_at(store, &scope(), &wanted, &fence, at(6, n as u32)).await.unwrap();
        assert_eq!(
            store.settle(tenant, &held(store, &place).await, &outcome, at(6, 16)).await,
            Ok(Change::Made)
        );
        assert_eq!(
            store.settle(tenant, &held(store, &place).await, &outcome, at(6, 17)).await,
            Ok(Change::Already)
        );
        let different = store.settle(tenant, &held(store, &place).await, &other, at(6, 17)).await;
        if state == TouchState::Unknown {
            // The answer that came after all says more than that none came.
            assert_eq!(different, Ok(Change::Made));
            continue;
        }
        assert_eq!(different, Err(TouchError::Conflict { found: Some(state), expected }));
        let record = store.touch(tenant, &place).await.unwrap().unwrap();
        assert_eq!((record.state, record.settled_at), (state, Some(at(6, 16))));
        assert_eq!(record.provider_id.is_some(), state == TouchState::Sent);
        assert_eq!(record.reason.is_some(), state != TouchState::Sent);
        assert!(store.release(&scope(), &claim.held, at(7, 1)).await.is_err());
        assert!(store.mark_call(tenant, &claim.held, at(7, 1)).await.is_err(), "nobody may call any more");
    }
}

async fn a_waiting_touch_is_prevented_or_superseded(store: &Store) {
    with_two_obligations(store).await;
    let (scope, tenant) = (&scope(), &scope().tenant);
    let (one, two, three) = (
        touch("c", &["a"], ("s1", 1), 6),
        touch("c", &["b"], ("s1", 1), 6),
        touch("c", &["b"], ("s2", 2), 6),
    );
    for planned in [&one, &two, &three] {
        plan(store, planned).await;
    }
    assert_eq!(store.prevent(tenant, &wave_of(&one), "paid", at(6, 1)).await, Ok(Change::Made));
    assert_eq!(store.prevent(tenant, &wave_of(&one), "held", at(6, 2)).await, Ok(Change::Already));
    let by = &other_touch_id();
    assert_eq!(store.supersede(tenant, &wave_of(&two), by, at(6, 1)).await, Ok(Change::Made));
    // What went out another way meanwhile only leaves its wave.
    let fence = facts(store, "c").await.fence;
    claim_at(store, scope, &three, &fence, at(6, 3)).await.unwrap();
    assert_eq!(store.prevent(tenant, &wave_of(&three), "paid", at(6, 4)).await, Ok(Change::Already));
    let shard = scope.shard_of(&customer_id("c"));
    let waves = store.due_waves(tenant, shard, day(6), at(6, 23), None, 10).await.unwrap();
    assert!(waves.items.is_empty());
    let states: Vec<_> = store
        .touches(tenant, &customer_id("c"))
        .await
        .unwrap()
        .into_iter()
        .map(|r| (r.state, r.reason.unwrap_or_default()))
        .collect();
    assert!(states.contains(&(TouchState::Prevented, "paid".to_owned())));
    assert!(states.contains(&(TouchState::Superseded, "another".to_owned())));
    assert!(states.contains(&(TouchState::Claimed, String::new())));
    // Neither was sent: when the facts turn once more on the same day, the contact may be asked for again.
    let fence = facts(store, "c").await.fence;
    assert!(claim_at(store, scope, &one, &fence, at(6, 15)).await.is_ok());
}

async fn a_wave_gives_what_is_due(store: &Store) {
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

    let due = store.due_waves(&scope.tenant, shard, day(6), at(6, 12), None, 10).await.unwrap();
    assert_eq!(due.items.iter().map(|w| w.place.send_at).collect::<Vec<_>>(), [at(6, 9), at(6, 12)]);
    assert_eq!(due.items[0].place.touch, TouchKey::of(&planned[1]));
    let page = store.due_waves(&scope.tenant, shard, day(6), at(6, 23), None, 2).await.unwrap();
    let rest = store.due_waves(&scope.tenant, shard, day(6), at(6, 23), page.next, 2).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.next), (2, 1, None));

    assert_eq!(store.next_wave_at(&scope, day(0), 30).await, Ok(Some(at(6, 9))));
    assert_eq!(store.next_wave_at(&scope, day(0), 5).await, Ok(None));
    store.leave_wave(&scope.tenant, &wave_of(&planned[1])).await.unwrap();
    store.leave_wave(&scope.tenant, &wave_of(&planned[1])).await.unwrap();
    assert_eq!(store.next_wave_at(&scope, day(0), 30).await, Ok(Some(at(6, 12))));
}

async fn customers_with_the_same_obligation_id_wait_side_by_side(store: &Store) {
    let (ana, bea) = (touch("ana", &["1"], ("s1", 1), 6), touch("bea", &["1"], ("s1", 1), 6));
    assert_eq!(ana.id, bea.id, "the id is about what is owed, and the customer is the partition");
    let scope = Scope::new(scope().tenant, 1);
    assert_eq!(store.plan_touch(&scope, &ana).await, Ok(Change::Made));
    assert_eq!(store.plan_touch(&scope, &bea).await, Ok(Change::Made));
    let waves = store.due_waves(&scope.tenant, 0, day(6), at(6, 23), None, 10).await.unwrap();
    let [first, second] = waves.items.as_slice() else { panic!("both wait: {waves:?}") };
    assert_eq!(first.place.touch, TouchKey::of(&ana));
    store.prevent(&scope.tenant, &first.place, "paid", at(6, 1)).await.unwrap();
    let left = store.due_waves(&scope.tenant, 0, day(6), at(6, 23), None, 10).await.unwrap();
    assert_eq!(left.items, std::slice::from_ref(second));
}

async fn the_timeline_has_every_touch_in_order(store: &Store) {
    store.import_accounts(&scope(), 1, day(0), &[row("c", "a", 5), row("d", "a", 5)]).await.unwrap();
    for on in [9, 6, 30] {
        let fence = facts(store, "c").await.fence;
        let wanted = touch("c", &["a", "b,|"], (&format!("s{on}"), 1), on);
        claim_at(store, &scope(), &wanted, &fence, at(on, 15)).await.unwrap();
    }
    let fence = facts(store, "d").await.fence;
    claim_at(store, &scope(), &touch("d", &["a"], ("s1", 1), 1), &fence, at(1, 15)).await.unwrap();
    let told = store.touches(&scope().tenant, &customer_id("c")).await.unwrap();
    assert_eq!(told.iter().map(|r| r.touch.on).collect::<Vec<_>>(), [day(6), day(9), day(30)]);
    assert_eq!(told[0].touch.items[1].obligation, obligation_id("b,|"));
}

async fn an_abandoned_claim_becomes_unknown_once_its_lease_is_over(store: &Store) {
    with_two_obligations(store).await;
    let (scope, customer) = (scope(), customer_id("c"));
    let (settled, left) = (touch("c", &["a"], ("s1", 1), 6), touch("c", &["b"], ("s1", 1), 6));
    let fence = facts(store, "c").await.fence;
    let first = claim_at(store, &scope, &settled, &fence, at(6, 14)).await.unwrap();
    let sent = Outcome::Sent { provider_id: "m-1".to_owned() };
    store.settle(&scope.tenant, &held(store, &TouchKey::of(&settled)).await, &sent, at(6, 14)).await.unwrap();
    let held = claim_at(store, &scope, &left, &first.fence, at(6, 15)).await.unwrap().held;
    store.mark_call(&scope.tenant, &held, at(6, 15)).await.unwrap();
    let shard = scope.shard_of(&customer);
    let reached = store.reached_page(&scope.tenant, shard, None, 10).await.unwrap();
    assert_eq!(reached.items[0].last_contact_at, Some(at(6, 15)));

    let sweep = async |from_on, now| store.settle_abandoned(&scope, &customer, from_on, now).await;
    let in_time = at(6, 15) + chrono::Duration::minutes(14);
    assert_eq!(sweep(day(6), in_time).await, Ok(OpenClaims { open: 1, ..OpenClaims::default() }));
    assert_eq!(sweep(day(7), at(6, 16)).await, Ok(OpenClaims::default()), "too young a day to look at");
    let swept = OpenClaims { settled: 1, unknown: 1, ..OpenClaims::default() };
    assert_eq!(sweep(day(6), at(6, 16)).await, Ok(swept));
    let again = sweep(day(6), at(6, 17)).await.unwrap();
    assert_eq!((again.settled, again.open, again.unknown), (0, 0, 1), "a second sweep settles nothing");
    assert_eq!(again.tried_once.len(), 1, "it may be tried a second time");
    let record = store.touch(&scope.tenant, &TouchKey::of(&left)).await.unwrap().unwrap();
    assert_eq!((record.state, record.reason.as_deref()), (TouchState::Unknown, Some(CLAIM_ABANDONED)));
    let other = store.touch(&scope.tenant, &TouchKey::of(&settled)).await.unwrap().unwrap();
    assert_eq!(other.state, TouchState::Sent);
}

async fn a_claim_that_nobody_called_under_is_taken_over_and_its_sender_cannot_call(store: &Store) {
    with_two_obligations(store).await;
    let (scope, customer, wanted) = (scope(), customer_id("c"), touch("c", &["a"], ("s1", 1), 6));
    let (tenant, place) = (&scope.tenant, TouchKey::of(&wanted));
    let before = facts(store, "c").await.fence;
    let slow = claim_at(store, &scope, &wanted, &before, at(6, 15)).await.unwrap().held;
    let swept = store.settle_abandoned(&scope, &customer, day(6), at(6, 16)).await;
    assert_eq!(swept, Ok(OpenClaims { taken_over: 1, ..OpenClaims::default() }));
    let again = store.settle_abandoned(&scope, &customer, day(6), at(6, 16)).await;
    assert_eq!(again, Ok(OpenClaims::default()));
    let fence = facts(store, "c").await.fence;
    assert_eq!((&fence.contacts, &fence.reached), (&before.contacts, &before.reached));
    let waves =
        store.due_waves(tenant, scope.shard_of(&customer), day(6), at(6, 16), None, 10).await.unwrap();
    assert_eq!(waves.items.iter().map(|w| &w.place.touch).collect::<Vec<_>>(), [&place]);

    let planned =
        Err(TouchError::Conflict { found: Some(TouchState::Planned), expected: TouchState::Claimed });
    assert_eq!(store.mark_call(tenant, &slow, at(6, 16)).await, planned);
    let next = claim_at(store, &scope, &wanted, &fence, at(6, 16)).await.unwrap().held;
    let other = Err(TouchError::Conflict { found: Some(TouchState::Claimed), expected: TouchState::Claimed });
    assert_eq!(store.mark_call(tenant, &slow, at(6, 16)).await, other, "the claim is another's");
    assert_eq!(store.release(&scope, &slow, at(6, 17)).await, Ok(Change::Already));
    assert_eq!(store.prevent_claim(&scope, &slow, "late", at(6, 17)).await, Ok(Change::Already));
    assert_eq!(store.mark_call(tenant, &next, at(6, 16)).await, Ok(Change::Made));
    assert_eq!(store.mark_call(tenant, &next, at(6, 16)).await, Ok(Change::Made), "again is fine");
    let swept = store.settle_abandoned(&scope, &customer, day(6), at(6, 18)).await;
    assert_eq!(swept, Ok(OpenClaims { settled: 1, unknown: 1, ..OpenClaims::default() }));
}

async fn a_touch_that_kills_every_sender_fails_in_the_end(store: &Store) {
    with_two_obligations(store).await;
    let (scope, wanted) = (scope(), touch("c", &["a"], ("s1", 1), 6));
    for _ in 0..crate::TAKE_OVERS_MAX {
        let fence = facts(store, "c").await.fence;
        claim_at(store, &scope, &wanted, &fence, at(6, 15)).await.unwrap();
        store.settle_abandoned(&scope, &customer_id("c"), day(6), at(6, 16)).await.unwrap();
    }
    let record = store.touch(&scope.tenant, &TouchKey::of(&wanted)).await.unwrap().unwrap();
    assert_eq!((record.state, record.reason.as_deref()), (TouchState::Failed, Some(CLAIM_ABANDONED)));
}
