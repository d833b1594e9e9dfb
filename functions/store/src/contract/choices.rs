//! Choices: recorded with the fence, not undone by imports, and replies that suppress and lift.

use domain::choice::{Choice, Chosen};
use domain::contact::{ConsentSource, PurposeScope};
use domain::customer::Reach;
use domain::ids::ChoiceId;
use domain::import::row::CONSENT_FLOOR_ON;

use super::*;
use crate::{ChoiceError, ClaimConflict, ClaimError, Kept, Lifted, SuppressionKey};

on_every_backend!(
    a_choice_is_recorded_once_and_moves_the_fence,
    a_withdrawal_between_decision_and_claim_wins,
    a_choice_may_come_before_its_customer,
    an_import_does_not_undo_a_withdrawal,
    a_later_authorisation_of_a_file_counts_from_its_day,
    a_withdrawal_without_a_day_stands_from_its_first_file,
    the_hours_of_the_latest_request_count,
    a_reply_suppresses_and_a_later_one_lifts,
    a_reply_lifts_nothing_else,
    one_row_makes_a_reference_of_its_whole_file,
);

fn word(granted: bool, said_at: DateTime<Utc>) -> Consent {
    Consent {
        channel: Channel::Sms,
        purposes: PurposeScope::ALL,
        granted,
        on: said_at.date_naive(),
        at: Some(said_at),
        source: ConsentSource::Api,
        evidence: None,
    }
}

fn choice(id: &str, granted: bool, said_at: DateTime<Utc>) -> Choice {
    let id = ChoiceId::new(id).unwrap();
    Choice { id, at: said_at, what: Chosen::Words(vec![word(granted, said_at)]) }
}

async fn record(store: &Store, choice: &Choice) -> Result<Kept, ChoiceError> {
    store.record_choice(&scope(), &customer_id("c"), choice, choice.at).await
}

async fn is_reachable(store: &Store) -> bool {
    matches!(facts(store, "c").await.customer.reachable(Channel::Sms, Purpose::Overdue), Reach::At(_))
}

/// A row of `c` with one word on SMS.
fn says(granted: bool, on: NaiveDate) -> AccountRow {
    let mut row = row("c", "a", 5);
    row.customer.consents = vec![Consent::of_contract(Channel::Sms, granted, on)];
    row
}

async fn import(store: &Store, sequence: u64, as_of: i64, row: AccountRow) {
    store.import_accounts(&scope(), sequence, day(as_of), &[row]).await.unwrap();
}

async fn a_choice_is_recorded_once_and_moves_the_fence(store: &Store) {
    with_two_obligations(store).await;
    let withdrawal = choice("e-1", false, at(3, 15));
    assert_eq!(record(store, &withdrawal).await, Ok(Kept::New));
    assert!(!is_reachable(store).await);
    let after = facts(store, "c").await;
    assert_eq!(after.fence.version, 2);
    assert_eq!(record(store, &withdrawal).await, Ok(Kept::Already));
    assert_eq!(facts(store, "c").await, after);
    let other = record(store, &choice("e-1", true, at(3, 15))).await;
    assert!(matches!(other, Err(ChoiceError::Conflict { .. })), "{other:?}");
    assert_eq!(record(store, &choice("e-2", true, at(3, 16))).await, Ok(Kept::New));
    assert!(is_reachable(store).await);
    // What comes late and was said early changes nothing.
    assert_eq!(record(store, &choice("e-0", false, at(3, 14))).await, Ok(Kept::New));
    assert!(is_reachable(store).await);
    assert_eq!(store.choices(&scope().tenant, &customer_id("c")).await.unwrap().len(), 3);
    let trail = store.audit_trail(&scope().tenant, &customer_id("c")).await.unwrap();
    let head = facts(store, "c").await.fence.audit_head;
    assert_eq!((trail.len(), crate::verify_chain(&trail)), (3, Ok(head.as_deref())));
}

async fn a_withdrawal_between_decision_and_claim_wins(store: &Store) {
    with_two_obligations(store).await;
    let decided_on = facts(store, "c").await.fence;
    record(store, &choice("e-1", false, at(6, 14))).await.unwrap();
    let wanted = touch("c", &["a"], ("s1", 1), 6);
    let claim = claim_at(store, &scope(), &wanted, &decided_on, at(6, 15)).await;
    assert_eq!(claim, Err(ClaimError::Conflict { which: ClaimConflict::FenceMoved }));
}

async fn a_choice_may_come_before_its_customer(store: &Store) {
    assert_eq!(record(store, &choice("e-1", false, at(3, 15))).await, Ok(Kept::New));
    assert_eq!(store.customer_facts(&scope().tenant, &customer_id("c")).await.unwrap(), None);
    with_two_obligations(store).await;
    assert!(!is_reachable(store).await);
    assert_eq!(facts(store, "c").await.fence.version, 2);
}

async fn an_import_does_not_undo_a_withdrawal(store: &Store) {
    import(store, 1, 0, says(true, CONSENT_FLOOR_ON)).await;
    assert!(is_reachable(store).await);
    record(store, &choice("e-1", false, at(3, 15))).await.unwrap();
    // The same file again, a newer one with no day, one with an older day, with the same day, and with one to come.
    let days = [CONSENT_FLOOR_ON, CONSENT_FLOOR_ON, day(2), day(3), day(90)];
    for (n, on) in days.into_iter().enumerate() {
        let mut row = says(true, on);
        row.customer.name = PersonName::new(format!("Ana {n}"));
        import(store, n as u64 + 1, 20 + n as i64, row).await;
        assert!(!is_reachable(store).await, "an import of {on} undid the withdrawal");
    }
}

async fn a_later_authorisation_of_a_file_counts_from_its_day(store: &Store) {
    import(store, 1, 0, says(true, day(0))).await;
    record(store, &choice("e-1", false, at(3, 15))).await.unwrap();
    import(store, 2, 20, says(true, day(4))).await;
    assert!(is_reachable(store).await);
    record(store, &choice("e-2", false, at(5, 15))).await.unwrap();
    assert!(!is_reachable(store).await);
}

async fn a_withdrawal_without_a_day_stands_from_its_first_file(store: &Store) {
    import(store, 1, 0, says(true, day(0))).await;
    record(store, &choice("e-1", true, at(3, 15))).await.unwrap();
    import(store, 2, 5, says(false, CONSENT_FLOOR_ON)).await;
    assert!(!is_reachable(store).await);
    record(store, &choice("e-2", true, at(7, 15))).await.unwrap();
    assert!(is_reachable(store).await);
    // Later files say the same, and other things that are new: it is still the word of day 5.
    let mut row = says(false, CONSENT_FLOOR_ON);
    row.customer.name = PersonName::new("Ana María");
    import(store, 3, 9, row).await;
    assert!(is_reachable(store).await);
    // The file took it back in between: then it is a new word.
    import(store, 4, 10, says(true, CONSENT_FLOOR_ON)).await;
    import(store, 5, 11, says(false, CONSENT_FLOOR_ON)).await;
    assert!(!is_reachable(store).await);
}

async fn the_hours_of_the_latest_request_count(store: &Store) {
    with_two_obligations(store).await;
    let hours = |document: &str| {
        serde_json::from_value(serde_json::json!({
            "channels": ["sms"], "hours": [{"days": ["mon"], "from": "19:00", "to": "21:00"}],
            "document": document, "document_on": "2026-02-02", "contract_on": "2026-02-01",
        }))
        .unwrap()
    };
    let asks = |id: &str, said_at, hours| {
        let id = ChoiceId::new(id).unwrap();
        Choice { id, at: said_at, what: Chosen::Hours(hours) }
    };
    record(store, &asks("a", at(3, 15), Some(hours("second")))).await.unwrap();
    record(store, &asks("b", at(2, 15), Some(hours("first")))).await.unwrap();
    import(store, 2, 6, row("c", "b", 9)).await;
    let agreed = facts(store, "c").await.customer.agreed_hours;
    assert_eq!(agreed.unwrap().document().0.as_str(), "second");
    record(store, &asks("c", at(4, 15), None)).await.unwrap();
    assert_eq!(facts(store, "c").await.customer.agreed_hours, None);
}

fn secret() -> SuppressionKey {
    SuppressionKey::new(*b"a key of the tests")
}

async fn is_suppressed(store: &Store, address: &Address) -> bool {
    !store.suppressed(&scope().tenant, &secret(), &[(Channel::Sms, address)]).await.unwrap().is_empty()
}

async fn a_reply_suppresses_and_a_later_one_lifts(store: &Store) {
    let (tenant, number) = (scope().tenant, Address::new("+573000000000"));
    let point = (Channel::Sms, &number);
    let stop = async |at| store.suppress_by_reply(&tenant, &secret(), point, at).await.unwrap();
    let start = async |at| store.lift_by_reply(&tenant, &secret(), point, at).await.unwrap();
    assert_eq!(start(at(1, 1)).await, Lifted::NotByReply);
    assert_eq!(stop(at(1, 2)).await, Kept::New);
    assert_eq!(stop(at(1, 2)).await, Kept::Already);
    assert!(is_suppressed(store, &number).await);
    assert_eq!(
        start(at(1, 2)).await,
        Lifted::NotByReply,
        "of two replies of one moment the strict one counts"
    );
    assert_eq!(start(at(1, 3)).await, Lifted::Now);
    assert_eq!(start(at(1, 3)).await, Lifted::Already);
    assert!(!is_suppressed(store, &number).await);
    // The first reply comes once more: it is older than what lifted it.
    assert_eq!(stop(at(1, 2)).await, Kept::Already);
    assert!(!is_suppressed(store, &number).await);
    assert_eq!(stop(at(1, 4)).await, Kept::New);
    assert!(is_suppressed(store, &number).await);
}

async fn a_reply_lifts_nothing_else(store: &Store) {
    let (tenant, number) = (scope().tenant, Address::new("+573000000000"));
    let point = (Channel::Sms, &number);
    store.suppress(&tenant, &secret(), point, None, "complaint", at(1, 1)).await.unwrap();
    assert_eq!(store.suppress_by_reply(&tenant, &secret(), point, at(1, 2)).await, Ok(Kept::Already));
    assert_eq!(store.lift_by_reply(&tenant, &secret(), point, at(1, 3)).await, Ok(Lifted::NotByReply));
    assert!(is_suppressed(store, &number).await);
}

async fn one_row_makes_a_reference_of_its_whole_file(store: &Store) {
    let mut reference = row("c", "a", 5);
    reference.customer.role = Role::Reference;
    store.import_accounts(&scope(), 1, day(0), &[reference, row("c", "b", 5)]).await.unwrap();
    assert_eq!(facts(store, "c").await.customer.role, Role::Reference);
}
