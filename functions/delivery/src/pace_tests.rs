//! Many senders, one rate: over the real handler and a real store, in virtual time, with clocks that are a little off,
//! a store that takes its time and a provider that takes longer.

use std::sync::{Mutex, PoisonError};

use channels::{Answer, Outcome, Outgoing, ScriptedProvider, Sender};
use chrono::NaiveDate;
use domain::choice::OptOutKey;
use domain::contact::{Address, Consent, ContactPoint, PersonName};
use domain::customer::{Customer, Role};
use domain::ids::{CustomerId, ObligationId, TouchId};
use domain::import::record::AccountRow;
use domain::money::Money;
use domain::obligation::Obligation;
use domain::policy::Policy;
use domain::tenant::Rate;
use runtime::batch::event_of;
use runtime::decision_log::DecisionLog;
use runtime::job::{JOB_VERSION, Job, TouchJob};
use runtime::queue::{MemoryQueue, Queue};
use runtime::rules::RulesCache;
use store::{Pause, Scope, SettingsDoc, StoreCall, Strike, SuppressionKey, Weather};

use super::*;
use crate::{Deps, handle};

const TENANT: &str = include_str!("../../../infra/demo/tenant.toml");
const POLICY: &str = include_str!("../../../infra/demo/policy.toml");
/// How many messages one call of the function is given.
const BATCH: usize = 10;

fn monday() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-23T08:00:00-05:00").expect("an instant").to_utc()
}

/// Numbers that look like chance and are the same in every run.
#[derive(Debug)]
struct Dice(Mutex<u64>);

impl Dice {
    fn between(&self, from: u64, to: u64) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from + (*state >> 33) % (to - from + 1)
    }

    async fn pause(&self, from_ms: u64, to_ms: u64) {
        tokio::time::sleep(std::time::Duration::from_millis(self.between(from_ms, to_ms))).await;
    }
}

/// Every request to the store takes some milliseconds.
#[derive(Debug)]
struct Slow(Dice, (u64, u64));

impl Weather for Slow {
    fn before<'a>(&'a self, _: &'a StoreCall) -> Pause<'a> {
        let (from_ms, to_ms) = self.1;
        Box::pin(self.0.pause(from_ms, to_ms))
    }

    fn strike(&self, _: &StoreCall) -> Strike {
        Strike::Spare
    }

    fn after<'a>(&'a self, _: &'a StoreCall, _: bool) -> Pause<'a> {
        let (from_ms, to_ms) = self.1;
        Box::pin(self.0.pause(from_ms, to_ms))
    }
}

/// A provider that notes when it was called, and answers later.
struct Provider {
    dice: Dice,
    started: Instant,
    calls_ms: Arc<Mutex<Vec<u128>>>,
    throttles: bool,
}

impl ScriptedProvider for Provider {
    fn call<'a>(&'a self, outgoing: &'a Outgoing<'a>) -> Answer<'a> {
        Box::pin(async move {
            let at_ms = self.started.elapsed().as_millis();
            self.calls_ms.lock().unwrap_or_else(PoisonError::into_inner).push(at_ms);
            self.dice.pause(40, 400).await;
            if self.throttles {
                return Outcome::Throttled { reason: "too many".to_owned() };
            }
            Outcome::Accepted { provider_id: outgoing.touch.id.to_string() }
        })
    }
}

fn row(n: usize) -> AccountRow {
    let id = CustomerId::new(format!("c{n}")).expect("an id");
    let day = |d| NaiveDate::from_ymd_opt(2026, 11, d).expect("a day");
    AccountRow {
        line: 2,
        customer: Customer {
            id: id.clone(),
            name: PersonName::new("Cliente de prueba"),
            kind: None,
            role: Role::Debtor,
            country: None,
            time_zone: None,
            language: None,
            segment: None,
            preferred_channel: None,
            contact_points: vec![ContactPoint {
                channel: Channel::Email,
                address: Address::new(format!("c{n}@example.com")),
                test: true,
            }],
            consents: vec![Consent::of_contract(Channel::Email, true, day(1))],
            agreed_hours: None,
            hold: None,
        },
        obligation: Obligation {
            id: ObligationId::new(format!("o{n}")).expect("an id"),
            customer: id,
            account: None,
            due_on: day(20),
            amount: Money::new(15_000_000, "COP".parse().expect("a currency")),
            paid_minor: 0,
            closed_on: None,
            holds: Vec::new(),
        },
        known_on: None,
        closed_on: None,
        dispute: None,
    }
}

const SECRET: &[u8] = b"a key of the tests";

struct World {
    store: Store,
    tenant: Tenant,
    jobs: Vec<String>,
    calls_ms: Arc<Mutex<Vec<u128>>>,
    started: Instant,
    throttles: bool,
    /// How long a request to the store takes each way, from and to, in milliseconds.
    slow_ms: (u64, u64),
}

impl World {
    async fn new(messages: usize, per_second: u16) -> Self {
        let store = Store::simulated().expect("a database in memory opens");
        store.create_tables().await.expect("tables");
        let mut tenant: Tenant = toml::from_str(TENANT).expect("a tenant");
        tenant.rates.email = Rate::try_from(per_second).expect("a rate");
        let policy = Policy::parse(POLICY).expect("a policy");
        let document = serde_json::to_string(&tenant).expect("JSON");
        store.put_settings(&tenant.id, &SettingsDoc { version: 1, document }).await.expect("settings");
        store.put_policy(&tenant.id, &policy.id, policy.version, POLICY).await.expect("a policy");
        store.activate_policy(&tenant.id, &policy.id, policy.version).await.expect("a policy");
        let rows: Vec<AccountRow> = (0..messages).map(row).collect();
        let scope = Scope::new(tenant.id.clone(), 1);
        store.import_accounts(&scope, 1, NaiveDate::MIN, &rows).await.expect("rows");
        let job = |row: &AccountRow| TouchJob {
            v: JOB_VERSION,
            tenant: tenant.id.clone(),
            customer: row.customer.id.clone(),
            touch: TouchId::new("planned").expect("an id"),
            on: monday().date_naive(),
            channel: Channel::Email,
            wave: None,
            seal: None,
        };
        let key = SuppressionKey::new(SECRET);
        let jobs = rows.iter().map(|row| job(row).sealed(&key).to_body()).collect();
        let (calls_ms, started) = (Arc::default(), Instant::now());
        Self { store, tenant, jobs, calls_ms, started, throttles: false, slow_ms: (1, 6) }
    }

    /// One instance of the function: what it shares with others is the table.
    fn sender(&self, seed: u64) -> Deps {
        let dice = |salt| Dice(Mutex::new(seed * 7_919 + salt));
        let queue = || Queue::Memory(MemoryQueue::default());
        let provider = Provider {
            dice: dice(1),
            started: self.started,
            calls_ms: Arc::clone(&self.calls_ms),
            throttles: self.throttles,
        };
        Deps {
            store: self.store.under(Arc::new(Slow(dice(2), self.slow_ms))),
            rules: RulesCache::of_checked_texts(),
            sender: Sender::Scripted(Arc::new(provider)),
            channel: Channel::Email,
            email: queue(),
            sms: queue(),
            suppression: SuppressionKey::new(SECRET),
            links: OptOutKey::new(SECRET),
            decisions: DecisionLog::Off,
            pace: Pace::Running(Turns::default()),
        }
    }

    /// Lets so many instances take the jobs, in batches, with clocks that are up to so many milliseconds off; gives the
    /// write units of an access pattern that they have used.
    async fn work(&self, instances: u64, skew_ms: i64) -> BTreeMap<&'static str, f64> {
        let left = Mutex::new(self.jobs.clone());
        let senders: Vec<Deps> = (0..instances).map(|n| self.sender(n + 1)).collect();
        let one = async |deps: &Deps, skew: TimeDelta| {
            loop {
                let batch: Vec<String> = {
                    let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
                    let most = BATCH.min(left.len());
                    left.drain(..most).collect()
                };
                if batch.is_empty() {
                    return;
                }
                let elapsed = TimeDelta::from_std(self.started.elapsed()).expect("not so long");
                let response = handle(deps, event_of(batch), monday() + elapsed + skew).await;
                assert!(response.batch_item_failures.is_empty(), "every job is done");
            }
        };
        let skew = |n: usize| TimeDelta::milliseconds(if n.is_multiple_of(2) { skew_ms } else { -skew_ms });
        let all = senders.iter().enumerate().map(|(n, deps)| one(deps, skew(n)));
        futures_util::future::join_all(all).await;
        let mut used = BTreeMap::new();
        for (name, usage) in senders.iter().flat_map(|deps| deps.store.capacity().snapshot()) {
            *used.entry(name).or_default() += usage.write_units;
        }
        used
    }

    fn calls(&self) -> Vec<u128> {
        let mut calls = self.calls_ms.lock().unwrap_or_else(PoisonError::into_inner).clone();
        calls.sort_unstable();
        calls
    }
}

fn fullest_second(calls: &[u128]) -> usize {
    calls.iter().enumerate().map(|(n, at)| calls[n..].partition_point(|c| *c < at + 1_000)).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn many_senders_keep_the_rate_in_every_second_and_use_it() {
    for per_second in [5, 20, 100] {
        let messages = usize::from(per_second) * 20;
        let world = World::new(messages, per_second).await;
        let used = world.work(u64::from(per_second).div_ceil(2).min(16), 4).await;
        let calls = world.calls();
        assert_eq!(calls.len(), messages, "each message is sent once at {per_second}");
        let fullest = fullest_second(&calls);
        assert!(fullest <= usize::from(per_second), "{fullest} in a second at {per_second}");
        let span_ms = calls[calls.len() - 1] - calls[0];
        let possible = u128::from(per_second) * span_ms / 1_000;
        assert!(calls.len() as u128 * 100 >= possible * 95, "{} of {possible} at {per_second}", calls.len());
        let cost = used["rate"] / f64::from(u16::try_from(messages).expect("not so many"));
        assert!(cost <= 0.5, "{cost} write units for each message at {per_second}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_go_out_also_where_the_tables_answer_slowly() {
    let mut world = World::new(200, 10).await;
    world.slow_ms = (20, 60);
    let used = world.work(4, 4).await;
    let calls = world.calls();
    assert_eq!(calls.len(), 200, "each message is sent once");
    assert!(fullest_second(&calls) <= 10, "{} in a second", fullest_second(&calls));
    // Only the first messages of each function miss their moments: the others are claimed earlier.
    let (claims, taken_back) = (used["claim"], used.get("release").copied().unwrap_or_default());
    assert!(taken_back <= claims / 4.0, "{taken_back} of {claims} write units for claims were for nothing");
}

#[tokio::test(start_paused = true)]
async fn what_a_call_cannot_wait_for_is_put_back_without_a_claim() {
    let world = World::new(40, 1).await;
    let used = world.work(4, 0).await;
    let sent = world.calls().len();
    assert!((15..=25).contains(&sent), "{sent} fit into the wait");
    let waves =
        world.store.next_wave_at(&Scope::new(world.tenant.id.clone(), 1), monday().date_naive(), 1).await;
    assert!(waves.unwrap().is_some_and(|at| at > monday()), "the others wait");
    assert!(!used.contains_key("release"), "nothing was claimed for nothing");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_refuses_for_the_rate_is_called_less() {
    let mut world = World::new(60, 20).await;
    world.throttles = true;
    world.work(3, 0).await;
    let rate = world.store.send_rate(&world.tenant.id, Channel::Email).await.unwrap();
    let elapsed = TimeDelta::from_std(world.started.elapsed()).unwrap();
    assert!(rate.permille(monday() + elapsed) <= 600, "{}", rate.permille(monday() + elapsed));
    let calls = world.calls();
    // What was granted before the first refusal goes as it was granted.
    let span_ms = calls[59] - calls[0];
    assert!(span_ms > 4_000, "{span_ms} ms; at 20 a second it would be 3,000");
}
