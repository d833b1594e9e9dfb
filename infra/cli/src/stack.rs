//! The local stack: the same handlers as on Lambda, in one process, over the embedded store, queues in memory and the
//! outbox.
//!
//! Invariant: nothing here decides anything. Jobs travel as the JSON that SQS would carry, in the order they were
//! queued, so a run can be repeated.

use std::path::Path;

use anyhow::{Context, bail};
use aws_lambda_events::event::sqs::SqsBatchResponse;
use channels::{Outbox, Sender};
use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::choice::OptOutKey;
use domain::ids::TenantId;
use domain::policy::Policy;
use domain::tenant::Tenant;
use runtime::batch::event_of;
use runtime::decision_log::{DecisionLine, DecisionLog};
use runtime::job::DueEvent;
use runtime::queue::{MemoryQueue, Queue};
use runtime::rules::RulesCache;
use runtime::schedule::Schedules;
use store::{SettingsDoc, Store, SuppressionKey};

/// How many jobs a handler gets at once, as SQS would give it.
const BATCH_SIZE: usize = 10;
/// How often a job that failed is given again before the run stops with an error.
const RECEIVES_MAX: usize = 5;

/// What a database says that was made by another version of the product.
const OTHER_PRODUCT: &str =
    "the folder was made with other settings or another policy; expected the same, or an empty folder";

/// The whole product in one process.
#[derive(Debug)]
pub(crate) struct LocalStack {
    pub(crate) store: Store,
    tenant: TenantId,
    scan: scan_due::Deps,
    plan: plan_shard::Deps,
    email: delivery::Deps,
    sms: delivery::Deps,
    plan_queue: MemoryQueue,
    email_queue: MemoryQueue,
    sms_queue: MemoryQueue,
    decisions: DecisionLog,
}

impl LocalStack {
    /// Opens the stack over a database file and an outbox, and writes the tenant's settings and policy where they
    /// are new.
    pub(crate) async fn open(
        database: &Path,
        outbox: Outbox,
        tenant: &Tenant,
        policy: &str,
        decisions: DecisionLog,
    ) -> anyhow::Result<Self> {
        let store = Store::file(database)
            .with_context(|| format!("the database {} cannot be opened", database.display()))?;
        store.create_tables().await.context("the tables cannot be made")?;
        put_rules(&store, tenant, policy).await?;
        Ok(Self::over(store, outbox, tenant.id.clone(), decisions))
    }

    fn over(store: Store, outbox: Outbox, tenant: TenantId, decisions: DecisionLog) -> Self {
        let (plan_queue, email_queue, sms_queue) =
            (MemoryQueue::default(), MemoryQueue::default(), MemoryQueue::default());
        let (email, sms) = (Queue::Memory(email_queue.clone()), Queue::Memory(sms_queue.clone()));
        let suppression = suppression_key();
        let delivery_on = |channel| delivery::Deps {
            store: store.clone(),
            rules: RulesCache::default(),
            sender: Sender::Outbox(outbox.clone()),
            channel,
            email: email.clone(),
            sms: sms.clone(),
            suppression: suppression.clone(),
            decisions: decisions.clone(),
        };
        Self {
            scan: scan_due::Deps {
                store: store.clone(),
                rules: RulesCache::default(),
                plan: Queue::Memory(plan_queue.clone()),
                email: email.clone(),
                sms: sms.clone(),
                schedules: Schedules::Off,
            },
            plan: plan_shard::Deps {
                store: store.clone(),
                rules: RulesCache::default(),
                email: email.clone(),
                sms: sms.clone(),
                suppression: suppression.clone(),
                decisions: decisions.clone(),
                schedules: Schedules::Off,
            },
            email: delivery_on(Channel::Email),
            sms: delivery_on(Channel::Sms),
            store,
            tenant,
            plan_queue,
            email_queue,
            sms_queue,
            decisions,
        }
    }

    /// Scans every shard and carries out what follows.
    pub(crate) async fn scan(&self, now: DateTime<Utc>, progress: &dyn Fn()) -> anyhow::Result<()> {
        let event = DueEvent::Scan { tenant: self.tenant.clone() };
        scan_due::handle(&self.scan, event, now).await.context("the scan could not start")?;
        self.drain(now, progress).await
    }

    /// Dispatches the touches whose moment has come and carries out what follows.
    pub(crate) async fn wave(&self, now: DateTime<Utc>, progress: &dyn Fn()) -> anyhow::Result<usize> {
        let event = DueEvent::Wave { tenant: self.tenant.clone() };
        let started = scan_due::handle(&self.scan, event, now).await.context("the wave could not start")?;
        self.drain(now, progress).await?;
        Ok(started.touches)
    }

    /// The verdicts since the last call.
    pub(crate) fn take_decisions(&self) -> Vec<DecisionLine> {
        self.decisions.take()
    }

    /// Gives every queued job to its function until none is left.
    async fn drain(&self, now: DateTime<Utc>, progress: &dyn Fn()) -> anyhow::Result<()> {
        loop {
            let planned = give(&self.plan_queue, "plan-shard", progress, async |event| {
                plan_shard::handle(&self.plan, event, now).await
            });
            let mut given = planned.await?;
            given += give(&self.email_queue, "send-email", progress, async |event| {
                delivery::handle(&self.email, event, now).await
            })
            .await?;
            given += give(&self.sms_queue, "send-sms", progress, async |event| {
                delivery::handle(&self.sms, event, now).await
            })
            .await?;
            if given == 0 {
                return Ok(());
            }
        }
    }
}

/// Writes a tenant's settings and policy where they are new; others than those that are there are refused.
pub(crate) async fn put_rules(store: &Store, tenant: &Tenant, policy: &str) -> anyhow::Result<()> {
    let parsed = Policy::parse(policy)?;
    let settings = SettingsDoc { version: 1, document: serde_json::to_string(tenant)? };
    store.put_settings(&tenant.id, &settings).await.context(OTHER_PRODUCT)?;
    store.put_policy(&tenant.id, &parsed.id, parsed.version, policy).await.context(OTHER_PRODUCT)?;
    store.activate_policy(&tenant.id, &parsed.id, parsed.version).await.context("the policy")
}

/// The key that opt-out links are signed with on this machine, where they reach nobody.
pub(crate) fn opt_out_key() -> OptOutKey {
    OptOutKey::new(*b"local")
}

/// The key that hides suppressed addresses on this machine, where the addresses lie beside it anyway.
pub(crate) fn suppression_key() -> SuppressionKey {
    SuppressionKey::new(*b"local")
}

/// Gives the jobs of one queue to its function, in batches, and gives those that fail again.
async fn give(
    queue: &MemoryQueue,
    function: &str,
    progress: &dyn Fn(),
    handle: impl AsyncFn(aws_lambda_events::event::sqs::SqsEvent) -> SqsBatchResponse,
) -> anyhow::Result<usize> {
    let mut given = 0;
    loop {
        let mut bodies = queue.take(BATCH_SIZE);
        if bodies.is_empty() {
            return Ok(given);
        }
        given += bodies.len();
        for receive in 1.. {
            let response = handle(event_of(bodies.clone())).await;
            let failed = response.batch_item_failures.iter().filter_map(|f| f.item_identifier.parse().ok());
            let failed: Vec<String> = failed.filter_map(|i: usize| bodies.get(i).cloned()).collect();
            if failed.is_empty() {
                break;
            }
            if receive == RECEIVES_MAX {
                bail!("{function} failed {RECEIVES_MAX} times for {} jobs; the log says why", failed.len());
            }
            bodies = failed;
        }
        progress();
    }
}
