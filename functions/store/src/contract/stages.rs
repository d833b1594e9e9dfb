//! Stages of claims that were overtaken: by news of another message, by a payment, by another due date.

use domain::delivery::{Report, Source, Transition};
use domain::fence::Reached;
use domain::touch::TouchState;

use super::*;
use crate::{Outcome, SuppressionKey, TouchEvent, TouchKey};

on_every_backend!(
    what_another_message_has_reached_stays_when_a_claim_is_taken_back,
    of_two_attempts_that_were_taken_for_failed_the_first_arrives_after_all,
    a_claim_is_taken_back_where_its_stage_is_while_the_obligation_is_paid,
    a_claim_is_taken_back_where_its_stage_is_after_the_due_date_moved,
    a_message_that_failed_falls_back_while_the_obligation_is_paid,
    a_message_that_arrives_after_all_counts_while_the_obligation_is_paid,
    what_came_back_for_now_keeps_its_stage_when_another_message_fails,
    what_came_back_for_now_keeps_its_stage_when_the_first_message_fails_after_all,
    nothing_is_sent_once_more_that_another_message_has_told,
    of_two_attempts_that_came_back_for_good_the_stage_goes_another_way,
);

async fn said(store: &Store, place: &TouchKey, report: Report, source: Source) -> crate::Recorded {
    let event = TouchEvent {
        transition: Transition { report, source },
        reason: "because".to_owned(),
        at: at(8, 1),
        provider_id: None,
        addresses: Vec::new(),
    };
    let secret = SuppressionKey::new(*b"a key of the tests");
    store.record_event(&scope().tenant, &secret, place, &event, at(8, 1)).await.unwrap()
}

/// Claims a touch and leaves it so.
async fn claimed(store: &Store, touch: &Touch) -> TouchKey {
    let fence = facts(store, "c").await.fence;
    claim_at(store, &scope(), touch, &fence, touch.send_at).await.unwrap();
    TouchKey::of(touch)
}

/// Claims a touch of which nobody knows whether it went out.
async fn unknown(store: &Store, touch: &Touch) -> TouchKey {
    let place = claimed(store, touch).await;
    let lost = Outcome::Unknown { reason: "timeout".to_owned() };
    store.settle(&scope().tenant, &held(store, &place).await, &lost, at(8, 0)).await.unwrap();
    place
}

async fn taken_back(store: &Store, place: &TouchKey) {
    store.put_back(&scope(), &held(store, place).await, None).await.unwrap();
}

/// What was paid of `a` in all, of 1,000.
async fn paid(store: &Store, amount_minor: i64, sequence: u64) {
    store.import_payments(&scope(), sequence, day(20), &[payment("p", "a", amount_minor, 6)]).await.unwrap();
}

async fn due(store: &Store, due: i64, sequence: u64) {
    store.import_accounts(&scope(), sequence, day(0), &[row("c", "a", due)]).await.unwrap();
}

async fn stage(store: &Store, obligation: &str) -> Option<i32> {
    let fence = facts(store, "c").await.fence;
    fence.reached.get(&obligation_id(obligation)).map(|r: &Reached| r.dpd)
}

fn by_email(touch: Touch) -> Touch {
    Touch { id: other_touch_id(), channel: Channel::Email, ..touch }
}

async fn what_another_message_has_reached_stays_when_a_claim_is_taken_back(store: &Store) {
    with_two_obligations(store).await;
    let first = unknown(store, &touch("c", &["a", "b"], ("s1", 1), 6)).await;
    assert!(said(store, &first, Report::Failed, Source::Person).await.fell_back);
    assert_eq!(stage(store, "a").await, None);
    let second = claimed(store, &by_email(touch("c", &["a"], ("s1", 1), 7))).await;
    let told = said(store, &first, Report::Delivered, Source::Provider).await;
    assert_eq!(told.told_by, [other_touch_id()]);
    taken_back(store, &second).await;
    assert_eq!((stage(store, "a").await, stage(store, "b").await), (Some(1), Some(1)));

    // A later one goes back to what arrived, and not to what was read before its claim.
    let third = claimed(store, &touch("c", &["a"], ("s2", 3), 8)).await;
    paid(store, 1, 2).await;
    taken_back(store, &third).await;
    assert_eq!(stage(store, "a").await, Some(1));
}

/// Two attempts at a message about `a` and `b`, of both of which nobody knows whether they went out.
async fn two_attempts(store: &Store) -> (TouchKey, TouchKey) {
    with_two_obligations(store).await;
    let wanted = touch("c", &["a", "b"], ("s1", 1), 6);
    let first = unknown(store, &wanted).await;
    let record = store.touch(&scope().tenant, &first).await.unwrap().unwrap();
    let again = Touch { id: record.second_id().unwrap(), on: day(7), send_at: at(7, 15), ..wanted };
    let fence = facts(store, "c").await.fence;
    let told = decision(&scope(), "c", &["a", "b"], &fence, (Decision::Send, "stage_due", at(7, 15)));
    let told = DecisionRecord { cause: Cause::Claim, touch: Some(RecordedTouch::of(&again)), ..told };
    let claim = store.claim_again(&scope(), &record, &again, &fence, &told).await.unwrap();
    let lost = Outcome::Unknown { reason: "timeout".to_owned() };
    store.settle(&scope().tenant, &claim.held, &lost, at(7, 16)).await.unwrap();
    (first, TouchKey::of(&again))
}

async fn of_two_attempts_that_came_back_for_good_the_stage_goes_another_way(store: &Store) {
    let (first, again) = two_attempts(store).await;
    assert!(
        !said(store, &again, Report::HardBounced, Source::Provider).await.fell_back,
        "the first may arrive"
    );
    assert!(said(store, &first, Report::Failed, Source::Person).await.fell_back);
    assert_eq!((stage(store, "a").await, stage(store, "b").await), (None, None));
}

async fn of_two_attempts_that_were_taken_for_failed_the_first_arrives_after_all(store: &Store) {
    let (first, again) = two_attempts(store).await;
    assert!(!said(store, &first, Report::Failed, Source::Person).await.fell_back, "the other may arrive");
    assert!(said(store, &again, Report::Failed, Source::Person).await.fell_back);
    assert_eq!(stage(store, "a").await, None);

    assert!(said(store, &first, Report::Delivered, Source::Provider).await.is_news);
    let fence = facts(store, "c").await.fence;
    assert_eq!((stage(store, "a").await, stage(store, "b").await), (Some(1), Some(1)));
    assert!(fence.failed.is_empty(), "both attempts are forgotten: {fence:?}");
    let trail = store.audit_trail(&scope().tenant, &customer_id("c")).await.unwrap();
    assert!(trail.last().unwrap().document.contains(r#""restored":["a","b"]"#));
}

async fn a_claim_is_taken_back_where_its_stage_is_while_the_obligation_is_paid(store: &Store) {
    with_two_obligations(store).await;
    let place = claimed(store, &touch("c", &["a", "b"], ("s1", 1), 6)).await;
    paid(store, 1_000, 2).await;
    assert_eq!((stage(store, "a").await, stage(store, "b").await), (None, Some(1)));
    taken_back(store, &place).await;
    paid(store, 0, 3).await;
    assert_eq!((stage(store, "a").await, stage(store, "b").await), (None, None), "nothing was sent");
}

async fn a_claim_is_taken_back_where_its_stage_is_after_the_due_date_moved(store: &Store) {
    with_two_obligations(store).await;
    let sent = claimed(store, &touch("c", &["a"], ("s1", 1), 6)).await;
    let outcome = Outcome::Sent { provider_id: "m-1".to_owned() };
    store.settle(&scope().tenant, &held(store, &sent).await, &outcome, at(6, 16)).await.unwrap();
    let place = claimed(store, &touch("c", &["a"], ("s2", 3), 8)).await;
    due(store, 9, 2).await;
    assert_eq!(stage(store, "a").await, None);
    taken_back(store, &place).await;
    due(store, 5, 3).await;
    assert_eq!(stage(store, "a").await, Some(1), "the first was sent, the second was not");
}

async fn a_message_that_failed_falls_back_while_the_obligation_is_paid(store: &Store) {
    with_two_obligations(store).await;
    let place = unknown(store, &touch("c", &["a"], ("s1", 1), 6)).await;
    paid(store, 1_000, 2).await;
    assert!(said(store, &place, Report::Failed, Source::Person).await.fell_back);
    paid(store, 0, 3).await;
    assert_eq!(stage(store, "a").await, None, "it may go another way");
    let fence = facts(store, "c").await.fence;
    let s1 = StageId::new("s1").unwrap();
    assert!(fence.was_tried(&obligation_id("a"), day(5), &s1, Channel::Sms));
}

async fn a_message_that_arrives_after_all_counts_while_the_obligation_is_paid(store: &Store) {
    with_two_obligations(store).await;
    let place = unknown(store, &touch("c", &["a"], ("s1", 1), 6)).await;
    assert!(said(store, &place, Report::Failed, Source::Person).await.fell_back);
    paid(store, 1_000, 2).await;
    said(store, &place, Report::Delivered, Source::Provider).await;
    assert_eq!(store.touch(&scope().tenant, &place).await.unwrap().unwrap().state, TouchState::Delivered);
    assert_eq!(stage(store, "a").await, None, "what is paid has no stage");
    paid(store, 0, 3).await;
    assert_eq!(stage(store, "a").await, Some(1), "it was told already");
}

async fn what_came_back_for_now_keeps_its_stage_when_another_message_fails(store: &Store) {
    with_two_obligations(store).await;
    let first = unknown(store, &touch("c", &["a"], ("s1", 1), 6)).await;
    assert!(said(store, &first, Report::Failed, Source::Person).await.fell_back);
    let second = claimed(store, &by_email(touch("c", &["a"], ("s1", 1), 7))).await;
    // An answer of a machine looks so, too: the first may well have been read.
    said(store, &first, Report::SoftBounced, Source::Provider).await;
    assert_eq!(store.touch(&scope().tenant, &first).await.unwrap().unwrap().state, TouchState::Bounced);
    taken_back(store, &second).await;
    assert_eq!(stage(store, "a").await, Some(1));
}

async fn what_came_back_for_now_keeps_its_stage_when_the_first_message_fails_after_all(store: &Store) {
    with_two_obligations(store).await;
    let first = unknown(store, &touch("c", &["a"], ("s1", 1), 6)).await;
    assert!(said(store, &first, Report::Failed, Source::Person).await.fell_back);
    let second = unknown(store, &by_email(touch("c", &["a"], ("s1", 1), 7))).await;
    said(store, &second, Report::SoftBounced, Source::Provider).await;
    said(store, &first, Report::Sent, Source::Provider).await;
    said(store, &first, Report::HardBounced, Source::Provider).await;
    assert_eq!(stage(store, "a").await, Some(1), "the second may have been read");
}

async fn nothing_is_sent_once_more_that_another_message_has_told(store: &Store) {
    with_two_obligations(store).await;
    let is_told = async |place: &TouchKey| {
        let first = store.touch(&scope().tenant, place).await.unwrap().unwrap();
        let fence = facts(store, "c").await.fence;
        store.is_told_otherwise(&scope().tenant, &first, &fence).await.unwrap()
    };
    let first = unknown(store, &touch("c", &["a", "b"], ("s1", 1), 6)).await;
    assert!(!is_told(&first).await);
    assert!(said(store, &first, Report::Failed, Source::Person).await.fell_back);
    let second = unknown(store, &by_email(touch("c", &["a"], ("s1", 1), 7))).await;
    assert!(!is_told(&second).await);
    said(store, &first, Report::Complained, Source::Provider).await;
    assert!(is_told(&second).await, "and whoever complains wants to be left alone");
}
