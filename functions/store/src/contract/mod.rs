//! One contract for every backend: the embedded database in memory and on a file, and the client of the real
//! service against the embedded engine served over HTTP. Each test runs on all of them.

mod capacity;
mod choices;
mod claims;
mod decisions;
mod documents;
mod imports;
mod people;
mod rates;
mod records;
mod scans;
mod stages;
mod tenants;
mod touches;
mod unknown;

use chrono::{DateTime, NaiveDate, Utc};
use domain::channel::{Channel, Purpose, Tone};
use domain::contact::{Address, Consent, ContactPoint, PersonName};
use domain::customer::{Customer, Role};
use domain::decision::{
    Cause, DecisionRecord, RECORD_VERSION, RecordedReason, RecordedTouch, RecordedVerdict,
};
use domain::fence::Fence;
use domain::ids::{CustomerId, ObligationId, PaymentId, PolicyId, StageId, TemplateId, TenantId, TouchId};
use domain::import::record::{AccountRow, PaymentRow};
use domain::money::Money;
use domain::obligation::Obligation;
use domain::touch::{Touch, TouchItem, touch_id};
use domain::verdict::Decision;

use crate::{Claim, ClaimError, CustomerFacts, HeldClaim, Scope, Store, TouchKey, WaveKey};

/// A store and what must outlive it.
struct Fixture {
    store: Store,
    _directory: Option<tempfile::TempDir>,
}

impl std::ops::Deref for Fixture {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

async fn memory() -> Fixture {
    let store = Store::memory().unwrap();
    store.create_tables().await.unwrap();
    Fixture { store, _directory: None }
}

async fn file() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::file(&directory.path().join("store.db")).unwrap();
    store.create_tables().await.unwrap();
    Fixture { store, _directory: Some(directory) }
}

/// The AWS backend against the embedded engine, served on the loopback interface until the runtime ends.
#[cfg(feature = "aws")]
async fn aws() -> Fixture {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};

    let database = dynoxide::Database::memory().unwrap();
    Store::embedded(database.clone()).create_tables().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    let credentials = Credentials::builder()
        .access_key_id("test")
        .secret_access_key("test")
        .provider_name("contract test")
        .build();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(credentials)
        .build();
    let store = Store::aws(aws_sdk_dynamodb::Client::from_conf(config), crate::TableNames::default());
    Fixture { store, _directory: None }
}

/// The store of simulations, which must answer as the database under it does.
#[cfg(feature = "faults")]
async fn simulated() -> Fixture {
    let store = Store::simulated().unwrap();
    store.create_tables().await.unwrap();
    Fixture { store, _directory: None }
}

/// Runs async tests of one store on every backend.
macro_rules! on_every_backend {
    ($($name:ident),+ $(,)?) => {
        on_every_billed_backend!($($name),+);
        #[cfg(feature = "faults")]
        mod on_simulated {
            $(#[tokio::test] async fn $name() { super::$name(&*super::super::simulated().await).await })+
        }
    };
}
use on_every_backend;

/// Runs async tests of one store on every backend that counts what it charges for.
macro_rules! on_every_billed_backend {
    ($($name:ident),+ $(,)?) => {
        mod on_memory {
            $(#[tokio::test] async fn $name() { super::$name(&*super::super::memory().await).await })+
        }
        mod on_a_file {
            $(#[tokio::test] async fn $name() { super::$name(&*super::super::file().await).await })+
        }
        #[cfg(feature = "aws")]
        mod on_aws {
            $(#[tokio::test] async fn $name() { super::$name(&*super::super::aws().await).await })+
        }
    };
}
use on_every_billed_backend;

fn scope() -> Scope {
    Scope::new(TenantId::new("demo").unwrap(), 2)
}

fn customer_id(id: &str) -> CustomerId {
    CustomerId::new(id).unwrap()
}

fn obligation_id(id: &str) -> ObligationId {
    ObligationId::new(id).unwrap()
}

/// The day `n` of a made-up calendar: day 0 is 1 March 2026.
fn day(n: i64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() + chrono::Duration::days(n)
}

fn at(on: i64, hour: u32) -> DateTime<Utc> {
    day(on).and_hms_opt(hour, 0, 0).unwrap().and_utc()
}

fn customer(id: &str) -> Customer {
    Customer {
        id: customer_id(id),
        name: PersonName::new("Ana"),
        kind: None,
        role: Role::Debtor,
        country: None,
        time_zone: None,
        language: None,
        segment: None,
        preferred_channel: None,
        contact_points: vec![ContactPoint {
            channel: Channel::Sms,
            address: Address::new("+573000000000"),
            test: true,
        }],
        consents: vec![Consent::of_contract(Channel::Sms, true, day(0))],
        agreed_hours: None,
        hold: None,
    }
}

/// A row: customer, obligation, due on day `due`, 1,000 minor units.
fn row(customer_of: &str, obligation: &str, due: i64) -> AccountRow {
    AccountRow {
        line: 2,
        customer: customer(customer_of),
        obligation: Obligation {
            id: obligation_id(obligation),
            customer: customer_id(customer_of),
            account: None,
            due_on: day(due),
            amount: Money::new(1_000, "PEN".parse().unwrap()),
            paid_minor: 0,
            closed_on: None,
            holds: vec![],
        },
        known_on: None,
        closed_on: None,
        dispute: None,
    }
}

fn payment(id: &str, obligation: &str, amount_minor: i64, paid: i64) -> PaymentRow {
    PaymentRow {
        line: 2,
        id: PaymentId::new(id).unwrap(),
        customer: customer_id("c"),
        obligation: obligation_id(obligation),
        amount_minor,
        paid_on: day(paid),
    }
}

/// A touch about some obligations, all due on day 5, at one stage.
fn touch(customer_of: &str, obligations: &[&str], (stage, dpd): (&str, i32), on: i64) -> Touch {
    let stage = StageId::new(stage).unwrap();
    let items: Vec<TouchItem> = obligations
        .iter()
        .map(|o| TouchItem { obligation: obligation_id(o), due_on: day(5), stage: stage.clone(), dpd })
        .collect();
    Touch {
        id: touch_id(&scope().tenant, &items, Channel::Sms),
        customer: customer_id(customer_of),
        on: day(on),
        send_at: at(on, 15),
        channel: Channel::Sms,
        stage,
        tone: Tone::Friendly,
        purpose: Purpose::of_dpd(dpd),
        template: TemplateId::new("friendly").unwrap(),
        items,
        policy: PolicyId::new("standard").unwrap(),
        policy_version: 3,
    }
}

/// A decision about a customer on a fence, with one verdict about each of its obligations.
fn decision(
    scope: &Scope,
    customer: &str,
    obligations: &[&str],
    fence: &Fence,
    (decision, code, at): (Decision, &'static str, DateTime<Utc>),
) -> DecisionRecord {
    let reason = RecordedReason { code: code.into(), rule: Some(0), detail: None, until_ms: None };
    let verdict = |o: &&str| RecordedVerdict {
        obligation: obligation_id(o),
        due_on: day(5),
        stage: Some(StageId::new("s1").unwrap()),
        decision,
        reasons: vec![reason.clone()],
    };
    DecisionRecord {
        v: RECORD_VERSION,
        tenant: scope.tenant.clone(),
        customer: customer_id(customer),
        at_ms: at.timestamp_millis(),
        local: (at - chrono::Duration::hours(5)).format("%Y-%m-%dT%H:%M:%S%.3f-05:00").to_string(),
        zone: "America/Bogota".parse().unwrap(),
        cause: Cause::Plan,
        policy: PolicyId::new("standard").unwrap(),
        policy_version: 3,
        policy_hash: "0123456789abcdef".repeat(2),
        profile: "CO".to_owned(),
        profile_version: "0123456789abcdef".to_owned(),
        fence_version: fence.version,
        inputs: "0".repeat(64),
        verdicts: obligations.iter().map(verdict).collect(),
        verdicts_left_out: 0,
        touch: None,
        prev: fence.audit_head.clone(),
    }
}

/// Claims a touch with the decision that would ask for it.
async fn claim_at(
    store: &Store,
    scope: &Scope,
    touch: &Touch,
    fence: &Fence,
    at: DateTime<Utc>,
) -> Result<Claim, ClaimError> {
    let obligations: Vec<&str> = touch.items.iter().map(|i| i.obligation.as_str()).collect();
    let send = (Decision::Send, "stage_due", at);
    let told = decision(scope, touch.customer.as_str(), &obligations, fence, send);
    let record = DecisionRecord { cause: Cause::Claim, touch: Some(RecordedTouch::of(touch)), ..told };
    store.claim(scope, touch, fence, &record).await
}

async fn facts(store: &Store, id: &str) -> CustomerFacts {
    store.customer_facts(&scope().tenant, &customer_id(id)).await.unwrap().unwrap()
}

/// The claim under which a touch is now; one that was never made where there is none.
async fn held(store: &Store, place: &TouchKey) -> HeldClaim {
    let found = store.touch(&scope().tenant, place).await.unwrap();
    let fence_version = found.and_then(|touch| touch.fence_version).unwrap_or_default();
    HeldClaim { touch: place.clone(), fence_version }
}

/// One customer `c` with the open obligations `a` and `b`, both due on day 5.
async fn with_two_obligations(store: &Store) {
    let rows = [row("c", "a", 5), row("c", "b", 5)];
    store.import_accounts(&scope(), 1, day(0), &rows).await.unwrap();
}

async fn plan(store: &Store, touch: &Touch) {
    store.plan_touch(&scope(), touch).await.unwrap();
}

/// Where a planned touch waits.
fn wave_of(touch: &Touch) -> WaveKey {
    let shard = scope().shard_of(&touch.customer);
    WaveKey { touch: TouchKey::of(touch), shard, send_at: touch.send_at }
}

fn other_touch_id() -> TouchId {
    TouchId::new("another").unwrap()
}
