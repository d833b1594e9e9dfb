//! Policies: brought, checked whole, on record, and refused where customers would be reminded twice.

use domain::ids::{PolicyId, TenantId};

use super::*;

const DEFAULT: &str = "/v1/tenants/andino/policies/default";

fn manager() -> Holder {
    person("manager", "andino")
}

fn demo() -> String {
    include_str!("../../../../infra/demo/policy.toml").to_owned()
}

async fn put(api: &Api, path: &str, text: &str) -> Told {
    api.ask(&manager(), Method::PUT, path, &[], Some(&json!({ "text": text }))).await
}

async fn active(api: &Api) -> Option<u32> {
    let (tenant, policy) = (TenantId::new("andino").unwrap(), PolicyId::new("default").unwrap());
    api.store.active_policy_version(&tenant, &policy).await.unwrap()
}

#[tokio::test]
async fn a_policy_is_brought_shown_and_on_record() {
    let api = Api::with_tenant().await;
    let none = api.get(&manager(), DEFAULT).await;
    assert_eq!((none.status, none.code()), (StatusCode::NOT_FOUND, "not_found"));
    let brought = put(&api, DEFAULT, &demo()).await;
    assert_eq!(brought.status, StatusCode::OK, "{}", brought.body);
    let hash = brought.body["hash"].clone();
    assert_eq!(brought.body, json!({"id": "default", "version": 1, "hash": hash, "is_followed": true}));
    let shown = api.get(&person("auditor", "andino"), DEFAULT).await;
    let changes = json!([{"version": 1, "by": "manager-1", "at": "2026-11-20T15:00:30Z"}]);
    let expected = json!({
        "id": "default", "version": 1, "hash": hash, "is_followed": true, "text": demo(), "changes": changes,
    });
    assert_eq!(shown.body, expected);
    assert_eq!(put(&api, DEFAULT, &demo()).await.status, StatusCode::OK, "again is fine");
    assert_eq!(active(&api).await, Some(1));
    let next = demo().replacen("version = 1", "version = 2", 1);
    assert_eq!(put(&api, DEFAULT, &next).await.body["version"], 2);
    assert_eq!(active(&api).await, Some(2));
    assert_eq!(put(&api, DEFAULT, &demo()).await.body["version"], 1, "the one before can be gone back to");
    assert_eq!(active(&api).await, Some(1));
}

#[tokio::test]
async fn what_speaks_against_a_policy_is_said_whole_and_nothing_is_stored() {
    let api = Api::with_tenant().await;
    let refused = async |path: &str, text: &str| {
        let told = put(&api, path, text).await;
        assert_eq!(
            (told.status, told.code()),
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            "{}",
            told.body
        );
        told.body["mistakes"].to_string()
    };
    let unknown = refused(DEFAULT, "id = \"default\"\ncolour = 1\n").await;
    assert!(unknown.contains("colour") && unknown.contains("/text"), "{unknown}");
    let other = refused("/v1/tenants/andino/policies/other", &demo()).await;
    assert!(other.contains("is the text of policy default") && other.contains("the id other"), "{other}");
    let threat = demo().replacen("{{ amount }}", "{{ amount }} o lo embargaremos", 1);
    let threat = refused(DEFAULT, &threat).await;
    assert!(threat.contains("CO: line ") && threat.contains("embarg"), "{threat}");
    assert_eq!(active(&api).await, None);
    let no_id = put(&api, "/v1/tenants/andino/policies/a%00b", &demo()).await;
    assert_eq!(no_id.code(), "not_found");
    let no_text = api.ask(&manager(), Method::PUT, DEFAULT, &[], Some(&json!({"policy": ""}))).await;
    assert_eq!(no_text.code(), "invalid");
}

#[tokio::test]
async fn a_version_that_would_remind_twice_is_in_the_way() {
    let api = Api::with_tenant().await;
    assert_eq!(put(&api, DEFAULT, &demo()).await.status, StatusCode::OK);
    let other_text = demo().replacen("until_dpd = ", "until_dpd = 1", 1);
    let told = put(&api, DEFAULT, &other_text).await;
    assert_eq!((told.status, told.code()), (StatusCode::PRECONDITION_FAILED, "precondition_failed"));
    assert!(told.body["detail"].as_str().unwrap().contains("another text"), "{}", told.body);
    let moved = demo().replacen("version = 1", "version = 2", 1).replacen("dpd = 8", "dpd = 9", 1);
    let told = put(&api, DEFAULT, &moved).await;
    assert_eq!((told.status, told.code()), (StatusCode::PRECONDITION_FAILED, "precondition_failed"));
    assert!(told.body["detail"].as_str().unwrap().contains("d8"), "{}", told.body);
    let shown = api.get(&manager(), DEFAULT).await;
    let versions: Vec<_> = shown.body["changes"].as_array().unwrap().iter().map(|c| &c["version"]).collect();
    assert!(versions.iter().all(|version| **version == 1), "what is refused was not brought: {versions:?}");
    assert_eq!(active(&api).await, Some(1));
}
