//! Shared fixtures: the functions over queues in memory, customers to send to, and the command line as a program.
//!
//! Invariant: nothing here decides anything, and every step of the work (plan, send, wave) can be made on its own, so
//! that a test can put a fact between any two of them.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use channels::tag::TagKey;
use channels::{Outbox, OutboxMessage, Sender};
use chrono::{DateTime, NaiveDate, Utc};
use delivery::Delivered;
use domain::channel::Channel;
use domain::choice::OptOutKey;
use domain::contact::{Address, Consent, ContactPoint, PersonName};
use domain::customer::{Customer, CustomerKind, Role};
use domain::fence::Fence;
use domain::ids::{CustomerId, ObligationId, PaymentId, TenantId};
use domain::import::record::{AccountRow, PaymentRow};
use domain::locale::Country;
use domain::money::Money;
use domain::obligation::Obligation;
use domain::policy::Policy;
use domain::tenant::Tenant;
use domain::touch::TouchState;
use runtime::batch::event_of;
use runtime::decision_log::{DecisionLine, DecisionLog};
use runtime::job::{DueEvent, JOB_VERSION, ShardJob, TouchJob};
use runtime::queue::{MemoryQueue, Queue};
use runtime::rules::RulesCache;
use runtime::schedule::Schedules;
use store::{CustomerFacts, Scope, SettingsDoc, Store, SuppressionKey};

/// The lender and the policy of the local runs.
pub(crate) const TENANT: &str = include_str!("../../infra/demo/tenant.toml");
pub(crate) const POLICY: &str = include_str!("../../infra/demo/policy.toml");

/// How many jobs a function gets at once, as SQS would give it.
const BATCH_SIZE: usize = 10;
/// How often the queues are emptied before a test is given up: jobs that go around in circles never end.
const ROUNDS_MAX: usize = 50;

/// A day of November 2026: the 21st is a Saturday, the 22nd a Sunday, the 23rd a Monday.
pub(crate) fn day(of_november: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, of_november).expect("a day of November")
}

/// A moment in Bogotá and Lima, which share their offset the whole year.
pub(crate) fn at(of_november: u32, hour: u32, minute: u32) -> DateTime<Utc> {
    let local = day(of_november).and_hms_opt(hour, minute, 0).expect("a time of the day");
    local.and_utc() + chrono::Duration::hours(5)
}

/// The key that signs opt-out links.
pub(crate) fn link_key() -> OptOutKey {
    OptOutKey::new(*b"a key of the tests")
}

/// The key that signs the tags of messages.
pub(crate) fn tag_key() -> TagKey {
    TagKey::new(*b"a key of the tests")
}

pub(crate) fn customer_id(id: &str) -> CustomerId {
    CustomerId::new(id).expect("an id")
}

/// The functions of the product over queues in memory.
pub(crate) struct Stack {
    pub(crate) store: Store,
    pub(crate) outbox: Outbox,
    pub(crate) secret: SuppressionKey,
    pub(crate) scope: Scope,
    scan: scan_due::Deps,
    plan: plan_shard::Deps,
    email: delivery::Deps,
    sms: delivery::Deps,
    record: record_delivery::Deps,
    plan_queue: MemoryQueue,
    email_queue: MemoryQueue,
    sms_queue: MemoryQueue,
}

/// A function that takes jobs from a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Function {
    PlanShard,
    SendEmail,
    SendSms,
    RecordDelivery,
}

impl Stack {
    /// A stack in memory, with the lender and the policy of the local runs.
    pub(crate) async fn new() -> Self {
        Self::of(toml::from_str(TENANT).expect("the demo's tenant is sound")).await
    }

    /// The same stack with a scheduler.
    pub(crate) fn scheduled_by(mut self, schedules: Schedules) -> Self {
        self.scan.schedules = schedules.clone();
        self.plan.schedules = schedules;
        self
    }

    /// The same for a lender with settings of its own.
    pub(crate) async fn of(tenant: Tenant) -> Self {
        Self::on(Store::memory().expect("a database in memory opens"), tenant).await
    }

    /// The same over a store that a test has at hand.
    pub(crate) async fn on(store: Store, tenant: Tenant) -> Self {
        store.create_tables().await.expect("tables can be made");
        let policy = Policy::parse(POLICY).expect("the demo's policy is sound");
        let document = serde_json::to_string(&tenant).expect("settings are JSON");
        store.put_settings(&tenant.id, &SettingsDoc { version: 1, document }).await.expect("settings");
        store.put_policy(&tenant.id, &policy.id, policy.version, POLICY).await.expect("the policy");
        store.activate_policy(&tenant.id, &policy.id, policy.version).await.expect("the policy");
        Self::over(store, &tenant, RulesCache::of_checked_texts)
    }

    /// The lender and the policy of the local runs, with functions that check texts themselves, as on AWS.
    pub(crate) async fn checking_texts() -> Self {
        let Self { store, .. } = Self::new().await;
        let tenant: Tenant = toml::from_str(TENANT).expect("the demo's tenant is sound");
        Self::over(store, &tenant, RulesCache::default)
    }

    fn over(store: Store, tenant: &Tenant, rules: fn() -> RulesCache) -> Self {
        let (outbox, decisions) = (Outbox::memory(), DecisionLog::memory());
        let secret = SuppressionKey::new(*b"a key of the tests");
        let (plan_queue, email_queue, sms_queue) =
            (MemoryQueue::default(), MemoryQueue::default(), MemoryQueue::default());
        let (email, sms) = (Queue::Memory(email_queue.clone()), Queue::Memory(sms_queue.clone()));
        let delivery_on = |channel| delivery::Deps {
            store: store.clone(),
            rules: rules(),
            sender: Sender::Outbox(outbox.clone()),
            channel,
            email: email.clone(),
            sms: sms.clone(),
            suppression: secret.clone(),
            links: link_key(),
            decisions: decisions.clone(),
            pace: delivery::Pace::Still,
        };
        Self {
            scan: scan_due::Deps {
                store: store.clone(),
                rules: rules(),
                plan: Queue::Memory(plan_queue.clone()),
                email: email.clone(),
                sms: sms.clone(),
                schedules: Schedules::Off,
            },
            plan: plan_shard::Deps {
                store: store.clone(),
                rules: rules(),
                email: email.clone(),
                sms: sms.clone(),
                suppression: secret.clone(),
                decisions: decisions.clone(),
                schedules: Schedules::Off,
            },
            record: record_delivery::Deps {
                store: store.clone(),
                rules: rules(),
                email: email.clone(),
                sms: sms.clone(),
                suppression: secret.clone(),
                tags: tag_key(),
            },
            email: delivery_on(Channel::Email),
            sms: delivery_on(Channel::Sms),
            scope: Scope::new(tenant.id.clone(), tenant.shards),
            store,
            outbox,
            secret,
            plan_queue,
            email_queue,
            sms_queue,
        }
    }

    /// Starts work by a schedule.
    pub(crate) async fn start(
        &self,
        event: DueEvent,
        now: DateTime<Utc>,
    ) -> Result<scan_due::Started, scan_due::ScanError> {
        scan_due::handle(&self.scan, event, now).await
    }

    /// Scans and plans; what is planned stays in the queues of the channels.
    pub(crate) async fn plan(&self, now: DateTime<Utc>) {
        self.start(DueEvent::Scan { tenant: self.tenant() }, now).await.expect("a scan starts");
        let bodies = self.plan_queue.take(usize::MAX);
        assert!(self.work(Function::PlanShard, bodies, now).await.is_empty(), "every shard can be planned");
    }

    /// Plans one shard by itself.
    pub(crate) async fn plan_shard(
        &self,
        shard: u16,
        now: DateTime<Utc>,
    ) -> Result<plan_shard::Planned, plan_shard::PlanError> {
        let as_of = now.date_naive();
        let job = ShardJob { v: JOB_VERSION, tenant: self.tenant(), shard, as_of };
        plan_shard::plan_shard(&self.plan, &job, now).await
    }

    /// The verdicts since the last call.
    pub(crate) fn take_decisions(&self) -> Vec<DecisionLine> {
        self.plan.decisions.take()
    }

    /// Scans, plans and sends.
    pub(crate) async fn scan(&self, now: DateTime<Utc>) {
        self.plan(now).await;
        self.send(now).await;
    }

    /// Dispatches the touches whose moment has come, sends them, and says how many they were.
    pub(crate) async fn wave(&self, now: DateTime<Utc>) -> usize {
        let started = self.start(DueEvent::Wave { tenant: self.tenant() }, now).await.expect("a wave starts");
        self.send(now).await;
        started.touches
    }

    /// Gives every job in the queues of the channels to its function.
    pub(crate) async fn send(&self, now: DateTime<Utc>) {
        for _ in 0..ROUNDS_MAX {
            let (email, sms) = (self.email_queue.take(BATCH_SIZE), self.sms_queue.take(BATCH_SIZE));
            if email.is_empty() && sms.is_empty() {
                return;
            }
            assert!(self.work(Function::SendEmail, email, now).await.is_empty(), "every email job is done");
            assert!(self.work(Function::SendSms, sms, now).await.is_empty(), "every SMS job is done");
        }
        panic!("jobs still wait after {ROUNDS_MAX} rounds");
    }

    /// Takes the jobs that wait for a channel.
    pub(crate) fn take_jobs(&self, channel: Channel) -> Vec<String> {
        if channel == Channel::Email { &self.email_queue } else { &self.sms_queue }.take(usize::MAX)
    }

    /// Gives a batch to a function, and returns the positions of the jobs that failed.
    pub(crate) async fn work(
        &self,
        function: Function,
        bodies: Vec<String>,
        now: DateTime<Utc>,
    ) -> Vec<usize> {
        let response = self.answer(function, event_of(bodies), now).await;
        let position = |id: &String| id.parse().expect("message ids are positions");
        response.batch_item_failures.iter().map(|f| position(&f.item_identifier)).collect()
    }

    /// How one job of a channel ends.
    pub(crate) async fn deliver(&self, channel: Channel, body: &str, now: DateTime<Utc>) -> Delivered {
        let deps = if channel == Channel::Email { &self.email } else { &self.sms };
        let job: TouchJob = serde_json::from_str(body).expect("a job");
        delivery::deliver(deps, &job, now).await.expect("the job ends")
    }

    /// What a function answers to a batch.
    pub(crate) async fn answer(
        &self,
        function: Function,
        event: SqsEvent,
        now: DateTime<Utc>,
    ) -> SqsBatchResponse {
        match function {
            Function::PlanShard => plan_shard::handle(&self.plan, event, now).await,
            Function::SendEmail => delivery::handle(&self.email, event, now).await,
            Function::SendSms => delivery::handle(&self.sms, event, now).await,
            Function::RecordDelivery => record_delivery::handle(&self.record, event, now).await,
        }
    }

    /// Imports what is known about some customers, as source number `sequence`.
    pub(crate) async fn import(&self, sequence: u64, rows: &[AccountRow]) {
        let imported = self.store.import_accounts(&self.scope, sequence, day(1), rows).await;
        imported.expect("rows can be imported");
    }

    /// Imports a payment of everything that an obligation of [`Borrower::owes`] is about.
    pub(crate) async fn pay(&self, customer: &str, obligation: &str) {
        let row = PaymentRow {
            line: 2,
            id: PaymentId::new(format!("payment of {obligation}")).expect("an id"),
            customer: customer_id(customer),
            obligation: ObligationId::new(obligation).expect("an id"),
            amount_minor: AMOUNT_MINOR,
            paid_on: day(1),
        };
        self.store.import_payments(&self.scope, 9, day(30), &[row]).await.expect("a payment can be imported");
    }

    pub(crate) async fn facts(&self, customer: &str) -> CustomerFacts {
        let facts = self.store.customer_facts(&self.scope.tenant, &customer_id(customer)).await;
        facts.expect("facts can be read").expect("the customer is known")
    }

    pub(crate) async fn fence(&self, customer: &str) -> Fence {
        self.facts(customer).await.fence
    }

    /// What became of a customer's touches, by day.
    pub(crate) async fn states(&self, customer: &str) -> Vec<TouchState> {
        let touches = self.store.touches(&self.scope.tenant, &customer_id(customer)).await;
        touches.expect("touches can be read").into_iter().map(|t| t.state).collect()
    }

    /// The messages of a customer as `channel stage:obligation,…`, oldest first.
    pub(crate) fn sent_to(&self, customer: &str) -> Vec<String> {
        self.outbox.messages().iter().filter(|m| m.customer.as_str() == customer).map(told).collect()
    }

    pub(crate) fn tenant(&self) -> TenantId {
        self.scope.tenant.clone()
    }
}

fn told(message: &OutboxMessage) -> String {
    let items: Vec<String> = message.obligations.iter().map(|o| format!("{}:{}", o.stage, o.id)).collect();
    format!("{} {}", message.channel, items.join(","))
}

/// What every obligation of a [`Borrower`] amounts to, in minor units.
pub(crate) const AMOUNT_MINOR: i64 = 15_000_000;

/// A customer in the making. Without more, it can be reached by email and nothing is known about its country.
#[derive(Debug, Clone)]
pub(crate) struct Borrower(Customer);

impl Borrower {
    pub(crate) fn new(id: &str) -> Self {
        let customer = Customer {
            id: customer_id(id),
            name: PersonName::new("Cliente de prueba"),
            kind: None,
            role: Role::Debtor,
            country: None,
            time_zone: None,
            language: None,
            segment: None,
            preferred_channel: None,
            contact_points: Vec::new(),
            consents: Vec::new(),
            agreed_hours: None,
            hold: None,
        };
        Self(customer).reached_at(Channel::Email, &email_of(id))
    }

    /// A person, who is reached by SMS before email.
    pub(crate) fn with_sms(self, number: &str) -> Self {
        let mut with = self.reached_at(Channel::Sms, number);
        with.0.kind = Some(CustomerKind::Person);
        with
    }

    /// A company, which is reached by email before SMS.
    pub(crate) fn with_number(self, number: &str) -> Self {
        let mut with = self.reached_at(Channel::Sms, number);
        with.0.kind = Some(CustomerKind::Company);
        with
    }

    pub(crate) fn in_country(mut self, country: &str) -> Self {
        self.0.country = Some(Country::new(country).expect("a country"));
        self
    }

    /// The same customer with another address.
    pub(crate) fn reached_at(mut self, channel: Channel, address: &str) -> Self {
        self.0.contact_points.retain(|p| p.channel != channel);
        self.0.contact_points.push(ContactPoint { channel, address: Address::new(address), test: true });
        self.says(channel, true, 1)
    }

    /// The same customer with one more word on consent, on a day of November.
    pub(crate) fn says(mut self, channel: Channel, granted: bool, of_november: u32) -> Self {
        self.0.consents.push(Consent::of_contract(channel, granted, day(of_november)));
        self
    }

    /// The row about an obligation that is due on a day of November.
    pub(crate) fn owes(&self, obligation: &str, due_on: u32) -> AccountRow {
        AccountRow {
            line: 2,
            customer: self.0.clone(),
            obligation: Obligation {
                id: ObligationId::new(obligation).expect("an id"),
                customer: self.0.id.clone(),
                account: None,
                due_on: day(due_on),
                amount: Money::new(AMOUNT_MINOR, "COP".parse().expect("a currency")),
                paid_minor: 0,
                closed_on: None,
                holds: Vec::new(),
            },
            known_on: None,
            closed_on: None,
            dispute: None,
        }
    }
}

pub(crate) fn email_of(id: &str) -> String {
    format!("{id}@example.com")
}

/// The program `puntual`, built for the profile of the tests.
///
/// Cargo gives up its lock on the build folder before it runs tests, so it may be called here; where the program is up
/// to date, it only says where it lies.
pub(crate) fn puntual() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PROGRAM.get_or_init(build))
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it lies");
    // <target>/<profile>/deps/<test>
    let folder = test.ancestors().nth(2).and_then(|f| f.file_name()).and_then(|n| n.to_str());
    let profile = folder.filter(|f| *f != "debug").unwrap_or("dev");
    let built = Command::new(env!("CARGO"))
        .current_dir(crate::tidy::root())
        .args(["build", "--quiet", "--bin", "puntual", "--profile", profile])
        // With the features of the tests themselves, so that nothing is compiled twice: those of the packages that are
        // developed here, and with a test beside the program also those that only tests ask for.
        .args(["--workspace", "--all-features", "--test", "integration"])
        .arg("--message-format=json-render-diagnostics")
        .output()
        .expect("cargo can be started");
    assert!(built.status.success(), "puntual cannot be built: {}", text(&built.stderr));
    let executable = |line: &str| -> Option<PathBuf> {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_ours = message["target"]["name"] == "puntual" && message["target"]["kind"][0] == "bin";
        message["executable"].as_str().filter(|_| is_ours).map(PathBuf::from)
    };
    text(&built.stdout).lines().find_map(executable).expect("cargo says where the program lies")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the program to its end. A panic is never an answer.
pub(crate) fn run(arguments: &[&str]) -> Output {
    let output = puntual().args(arguments).output().expect("puntual can be started");
    let errors = text(&output.stderr);
    assert!(!errors.contains("panicked"), "puntual panicked: {errors}");
    output
}

/// Runs the program and expects this exit code.
pub(crate) fn run_to(code: i32, arguments: &[&str]) -> Output {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    output
}

/// Runs the program with `--json` and reads what it prints.
pub(crate) fn run_json(code: i32, arguments: &[&str]) -> serde_json::Value {
    let output = run_to(code, &[arguments, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).expect("--json prints one JSON object")
}
