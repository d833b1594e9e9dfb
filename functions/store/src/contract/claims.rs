//! Claims: exactly one of two decisions wins, and a fact in between always does.

use domain::decision::DecisionRecord;
use domain::touch::TouchState;

use super::*;
use crate::{Change, ClaimConflict, ClaimError, Outcome, TouchKey, verify_chain};

on_every_backend!(
    a_claim_writes_touch_fence_and_audit,
    of_two_claims_on_one_fence_exactly_one_wins,
    a_payment_between_decision_and_claim_wins,
    a_touch_is_claimed_once_also_on_the_newest_fence,
    a_claim_forgets_old_contacts_and_never_lowers_a_stage,
    a_release_restores_the_fence,
    a_release_leaves_what_happened_since,
);

fn conflict(which: ClaimConflict) -> ClaimError {
    ClaimError::Conflict { which }
}

async fn a_claim_writes_touch_fence_and_audit(store: &Store) {
    with_two_obligations(store).await;
    let (scope, wanted) = (scope(), touch("c", &["a", "b"], ("s1", 1), 6));
    let before = facts(store, "c").await.fence;
    let claim = claim_at(store, &scope, &wanted, &before, at(6, 15)).await.unwrap();
    let after = facts(store, "c").await.fence;
    assert_eq!(claim.fence, after);
    assert_eq!(after.version, before.version + 1);
    assert_eq!((after.contacts[0].at, after.contacts[0].channel), (at(6, 15), wanted.channel));
    assert_eq!(after.reached(&obligation_id("b"), day(5)).unwrap().dpd, 1);

    let record = store.touch(&scope.tenant, &TouchKey::of(&wanted)).await.unwrap().unwrap();
    assert_eq!(record.touch, wanted);
    assert_eq!((record.state, record.claimed_at), (TouchState::Claimed, Some(at(6, 15))));
    assert_eq!(record.fence_version, Some(before.version));

    let second = touch("c", &["a"], ("s2", 8), 13);
    claim_at(store, &scope, &second, &after, at(13, 15)).await.unwrap();
    let trail = store.audit_trail(&scope.tenant, &customer_id("c")).await.unwrap();
    let records: Vec<DecisionRecord> = trail.iter().map(|e| e.record().unwrap()).collect();
    let claimed: Vec<_> = records.iter().map(|r| &r.touch.as_ref().unwrap().id).collect();
    assert_eq!(claimed, [&wanted.id, &second.id]);
    assert_eq!((records[0].fence_version, records[0].policy_version), (before.version, 3));
    assert_eq!((trail[0].at, trail[0].fence_version), (at(6, 15), before.version));
    let head = facts(store, "c").await.fence.audit_head;
    assert_eq!(verify_chain(&trail), Ok(head.as_deref()));
    let mut forged = trail.clone();
    forged[0].document = forged[0].document.replace("\"policy_version\":3", "\"policy_version\":4");
    assert_eq!(verify_chain(&forged).map_err(|e| e.number), Err(1));
    assert!(verify_chain(&trail[1..]).is_err());
}

async fn of_two_claims_on_one_fence_exactly_one_wins(store: &Store) {
    with_two_obligations(store).await;
    let fence = facts(store, "c").await.fence;
    let (one, other) = (touch("c", &["a"], ("s1", 1), 6), touch("c", &["b"], ("s1", 1), 6));
    let scope = scope();
    let (first, second) = tokio::join!(
        claim_at(store, &scope, &one, &fence, at(6, 15)),
        claim_at(store, &scope, &other, &fence, at(6, 15)),
    );
    let lost = [&first, &second].into_iter().filter_map(|r| r.as_ref().err()).collect::<Vec<_>>();
    assert_eq!(lost, [&conflict(ClaimConflict::FenceMoved)]);
    assert_eq!(facts(store, "c").await.fence.contacts.len(), 1);
    assert_eq!(store.touches(&scope.tenant, &customer_id("c")).await.unwrap().len(), 1);
    assert_eq!(store.audit_trail(&scope.tenant, &customer_id("c")).await.unwrap().len(), 1);
}

async fn a_payment_between_decision_and_claim_wins(store: &Store) {
    with_two_obligations(store).await;
    let decided_on = facts(store, "c").await.fence;
    store.import_payments(&scope(), 2, day(20), &[payment("p", "a", 1_000, 6)]).await.unwrap();
    let claim = claim_at(store, &scope(), &touch("c", &["a"], ("s1", 1), 6), &decided_on, at(6, 15)).await;
    assert_eq!(claim, Err(conflict(ClaimConflict::FenceMoved)));
    assert!(facts(store, "c").await.fence.contacts.is_empty());
}

async fn a_touch_is_claimed_once_also_on_the_newest_fence(store: &Store) {
    with_two_obligations(store).await;
    let (scope, wanted) = (scope(), touch("c", &["a"], ("s1", 1), 6));
    plan(store, &wanted).await;
    let fence = facts(store, "c").await.fence;
    let claim = claim_at(store, &scope, &wanted, &fence, at(6, 15)).await.unwrap();
    let taken = |state| Err(conflict(ClaimConflict::AlreadyClaimed(state)));
    let again = claim_at(store, &scope, &wanted, &claim.fence, at(6, 16)).await;
    assert_eq!(again, taken(TouchState::Claimed));
    // Both conditions fail: that it is taken says more.
    assert_eq!(claim_at(store, &scope, &wanted, &fence, at(6, 16)).await, taken(TouchState::Claimed));
    let sent = Outcome::Sent { provider_id: "m-1".to_owned() };
    store.settle(&scope.tenant, &held(store, &TouchKey::of(&wanted)).await, &sent, at(6, 16)).await.unwrap();
    assert_eq!(claim_at(store, &scope, &wanted, &claim.fence, at(6, 17)).await, taken(TouchState::Sent));
}

async fn a_claim_forgets_old_contacts_and_never_lowers_a_stage(store: &Store) {
    with_two_obligations(store).await;
    let fence = facts(store, "c").await.fence;
    let scope = scope();
    let first =
        claim_at(store, &scope, &touch("c", &["a"], ("s2", 8), 13), &fence, at(13, 15)).await.unwrap();
    let low = touch("c", &["a", "b"], ("s1", 1), 60);
    let second = claim_at(store, &scope, &low, &first.fence, at(60, 15)).await.unwrap();
    assert_eq!(second.fence.contacts.iter().map(|c| c.at).collect::<Vec<_>>(), [at(60, 15)]);
    assert_eq!(second.fence.reached[&obligation_id("a")].dpd, 8);
    assert_eq!(second.fence.reached[&obligation_id("b")].dpd, 1);
    assert_eq!(facts(store, "c").await.fence, second.fence);
}

async fn a_release_restores_the_fence(store: &Store) {
    with_two_obligations(store).await;
    let scope = scope();
    let first = touch("c", &["a"], ("s1", 1), 6);
    let fence = facts(store, "c").await.fence;
    let before = claim_at(store, &scope, &first, &fence, at(6, 15)).await.unwrap().fence;
    let second = touch("c", &["a", "b"], ("s2", 8), 13);
    let held = claim_at(store, &scope, &second, &before, at(13, 15)).await.unwrap().held;

    let place = TouchKey::of(&second);
    assert_eq!(store.release(&scope, &held, at(13, 18)).await, Ok(Change::Made));
    assert_eq!(store.release(&scope, &held, at(13, 18)).await, Ok(Change::Already));
    let after = facts(store, "c").await.fence;
    assert_eq!(after.version, before.version + 2);
    assert_eq!((&after.contacts, &after.reached), (&before.contacts, &before.reached));

    let shard = scope.shard_of(&customer_id("c"));
    let waves = store.due_waves(&scope.tenant, shard, day(13), at(13, 18), None, 10).await.unwrap();
    assert_eq!(waves.items.iter().map(|w| &w.place.touch).collect::<Vec<_>>(), [&place]);
    assert_eq!(after.tries, std::collections::BTreeMap::from([(second.id.clone(), 1)]));
    assert_eq!(store.touch(&scope.tenant, &place).await.unwrap().unwrap().state, TouchState::Planned);
    // It can be claimed again, and the trail still holds.
    let again = claim_at(store, &scope, &second, &after, at(13, 18)).await.unwrap().held;
    assert!(facts(store, "c").await.fence.tries.is_empty());
    assert_eq!(store.release(&scope, &held, at(13, 19)).await, Ok(Change::Already), "it is another claim");
    store.release(&scope, &again, at(13, 19)).await.unwrap();
    let again = facts(store, "c").await.fence;
    assert_eq!(again.tries[&second.id], 2, "the count survives the claims");
    let third = claim_at(store, &scope, &second, &again, at(13, 19)).await.unwrap().held;
    let trail = store.audit_trail(&scope.tenant, &customer_id("c")).await.unwrap();
    assert_eq!(trail.len(), 6, "four claims, and two that were taken back");
    let head = facts(store, "c").await.fence.audit_head;
    assert_eq!(verify_chain(&trail), Ok(head.as_deref()));
    store.put_back(&scope, &third, Some(at(13, 20))).await.unwrap();
    assert_eq!(facts(store, "c").await.fence.tries[&second.id], 2, "nobody was called, so it was no try");
}

async fn a_release_leaves_what_happened_since(store: &Store) {
    with_two_obligations(store).await;
    let scope = scope();
    let first = touch("c", &["a", "b"], ("s1", 1), 6);
    let fence = facts(store, "c").await.fence;
    let claim = claim_at(store, &scope, &first, &fence, at(6, 15)).await.unwrap();
    claim_at(store, &scope, &touch("c", &["b"], ("s2", 8), 13), &claim.fence, at(13, 15)).await.unwrap();
    store.import_payments(&scope, 2, day(20), &[payment("p", "a", 1_000, 13)]).await.unwrap();
    store.release(&scope, &claim.held, at(14, 15)).await.unwrap();
    let after = facts(store, "c").await.fence;
    assert_eq!(after.contacts.iter().map(|c| c.at).collect::<Vec<_>>(), [at(13, 15)]);
    assert_eq!(after.reached.len(), 1);
    assert_eq!(after.reached[&obligation_id("b")].dpd, 8);
}
