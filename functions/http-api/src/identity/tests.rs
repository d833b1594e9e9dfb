//! What claims come to: roles, and tenants within reach.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const PERMISSIONS: [Permission; 6] = [
    Permission::ManageTenants,
    Permission::ChangeSettings,
    Permission::ReadSettings,
    Permission::RunScan,
    Permission::Import,
    Permission::ReadImports,
];

fn person(groups: Value, tenants: &str) -> Principal {
    let claims = Claims {
        sub: "p".to_owned(),
        groups: Some(groups),
        tenants: Some(tenants.to_owned()),
        ..Claims::default()
    };
    Principal::of(&claims).unwrap()
}

fn may(principal: &Principal, tenant: &str) -> Vec<bool> {
    PERMISSIONS.iter().map(|permission| principal.on(tenant, *permission).is_ok()).collect()
}

#[test]
fn each_role_may_what_it_may_and_no_more() {
    let table = [
        ("administrator", [true, true, true, true, true, true]),
        ("manager", [false, true, true, true, true, true]),
        ("auditor", [false, false, true, false, false, true]),
        ("clerk", [false; 6]),
    ];
    for (group, expected) in table {
        assert_eq!(may(&person(json!([group]), "a"), "a"), expected, "{group}");
        assert_eq!(may(&person(json!([group]), "a"), "b"), [false; 6], "{group} elsewhere");
    }
}

#[test]
fn groups_come_as_a_list_or_as_the_text_of_api_gateway() {
    for groups in [json!(["auditor", "x"]), json!("[auditor x]"), json!("auditor,x"), json!("auditor")] {
        assert!(person(groups, "a").may(Permission::ReadSettings).is_ok());
    }
    for groups in [json!(null), json!(7), json!("[]"), json!({})] {
        assert_eq!(may(&person(groups, "a"), "a"), [false; 6]);
    }
}

#[test]
fn a_star_reaches_all_and_a_name_only_itself() {
    let everywhere = person(json!(["auditor"]), "*");
    assert!(everywhere.on("any", Permission::ReadSettings).is_ok());
    let some = person(json!(["auditor"]), "a  b * Ñ");
    assert!(some.on("b", Permission::ReadSettings).is_ok());
    assert_eq!(some.on("c", Permission::ReadSettings), Err(Refusal::not_found()));
    assert_eq!(some.on("a/../c", Permission::ReadSettings), Err(Refusal::not_found()));
    assert_eq!(some.on("a", Permission::Import), Err(Refusal::forbidden()));
}

#[test]
fn a_program_is_a_partner_on_the_tenants_of_its_scopes() {
    let program = Claims {
        sub: "c1".to_owned(),
        client_id: Some("c1".to_owned()),
        scope: Some("puntual/tenant.a other/tenant.b puntual/tenant.*".to_owned()),
        groups: Some(json!(["administrator"])),
        tenants: Some("*".to_owned()),
    };
    let principal = Principal::of(&program).unwrap();
    assert_eq!(may(&principal, "a"), [false, false, false, false, true, true]);
    assert_eq!(may(&principal, "b"), [false; 6]);
    let a_person = Claims { sub: "p".to_owned(), groups: None, tenants: None, ..program };
    assert_eq!(
        may(&Principal::of(&a_person).unwrap(), "a"),
        [false; 6],
        "a person's scopes count for nothing"
    );
    assert_eq!(Principal::of(&Claims::default()), None);
}

#[cfg(feature = "aws")]
#[test]
fn claims_of_the_gateway_are_texts() {
    let texts =
        [("sub", "p"), ("cognito:groups", "[manager auditor]"), ("custom:tenants", "a"), ("exp", "1")];
    let texts = texts.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
    let principal = Principal::of(&gateway::of_texts(texts).unwrap()).unwrap();
    assert!(principal.on("a", Permission::ChangeSettings).is_ok());
    assert_eq!(gateway::claims(&Extensions::new()), None);
}

proptest! {
    #[test]
    fn nobody_reaches_a_tenant_that_the_claims_do_not_name(
        named in prop::collection::vec("[a-c]{1,2}", 0..4), asked in "[a-c]{1,2}", group in "[a-z]{0,12}",
    ) {
        let principal = person(json!([group, "administrator"]), &named.join(" "));
        let reached = principal.on(&asked, Permission::ReadSettings).is_ok();
        prop_assert_eq!(reached, named.contains(&asked));
    }
}
