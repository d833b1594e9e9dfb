//! Decisions that send nothing: on record once, in the chain of their customer, and never against a moved fence.

use super::*;
use crate::{Recording, verify_chain};

on_every_backend!(
    a_decision_is_recorded_once_a_day_and_moves_the_fence,
    a_claim_in_between_makes_the_same_decision_a_new_one,
    of_a_decision_and_a_claim_on_one_fence_exactly_one_is_written,
    entries_of_one_moment_stand_in_the_order_of_their_chain,
    payments_are_listed_by_id,
);

fn held(fence: &Fence, at: DateTime<Utc>) -> DecisionRecord {
    decision(&scope(), "c", &["a", "b"], fence, (Decision::Skip, "dispute", at))
}

async fn record(store: &Store, at: DateTime<Utc>) -> Recording {
    let fence = facts(store, "c").await.fence;
    store.record_decision(&scope(), &held(&fence, at), &fence).await.unwrap()
}

async fn a_decision_is_recorded_once_a_day_and_moves_the_fence(store: &Store) {
    with_two_obligations(store).await;
    let before = facts(store, "c").await.fence;
    let Recording::Made(next) = record(store, at(6, 15)).await else { panic!("it is new") };
    assert_eq!(next, facts(store, "c").await.fence);
    assert_eq!((next.version, &next.contacts), (before.version + 1, &before.contacts));
    assert_eq!(record(store, at(6, 20)).await, Recording::Already);
    // What was decided on the fence before comes too late, also where it says something else.
    let late = decision(&scope(), "c", &["a"], &before, (Decision::Skip, "no_consent", at(6, 15)));
    assert_eq!(store.record_decision(&scope(), &late, &before).await, Ok(Recording::FenceMoved));
    assert_eq!(store.record_decision(&scope(), &late, &next).await, Ok(Recording::FenceMoved));
    assert!(matches!(record(store, at(7, 15)).await, Recording::Made(_)));
    let trail = store.audit_trail(&scope().tenant, &customer_id("c")).await.unwrap();
    assert_eq!(trail.iter().map(|e| e.at).collect::<Vec<_>>(), [at(6, 15), at(7, 15)]);
    let head = facts(store, "c").await.fence.audit_head;
    assert_eq!(verify_chain(&trail), Ok(head.as_deref()));
}

async fn a_claim_in_between_makes_the_same_decision_a_new_one(store: &Store) {
    with_two_obligations(store).await;
    record(store, at(6, 15)).await;
    let fence = facts(store, "c").await.fence;
    claim_at(store, &scope(), &touch("c", &["a"], ("s1", 1), 6), &fence, at(6, 16)).await.unwrap();
    assert!(matches!(record(store, at(6, 17)).await, Recording::Made(_)));
    let trail = store.audit_trail(&scope().tenant, &customer_id("c")).await.unwrap();
    let head = facts(store, "c").await.fence.audit_head;
    assert_eq!((trail.len(), verify_chain(&trail)), (3, Ok(head.as_deref())));
}

async fn of_a_decision_and_a_claim_on_one_fence_exactly_one_is_written(store: &Store) {
    with_two_obligations(store).await;
    let fence = facts(store, "c").await.fence;
    let (scope, wanted, told) = (scope(), touch("c", &["a"], ("s1", 1), 6), held(&fence, at(6, 15)));
    let (claimed, recorded) = tokio::join!(
        claim_at(store, &scope, &wanted, &fence, at(6, 15)),
        store.record_decision(&scope, &told, &fence),
    );
    assert_ne!(claimed.is_ok(), matches!(recorded, Ok(Recording::Made(_))));
    assert_eq!(store.audit_trail(&scope.tenant, &customer_id("c")).await.unwrap().len(), 1);
}

async fn entries_of_one_moment_stand_in_the_order_of_their_chain(store: &Store) {
    with_two_obligations(store).await;
    record(store, at(6, 15)).await;
    let fence = facts(store, "c").await.fence;
    claim_at(store, &scope(), &touch("c", &["a"], ("s1", 1), 6), &fence, at(6, 15)).await.unwrap();
    // The clock of a third writer is a little late.
    record(store, at(6, 14)).await;
    let trail = store.audit_trail(&scope().tenant, &customer_id("c")).await.unwrap();
    let head = facts(store, "c").await.fence.audit_head;
    assert_eq!((trail.len(), verify_chain(&trail)), (3, Ok(head.as_deref())));
}

async fn payments_are_listed_by_id(store: &Store) {
    with_two_obligations(store).await;
    let paid = [payment("p#1", "a", 300, 6), payment("p2", "b", 1_000, 7)];
    store.import_payments(&scope(), 2, day(20), &paid).await.unwrap();
    let listed = store.payments(&scope().tenant, &customer_id("c")).await.unwrap();
    let told: Vec<_> =
        listed.iter().map(|p| (p.id.as_str(), p.obligation.as_str(), p.amount_minor)).collect();
    assert_eq!(told, [("p#1", "a", 300), ("p2", "b", 1_000)]);
}
