//! What the access patterns may consume. The figures do not depend on the machine.

use chrono::TimeDelta;
use domain::send_rate::SendLimits;
use domain::tenant::Rate;

use super::*;
use crate::{Outcome, TouchKey};

on_every_billed_backend!(
    a_reminder_costs_few_write_units,
    a_scan_of_a_thousand_open_obligations_costs_few_read_units,
    facts_are_read_in_one_request,
    a_decision_that_sends_nothing_costs_few_write_units,
    a_grant_for_ten_messages_costs_one_write_unit,
);

/// The units of one reminder, each item below 1 KB: nine, and two more where it waited.
async fn a_reminder_costs_few_write_units(store: &Store) {
    with_two_obligations(store).await;
    let scope = scope();
    // 6 for the claim and 1 for the fence's place in the index, 1 for the mark of the call, 1 to settle. To wait costs 1
    // to enter a wave and 1 to leave it.
    for (stage, waits, total) in [("s1", false, 9.0), ("s2", true, 11.0)] {
        let wanted = touch("c", &["a", "b"], (stage, 1), 6);
        let place = TouchKey::of(&wanted);
        let fence = facts(store, "c").await.fence;
        store.capacity().reset();
        if waits {
            store.plan_touch(&scope, &wanted).await.unwrap();
        }
        let claim = claim_at(store, &scope, &wanted, &fence, at(6, 15)).await.unwrap();
        store.mark_call(&scope.tenant, &claim.held, at(6, 15)).await.unwrap();
        let sent = Outcome::Sent { provider_id: "0100018f-0000-0000".to_owned() };
        store.settle(&scope.tenant, &held(store, &place).await, &sent, at(6, 15)).await.unwrap();
        if waits {
            store.leave_wave(&scope.tenant, &wave_of(&wanted)).await.unwrap();
        }
        let used = store.capacity().snapshot();
        assert_eq!((used["claim"].write_units, used["claim"].requests), (7.0, 1));
        assert_eq!((used["mark"].write_units, used["mark"].requests), (1.0, 1));
        assert_eq!((used["settle"].write_units, used["settle"].requests), (1.0, 1));
        assert_eq!(used.values().map(|u| u.write_units).sum::<f64>(), total);
    }
}

async fn a_scan_of_a_thousand_open_obligations_costs_few_read_units(store: &Store) {
    let scope = Scope::new(TenantId::new("lender-co").unwrap(), 1);
    let rows: Vec<AccountRow> =
        (0..1_000).map(|n| row(&format!("{:04}-VHVEG", n / 2), &format!("6113{n:06}"), 5)).collect();
    store.import_accounts(&scope, 1, day(0), &rows).await.unwrap();
    for pair in rows.chunks(2) {
        let customer = &pair[0].customer.id;
        let ids: Vec<&str> = pair.iter().map(|r| r.obligation.id.as_str()).collect();
        let wanted = touch(customer.as_str(), &ids, ("friendly-3", 3), 8);
        let fence = store.customer_facts(&scope.tenant, customer).await.unwrap().unwrap().fence;
        claim_at(store, &scope, &wanted, &fence, at(8, 15)).await.unwrap();
    }
    store.capacity().reset();
    let open = store.open_page(&scope.tenant, 0, (day(0), day(30)), None, 5_000).await.unwrap();
    let reached = store.reached_page(&scope.tenant, 0, None, 5_000).await.unwrap();
    assert_eq!((open.items.len(), reached.items.len()), (1_000, 500));
    let used = store.capacity().snapshot()["scan"];
    assert_eq!(used.requests, 2);
    assert!(used.read_units <= 40.0, "{} read units", used.read_units);
}

/// The claim's entry of the usual record, whose ids have the lengths of a lender's own: within one unit of 1 KB.
#[test]
fn the_usual_claim_is_recorded_within_one_write_unit() {
    let scope = Scope::new(TenantId::new("lender-co").unwrap(), 1);
    let fence = Fence { version: 123_456, audit_head: Some("a".repeat(64)), ..Fence::default() };
    let wanted = touch("7590-VHVEG-0001", &["9611365-0001"], ("d15", 15), 20);
    let send = (Decision::Send, "stage_due", at(20, 15));
    let told = decision(&scope, "7590-VHVEG-0001", &["9611365-0001"], &fence, send);
    let record = DecisionRecord { cause: Cause::Claim, touch: Some(RecordedTouch::of(&wanted)), ..told };
    let (item, _) = crate::audit::entry_of(&scope.tenant, &record);
    let text = |value: &crate::backend::Value| match value {
        crate::backend::Value::S(text) | crate::backend::Value::N(text) => text.len(),
    };
    let bytes: usize = item.iter().map(|(name, value)| name.len() + text(value)).sum();
    assert!(bytes <= 1_024, "{bytes} bytes");
}

/// Two items in a transaction count double. The fence's place in the index costs nothing, because nothing that the
/// index projects has changed; and the same decision again costs nothing at all.
async fn a_decision_that_sends_nothing_costs_few_write_units(store: &Store) {
    with_two_obligations(store).await;
    let scope = scope();
    let fence = facts(store, "c").await.fence;
    claim_at(store, &scope, &touch("c", &["a"], ("s1", 1), 6), &fence, at(6, 15)).await.unwrap();
    store.capacity().reset();
    for hour in [15, 16] {
        let fence = facts(store, "c").await.fence;
        let held = decision(&scope, "c", &["b"], &fence, (Decision::Skip, "dispute", at(7, hour)));
        store.record_decision(&scope, &held, &fence).await.unwrap();
    }
    let used = store.capacity().snapshot()["decision"];
    assert_eq!((used.requests, used.write_units), (1, 4.0));
}

async fn facts_are_read_in_one_request(store: &Store) {
    with_two_obligations(store).await;
    for n in 0..20 {
        plan(store, &touch("c", &["a"], (&format!("s{n}"), n), 6)).await;
        let paid = payment(&format!("p{n}"), "a", 1, 6);
        store.import_payments(&scope(), 1, day(20), &[paid]).await.unwrap();
    }
    store.capacity().reset();
    facts(store, "c").await;
    let used = store.capacity().snapshot()["facts"];
    // Neither touches nor payments are among the facts: all is within 4 KB.
    assert_eq!((used.requests, used.read_units), (1, 1.0));
}

/// Ten messages that ask for their moments together: one write.
async fn a_grant_for_ten_messages_costs_one_write_unit(store: &Store) {
    let (tenant, at) = (scope().tenant, (at(6, 15), TimeDelta::seconds(20)));
    let limits = SendLimits { rate: Rate::try_from(100).unwrap(), per_day: std::num::NonZeroU32::new(1_000) };
    for _ in 0..3 {
        store.grant_slots(&tenant, Channel::Sms, limits, &[2; 10], at).await.unwrap();
    }
    store.capacity().reset();
    store.grant_slots(&tenant, Channel::Sms, limits, &[2; 10], at).await.unwrap();
    let used = store.capacity().snapshot()["rate"];
    assert_eq!((used.requests, used.read_units, used.write_units), (2, 1.0, 1.0));
}
