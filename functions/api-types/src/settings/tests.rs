//! Settings are read whole, or refused with everything that is wrong.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-20T15:00:00Z".parse().unwrap()
}

fn demo() -> Value {
    let demo: Tenant = toml::from_str(include_str!("../../../../infra/demo/tenant.toml")).unwrap();
    serde_json::to_value(Settings::from(demo)).unwrap()
}

fn exception(code: &str, approved_on: &str) -> Value {
    json!({
        "code": code, "sentence": "Calle del Juez número tres", "reason": "Una dirección", "approved_by": "Legal",
        "approved_on": approved_on
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut document = demo();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[key] = value;
    document
}

fn places(document: &Value) -> Vec<String> {
    Settings::read(document, now()).unwrap_err().into_iter().map(|m| m.pointer).collect()
}

#[test]
fn the_demos_settings_are_read_and_written_alike() {
    let settings = Settings::read(&demo(), now()).unwrap();
    assert_eq!(serde_json::to_value(&settings).unwrap(), demo());
    let slug = TenantSlug::new("demo").unwrap();
    let tenant = settings.clone().of_tenant(&slug, None);
    assert_eq!(Settings::from(tenant), settings);
}

#[test]
fn every_setting_of_a_tenant_can_be_changed_here() {
    let slug = TenantSlug::new("demo").unwrap();
    let full = with("/currency", json!("COP"));
    let mut full = full.as_object().unwrap().clone();
    full.insert("retain_days".to_owned(), json!(400));
    full.insert("mapping".to_owned(), json!(include_str!("../../../../infra/demo/portfolio.toml")));
    full.insert("rates".to_owned(), json!({"email": 3}));
    full.insert("daily_quotas".to_owned(), json!({"sms": 500}));
    full.insert("on_unknown".to_owned(), json!({"email": "prefer_delivery"}));
    full.insert("countries".to_owned(), json!(["PE"]));
    full.insert("text_exceptions".to_owned(), json!([exception("threat", "2026-11-20")]));
    full.insert(
        "contact_rules".to_owned(),
        json!({"CO": {"closed_days": [{"on": "2026-12-24", "reason": "x"}]}}),
    );
    let tenant = Settings::read(&Value::Object(full), now()).unwrap().of_tenant(&slug, None);
    let written = serde_json::to_value(tenant).unwrap();
    let keys: Vec<&String> = written.as_object().unwrap().keys().filter(|k| *k != "id").collect();
    assert_eq!(keys.len(), KEYS.len(), "{keys:?}");
}

#[test]
fn each_mistake_is_found_at_its_place() {
    let cases = [
        (with("/country", json!("Colombia")), "/country"),
        (with("/jurisdiction", json!("XX")), "/jurisdiction"),
        (with("/time_zone", json!("America/Macondo")), "/time_zone"),
        (with("/language", json!("fr")), "/language"),
        (with("/currency", json!("QQQ")), "/currency"),
        (with("/scan_at", json!("25:00")), "/scan_at"),
        (with("/scan_at", json!("08:00:01")), "/scan_at"),
        (with("/shards", json!(0)), "/shards"),
        (with("/shards", json!(257)), "/shards"),
        (with("/shards", json!("1")), "/shards"),
        (with("/policy", json!("")), "/policy"),
        (with("/mapping", json!("nonsense")), "/mapping"),
        (with("/rates", json!({"email": 0})), "/rates/email"),
        (with("/rates", json!({"fax": 1})), "/rates/fax"),
        (with("/daily_quotas", json!({"email": 0})), "/daily_quotas/email"),
        (with("/on_unknown", json!({"sms": "resend"})), "/on_unknown/sms"),
        (with("/countries", json!(["PE", "Peru"])), "/countries/1"),
        (with("/countries", json!(vec!["PE"; COUNTRIES_MAX + 1])), "/countries"),
        (with("/text_exceptions", json!([exception("colour", "2026-11-20")])), "/text_exceptions/0"),
        (
            with("/text_exceptions", json!([exception("threat", "2026-11-21")])),
            "/text_exceptions/0/approved_on",
        ),
        (with("/retain_days", json!(0)), "/retain_days"),
        (with("/lender/email", json!("nobody")), "/lender/email"),
        (with("/lender/name", json!(" ")), "/lender/name"),
        (with("/lender/ways_to_pay", json!(["a", "b\nc"])), "/lender/ways_to_pay/1"),
        (
            with("/contact_rules", json!({"CO": {"closed_days": [{"on": "2099-01-01", "reason": "x"}]}})),
            "/contact_rules/CO/closed_days/0/on",
        ),
        (with("/contact_rules", json!({"ZZ": {}})), "/contact_rules/ZZ"),
        (with("/colour", json!("blue")), "/colour"),
        (with("/paused", json!(true)), "/paused"),
        (with("/id", json!("other")), "/id"),
        (json!([]), ""),
    ];
    for (document, place) in cases {
        let found = places(&document);
        assert_eq!(found, [place], "{document}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let document = json!({
        "country": "X", "jurisdiction": "XX", "time_zone": 7, "scan_at": "08:00:30", "shards": 0,
        "lender": {"name": "", "phone": "1", "email": "x", "ways_to_pay": [], "opt_out_email": "a", "opt_out_sms": "b"},
        "fax": 1
    });
    let found = places(&document);
    for place in [
        "/fax",
        "/country",
        "/jurisdiction",
        "/time_zone",
        "/language",
        "/scan_at",
        "/shards",
        "/policy",
        "/lender/name",
        "/lender/email",
    ] {
        assert_eq!(found.iter().filter(|p| *p == place).count(), 1, "{place} in {found:?}");
    }
    let mistakes = Settings::read(&document, now()).unwrap_err();
    assert!(mistakes.iter().all(|m| !m.expected.is_empty()), "{mistakes:#?}");
}

proptest! {
    #[test]
    fn whatever_stands_under_a_key_is_read_or_refused_there(
        index in 0..KEYS.len(),
        value in prop_oneof![
            Just(json!(null)), any::<i64>().prop_map(|n| json!(n)), any::<bool>().prop_map(|b| json!(b)),
            "[a-zA-Z0-9:/ _-]{0,20}".prop_map(|s| json!(s)), Just(json!([])), Just(json!({})), Just(json!({"a": [1]})),
        ],
    ) {
        let key = KEYS[index].0;
        let mut document = demo();
        document[key] = value;
        if let Err(mistakes) = Settings::read(&document, now()) {
            prop_assert!(!mistakes.is_empty());
            for mistake in mistakes {
                let within = format!("/{key}");
                prop_assert!(mistake.pointer == within || mistake.pointer.starts_with(&format!("{within}/")), "{mistake:?}");
            }
        }
    }
}
