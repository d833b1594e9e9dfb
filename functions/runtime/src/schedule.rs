//! Schedules: what starts a tenant's work by itself, on EventBridge Scheduler or inside the process.
//!
//! Invariant: schedules follow from the tenants' settings and from waiting touches, never the reverse. Settings are
//! written first; a schedule that is missing, left over or was changed by hand is put right by [`reconcile`].

#[cfg(feature = "scheduler")]
mod eventbridge;
mod memory;
mod rule;

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use domain::ids::TenantId;
use domain::tenant::{SlugError, Tenant, TenantSlug};
use store::{Store, StoreError};

use crate::job::DueEvent;

#[cfg(feature = "scheduler")]
pub use eventbridge::{EventBridge, ScheduleTarget};
pub use memory::MemorySchedules;
pub use rule::Rule;

/// How often what waits is looked through beside the schedules of waves, in minutes: it finds touches that a sender put
/// back, and those whose own schedule could not be made.
pub const WAVES_EVERY_MINUTES: u16 = 15;
/// How often claims that were abandoned are looked for, in minutes.
pub const SWEEP_EVERY_MINUTES: u16 = 60;
/// How far back that sweep looks, in hours.
pub const SWEEP_HOURS_BACK: u16 = 48;
/// How many tenants are read at once.
pub const TENANTS_PAGE: u32 = 100;
/// The most pages of tenants that are read.
pub const TENANT_PAGES_MAX: usize = 100;

/// What the names of a tenant's regular schedules begin with. Those of waves begin otherwise.
const REGULAR: [&str; 3] = ["scan-", "waves-", "sweep-"];

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name: at most 64 letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// When it starts something.
    pub rule: Rule,
    /// What `scan-due` is called with.
    pub event: DueEvent,
    /// Whether it starts anything at present.
    pub enabled: bool,
}

impl Schedule {
    /// The regular schedules of a tenant: the daily scan in its own time zone, what waits, and the sweep of claims.
    /// While it is paused, only the sweep goes on.
    ///
    /// # Errors
    /// [`SlugError`] when the tenant's id cannot stand in the name of a schedule.
    pub fn of(settings: &Tenant) -> Result<[Self; 3], SlugError> {
        let slug = TenantSlug::new(settings.id.as_str())?;
        let tenant = || settings.id.clone();
        let enabled = settings.paused.is_none();
        let [scan, waves, sweep] = REGULAR.map(|kind| format!("{kind}{slug}"));
        Ok([
            Self {
                name: scan,
                rule: Rule::Daily { at: settings.scan_at, zone: settings.time_zone },
                event: DueEvent::Scan { tenant: tenant() },
                enabled,
            },
            Self {
                name: waves,
                rule: Rule::Every { minutes: WAVES_EVERY_MINUTES },
                event: DueEvent::Wave { tenant: tenant() },
                enabled,
            },
            Self {
                name: sweep,
                rule: Rule::Every { minutes: SWEEP_EVERY_MINUTES },
                event: DueEvent::Sweep { tenant: tenant(), hours_back: SWEEP_HOURS_BACK },
                enabled: true,
            },
        ])
    }

    /// The names of the regular schedules of a tenant.
    #[must_use]
    pub fn names_of(tenant: &TenantSlug) -> [String; 3] {
        REGULAR.map(|kind| format!("{kind}{tenant}"))
    }

    /// The schedule that dispatches what waits for `at`, once: on the minute, and not before the next one from `now`.
    ///
    /// # Errors
    /// [`SlugError`] when the tenant's id cannot stand in the name of a schedule.
    pub fn of_wave(tenant: &TenantId, at: DateTime<Utc>, now: DateTime<Utc>) -> Result<Self, SlugError> {
        Self::once("wave", tenant, at.max(now), now, DueEvent::Wave { tenant: tenant.clone() })
    }

    /// The schedule of a scan beside the daily one, as soon as a schedule can start it.
    ///
    /// # Errors
    /// [`SlugError`] when the tenant's id cannot stand in the name of a schedule.
    pub fn of_scan(tenant: &TenantId, now: DateTime<Utc>) -> Result<Self, SlugError> {
        Self::once("once", tenant, now, now, DueEvent::Scan { tenant: tenant.clone() })
    }

    fn once(
        kind: &str,
        tenant: &TenantId,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
        event: DueEvent,
    ) -> Result<Self, SlugError> {
        let slug = TenantSlug::new(tenant.as_str())?;
        let minute = TimeDelta::minutes(1);
        let soonest = at.max(now + minute);
        let down = soonest.duration_trunc(minute).unwrap_or(soonest);
        let at = if down == soonest { down } else { down + minute };
        let name = format!("{kind}-{slug}-{}", at.format("%Y%m%dT%H%MZ"));
        Ok(Self { name, rule: Rule::Once { at }, event, enabled: true })
    }
}

/// What putting a schedule right took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was not there.
    Created,
    /// It was another.
    Updated,
    /// It was as it should be.
    Kept,
}

/// Why schedules could not be read or written. Trying again does no harm.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// A tenant's id cannot stand in a name.
    #[error("tenant {tenant} {problem}")]
    Name {
        /// The tenant.
        tenant: TenantId,
        /// What is expected.
        problem: SlugError,
    },
    /// The scheduler did not do it.
    #[error("the schedule {name} could not be {verb}: {problem}")]
    Refused {
        /// The schedule, or what their names begin with.
        name: String,
        /// What was tried.
        verb: &'static str,
        /// What the scheduler said.
        problem: String,
    },
    /// More schedules than are read.
    #[error("more than {pages_max} pages of schedules begin with {prefix}; expected fewer tenants")]
    TooMany {
        /// What their names begin with.
        prefix: &'static str,
        /// The limit.
        pages_max: usize,
    },
    /// The tenants cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where schedules are.
#[derive(Debug, Clone, Default)]
pub enum Schedules {
    /// Nowhere: whoever runs the functions looks at the waves, and starts the scan, by itself.
    #[default]
    Off,
    /// Inside the process, for whoever plays the scheduler there.
    Memory(MemorySchedules),
    /// EventBridge Scheduler.
    #[cfg(feature = "scheduler")]
    EventBridge(EventBridge),
}

impl Schedules {
    /// Makes a schedule as it should be; one that is so already stays.
    ///
    /// # Errors
    /// [`ScheduleError::Refused`] when the scheduler does not do it.
    pub async fn put(&self, schedule: &Schedule) -> Result<Put, ScheduleError> {
        match self {
            Self::Off => Ok(Put::Kept),
            Self::Memory(memory) => Ok(memory.put(schedule)),
            #[cfg(feature = "scheduler")]
            Self::EventBridge(bridge) => bridge.put(schedule).await,
        }
    }

    /// Removes a schedule, whether it is there or not.
    ///
    /// # Errors
    /// [`ScheduleError::Refused`] when the scheduler does not do it.
    pub async fn remove(&self, name: &str) -> Result<(), ScheduleError> {
        match self {
            Self::Off => Ok(()),
            Self::Memory(memory) => {
                memory.remove(name);
                Ok(())
            }
            #[cfg(feature = "scheduler")]
            Self::EventBridge(bridge) => bridge.remove(name).await,
        }
    }

    /// Makes the regular schedules of a tenant as its settings ask.
    ///
    /// # Errors
    /// [`ScheduleError`] when its id cannot stand in a name, or the scheduler does not do it.
    pub async fn follow(&self, settings: &Tenant) -> Result<(), ScheduleError> {
        for schedule in regular_of(settings)? {
            self.put(&schedule).await?;
        }
        Ok(())
    }

    /// Removes the regular schedules of a tenant.
    ///
    /// # Errors
    /// [`ScheduleError::Refused`] when the scheduler does not do it.
    pub async fn forget(&self, tenant: &TenantSlug) -> Result<(), ScheduleError> {
        for name in Schedule::names_of(tenant) {
            self.remove(&name).await?;
        }
        Ok(())
    }

    /// Sees to it that what waits for `at` is dispatched on that minute. Again is fine.
    ///
    /// # Errors
    /// [`ScheduleError`] when the tenant's id cannot stand in a name, or the scheduler does not do it. Then the regular
    /// look at what waits dispatches it, later.
    pub async fn wave(
        &self,
        tenant: &TenantId,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), ScheduleError> {
        if matches!(self, Self::Off) {
            return Ok(());
        }
        let schedule = Schedule::of_wave(tenant, at, now)
            .map_err(|problem| ScheduleError::Name { tenant: tenant.clone(), problem })?;
        match self {
            Self::Off => Ok(()),
            Self::Memory(memory) => {
                memory.put(&schedule);
                Ok(())
            }
            #[cfg(feature = "scheduler")]
            Self::EventBridge(bridge) => bridge.create_once(&schedule).await,
        }
    }

    /// Starts a scan on the next minute or the one after it, and says when. Again within the minute is the same scan.
    ///
    /// # Errors
    /// [`ScheduleError`] when the tenant's id cannot stand in a name, or the scheduler does not do it.
    pub async fn scan_once(
        &self,
        tenant: &TenantId,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, ScheduleError> {
        let schedule = Schedule::of_scan(tenant, now)
            .map_err(|problem| ScheduleError::Name { tenant: tenant.clone(), problem })?;
        match self {
            Self::Off => {}
            Self::Memory(memory) => {
                memory.put(&schedule);
            }
            #[cfg(feature = "scheduler")]
            Self::EventBridge(bridge) => bridge.create_once(&schedule).await?,
        }
        Ok(schedule.rule.next_after(now).unwrap_or(now))
    }

    /// The names of the schedules that begin with a prefix.
    async fn names(&self, prefix: &'static str) -> Result<Vec<String>, ScheduleError> {
        match self {
            Self::Off => Ok(Vec::new()),
            Self::Memory(memory) => Ok(memory.names(prefix)),
            #[cfg(feature = "scheduler")]
            Self::EventBridge(bridge) => bridge.names(prefix).await,
        }
    }
}

/// What was put right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Schedules that were missing.
    pub created: usize,
    /// Schedules that were other than the settings ask.
    pub updated: usize,
    /// Schedules of tenants that are not there.
    pub removed: usize,
    /// Schedules that were right.
    pub kept: usize,
    /// Tenants whose settings cannot be read, or whose id cannot stand in a name. Their schedules stay as they are.
    pub skipped: usize,
}

/// Makes the regular schedules as the stored settings ask: missing ones are made, changed ones put right, those of
/// tenants that are gone removed. Again changes nothing.
///
/// # Errors
/// [`ScheduleError`] when the store or the scheduler fails; what was put right stays so.
pub async fn reconcile(store: &Store, schedules: &Schedules) -> Result<Reconciled, ScheduleError> {
    let mut done = Reconciled::default();
    let mut wanted: BTreeMap<String, Option<Schedule>> = BTreeMap::new();
    for id in tenants(store).await? {
        let settings = store.settings(&id).await?.and_then(|doc| serde_json::from_str(&doc.document).ok());
        match settings.as_ref().map(regular_of) {
            Some(Ok(regular)) => wanted.extend(regular.map(|s| (s.name.clone(), Some(s)))),
            Some(Err(_)) | None => {
                done.skipped += 1;
                tracing::error!(tenant = %id, "the settings cannot be followed by schedules");
                // Its schedules are neither changed nor removed.
                wanted.extend(REGULAR.map(|kind| (format!("{kind}{id}"), None)));
            }
        }
    }
    for schedule in wanted.values().flatten() {
        match schedules.put(schedule).await? {
            Put::Created => done.created += 1,
            Put::Updated => done.updated += 1,
            Put::Kept => done.kept += 1,
        }
    }
    for prefix in REGULAR {
        for name in schedules.names(prefix).await?.iter().filter(|name| !wanted.contains_key(*name)) {
            schedules.remove(name).await?;
            done.removed += 1;
        }
    }
    Ok(done)
}

fn regular_of(settings: &Tenant) -> Result<[Schedule; 3], ScheduleError> {
    Schedule::of(settings).map_err(|problem| ScheduleError::Name { tenant: settings.id.clone(), problem })
}

async fn tenants(store: &Store) -> Result<Vec<TenantId>, ScheduleError> {
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..TENANT_PAGES_MAX {
        let page = store.tenants_page(after.as_ref(), TENANTS_PAGE).await?;
        found.extend(page.tenants);
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
    Err(ScheduleError::TooMany { prefix: "scan-", pages_max: TENANT_PAGES_MAX })
}

#[cfg(test)]
mod tests;
