//! What is said about a touch after its claim, and what follows from it.

use domain::delivery::{Refused, Report, SOFT_BOUNCES_MAX, Source, Step, Transition};
use domain::touch::TouchState;

use super::*;
use crate::{
    Change, ClaimConflict, ClaimError, Outcome, RecordError, SuppressionKey, TouchError, TouchEvent, TouchKey,
};

on_every_backend!(
    events_move_a_touch_forward_only,
    an_ordinary_report_costs_one_write_unit,
    a_hard_bounce_suppresses_moves_the_fence_and_falls_back_once,
    a_complaint_suppresses_and_does_not_fall_back,
    soft_bounces_count_to_a_threshold_and_a_delivery_ends_the_count,
    an_unknown_touch_is_settled_by_a_person_once,
    what_went_out_after_all_has_its_stage_again_and_its_second_way_is_named,
    a_settlement_names_its_claim_and_a_sweep_fails_none_that_was_called,
    an_answer_that_an_event_overtook_is_no_conflict,
    a_provider_id_finds_its_touch,
);

const NUMBER: &str = "+573000000000";

fn secret() -> SuppressionKey {
    SuppressionKey::new(*b"a key of the tests")
}

fn said(report: Report, source: Source) -> TouchEvent {
    TouchEvent {
        transition: Transition { report, source },
        reason: "Permanent/General".to_owned(),
        at: at(6, 17),
        provider_id: Some("m-1".to_owned()),
        addresses: vec![Address::new(NUMBER)],
    }
}

async fn record(store: &Store, place: &TouchKey, report: Report) -> crate::Recorded {
    let event = said(report, Source::Provider);
    store.record_event(&scope().tenant, &secret(), place, &event, at(6, 18)).await.unwrap()
}

/// A touch about `a` and `b` that was claimed.
async fn claimed(store: &Store, stage: (&str, i32), on: i64) -> TouchKey {
    let wanted = touch("c", &["a", "b"], stage, on);
    let fence = facts(store, "c").await.fence;
    claim_at(store, &scope(), &wanted, &fence, at(on, 15)).await.unwrap();
    TouchKey::of(&wanted)
}

async fn sent(store: &Store, stage: (&str, i32), on: i64) -> TouchKey {
    let place = claimed(store, stage, on).await;
    let outcome = Outcome::Sent { provider_id: "m-1".to_owned() };
    store.settle(&scope().tenant, &held(store, &place).await, &outcome, at(on, 16)).await.unwrap();
    place
}

async fn state(store: &Store, place: &TouchKey) -> TouchState {
    store.touch(&scope().tenant, place).await.unwrap().unwrap().state
}

async fn is_suppressed(store: &Store) -> bool {
    let point = Address::new(NUMBER);
    let found = store.suppressed(&scope().tenant, &secret(), &[(Channel::Sms, &point)]).await.unwrap();
    !found.is_empty()
}

async fn events_move_a_touch_forward_only(store: &Store) {
    with_two_obligations(store).await;
    let place = sent(store, ("s1", 1), 6).await;
    assert_eq!(record(store, &place, Report::Sent).await.step, Step::Already);
    assert_eq!(record(store, &place, Report::Delivered).await.step, Step::Made(TouchState::Delivered));
    assert!(!record(store, &place, Report::Delivered).await.is_news);
    let late = record(store, &place, Report::Delayed).await;
    assert!(late.is_news && matches!(late.step, Step::Ignored(_)));
    let told = store.touch(&scope().tenant, &place).await.unwrap().unwrap();
    let kinds: Vec<_> = told.history.entries().iter().map(|e| (e.report, e.source)).collect();
    let provider = |report| (report, Source::Provider);
    let sender = (Report::Sent, Source::Sender);
    assert_eq!(kinds, [sender, provider(Report::Delivered), provider(Report::Delayed)]);
    assert_eq!(told.history.entries()[1].at, at(6, 17));
    assert_eq!(told.history.entries()[1].recorded_at, at(6, 18));
    assert_eq!((told.state, told.settled_at), (TouchState::Delivered, Some(at(6, 16))));

    let nowhere = TouchKey { id: other_touch_id(), ..place };
    let event = said(Report::Sent, Source::Provider);
    let missing = store.record_event(&scope().tenant, &secret(), &nowhere, &event, at(6, 18)).await;
    assert_eq!(missing, Err(RecordError::Missing));
}

async fn an_ordinary_report_costs_one_write_unit(store: &Store) {
    with_two_obligations(store).await;
    let place = sent(store, ("s1", 1), 6).await;
    store.capacity().reset();
    record(store, &place, Report::Sent).await;
    assert_eq!(store.capacity().snapshot()["record"].write_units, 0.0);
    record(store, &place, Report::Delivered).await;
    assert_eq!(store.capacity().snapshot()["record"].write_units, 1.0);
}

async fn a_hard_bounce_suppresses_moves_the_fence_and_falls_back_once(store: &Store) {
    with_two_obligations(store).await;
    let scope = scope();
    sent(store, ("s1", 1), 6).await;
    let place = sent(store, ("s2", 8), 13).await;
    let decided_on = facts(store, "c").await.fence;
    let recorded = record(store, &place, Report::HardBounced).await;
    assert!(recorded.is_suppressed && recorded.fell_back);
    assert_eq!(recorded.step, Step::Made(TouchState::Bounced));
    assert!(is_suppressed(store).await);
    let fence = facts(store, "c").await.fence;
    // The contact stays, and the stage is what it was before the claim.
    assert_eq!((fence.contacts.len(), fence.version), (2, decided_on.version + 1));
    assert!(fence.reached.values().all(|r| r.dpd == 1) && fence.reached.len() == 2);
    let stage = StageId::new("s2").unwrap();
    assert!(fence.was_tried(&obligation_id("b"), day(5), &stage, Channel::Sms));
    // What was decided before it can no longer be claimed.
    let other = touch("c", &["a"], ("s3", 9), 14);
    let claim = claim_at(store, &scope, &other, &decided_on, at(14, 15)).await;
    assert_eq!(claim, Err(ClaimError::Conflict { which: ClaimConflict::FenceMoved }));
    // The same touch on the same day is taken for good.
    let again = touch("c", &["a", "b"], ("s2", 8), 13);
    let claim = claim_at(store, &scope, &again, &fence, at(13, 19)).await;
    let which = ClaimConflict::AlreadyClaimed(TouchState::Bounced);
    assert_eq!(claim, Err(ClaimError::Conflict { which }));
    // The stage goes out another way; the same news again changes nothing of that.
    let elsewhere = Touch { id: other_touch_id(), channel: Channel::Email, ..again };
    claim_at(store, &scope, &elsewhere, &fence, at(14, 15)).await.unwrap();
    assert!(!record(store, &place, Report::HardBounced).await.fell_back);
    assert!(facts(store, "c").await.fence.reached.values().all(|r| r.dpd == 8));
}

async fn a_complaint_suppresses_and_does_not_fall_back(store: &Store) {
    with_two_obligations(store).await;
    let place = sent(store, ("s1", 1), 6).await;
    record(store, &place, Report::Delivered).await;
    let before = facts(store, "c").await.fence;
    let recorded = record(store, &place, Report::Complained).await;
    assert!(recorded.is_suppressed && !recorded.fell_back);
    assert!(!record(store, &place, Report::HardBounced).await.fell_back);
    let after = facts(store, "c").await.fence;
    assert_eq!(after.reached, before.reached);
    assert!(after.version > before.version && is_suppressed(store).await);
    assert_eq!(state(store, &place).await, TouchState::Complained);
}

async fn soft_bounces_count_to_a_threshold_and_a_delivery_ends_the_count(store: &Store) {
    with_two_obligations(store).await;
    let mut stages = (1..).map(|n| (format!("s{n}"), n));
    let mut next = async |report| {
        let (stage, dpd) = stages.next().unwrap();
        let place = sent(store, (&stage, dpd), 6 + i64::from(dpd)).await;
        let recorded = record(store, &place, report).await;
        assert!(!record(store, &place, report).await.is_news, "it counts once");
        recorded
    };
    for _ in 1..SOFT_BOUNCES_MAX {
        assert!(!next(Report::SoftBounced).await.is_suppressed);
    }
    assert!(!next(Report::Delivered).await.is_suppressed);
    for _ in 1..SOFT_BOUNCES_MAX {
        assert!(!next(Report::SoftBounced).await.fell_back);
    }
    assert!(!is_suppressed(store).await);
    let last = next(Report::SoftBounced).await;
    assert!(last.is_suppressed && last.fell_back && is_suppressed(store).await);
}

async fn an_unknown_touch_is_settled_by_a_person_once(store: &Store) {
    with_two_obligations(store).await;
    let (tenant, place) = (scope().tenant, claimed(store, ("s1", 1), 6).await);
    let say = async |report, source| {
        store.record_event(&tenant, &secret(), &place, &said(report, source), at(6, 18)).await
    };
    let early = say(Report::Failed, Source::Person).await;
    let (found, why) = (TouchState::Claimed, Refused::NotUnknown);
    assert_eq!(early, Err(RecordError::Refused { found, why }));
    assert_eq!(say(Report::Unknown, Source::Sweeper).await.unwrap().step, Step::Made(TouchState::Unknown));
    let settled = say(Report::Failed, Source::Person).await.unwrap();
    assert_eq!(settled.step, Step::Made(TouchState::Failed));
    assert!(settled.fell_back && !settled.is_suppressed);
    assert_eq!(settled.touch.reason.as_deref(), Some("Permanent/General"));
    assert_eq!(say(Report::Failed, Source::Person).await.unwrap().step, Step::Already);
    assert!(say(Report::Sent, Source::Person).await.is_err());
    // The provider knows better than anybody.
    assert_eq!(
        say(Report::Delivered, Source::Provider).await.unwrap().step,
        Step::Made(TouchState::Delivered)
    );
}

async fn what_went_out_after_all_has_its_stage_again_and_its_second_way_is_named(store: &Store) {
    with_two_obligations(store).await;
    let (scope, place) = (scope(), claimed(store, ("s1", 1), 6).await);
    let person = async |report| {
        let event = said(report, Source::Person);
        store.record_event(&scope.tenant, &secret(), &place, &event, at(6, 18)).await.unwrap()
    };
    let lost = Outcome::Unknown { reason: "timeout".to_owned() };
    store.settle(&scope.tenant, &held(store, &place).await, &lost, at(6, 16)).await.unwrap();
    assert!(person(Report::Failed).await.fell_back);
    let wrong = facts(store, "c").await.fence;
    assert!(wrong.reached.is_empty() && wrong.failed.len() == 1);

    // The provider has it: whatever was decided on the wrong word is not claimed any more.
    let recorded = record(store, &place, Report::Sent).await;
    assert_eq!((recorded.step, &recorded.told_by), (Step::Made(TouchState::Sent), &Vec::new()));
    let right = facts(store, "c").await.fence;
    assert_eq!((right.reached.len(), right.failed.len(), right.version), (2, 0, wrong.version + 1));
    let elsewhere =
        Touch { id: other_touch_id(), channel: Channel::Email, ..touch("c", &["a", "b"], ("s1", 1), 7) };
    let late = claim_at(store, &scope, &elsewhere, &wrong, at(7, 15)).await;
    assert_eq!(late, Err(ClaimError::Conflict { which: ClaimConflict::FenceMoved }));
    let trail = store.audit_trail(&scope.tenant, &customer_id("c")).await.unwrap();
    assert!(trail.last().unwrap().document.contains(r#""restored":["a","b"]"#));
    assert_eq!(crate::verify_chain(&trail), Ok(right.audit_head.as_deref()));

    // It comes back after all: the stage goes another way, and only then is news of the first too late.
    assert!(record(store, &place, Report::Failed).await.fell_back);
    let fence = facts(store, "c").await.fence;
    claim_at(store, &scope, &elsewhere, &fence, at(7, 15)).await.unwrap();
    let told = record(store, &place, Report::Delivered).await;
    assert_eq!(told.told_by, [other_touch_id()], "the customer may have been told twice");
    // The other came back; the stage was told by the first.
    let other = TouchKey::of(&elsewhere);
    let refused = Outcome::Failed { reason: "no".to_owned() };
    store.settle(&scope.tenant, &held(store, &other).await, &refused, at(7, 16)).await.unwrap();
    let fence = facts(store, "c").await.fence;
    assert!(fence.reached.values().all(|r| r.dpd == 1) && fence.reached.len() == 2, "{fence:?}");
    assert!(fence.was_tried(&obligation_id("a"), day(5), &elsewhere.stage, Channel::Email));
}

async fn a_settlement_names_its_claim_and_a_sweep_fails_none_that_was_called(store: &Store) {
    with_two_obligations(store).await;
    let (scope, place) = (scope(), claimed(store, ("s1", 1), 6).await);
    let ours = held(store, &place).await;
    let former = crate::HeldClaim { fence_version: ours.fence_version - 1, ..ours.clone() };
    let expected = TouchState::Claimed;
    let taken = Err(TouchError::Conflict { found: Some(TouchState::Claimed), expected });
    for outcome in [
        Outcome::Failed { reason: "no".to_owned() },
        Outcome::Sent { provider_id: "m-1".to_owned() },
        Outcome::Unknown { reason: "timeout".to_owned() },
    ] {
        assert_eq!(store.settle(&scope.tenant, &former, &outcome, at(6, 16)).await, taken, "{outcome:?}");
    }
    // A slow sender comes to its call between the sweep's look and its word.
    store.mark_call(&scope.tenant, &ours, at(6, 16)).await.unwrap();
    assert_eq!(store.fail_uncalled(&scope.tenant, &ours, "claim_abandoned", at(6, 16)).await, taken);
    assert_eq!(state(store, &place).await, TouchState::Claimed);
    let sent = Outcome::Sent { provider_id: "m-1".to_owned() };
    assert_eq!(store.settle(&scope.tenant, &ours, &sent, at(6, 17)).await, Ok(Change::Made));
    assert_eq!(facts(store, "c").await.fence.reached.len(), 2, "its stage stays");

    let next = claimed(store, ("s2", 8), 13).await;
    let uncalled = held(store, &next).await;
    assert_eq!(
        store.fail_uncalled(&scope.tenant, &uncalled, "claim_abandoned", at(13, 16)).await,
        Ok(Change::Made)
    );
    assert!(store.mark_call(&scope.tenant, &uncalled, at(13, 17)).await.is_err());
}

async fn an_answer_that_an_event_overtook_is_no_conflict(store: &Store) {
    with_two_obligations(store).await;
    let (tenant, place) = (scope().tenant, claimed(store, ("s1", 1), 6).await);
    record(store, &place, Report::Delivered).await;
    let outcome = Outcome::Sent { provider_id: "m-1".to_owned() };
    assert_eq!(
        store.settle(&tenant, &held(store, &place).await, &outcome, at(6, 19)).await,
        Ok(Change::Already)
    );
    let lost = Outcome::Unknown { reason: "timeout".to_owned() };
    assert_eq!(
        store.settle(&tenant, &held(store, &place).await, &lost, at(6, 19)).await,
        Ok(Change::Already)
    );
    let refused = Outcome::Failed { reason: "no".to_owned() };
    assert!(store.settle(&tenant, &held(store, &place).await, &refused, at(6, 19)).await.is_err());
    let record = store.touch(&tenant, &place).await.unwrap().unwrap();
    assert_eq!((record.state, record.provider_id.as_deref()), (TouchState::Delivered, Some("m-1")));
}

async fn a_provider_id_finds_its_touch(store: &Store) {
    let place = TouchKey::of(&touch("c#1", &["a"], ("s1", 1), 6));
    let tenant = TenantId::new("lender#1").unwrap();
    assert_eq!(store.referred("sns", "m#1").await, Ok(None));
    store.capacity().reset();
    store.refer("sns", "m#1", &tenant, &place, at(6, 15)).await.unwrap();
    assert_eq!(store.capacity().snapshot()["refer"].write_units, 1.0);
    assert_eq!(store.referred("sns", "m#1").await, Ok(Some((tenant, place))));
    assert_eq!(store.referred("ses", "m#1").await, Ok(None));
}
