//! The local stack: the same handlers as on Lambda, in one process, over the embedded store, the local queues and the
//! outbox.
//!
//! Invariant: nothing here decides anything. Jobs travel as the JSON that SQS would carry, in the order they were
//! queued, so a run can be repeated. Whoever opens it holds its folder alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use channels::{Outbox, Sender};
use chrono::{DateTime, Utc};
use delivery::{DeliveryError, deliver};
use domain::channel::Channel;
use domain::choice::OptOutKey;
use domain::ids::{CustomerId, TenantId, TouchId};
use domain::policy::Policy;
use domain::tenant::Tenant;
use plan_shard::Overfull;
use runtime::batch::each_job;
use runtime::dead_letter::QueueName;
use runtime::decision_log::{DecisionLine, DecisionLog};
use runtime::job::{DueEvent, ShardJob, TouchJob};
use runtime::local_queue::LocalQueues;
use runtime::policy_version::{PolicyVersionError, put_version};
use runtime::queue::Queue;
use runtime::rules::RulesCache;
use runtime::schedule::Schedules;
use scan_due::ScanError;
use store::{SettingsDoc, Store, SuppressionKey};

/// How many jobs a handler gets at once, as SQS would give it.
const BATCH_SIZE: usize = 10;

/// What a database says that was made by another version of the product.
const OTHER_PRODUCT: &str =
    "the folder was made with other settings or another policy; expected the same, or an empty folder";

/// The functions behind schedules and queues, in one process.
#[derive(Debug)]
pub(crate) struct LocalFunctions {
    scan: scan_due::Deps,
    plan: plan_shard::Deps,
    email: delivery::Deps,
    sms: delivery::Deps,
    queues: LocalQueues,
    /// Planned messages that a fact has stopped, by the code of the reason.
    /// Why each was stopped, once however often its job is given out.
    prevented: Mutex<BTreeMap<(CustomerId, TouchId), String>>,
}

/// The functions for one tenant, over a database.
#[derive(Debug)]
pub(crate) struct LocalStack {
    pub(crate) store: Store,
    tenant: TenantId,
    functions: LocalFunctions,
    decisions: DecisionLog,
}

impl LocalStack {
    /// Opens the stack over a database file and an outbox, and writes the tenant's settings and policy where they
    /// are new.
    pub(crate) async fn open(
        database: &Path,
        queues: LocalQueues,
        outbox: Outbox,
        tenant: &Tenant,
        policy: &str,
        decisions: DecisionLog,
    ) -> anyhow::Result<Self> {
        let store = Store::file(database)
            .with_context(|| format!("the database {} cannot be opened", database.display()))?
            .held_alone();
        store.create_tables().await.context("the tables cannot be made")?;
        put_rules(&store, tenant, policy).await?;
        let functions = LocalFunctions::over(&store, queues, &outbox, decisions.clone(), &Schedules::Off);
        Ok(Self { store, tenant: tenant.id.clone(), functions, decisions })
    }

    /// Scans every shard and carries out what follows.
    pub(crate) async fn scan(&self, now: DateTime<Utc>, progress: &dyn Fn()) -> anyhow::Result<()> {
        self.plan(now, progress).await?;
        self.drain(now, progress).await
    }

    /// Plans every shard, and says which open hours are too short for it. What is planned is sent by [`Self::drain`].
    pub(crate) async fn plan(
        &self,
        now: DateTime<Utc>,
        progress: &dyn Fn(),
    ) -> anyhow::Result<Vec<Overfull>> {
        let event = DueEvent::Scan { tenant: self.tenant.clone() };
        scan_due::handle(&self.functions.scan, event, now).await.context("the scan could not start")?;
        let overfull = Mutex::new(Vec::new());
        loop {
            let given = self.functions.queues.give(QueueName::PlanShard, BATCH_SIZE, now, async |event| {
                each_job(event, async |job: ShardJob| {
                    let planned = plan_shard::plan_shard(&self.functions.plan, &job, now).await?;
                    overfull.lock().unwrap_or_else(PoisonError::into_inner).extend(planned.overfull);
                    Ok::<(), plan_shard::PlanError>(())
                })
                .await
            });
            if given.await?.messages == 0 {
                break;
            }
            progress();
        }
        Ok(overfull.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Dispatches the touches whose moment has come and carries out what follows.
    pub(crate) async fn wave(&self, now: DateTime<Utc>, progress: &dyn Fn()) -> anyhow::Result<usize> {
        let event = DueEvent::Wave { tenant: self.tenant.clone() };
        let started =
            scan_due::handle(&self.functions.scan, event, now).await.context("the wave could not start")?;
        self.drain(now, progress).await?;
        Ok(started.touches)
    }

    /// The verdicts since the last call.
    pub(crate) fn take_decisions(&self) -> Vec<DecisionLine> {
        self.decisions.take()
    }

    /// How many planned messages a fact has stopped since the last call, by the code of the reason.
    pub(crate) fn take_prevented(&self) -> BTreeMap<String, u64> {
        let stopped =
            std::mem::take(&mut *self.functions.prevented.lock().unwrap_or_else(PoisonError::into_inner));
        let mut by_reason = BTreeMap::new();
        for reason in stopped.into_values() {
            *by_reason.entry(reason).or_default() += 1;
        }
        by_reason
    }

    /// Settles the claims of the last hours that a process left behind which was killed, sends what was surely not sent,
    /// and says how many touches are unknown.
    pub(crate) async fn sweep(&self, hours_back: u16, now: DateTime<Utc>) -> anyhow::Result<usize> {
        let event = DueEvent::Sweep { tenant: self.tenant.clone(), hours_back };
        let swept =
            scan_due::handle(&self.functions.scan, event, now).await.context("the sweep could not start")?;
        if swept.touches > 0 {
            self.functions.drain(now, &|| true).await?;
        }
        Ok(swept.unknown)
    }

    /// Why the oldest dead letter is dead.
    pub(crate) fn first_dead_letter(&self) -> Option<String> {
        self.functions.queues.dead(None).into_iter().next().and_then(|letter| letter.reason)
    }

    /// How many messages lie with the dead letters.
    pub(crate) fn dead_letters(&self) -> usize {
        self.functions.queues.dead(None).len()
    }

    /// Gives every queued job to its function until none is left: done, or with the dead letters.
    pub(crate) async fn drain(&self, now: DateTime<Utc>, progress: &dyn Fn()) -> anyhow::Result<()> {
        self.functions
            .drain(now, &|| {
                progress();
                true
            })
            .await?;
        Ok(())
    }
}

impl LocalFunctions {
    /// The functions over a store, the queues and an outbox.
    pub(crate) fn over(
        store: &Store,
        queues: LocalQueues,
        outbox: &Outbox,
        decisions: DecisionLog,
        schedules: &Schedules,
    ) -> Self {
        let queue = |name| Queue::Local(queues.clone(), name);
        let (email, sms) = (queue(QueueName::SendEmail), queue(QueueName::SendSms));
        let suppression = suppression_key();
        // Shared, so that the texts of a policy are checked once.
        let rules = RulesCache::default();
        let delivery_on = |channel| delivery::Deps {
            store: store.clone(),
            rules: rules.clone(),
            sender: Sender::Outbox(outbox.clone()),
            channel,
            email: email.clone(),
            sms: sms.clone(),
            suppression: suppression.clone(),
            links: opt_out_key(),
            decisions: decisions.clone(),
            pace: delivery::Pace::Still,
        };
        let (on_email, on_sms) = (delivery_on(Channel::Email), delivery_on(Channel::Sms));
        Self {
            scan: scan_due::Deps {
                store: store.clone(),
                rules: rules.clone(),
                plan: queue(QueueName::PlanShard),
                email: email.clone(),
                sms: sms.clone(),
                schedules: schedules.clone(),
            },
            plan: plan_shard::Deps {
                store: store.clone(),
                rules: rules.clone(),
                email,
                sms,
                suppression,
                decisions,
                schedules: schedules.clone(),
            },
            email: on_email,
            sms: on_sms,
            queues,
            prevented: Mutex::default(),
        }
    }

    /// Does what a schedule asks for. What follows from it is in the queues.
    pub(crate) async fn start(&self, event: DueEvent, now: DateTime<Utc>) -> Result<(), ScanError> {
        scan_due::handle(&self.scan, event, now).await.map(|_| ())
    }

    /// Gives every queued job to its function until none is left, or `goes_on` says no after a batch, and says how many
    /// it gave.
    pub(crate) async fn drain(
        &self,
        now: DateTime<Utc>,
        goes_on: &dyn Fn() -> bool,
    ) -> anyhow::Result<usize> {
        let mut messages = 0;
        loop {
            let mut given = 0;
            for queue in QueueName::ALL {
                given += self.drain_one(queue, now, goes_on).await?;
            }
            messages += given;
            if given == 0 || !goes_on() {
                return Ok(messages);
            }
        }
    }

    /// Gives the jobs of one queue to its function, in batches.
    async fn drain_one(
        &self,
        queue: QueueName,
        now: DateTime<Utc>,
        goes_on: &dyn Fn() -> bool,
    ) -> anyhow::Result<usize> {
        let mut messages = 0;
        loop {
            let given = self.queues.give(queue, BATCH_SIZE, now, async |event| match queue {
                QueueName::PlanShard => plan_shard::handle(&self.plan, event, now).await,
                QueueName::SendEmail => self.send(&self.email, event, now).await,
                QueueName::SendSms => self.send(&self.sms, event, now).await,
                // No provider reports to this machine; what a person put there stays for another to look at.
                QueueName::RecordDelivery => {
                    runtime::batch::refuse_all(event, "no provider reports to a local run")
                }
            });
            let given = given.await?;
            messages += given.messages;
            if given.messages == 0 || !goes_on() {
                return Ok(messages);
            }
        }
    }

    /// Delivers the touches of a batch as the sending function does, and counts those that a fact has stopped.
    async fn send(&self, deps: &delivery::Deps, event: SqsEvent, now: DateTime<Utc>) -> SqsBatchResponse {
        each_job(event, async |job: TouchJob| {
            if let Some(reason) = deliver(deps, &job, now).await?.stopped_by() {
                let mut prevented = self.prevented.lock().unwrap_or_else(PoisonError::into_inner);
                prevented.insert((job.customer, job.touch), reason.to_owned());
            }
            Ok::<(), DeliveryError>(())
        })
        .await
    }
}

/// Writes a tenant's settings and policy where they are new; others than those that are there are refused.
pub(crate) async fn put_rules(store: &Store, tenant: &Tenant, policy: &str) -> anyhow::Result<()> {
    let parsed = Policy::parse(policy)?;
    let settings = SettingsDoc { version: 1, document: serde_json::to_string(tenant)? };
    store.put_settings(&tenant.id, &settings).await.context(OTHER_PRODUCT)?;
    put_version(store, &tenant.id, (policy, &parsed)).await.map_err(|error| match error {
        PolicyVersionError::Store(_) => anyhow::Error::new(error).context(OTHER_PRODUCT),
        PolicyVersionError::Moved { .. }
        | PolicyVersionError::Unreadable { .. }
        | PolicyVersionError::NotReadable(_) => anyhow::Error::new(error),
    })
}

/// The key that opt-out links are signed with on this machine, where they reach nobody.
pub(crate) fn opt_out_key() -> OptOutKey {
    OptOutKey::new(*b"local")
}

/// The key that hides suppressed addresses on this machine, where the addresses lie beside it anyway.
pub(crate) fn suppression_key() -> SuppressionKey {
    SuppressionKey::new(*b"local")
}
