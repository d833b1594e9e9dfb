//! Events of every kind, over a store in memory.

use chrono::NaiveDate;
use domain::choice::OptOutLink;
use domain::contact::ContactPoint;
use domain::ids::ObligationId;
use domain::import::record::AccountRow;
use domain::money::Money;
use domain::obligation::Obligation;
use domain::policy::Policy;
use domain::tenant::Tenant;
use runtime::rules::suppressed_channels;
use serde_json::{Value, json};
use store::SettingsDoc;

use super::*;

const TENANT: &str = include_str!("../../../infra/demo/tenant.toml");
const POLICY: &str = include_str!("../../../infra/demo/policy.toml");
const NOW: &str = "2026-11-23T13:00:00Z";

fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

fn ana() -> CustomerId {
    CustomerId::new("ana").unwrap()
}

/// The function's surroundings, with one customer in Colombia who can be reached by SMS.
async fn deps() -> (Deps, TenantId) {
    let store = Store::memory().unwrap();
    store.create_tables().await.unwrap();
    let tenant: Tenant = toml::from_str(TENANT).unwrap();
    let policy = Policy::parse(POLICY).unwrap();
    let document = serde_json::to_string(&tenant).unwrap();
    store.put_settings(&tenant.id, &SettingsDoc { version: 1, document }).await.unwrap();
    store.put_policy(&tenant.id, &policy.id, policy.version, POLICY).await.unwrap();
    store.activate_policy(&tenant.id, &policy.id, policy.version).await.unwrap();
    let on = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
    let customer: Customer = serde_json::from_value(json!({
        "id": "ana", "name": "Cliente de prueba", "country": "CO",
        "consents": [{"channel": "sms", "granted": true, "on": "2026-01-01", "source": "contract"}],
    }))
    .unwrap();
    let point = ContactPoint { channel: Channel::Sms, address: Address::new("+573001234567"), test: true };
    let row = AccountRow {
        line: 2,
        customer: Customer { contact_points: vec![point], ..customer },
        obligation: Obligation {
            id: ObligationId::new("a").unwrap(),
            customer: ana(),
            account: None,
            due_on: on,
            amount: Money::new(100, "COP".parse().unwrap()),
            paid_minor: 0,
            closed_on: None,
            holds: vec![],
        },
        known_on: None,
        closed_on: None,
        dispute: None,
    };
    let scope = store::Scope::new(tenant.id.clone(), tenant.shards);
    store.import_accounts(&scope, 1, on, &[row]).await.unwrap();
    let deps = Deps {
        store,
        rules: RulesCache::default(),
        suppression: SuppressionKey::new(*b"a key of the tests"),
        links: OptOutKey::new(*b"a key of the links"),
    };
    (deps, tenant.id)
}

async fn give(deps: &Deps, tenant: &TenantId, event: Value) -> Result<Outcome, RecordError> {
    let mut events = events_of(event, tenant).unwrap();
    assert_eq!(events.len(), 1);
    handle(deps, events.remove(0), now()).await
}

/// `yes`, or why the customer cannot be reached by SMS about what is overdue.
async fn reach(deps: &Deps, tenant: &TenantId) -> &'static str {
    use domain::customer::Reach;
    let customer = deps.store.customer_facts(tenant, &ana()).await.unwrap().unwrap().customer;
    if suppressed_channels(&deps.store, &deps.suppression, tenant, &customer)
        .await
        .unwrap()
        .contains(&Channel::Sms)
    {
        return "suppressed";
    }
    match customer.reachable(Channel::Sms, domain::channel::Purpose::Overdue) {
        Reach::At(_) => "yes",
        Reach::OptedOut => "withdrawn",
        Reach::NoConsent | Reach::NoContactPoint | Reach::Suppressed => "no",
    }
}

fn said(kind: &str, id: &str, tenant: &TenantId, at: &str) -> Value {
    json!({"v": 1, "kind": kind, "id": id, "tenant": tenant, "customer": "ana", "channel": "all",
           "source": "api", "evidence": "rec-1", "at": at})
}

fn sms(body: &str, from: &str, at: &str) -> Value {
    let message = json!({
        "originationNumber": from, "destinationNumber": "+18885550100", "messageKeyword": "KEYWORD_1",
        "messageBody": body, "inboundMessageId": "in-1", "previousPublishedMessageId": "out-1",
    });
    json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message.to_string(), "Timestamp": at}}]})
}

#[tokio::test]
async fn a_word_by_api_counts_from_its_moment_and_once() {
    let (deps, tenant) = deps().await;
    let withdrawal = said("withdrawn", "e-1", &tenant, "2026-11-23T12:00:00Z");
    let done = give(&deps, &tenant, withdrawal.clone()).await.unwrap();
    assert!(matches!(done, Outcome::Recorded { .. }));
    assert_eq!(reach(&deps, &tenant).await, "withdrawn");
    let again = give(&deps, &tenant, withdrawal).await.unwrap();
    assert!(matches!(again, Outcome::Unchanged { .. }));
    give(&deps, &tenant, said("given", "e-0", &tenant, "2026-11-23T11:59:59Z")).await.unwrap();
    assert_eq!(reach(&deps, &tenant).await, "withdrawn", "an older word that comes late changes nothing");
    give(&deps, &tenant, said("given", "e-2", &tenant, "2026-11-23T12:00:01Z")).await.unwrap();
    assert_eq!(reach(&deps, &tenant).await, "yes");
    let future = give(&deps, &tenant, said("given", "e-3", &tenant, "2026-11-23T13:05:01Z")).await;
    assert!(matches!(future, Err(RecordError::Future { .. })));
}

#[tokio::test]
async fn a_link_withdraws_its_channel_each_time_and_a_forged_one_nothing() {
    let (deps, tenant) = deps().await;
    let link = OptOutLink {
        tenant: tenant.clone(),
        customer: ana(),
        channel: Channel::Sms,
        issued_on: now().date_naive(),
    };
    let follow = |token: &str, at: &str| json!({"v": 1, "kind": "link", "token": token, "at": at});
    let forged = OptOutKey::new(*b"another").token(&link);
    let refused = give(&deps, &tenant, follow(&forged, "2026-11-23T12:00:00Z")).await;
    assert!(matches!(refused, Err(RecordError::Token(TokenError::Forged))));
    assert_eq!(reach(&deps, &tenant).await, "yes");
    let token = deps.links.token(&link);
    give(&deps, &tenant, follow(&token, "2026-11-23T12:00:00Z")).await.unwrap();
    assert_eq!(reach(&deps, &tenant).await, "withdrawn");
    // What stays on record says that a link was followed, and holds nothing that it could be made from again.
    let trail = deps.store.audit_trail(&tenant, &ana()).await.unwrap();
    let document = &trail.last().unwrap().document;
    assert!(
        document.contains("\"link ") && token.split('.').all(|part| !document.contains(part)),
        "{document}"
    );
    give(&deps, &tenant, said("given", "e-2", &tenant, "2026-11-23T12:30:00Z")).await.unwrap();
    assert_eq!(reach(&deps, &tenant).await, "yes");
    let twice = give(&deps, &tenant, follow(&token, "2026-11-23T12:00:00Z")).await.unwrap();
    assert!(matches!(twice, Outcome::Unchanged { .. }));
    assert_eq!(reach(&deps, &tenant).await, "yes");
    give(&deps, &tenant, follow(&token, "2026-11-23T12:40:00Z")).await.unwrap();
    assert_eq!(reach(&deps, &tenant).await, "withdrawn");
}

#[tokio::test]
async fn a_reply_of_a_keyword_counts_and_any_other_is_for_a_person() {
    let (deps, tenant) = deps().await;
    let own = "+573001234567";
    let first = give(&deps, &tenant, sms("ALTA", own, "2026-11-23T11:00:00Z")).await.unwrap();
    assert!(matches!(first, Outcome::ForPerson(_)), "who never stopped has nothing to take back");
    let stop = give(&deps, &tenant, sms("No más.", own, "2026-11-23T12:00:00Z")).await.unwrap();
    assert!(matches!(stop, Outcome::Suppressed { .. }));
    assert_eq!(reach(&deps, &tenant).await, "suppressed");
    let question = give(&deps, &tenant, sms("¿Cuánto debo?", own, "2026-11-23T12:10:00Z")).await.unwrap();
    let printed = format!("{question:?}");
    assert!(matches!(question, Outcome::ForPerson(_)));
    assert!(!printed.contains("debo") && !printed.contains("300123"), "{printed}");
    assert_eq!(reach(&deps, &tenant).await, "suppressed");
    let again = give(&deps, &tenant, sms("alta", own, "2026-11-23T12:20:00Z")).await.unwrap();
    assert!(matches!(again, Outcome::Lifted { .. }));
    assert_eq!(reach(&deps, &tenant).await, "yes");
    let service = give(&deps, &tenant, sms("STOP", "BANCO", "2026-11-23T12:30:00Z")).await.unwrap();
    assert!(matches!(service, Outcome::ForPerson(_)));
}

#[tokio::test]
async fn a_reply_does_not_bring_back_what_was_withdrawn_otherwise() {
    let (deps, tenant) = deps().await;
    give(&deps, &tenant, said("withdrawn", "e-1", &tenant, "2026-11-23T10:00:00Z")).await.unwrap();
    for (body, at) in [("BAJA", "2026-11-23T11:00:00Z"), ("ALTA", "2026-11-23T12:00:00Z")] {
        give(&deps, &tenant, sms(body, "+573001234567", at)).await.unwrap();
    }
    assert_eq!(reach(&deps, &tenant).await, "withdrawn");
}

#[tokio::test]
async fn other_hours_are_refused_with_the_reason_or_kept() {
    let (deps, tenant) = deps().await;
    let asks = |id: &str, document_on: &str, customer: &str| {
        json!({"v": 1, "kind": "hours", "id": id, "tenant": tenant, "customer": customer, "at": "2026-11-23T12:00:00Z",
               "request": {"channels": ["sms"], "hours": [{"days": ["sun"], "from": "10:00", "to": "12:00"}],
                           "document": "doc-1", "document_on": document_on, "contract_on": "2026-01-10"}})
    };
    let early = give(&deps, &tenant, asks("h-1", "2026-01-10", "ana")).await.unwrap_err();
    assert!(matches!(early, RecordError::Hours(HoursRefusal::NotLater { .. })));
    let future = give(&deps, &tenant, asks("h-1", "2026-11-24", "ana")).await.unwrap_err();
    assert!(matches!(future, RecordError::Hours(HoursRefusal::Future { .. })));
    let nobody = give(&deps, &tenant, asks("h-1", "2026-02-10", "nobody")).await.unwrap_err();
    assert!(matches!(nobody, RecordError::UnknownCustomer(_)));
    let agreed =
        async || deps.store.customer_facts(&tenant, &ana()).await.unwrap().unwrap().customer.agreed_hours;
    assert_eq!(agreed().await, None);
    give(&deps, &tenant, asks("h-1", "2026-02-10", "ana")).await.unwrap();
    assert!(agreed().await.is_some());
}

#[test]
fn an_event_of_another_version_or_form_is_refused_without_its_words() {
    let tenant = TenantId::new("demo").unwrap();
    let good = said("given", "e-1", &tenant, NOW);
    assert!(events_of(good.clone(), &tenant).is_ok());
    for (key, value) in [
        ("v", json!(2)),
        ("kind", json!("maybe")),
        ("channel", json!("secreto")),
        ("purposes", json!([])),
        ("evidence", json!("secreto@example.com")),
        ("secreto", json!(1)),
    ] {
        let mut event = good.clone();
        event[key] = value;
        let error = events_of(event, &tenant).unwrap_err().to_string();
        assert!(!error.contains("secreto"), "{error}");
    }
}

#[tokio::test]
async fn what_may_be_a_name_or_a_number_is_no_reference_to_evidence() {
    let (deps, tenant) = deps().await;
    for person in ["Ana Rojas", "AnaRojas", "300-123-4567", "TEL-3001234567"] {
        let mut event = said("given", "e-1", &tenant, NOW);
        event["evidence"] = json!(person);
        let events = events_of(event, &tenant).unwrap();
        for event in events {
            let error = handle(&deps, event, now()).await.unwrap_err().to_string();
            assert!(error.contains("DOC-2026-000123") && !error.contains(person), "{error}");
        }
    }
    assert!(deps.store.audit_trail(&tenant, &ana()).await.unwrap().is_empty());
}
