//! Tenants: made, shown, changed under a version, paused, deleted; what schedules make of it, and what is on record.

use domain::ids::{PolicyId, TenantId};
use store::TenantAction;

use super::*;

fn admin() -> Holder {
    person("administrator", "*")
}

fn manager() -> Holder {
    person("manager", "andino")
}

const ANDINO: &str = "/v1/tenants/andino";

fn with(key: &str, value: Value) -> Value {
    let mut changed = settings();
    changed[key] = value;
    changed
}

/// The rule of a schedule, and whether it starts anything.
fn scan(api: &Api) -> Option<(String, &'static str, bool)> {
    let found = api.schedules.all().into_iter().find(|s| s.name == "scan-andino")?;
    Some((found.rule.expression(), found.rule.zone_name(), found.enabled))
}

#[tokio::test]
async fn a_tenant_is_made_shown_and_listed() {
    let api = Api::new().await;
    let made = api.post(&admin(), "/v1/tenants", &new_tenant("andino")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!((made.header("location"), made.header("etag")), (ANDINO, "\"v1\""));
    assert_eq!(made.body["schedules"], "followed");
    let shown = api.get(&manager(), ANDINO).await;
    assert_eq!((shown.status, shown.header("etag")), (StatusCode::OK, "\"v1\""));
    assert_eq!(shown.body, json!({"id": "andino", "version": 1, "settings": settings()}));
    api.post(&admin(), "/v1/tenants", &new_tenant("zorro")).await;
    let one = |id: &str| json!({"id": id, "name": "Crédito Andino", "country": "CO", "is_paused": false});
    let listed = api.get(&admin(), "/v1/tenants").await;
    assert_eq!(listed.body, json!({"tenants": [one("andino"), one("zorro")]}));
    let first = api.get(&admin(), "/v1/tenants?limit=1").await;
    assert_eq!(first.body, json!({"tenants": [one("andino")], "next": "andino"}));
    let rest = api.get(&admin(), "/v1/tenants?limit=1&after=andino").await;
    assert_eq!(rest.body["tenants"], json!([one("zorro")]));
    let mine = api.get(&person("auditor", "zorro nobody"), "/v1/tenants").await;
    assert_eq!(mine.body, json!({"tenants": [one("zorro")]}));
    for query in ["limit=0", "limit=51", "limit=x", "page=1"] {
        let told = api.get(&admin(), &format!("/v1/tenants?{query}")).await;
        assert_eq!((told.status, told.code()), (StatusCode::BAD_REQUEST, "malformed"), "{query}");
    }
}

#[tokio::test]
async fn bad_settings_are_refused_with_every_mistake_and_nothing_is_written() {
    let api = Api::new().await;
    let mut bad = new_tenant("andino");
    bad["settings"]["time_zone"] = json!("America/Macondo");
    bad["settings"]["shards"] = json!(0);
    bad["settings"]["lender"]["email"] = json!("x");
    let told = api.post(&admin(), "/v1/tenants", &bad).await;
    assert_eq!((told.status, told.code()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid"));
    let places: Vec<&str> =
        told.body["mistakes"].as_array().unwrap().iter().filter_map(|m| m["pointer"].as_str()).collect();
    assert_eq!(places.len(), 3, "{places:?}");
    for place in ["/settings/time_zone", "/settings/shards", "/settings/lender/email"] {
        assert!(places.contains(&place), "{places:?}");
    }
    assert_eq!(told.header("content-type"), "application/problem+json");
    let id = api.post(&admin(), "/v1/tenants", &new_tenant("No Slug")).await;
    assert_eq!(id.body["mistakes"][0]["pointer"], "/id");
    assert_eq!(api.get(&admin(), ANDINO).await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.schedules.all(), []);
}

#[tokio::test]
async fn a_change_names_the_version_that_it_changes() {
    let api = Api::with_tenant().await;
    let earlier = with("scan_at", json!("06:30:00"));
    let none = api.ask(&manager(), Method::PUT, ANDINO, &[], Some(&earlier)).await;
    assert_eq!((none.status, none.code()), (StatusCode::PRECONDITION_REQUIRED, "precondition_required"));
    let changed = api.put(&manager(), ANDINO, "\"v1\"", &earlier).await;
    assert_eq!((changed.status, changed.header("etag")), (StatusCode::OK, "\"v2\""));
    let late = api.put(&manager(), ANDINO, "\"v1\"", &settings()).await;
    assert_eq!((late.status, late.code()), (StatusCode::PRECONDITION_FAILED, "precondition_failed"));
    let same = api.put(&manager(), ANDINO, "\"v1\", \"v2\"", &earlier).await;
    assert_eq!((same.status, same.header("etag")), (StatusCode::OK, "\"v2\""), "nothing changed");
    let history = api.store.settings_history(&TenantId::new("andino").unwrap()).await.unwrap();
    let told: Vec<_> = history.iter().map(|c| (c.action, c.by.as_str(), c.version)).collect();
    let expected = [(TenantAction::Created, "administrator-1", 1), (TenantAction::Changed, "manager-1", 2)];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn shards_grow_and_never_shrink() {
    let api = Api::with_tenant().await;
    assert_eq!(api.put(&manager(), ANDINO, "\"v1\"", &with("shards", json!(4))).await.status, StatusCode::OK);
    let fewer = api.put(&manager(), ANDINO, "\"v2\"", &with("shards", json!(3))).await;
    assert_eq!(
        (fewer.status, &fewer.body["mistakes"][0]["pointer"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/shards"))
    );
}

#[tokio::test]
async fn a_tenant_changes_to_no_policy_that_would_send_a_stage_again() {
    let api = Api::with_tenant().await;
    let tenant = TenantId::new("andino").unwrap();
    let stored = async |id: &str, dpd: i32| {
        let (id, text) = (PolicyId::new(id).unwrap(), format!("[[stages]]\nid = \"late\"\ndpd = {dpd}\n"));
        api.store.put_policy(&tenant, &id, 1, &text).await.unwrap();
        api.store.activate_policy(&tenant, &id, 1).await.unwrap();
    };
    let change = async |version: &str, policy: &str| {
        api.put(&manager(), ANDINO, version, &with("policy", json!(policy))).await
    };
    stored(settings()["policy"].as_str().unwrap(), 3).await;
    stored("later", 5).await;
    let told = change("\"v1\"", "later").await;
    let mistake = &told.body["mistakes"][0];
    assert_eq!((told.status, &mistake["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/policy")));
    assert!(mistake["problem"].as_str().unwrap().contains("stage late at day 5"), "{mistake}");
    assert!(mistake["expected"].as_str().unwrap().starts_with("the same day"), "{mistake}");
    assert_eq!(change("\"v1\"", "still-to-come").await.status, StatusCode::OK);
}

#[tokio::test]
async fn schedules_follow_the_settings() {
    let api = Api::with_tenant().await;
    assert_eq!(scan(&api), Some(("cron(0 8 * * ? *)".to_owned(), "America/Bogota", true)));
    let mut lima = with("scan_at", json!("06:30:00"));
    lima["time_zone"] = json!("America/Lima");
    api.put(&manager(), ANDINO, "\"v1\"", &lima).await;
    assert_eq!(scan(&api), Some(("cron(30 6 * * ? *)".to_owned(), "America/Lima", true)));
    let paused = api.post(&manager(), &format!("{ANDINO}/pause"), &json!({"reason": "audit"})).await;
    assert_eq!((paused.status, &paused.body["paused"]["by"]), (StatusCode::OK, &json!("manager-1")));
    assert_eq!(scan(&api).map(|(_, _, enabled)| enabled), Some(false));
    let again = api.post(&manager(), &format!("{ANDINO}/pause"), &json!({"reason": "again"})).await;
    assert_eq!(again.body["version"], paused.body["version"], "it is paused already");
    let kept = api.put(&manager(), ANDINO, "\"v3\"", &settings()).await;
    assert_eq!(kept.body["paused"]["reason"], "audit", "settings do not resume");
    let scan_now = api.post(&manager(), &format!("{ANDINO}/scan"), &json!({})).await;
    assert_eq!((scan_now.status, scan_now.code()), (StatusCode::CONFLICT, "paused"));
    let resumed = api.post(&manager(), &format!("{ANDINO}/resume"), &json!({"reason": "done"})).await;
    assert_eq!(resumed.body.get("paused"), None);
    assert_eq!(scan(&api), Some(("cron(0 8 * * ? *)".to_owned(), "America/Bogota", true)));
    let started = api.post(&manager(), &format!("{ANDINO}/scan"), &json!({})).await;
    assert_eq!(
        (started.status, &started.body["starts_at"]),
        (StatusCode::ACCEPTED, &json!("2026-11-20T15:02:00Z"))
    );
    for reason in [json!(""), json!(" "), json!("a\nb"), json!("x".repeat(201))] {
        let told = api.post(&manager(), &format!("{ANDINO}/pause"), &json!({"reason": reason})).await;
        assert_eq!(told.status, StatusCode::UNPROCESSABLE_ENTITY, "{reason}");
    }
    let history = api.store.settings_history(&TenantId::new("andino").unwrap()).await.unwrap();
    let reasons: Vec<_> = history.iter().filter_map(|c| c.reason.as_deref()).collect();
    assert_eq!(reasons, ["audit", "done"]);
}

#[tokio::test]
async fn only_a_paused_tenant_is_deleted_and_its_id_is_used_up() {
    let api = Api::with_tenant().await;
    let delete = async |seen| api.ask(&admin(), Method::DELETE, ANDINO, &[("if-match", seen)], None).await;
    assert_eq!(delete("\"v1\"").await.code(), "not_paused");
    api.post(&manager(), &format!("{ANDINO}/pause"), &json!({"reason": "leaving"})).await;
    assert_eq!(delete("\"v1\"").await.code(), "precondition_failed");
    assert_eq!(delete("\"v2\"").await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.schedules.all(), []);
    assert_eq!(delete("\"v2\"").await.status, StatusCode::NOT_FOUND);
    let again = api.post(&admin(), "/v1/tenants", &new_tenant("andino")).await;
    assert_eq!((again.status, again.code()), (StatusCode::CONFLICT, "id_taken"));
    assert_eq!(api.get(&admin(), "/v1/tenants").await.body, json!({"tenants": []}));
}
