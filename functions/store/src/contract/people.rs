//! What others report about a customer, and what goes when a customer asks to be forgotten.

use chrono::Duration;
use domain::contact::{Contact, EvidenceRef};
use domain::fact_record::PersonWord;
use domain::ids::OperatorId;
use domain::touch::TouchState;

use super::*;
use crate::erasure::Marked;
use crate::{
    ClaimConflict, ClaimError, ContactRecorded, Erased, ErrorClass, FoundOut, ImportCounts, verify_chain,
};

on_every_backend!(
    a_reported_contact_counts_once_and_stops_older_decisions,
    a_contact_of_nobody_or_of_long_ago_counts_for_nothing,
    contacts_have_a_limit,
    an_erasure_leaves_the_trail_and_nothing_else,
    an_erasure_waits_for_what_is_in_flight_and_keeps_what_nobody_knows,
    an_erasure_that_was_cut_off_says_so_and_is_finished_by_the_same_call,
    an_erased_customer_is_not_taken_in_again,
    every_customer_of_a_tenant_is_listed_once_and_no_erased_one,
);

fn call(on: i64, hour: u32, direct: bool) -> Contact {
    Contact { at: at(on, hour), channel: Channel::Call, direct }
}

async fn record(store: &Store, contact: Contact) -> ContactRecorded {
    store.record_contact(&scope(), &customer_id("c"), contact, at(6, 20)).await.unwrap()
}

async fn a_reported_contact_counts_once_and_stops_older_decisions(store: &Store) {
    with_two_obligations(store).await;
    let decided_on = facts(store, "c").await.fence;
    assert_eq!(record(store, call(6, 10, false)).await, ContactRecorded::Made);
    assert_eq!(record(store, call(6, 9, false)).await, ContactRecorded::Made);
    assert_eq!(record(store, call(6, 10, false)).await, ContactRecorded::Already);
    assert_eq!(record(store, call(6, 10, true)).await, ContactRecorded::Made);
    let after = facts(store, "c").await.fence;
    assert_eq!(after.contacts, [call(6, 9, false), call(6, 10, true)]);
    assert_eq!(after.version, decided_on.version + 3);
    let trail = store.audit_trail(&scope().tenant, &customer_id("c")).await.unwrap();
    assert_eq!((trail.len(), verify_chain(&trail)), (3, Ok(after.audit_head.as_deref())));
    let claim = claim_at(store, &scope(), &touch("c", &["a"], ("s1", 1), 6), &decided_on, at(6, 15)).await;
    assert_eq!(claim, Err(ClaimError::Conflict { which: ClaimConflict::FenceMoved }));
}

async fn a_contact_of_nobody_or_of_long_ago_counts_for_nothing(store: &Store) {
    assert_eq!(record(store, call(6, 10, false)).await, ContactRecorded::UnknownCustomer);
    with_two_obligations(store).await;
    assert_eq!(record(store, call(-30, 10, false)).await, ContactRecorded::TooOld);
    assert!(facts(store, "c").await.fence.contacts.is_empty());
}

async fn contacts_have_a_limit(store: &Store) {
    with_two_obligations(store).await;
    for n in 0..crate::CONTACTS_MAX {
        let contact = Contact { at: at(5, 1) + chrono::Duration::seconds(n as i64), ..call(5, 1, false) };
        assert_eq!(record(store, contact).await, ContactRecorded::Made);
    }
    let one_more = store.record_contact(&scope(), &customer_id("c"), call(6, 1, false), at(6, 20)).await;
    assert_eq!(one_more.unwrap_err().class(), ErrorClass::Permanent);
}

async fn an_erasure_leaves_the_trail_and_nothing_else(store: &Store) {
    with_two_obligations(store).await;
    let (scope, id) = (scope(), customer_id("c"));
    assert_eq!(store.erase_customer(&scope, &customer_id("nobody"), at(9, 1)).await, Ok(Erased::Unknown));
    let fence = facts(store, "c").await.fence;
    claim_at(store, &scope, &touch("c", &["a"], ("s1", 1), 6), &fence, at(6, 15)).await.unwrap();
    store.import_payments(&scope, 1, day(20), &[payment("p", "a", 1, 6)]).await.unwrap();
    let decided_on = facts(store, "c").await.fence;
    // The profile, two obligations, a payment and a touch.
    assert_eq!(store.erase_customer(&scope, &id, at(9, 1)).await, Ok(Erased::Made { items: 5, kept: 0 }));
    assert_eq!(store.customer_facts(&scope.tenant, &id).await, Ok(None));
    assert!(store.touches(&scope.tenant, &id).await.unwrap().is_empty());
    let late = claim_at(store, &scope, &touch("c", &["b"], ("s1", 1), 9), &decided_on, at(9, 15)).await;
    assert_eq!(late, Err(ClaimError::Conflict { which: ClaimConflict::FenceMoved }));
    let trail = store.audit_trail(&scope.tenant, &id).await.unwrap();
    assert_eq!(trail.len(), 3, "the claim, its end because nobody was called under it, and the erasure");
    assert!(verify_chain(&trail).is_ok());
    let again = store.erase_customer(&scope, &id, at(10, 1)).await;
    assert_eq!(again, Ok(Erased::Made { items: 1, kept: 0 }), "a second call finds only the mark");
}

async fn an_erasure_waits_for_what_is_in_flight_and_keeps_what_nobody_knows(store: &Store) {
    with_two_obligations(store).await;
    let (scope, id) = (scope(), customer_id("c"));
    let wanted = touch("c", &["a"], ("s1", 1), 6);
    // The same contact was planned for the day before, and nothing came of it.
    let planned = Touch { on: day(5), send_at: at(5, 15), ..wanted.clone() };
    store.plan_touch(&scope, &planned).await.unwrap();
    store.prevent(&scope.tenant, &wave_of(&planned), "window_over", at(5, 16)).await.unwrap();
    let fence = facts(store, "c").await.fence;
    let claim = claim_at(store, &scope, &wanted, &fence, at(6, 15)).await.unwrap().held;
    store.mark_call(&scope.tenant, &claim, at(6, 15)).await.unwrap();
    let early = store.erase_customer(&scope, &id, at(6, 15) + Duration::minutes(1)).await;
    let until = at(6, 15) + Duration::minutes(crate::CLAIM_LEASE_MINUTES);
    assert_eq!(early, Ok(Erased::InFlight { until }));
    assert!(store.customer_facts(&scope.tenant, &id).await.unwrap().is_some(), "nothing was erased");
    let erased = store.erase_customer(&scope, &id, until).await;
    assert_eq!(erased, Ok(Erased::Made { items: 4, kept: 1 }), "the profile, two obligations, a touch");
    let left = store.touches(&scope.tenant, &id).await.unwrap();
    assert_eq!((left.len(), left[0].state), (1, TouchState::Unknown));
    let noted = store.noted_unknown(&scope.tenant, None, 10).await.unwrap();
    assert_eq!(noted.items, [TouchKey::of(&wanted)], "it is counted until it is settled");

    // Its sender comes to an answer, and a person to another word: both are about ids only.
    let word =
        PersonWord::new(OperatorId::new("ops-7").unwrap(), EvidenceRef::new("ticket-1").unwrap()).unwrap();
    let place = TouchKey::of(&wanted);
    let settled =
        store.settle_unknown(&scope.tenant, &place, FoundOut::NotSent, &word, at(9, 1)).await.unwrap();
    assert!(settled.is_news && !settled.fell_back);
    assert_eq!(store.noted_unknown(&scope.tenant, None, 10).await.unwrap().items, []);
    let trail = store.audit_trail(&scope.tenant, &id).await.unwrap();
    let head = store.fence(&scope.tenant, &id).await.unwrap().unwrap().audit_head;
    assert_eq!((trail.len(), verify_chain(&trail)), (3, Ok(head.as_deref())));
    assert!(trail[2].document.contains("ops-7"));
    let again = store.erase_customer(&scope, &id, at(10, 1)).await;
    assert_eq!(again, Ok(Erased::Made { items: 1, kept: 1 }), "what was kept stays");
}

async fn an_erasure_that_was_cut_off_says_so_and_is_finished_by_the_same_call(store: &Store) {
    with_two_obligations(store).await;
    let (scope, id) = (scope(), customer_id("c"));
    let planned = touch("c", &["a"], ("s1", 1), 6);
    store.plan_touch(&scope, &planned).await.unwrap();
    assert!(
        matches!(store.mark_erased(&scope, &id, at(6, 1)).await, Ok(Marked::Set(kept)) if kept.is_empty())
    );
    let fence = async || store.fence(&scope.tenant, &id).await.unwrap().unwrap();
    assert!(fence().await.erasing);
    let listed = store.customers_page(&scope.tenant, None, 100).await.unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&id), "whoever looks for customers to erase finds it");
    // A sender that decided before the mark takes its touch out of the wave, and writes nothing back.
    let waiting =
        WaveKey { touch: TouchKey::of(&planned), shard: scope.shard_of(&id), send_at: planned.send_at };
    store.prevent(&scope.tenant, &waiting, "closed", at(6, 2)).await.unwrap();
    assert!(!store.waits(&scope.tenant, &waiting).await.unwrap());
    assert_eq!(store.touches(&scope.tenant, &id).await.unwrap(), []);
    let erased = store.erase_customer(&scope, &id, at(7, 1)).await;
    assert_eq!(erased, Ok(Erased::Made { items: 3, kept: 0 }));
    let done = fence().await;
    assert_eq!((done.erased_at, done.erasing), (Some(at(6, 1)), false), "since the mark");
    assert_eq!(store.customers_page(&scope.tenant, None, 100).await.unwrap().items, []);
}

async fn an_erased_customer_is_not_taken_in_again(store: &Store) {
    with_two_obligations(store).await;
    let scope = scope();
    store.erase_customer(&scope, &customer_id("c"), at(9, 1)).await.unwrap();
    let rows = [row("c", "a", 5), row("c", "b", 5), row("d", "x", 5)];
    let counts = store.import_accounts(&scope, 2, day(10), &rows).await.unwrap();
    let expected =
        ImportCounts { customers_new: 1, obligations_new: 1, erased_rejected: 2, ..ImportCounts::default() };
    assert_eq!(counts, expected);
    let counts = store.import_payments(&scope, 2, day(20), &[payment("p", "a", 1, 6)]).await.unwrap();
    assert_eq!(counts, ImportCounts { erased_rejected: 1, ..ImportCounts::default() });
    assert_eq!(store.customer_facts(&scope.tenant, &customer_id("c")).await, Ok(None));
    assert_eq!(record(store, call(6, 10, false)).await, ContactRecorded::UnknownCustomer);
}

async fn every_customer_of_a_tenant_is_listed_once_and_no_erased_one(store: &Store) {
    let ids: Vec<String> = (0..9).map(|n| format!("c#{n}")).collect();
    let rows: Vec<_> = ids.iter().flat_map(|id| [row(id, "a", 5), row(id, "b", 6)]).collect();
    store.import_accounts(&scope(), 1, day(0), &rows).await.unwrap();
    let other = Scope::new(domain::ids::TenantId::new("demo#CUST").unwrap(), 1);
    store.import_accounts(&other, 1, day(0), &[row("stranger", "a", 5)]).await.unwrap();
    store.erase_customer(&scope(), &customer_id("c#4"), at(9, 1)).await.unwrap();
    let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.customers_page(&scope().tenant, cursor, 4).await.unwrap();
        found.extend(page.items.iter().map(|id| id.as_str().to_owned()));
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        assert!(pages < 50, "the pages never end");
    }
    found.sort();
    let expected: Vec<String> = ids.into_iter().filter(|id| id != "c#4").collect();
    assert_eq!(found, expected);
    assert!(pages > 5, "a page reads no more than it is asked for");
}
