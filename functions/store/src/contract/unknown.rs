//! Notes of unknown touches.

use domain::contact::EvidenceRef;
use domain::delivery::Refused;
use domain::fact_record::PersonWord;
use domain::ids::OperatorId;
use domain::touch::TouchState;

use super::*;
use crate::{FoundOut, Outcome, RecordError, TouchKey};

on_every_backend!(an_unknown_touch_is_noted_until_it_is_settled);

async fn an_unknown_touch_is_noted_until_it_is_settled(store: &Store) {
    with_two_obligations(store).await;
    let tenant = &scope().tenant;
    let mut places = Vec::new();
    for (obligation, on, outcome) in [
        ("a", 6, Outcome::Unknown { reason: "timeout".to_owned() }),
        ("b", 7, Outcome::Sent { provider_id: "m-1".to_owned() }),
    ] {
        let wanted = touch("c", &[obligation], ("s1", 1), on);
        let fence = facts(store, "c").await.fence;
        claim_at(store, &scope(), &wanted, &fence, at(on, 15)).await.unwrap();
        store.settle(tenant, &held(store, &TouchKey::of(&wanted)).await, &outcome, at(on, 16)).await.unwrap();
        places.push(TouchKey::of(&wanted));
    }
    let customer = customer_id("c");
    let found = |from| store.unknown_touches(tenant, &customer, from);
    assert_eq!(found(day(6)).await.unwrap(), places[..1]);
    assert_eq!(found(day(7)).await.unwrap(), []);

    for place in places.iter().rev().chain(&places) {
        store.note_unknown(tenant, place).await.unwrap();
    }
    let first = store.noted_unknown(tenant, None, 1).await.unwrap();
    assert_eq!(first.items, places[..1], "the oldest day comes first");
    let rest = store.noted_unknown(tenant, first.next, 10).await.unwrap();
    assert_eq!((rest.items, rest.next), (places[1..].to_vec(), None));
    let unknown = store.still_unknown(tenant, &places).await.unwrap();
    assert_eq!(unknown.len(), 1);
    assert_eq!((TouchKey::of(&unknown[0].touch), unknown[0].state), (places[0].clone(), TouchState::Unknown));

    // Nobody can know what became of a message before it was claimed.
    let word = PersonWord::new(OperatorId::new("ops-7").unwrap(), EvidenceRef::new("ticket-1").unwrap());
    let early = store.settle_unknown(tenant, &places[0], FoundOut::Sent, &word.unwrap(), at(6, 14)).await;
    let (found, why) = (TouchState::Unknown, Refused::BeforeClaim);
    assert_eq!(early, Err(RecordError::Refused { found, why }));

    for _ in 0..2 {
        store.forget_unknown(tenant, &places[1]).await.unwrap();
    }
    assert_eq!(store.noted_unknown(tenant, None, 10).await.unwrap().items, places[..1]);
    let other = TenantId::new("other").unwrap();
    assert_eq!(store.noted_unknown(&other, None, 10).await.unwrap().items, []);
}
