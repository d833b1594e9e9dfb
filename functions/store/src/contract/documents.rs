//! Settings, policies, suppressions, and the local tables.

use std::collections::BTreeSet;

use super::*;
use crate::{ErrorClass, PolicyDoc, SettingsDoc, SuppressionKey};

on_every_backend!(
    settings_only_go_forward,
    shards_can_grow_and_never_shrink,
    a_policy_version_never_changes_and_one_is_active,
    a_suppression_is_found_by_address_tenant_and_channel,
    a_suppression_of_a_known_customer_moves_its_fence,
);

async fn settings_only_go_forward(store: &Store) {
    let tenant = &scope().tenant;
    let doc = |version, document: &str| SettingsDoc { version, document: document.to_owned() };
    assert_eq!(store.settings(tenant).await, Ok(None));
    store.put_settings(tenant, &doc(1, "{}")).await.unwrap();
    store.put_settings(tenant, &doc(2, "{\"a\":1}")).await.unwrap();
    store.put_settings(tenant, &doc(2, "{\"a\":1}")).await.unwrap();
    let other = store.put_settings(tenant, &doc(2, "{}")).await.unwrap_err();
    assert_eq!(other.class(), ErrorClass::Conflict);
    assert!(store.put_settings(tenant, &doc(1, "{}")).await.is_err());
    assert_eq!(store.settings(tenant).await, Ok(Some(doc(2, "{\"a\":1}"))));
}

async fn shards_can_grow_and_never_shrink(store: &Store) {
    let tenant = &scope().tenant;
    let doc = |version, shards: u64| SettingsDoc { version, document: format!("{{\"shards\":{shards}}}") };
    store.put_settings(tenant, &doc(1, 2)).await.unwrap();
    store.put_settings(tenant, &doc(2, 4)).await.unwrap();
    let fewer = store.put_settings(tenant, &doc(3, 3)).await.unwrap_err();
    assert_eq!(fewer.class(), ErrorClass::Conflict);
    assert_eq!(store.settings(tenant).await, Ok(Some(doc(2, 4))));
}

async fn a_policy_version_never_changes_and_one_is_active(store: &Store) {
    let (tenant, id) = (&scope().tenant, PolicyId::new("standard").unwrap());
    store.put_policy(tenant, &id, 1, "one").await.unwrap();
    store.put_policy(tenant, &id, 1, "one").await.unwrap();
    assert_eq!(store.put_policy(tenant, &id, 1, "two").await.unwrap_err().class(), ErrorClass::Conflict);
    assert_eq!(store.active_policy(tenant, &id).await, Ok(None));
    assert_eq!(store.activate_policy(tenant, &id, 2).await.unwrap_err().class(), ErrorClass::Conflict);
    store.put_policy(tenant, &id, 2, "two").await.unwrap();
    store.activate_policy(tenant, &id, 1).await.unwrap();
    let one = PolicyDoc { version: 1, source: "one".to_owned() };
    assert_eq!(store.active_policy(tenant, &id).await, Ok(Some(one.clone())));
    store.activate_policy(tenant, &id, 2).await.unwrap();
    assert_eq!(store.active_policy(tenant, &id).await.unwrap().unwrap().version, 2);
    assert_eq!(store.policy(tenant, &id, 1).await, Ok(Some(one)));
    assert!(store.put_policy(tenant, &id, 1_000_000, "x").await.is_err());
    let odd = PolicyId::new("a#V").unwrap();
    store.put_policy(tenant, &odd, 7, "seven").await.unwrap();
    assert_eq!(store.policy_ids(tenant).await, Ok(vec![odd.clone(), id.clone()]));
    let seven = PolicyDoc { version: 7, source: "seven".to_owned() };
    assert_eq!(store.policy_versions(tenant, &odd).await, Ok(vec![seven]));
    let texts = store.policy_versions(tenant, &id).await.unwrap();
    assert_eq!(texts.iter().map(|doc| doc.source.as_str()).collect::<Vec<_>>(), ["one", "two"]);
}

async fn a_suppression_is_found_by_address_tenant_and_channel(store: &Store) {
    let (tenant, other) = (scope().tenant, TenantId::new("other").unwrap());
    let secret = SuppressionKey::new(*b"0123456789abcdef");
    let (ana, luz) = (Address::new("Ana@Example.com"), Address::new("luz@example.com"));
    store.suppress(&tenant, &secret, (Channel::Email, &ana), None, "bounce", at(0, 1)).await.unwrap();
    store.suppress(&tenant, &secret, (Channel::Email, &ana), None, "bounce", at(0, 2)).await.unwrap();
    let lower = Address::new("ana@example.com");
    let asked =
        [(Channel::Email, &lower), (Channel::Email, &ana), (Channel::Email, &luz), (Channel::Sms, &ana)];
    let found = store.suppressed(&tenant, &secret, &asked).await.unwrap();
    assert_eq!(found, BTreeSet::from([(Channel::Email, lower.clone()), (Channel::Email, ana.clone())]));
    assert!(store.suppressed(&other, &secret, &asked).await.unwrap().is_empty());
    let other_key = SuppressionKey::new(*b"another");
    assert!(store.suppressed(&tenant, &other_key, &asked).await.unwrap().is_empty());
    assert!(store.suppressed(&tenant, &secret, &[]).await.unwrap().is_empty());
}

async fn a_suppression_of_a_known_customer_moves_its_fence(store: &Store) {
    with_two_obligations(store).await;
    let (tenant, secret) = (scope().tenant, SuppressionKey::new(*b"key"));
    let ana = Address::new("+573000000000");
    let point = (Channel::Sms, &ana);
    let unknown = customer_id("nobody");
    store.suppress(&tenant, &secret, point, Some(&unknown), "opt_out", at(0, 1)).await.unwrap();
    assert_eq!(facts(store, "c").await.fence.version, 1);
    store.suppress(&tenant, &secret, point, Some(&customer_id("c")), "opt_out", at(0, 1)).await.unwrap();
    assert_eq!(facts(store, "c").await.fence.version, 2);
    assert_eq!(store.suppressed(&tenant, &secret, &[point]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_keeps_what_was_stored_and_can_be_copied() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("a.db"), directory.path().join("b.db"));
    {
        let store = Store::file(&path).unwrap();
        store.create_tables().await.unwrap();
        with_two_obligations(&store).await;
    }
    let store = Store::file(&path).unwrap();
    store.create_tables().await.unwrap();
    let before = facts(&store, "c").await;
    store.snapshot_into(&copy).await.unwrap();
    store.import_payments(&scope(), 2, day(20), &[payment("p", "a", 1_000, 6)]).await.unwrap();
    assert_eq!(facts(&Store::file(&copy).unwrap(), "c").await, before);
    assert_eq!(facts(&store, "c").await.fence.version, 2);
}
