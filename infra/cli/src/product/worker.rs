//! What works in the background of the product on this machine: it plays the scheduler, hands the queues to their
//! functions, and imports what was uploaded.
//!
//! Invariant: one thing at a time, in the order of the moments, and everything that is not done yet is in the folder:
//! queues, uploads, and the moment up to which schedules were followed.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{ImportId, TenantId};
use domain::jurisdiction::TenantJurisdictions;
use domain::policy::Policy;
use domain::tenant::Tenant;
use http_api::uploads::folder::Arrived;
use import_accounts::upload::{Uploaded, import_upload};
use runtime::job::DueEvent;
use runtime::policy_version::put_version;
use runtime::rules::tenant_settings;
use runtime::schedule::MemorySchedules;
use serde::Serialize;
use store::Store;
use tokio::sync::{mpsc, oneshot, watch};

use super::clock::ProductClock;
use crate::ledger::Source;
use crate::policy_check;
use crate::stack::LocalFunctions;

/// How far a clock is moved at once, at most.
pub(crate) const ADVANCE_MAX: TimeDelta = TimeDelta::days(31);
/// How often the clock of the machine is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How many problems are remembered; older ones are only in the log.
const PROBLEMS_MAX: usize = 50;
/// How many uploads that an earlier process left are taken up at a start.
const LEFTOVERS_MAX: usize = 10_000;

/// Something that could not be done, and that a person should know of. It names ids and no person.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
    at: DateTime<Utc>,
    what: String,
}

/// The latest problems. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problems(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// The latest ones, the oldest first.
    latest: VecDeque<Problem>,
    /// What lasts, by tenant: it is told once, and again when it is another.
    lasting: BTreeMap<TenantId, String>,
}

impl Problems {
    /// The latest ones, the oldest first.
    pub(crate) fn all(&self) -> Vec<Problem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).latest.iter().cloned().collect()
    }

    fn note(&self, at: DateTime<Utc>, error: &anyhow::Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(at, format!("{error:#}"));
    }

    /// Notes what is so until a person changes it, once for each tenant.
    fn note_lasting(&self, at: DateTime<Utc>, tenant: &TenantId, error: &anyhow::Error) {
        let what = format!("{error:#}");
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.lasting.insert(tenant.clone(), what.clone()).as_ref() != Some(&what) {
            noted.note(at, what);
        }
    }
}

impl Noted {
    fn note(&mut self, at: DateTime<Utc>, what: String) {
        tracing::error!(%at, problem = what, "something could not be done");
        if self.latest.len() == PROBLEMS_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(Problem { at, what });
    }
}

/// What moving the clock did.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Moved {
    /// The moment that was reached.
    pub(crate) now: DateTime<Utc>,
    /// How many messages of the queues were handed to their functions on the way.
    pub(crate) messages: usize,
}

/// An order to move the clock by at most [`ADVANCE_MAX`], and who waits for it.
#[derive(Debug)]
pub(crate) struct Advance {
    pub(crate) by: TimeDelta,
    pub(crate) answer: oneshot::Sender<Moved>,
}

/// What reaches the worker.
pub(crate) struct Inbox {
    pub(crate) advances: mpsc::Receiver<Advance>,
    pub(crate) arrived: mpsc::Receiver<Arrived>,
}

/// A policy, and the text that it was read from.
pub(crate) struct PolicyText {
    pub(crate) text: String,
    pub(crate) policy: Policy,
}

/// The worker.
pub(crate) struct Worker {
    pub(crate) store: Store,
    pub(crate) functions: LocalFunctions,
    pub(crate) schedules: MemorySchedules,
    pub(crate) clock: ProductClock,
    pub(crate) policy: PolicyText,
    pub(crate) uploads: PathBuf,
    pub(crate) problems: Problems,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Worker {
    /// Works until it is told to stop. `until` is the moment to which a clock that is set moves first.
    pub(crate) async fn work(&self, mut inbox: Inbox, until: Option<DateTime<Utc>>) -> anyhow::Result<()> {
        self.take_up().await?;
        if let Some(until) = until {
            self.advance_to(until).await?;
        }
        let mut stop = self.stop.clone();
        while !self.is_stopped() {
            tokio::select! {
                biased;
                _ = stop.changed() => {}
                Some(Advance { by, answer }) = inbox.advances.recv() => {
                    let messages = self.advance_to(self.clock.now() + by.min(ADVANCE_MAX)).await?;
                    // Whoever asked may be gone.
                    let _ = answer.send(Moved { now: self.clock.now(), messages });
                }
                Some(file) = inbox.arrived.recv() => {
                    self.import(file.tenant.id(), &file.id, file.path).await;
                }
                () = tokio::time::sleep(TICK), if !self.clock.is_set() => self.tick().await?,
            }
        }
        self.clock.keep()
    }

    /// Follows the clock of the machine: all that has become due since the last look is started now.
    async fn tick(&self) -> anyhow::Result<()> {
        let (from, now) = (self.clock.reached_at(), self.clock.now());
        if self.schedules.next_after(from).is_some_and(|next| next <= now) {
            self.step(from, now).await?;
        } else {
            // Not into the folder: nothing would be missed by a process that looks from the last step on again.
            self.clock.reach(now);
        }
        Ok(())
    }

    /// Goes on with what an earlier process left: uploads, messages, and schedules, which were in its memory alone.
    async fn take_up(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        for (tenant, import, path) in self.leftovers()? {
            self.import(&tenant, &import, path).await;
        }
        self.drain(now).await?;
        self.start(DueEvent::Reconcile, now).await;
        Ok(())
    }

    /// Moves a clock that is set, from one schedule to the next, so that everything happens at its moment.
    async fn advance_to(&self, until: DateTime<Utc>) -> anyhow::Result<usize> {
        let mut messages = 0;
        while !self.is_stopped() {
            let from = self.clock.reached_at();
            let next = self.schedules.next_after(from).map_or(until, |next| next.min(until));
            messages += self.step(from, next).await?;
            if next >= until {
                break;
            }
        }
        Ok(messages)
    }

    /// Starts what is due after `from` and up to `until`, and carries out what follows, at `until`.
    async fn step(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> anyhow::Result<usize> {
        let due = self.schedules.take_due(from, until);
        self.clock.reach(until);
        for (_, event) in due {
            self.start(event, until).await;
        }
        let messages = self.drain(until).await?;
        self.clock.keep()?;
        Ok(messages)
    }

    /// Does what a schedule asks for. What fails is noted and holds up nothing else; the schedule comes again.
    async fn start(&self, event: DueEvent, now: DateTime<Utc>) {
        let tenant = match &event {
            DueEvent::Scan { tenant } | DueEvent::Wave { tenant } | DueEvent::Sweep { tenant, .. } => {
                Some(tenant.clone())
            }
            DueEvent::Reconcile => None,
        };
        let started = async {
            if let Some(tenant) = tenant {
                self.give_policy(&tenant, now).await.with_context(|| format!("tenant {tenant}"))?;
            }
            self.functions.start(event, now).await.context("a schedule could not start its work")
        };
        if let Err(error) = started.await {
            self.problems.note(now, &error);
        }
    }

    async fn drain(&self, now: DateTime<Utc>) -> anyhow::Result<usize> {
        self.functions.drain(now, &|| !self.is_stopped()).await
    }

    /// Gives a tenant that follows it the policy of this product, where it has none or an older version of it. Where it has
    /// an older one and this one is refused, it goes on with that, and a person is told.
    async fn give_policy(&self, tenant: &TenantId, now: DateTime<Utc>) -> anyhow::Result<()> {
        let settings: Tenant = tenant_settings(&self.store, tenant).await?;
        let PolicyText { text, policy } = &self.policy;
        let active = self.store.active_policy_version(tenant, &settings.policy).await?;
        if settings.policy != policy.id {
            if active.is_none() {
                bail!(
                    "its policy {} is not here; expected {}, or another --policy",
                    settings.policy,
                    policy.id
                );
            }
            return Ok(());
        }
        if active.is_some_and(|active| active >= policy.version) {
            return Ok(());
        }
        let taken = async {
            let today = now.with_timezone(&settings.time_zone).date_naive();
            let profiles = TenantJurisdictions::new(&settings, today)?;
            policy_check::refuse(text, policy, &profiles.of_customers()?, &settings, today)?;
            Ok::<_, anyhow::Error>(put_version(&self.store, tenant, (text, policy)).await?)
        };
        match (taken.await, active) {
            (Err(refused), Some(active)) => {
                let (id, version) = (&policy.id, policy.version);
                let refused = refused.context(format!(
                    "tenant {tenant}: version {version} of policy {id} is not taken, and version {active} goes on"
                ));
                self.problems.note_lasting(now, tenant, &refused);
                Ok(())
            }
            (taken, _) => taken,
        }
    }

    /// Imports an uploaded file, and removes it once there is nothing more to be had from it.
    async fn import(&self, tenant: &TenantId, import: &ImportId, path: PathBuf) {
        let now = self.clock.now();
        let imported = async {
            let source = Source::open(&path)?;
            let uploaded = Uploaded {
                tenant: tenant.clone(),
                name: import.to_string(),
                sha256: source.sha256,
                uploaded_at: now,
            };
            match import_upload(&self.store, &uploaded, source.file, now, |_| ()).await {
                Ok(_) => {}
                // Whoever asks for the import is told.
                Err(error) if error.is_final() => tracing::warn!(%tenant, %import, %error, "file refused"),
                Err(error) => return Err(error.into()),
            }
            fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))
        };
        if let Err(error) = imported.await {
            let error =
                error.context(format!("import {import} of {tenant}; it is tried again at the next start"));
            self.problems.note(now, &error);
        }
    }

    /// The files that were uploaded and not imported by an earlier process.
    fn leftovers(&self) -> anyhow::Result<Vec<(TenantId, ImportId, PathBuf)>> {
        let mut found = Vec::new();
        let imports = self.uploads.join("imports");
        if !imports.exists() {
            return Ok(found);
        }
        for tenant in fs::read_dir(&imports)? {
            let tenant = tenant?;
            let Ok(id) = TenantId::new(tenant.file_name().to_string_lossy()) else { continue };
            for file in fs::read_dir(tenant.path())? {
                let file = file?;
                match ImportId::new(&file.file_name().to_string_lossy()) {
                    Ok(import) => found.push((id.clone(), import, file.path())),
                    // The part of an upload that was cut off; whoever sent it was told nothing.
                    Err(_) => fs::remove_file(file.path())?,
                }
                if found.len() > LEFTOVERS_MAX {
                    bail!("more than {LEFTOVERS_MAX} uploads are left in {}", imports.display());
                }
            }
        }
        Ok(found)
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }
}
