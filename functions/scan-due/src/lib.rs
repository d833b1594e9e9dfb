//! Starts the daily work of a tenant: one plan job per shard, the touches whose moment has come, and the sweep of
//! claims that were abandoned and of messages that are unknown.
//!
//! Invariant: starting twice does no harm. A shard that is planned twice gives the same touches, and a touch that is
//! dispatched twice is claimed once.

mod sweep;

use std::ops::RangeInclusive;

use chrono::{DateTime, Days, NaiveDate, Utc};
use domain::ids::TenantId;
use runtime::job::{DueEvent, JOB_VERSION, ShardJob, TouchJob, WavePlace};
use runtime::metric::{Count, Step, count, timer};
use runtime::queue::{Queue, QueueError};
use runtime::rules::{RulesCache, RulesError, TenantRules};
use runtime::schedule::{ScheduleError, Schedules, reconcile};
use runtime::trace::TraceId;
use serde::Serialize;
use store::{Store, StoreError};

/// How many days back a wave looks for touches that were left behind.
pub const WAVE_DAYS_BACK: u64 = 1;
/// How many days back the daily scan looks for them.
pub const SCAN_DAYS_BACK: u64 = 35;
/// How many waiting touches are read at once.
pub const WAVE_PAGE: u32 = 500;
/// The most pages of one shard and day that one call dispatches; the next call takes the rest.
pub const WAVE_PAGES_MAX: usize = 200;
/// How many days ahead a wave looks for the next one.
pub const WAVE_DAYS_AHEAD: u16 = 7;

pub use sweep::{SWEEP_HOURS_BACK_MAX, SWEEP_PAGE, SWEEP_PAGES_MAX};

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    /// The facts.
    pub store: Store,
    /// Compiled policies.
    pub rules: RulesCache,
    /// Where plan jobs go.
    pub plan: Queue,
    /// Where email touches go.
    pub email: Queue,
    /// Where SMS touches go.
    pub sms: Queue,
    /// Where the next wave is scheduled.
    pub schedules: Schedules,
}

/// What was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Started {
    /// The tenant-local date of the work.
    pub as_of: NaiveDate,
    /// How many shards were handed to the planner.
    pub shards: u16,
    /// How many waiting touches were dispatched.
    pub touches: usize,
    /// How many abandoned claims became unknown.
    pub abandoned: usize,
    /// How many claims were abandoned before their provider was called, and are decided anew.
    pub taken_over: usize,
    /// How many touches are unknown: those that this sweep found, and those of earlier ones that nobody has settled.
    pub unknown: usize,
    /// How many unknown messages were handed to their channel for a second attempt.
    pub again: usize,
    /// Whether the tenant is paused; then nothing was started.
    pub paused: bool,
}

impl Started {
    const fn on(as_of: NaiveDate) -> Self {
        Self {
            as_of,
            shards: 0,
            touches: 0,
            abandoned: 0,
            taken_over: 0,
            unknown: 0,
            again: 0,
            paused: false,
        }
    }
}

/// Why the work could not be started. All of it can be started again.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The tenant's rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The scheduler.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

/// Starts the work that an event asks for.
///
/// # Errors
/// [`ScanError`] when the tenant is unknown, or the store or a queue does not answer.
pub async fn handle(deps: &Deps, event: DueEvent, now: DateTime<Utc>) -> Result<Started, ScanError> {
    match event {
        DueEvent::Scan { tenant } => {
            let _timer = timer(Step::Scan);
            scan(deps, &tenant, now).await
        }
        DueEvent::Wave { tenant } => {
            let _timer = timer(Step::Wave);
            dispatch(deps, &tenant, now).await
        }
        DueEvent::Sweep { tenant, hours_back } => {
            let _timer = timer(Step::Sweep);
            sweep::sweep(deps, &tenant, hours_back, now).await
        }
        DueEvent::Reconcile => put_schedules_right(deps, now).await,
    }
}

async fn scan(deps: &Deps, tenant: &TenantId, now: DateTime<Utc>) -> Result<Started, ScanError> {
    let rules = deps.rules.load(&deps.store, tenant, now).await?;
    rules.texts_may_be_sent()?;
    let as_of = now.with_timezone(&rules.tenant.time_zone).date_naive();
    if rules.tenant.paused.is_some() {
        return Ok(not_started(tenant, as_of));
    }
    let jobs: Vec<ShardJob> = (0..rules.tenant.shards)
        .map(|shard| ShardJob { v: JOB_VERSION, tenant: tenant.clone(), shard, as_of })
        .collect();
    deps.plan.send(&jobs).await?;
    let touches = dispatch_days(deps, &rules, WAVE_DAYS_BACK + 1..=SCAN_DAYS_BACK, now).await?;
    count(Count::ScansStarted, 1);
    let trace = TraceId::of_day(tenant, as_of);
    tracing::info!(%trace, %tenant, %as_of, shards = jobs.len(), touches, "scan started");
    Ok(Started { shards: rules.tenant.shards, touches, ..Started::on(as_of) })
}

/// A paused tenant: what waits keeps waiting, and the first scan after the pause finds it.
fn not_started(tenant: &TenantId, as_of: NaiveDate) -> Started {
    tracing::warn!(%tenant, %as_of, "the tenant is paused; nothing was started");
    Started { paused: true, ..Started::on(as_of) }
}

/// Hands the waiting touches whose moment has come to their channels.
async fn dispatch(deps: &Deps, tenant: &TenantId, now: DateTime<Utc>) -> Result<Started, ScanError> {
    let rules = deps.rules.load(&deps.store, tenant, now).await?;
    rules.texts_may_be_sent()?;
    let as_of = now.with_timezone(&rules.tenant.time_zone).date_naive();
    if rules.tenant.paused.is_some() {
        return Ok(not_started(tenant, as_of));
    }
    let touches = dispatch_days(deps, &rules, 0..=WAVE_DAYS_BACK, now).await?;
    schedule_next(deps, &rules, now).await;
    let trace = TraceId::of_day(tenant, as_of);
    tracing::info!(%trace, %tenant, %as_of, touches, "wave dispatched");
    Ok(Started { touches, ..Started::on(as_of) })
}

/// Lets each wave schedule the next one. Where that fails, the regular look at what waits goes on from there.
async fn schedule_next(deps: &Deps, rules: &TenantRules, now: DateTime<Utc>) {
    if matches!(deps.schedules, Schedules::Off) {
        return;
    }
    let tenant = &rules.tenant.id;
    let scheduled = match deps.store.wave_after(&rules.scope(), now, WAVE_DAYS_AHEAD).await {
        Ok(Some(at)) => deps.schedules.wave(tenant, at, now).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = scheduled {
        tracing::warn!(%tenant, %error, "the next wave has no schedule of its own");
    }
}

async fn put_schedules_right(deps: &Deps, now: DateTime<Utc>) -> Result<Started, ScanError> {
    let done = reconcile(&deps.store, &deps.schedules).await?;
    tracing::info!(
        created = done.created,
        updated = done.updated,
        removed = done.removed,
        kept = done.kept,
        skipped = done.skipped,
        "schedules put right"
    );
    Ok(Started::on(now.date_naive()))
}

/// Dispatches the waves of some days, the oldest first.
async fn dispatch_days(
    deps: &Deps,
    rules: &TenantRules,
    days_back: RangeInclusive<u64>,
    now: DateTime<Utc>,
) -> Result<usize, ScanError> {
    let mut touches = 0;
    for back in days_back.rev() {
        let Some(day) = now.date_naive().checked_sub_days(Days::new(back)) else { continue };
        for shard in 0..rules.tenant.shards {
            touches += dispatch_shard(deps, &rules.tenant.id, shard, day, now).await?;
        }
    }
    Ok(touches)
}

async fn dispatch_shard(
    deps: &Deps,
    tenant: &TenantId,
    shard: u16,
    day: NaiveDate,
    now: DateTime<Utc>,
) -> Result<usize, ScanError> {
    let mut touches = 0;
    let mut cursor = None;
    for _ in 0..WAVE_PAGES_MAX {
        let page = deps.store.due_waves(tenant, shard, day, now, cursor, WAVE_PAGE).await?;
        touches += page.items.len();
        for unreadable in page.unreadable {
            // It stays where it is, for whoever looks into it; the daily scan plans the stage again, and its claim
            // knows whether it was sent.
            let customer = unreadable.customer.as_ref().map_or("unknown", |id| id.as_str());
            tracing::error!(%tenant, shard, customer, problem = %unreadable.problem, "a waiting touch cannot be read");
        }
        let (email, sms): (Vec<TouchJob>, Vec<TouchJob>) = page
            .items
            .into_iter()
            .map(|waiting| TouchJob {
                v: JOB_VERSION,
                tenant: tenant.clone(),
                customer: waiting.place.touch.customer,
                touch: waiting.place.touch.id,
                on: waiting.place.touch.on,
                channel: waiting.channel,
                wave: Some(WavePlace { shard, send_at: waiting.place.send_at }),
                seal: None,
            })
            .partition(|job| job.channel == domain::channel::Channel::Email);
        deps.email.send(&email).await?;
        deps.sms.send(&sms).await?;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(touches)
}
