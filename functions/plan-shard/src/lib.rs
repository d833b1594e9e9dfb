//! Plans one shard of a tenant's open obligations: reads the index, looks closer at the customers for whom a stage is
//! due, and hands their touches on.
//!
//! Invariants: every open obligation in the policy's window gets a verdict. A customer's partition is only read when the
//! index cannot rule out that a stage is due, so a quiet day costs little more than the index itself. Where a stage is
//! due and nothing goes out now, the decision is on record before the job is done.

mod counted;
mod failed;
mod meant;
mod spread;

use std::collections::BTreeMap;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use chrono::{DateTime, Days, NaiveDate, Utc};
use domain::channel::Channel;
use domain::choice::OptOutKey;
use domain::contact::Contact;
use domain::decision::{Cause, DecisionRecord};
use domain::fence::Reached;
use domain::ids::{CustomerId, ObligationId, TenantId};
use domain::ladder::{Rung, StageDue, stage_due};
use domain::message::message_context;
use domain::planner::{Facts, Plan, Rules, plan};
use domain::policy::Policy;
use domain::touch::Touch;
use domain::verdict::{Decision, ReasonCode, Verdict};
use domain::zone::day_zone;
use runtime::batch::each_job;
use runtime::decision_log::{DecisionLine, DecisionLog};
use runtime::job::{JOB_VERSION, ShardJob, TouchJob};
use runtime::metric::{Step, timer};
use runtime::queue::{Queue, QueueError};
use runtime::rules::{RulesCache, RulesError, TenantRules, suppressed_channels};
use runtime::schedule::Schedules;
use runtime::trace::TraceId;
use serde::Serialize;
use store::{CustomerFacts, OpenEntry, Recording, Store, StoreError, SuppressionKey};

use failed::Failed;
use spread::{Budget, Loads, Spread};

pub use meant::{AS_OF_DAYS_AHEAD_MAX, AS_OF_DAYS_BACK_MAX};
pub use spread::{Limit, OVERFULL_MAX, Overfull};

/// How many index entries are read at once.
pub const INDEX_PAGE: u32 = 1_000;
/// The most pages of one index range that one job reads: a million entries a shard.
pub const INDEX_PAGES_MAX: usize = 1_000;

/// How often a customer is decided anew when facts keep arriving between the decision and its record.
pub const DECISIONS_MAX: usize = 5;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    /// The facts.
    pub store: Store,
    /// Compiled policies.
    pub rules: RulesCache,
    /// Where email touches go.
    pub email: Queue,
    /// Where SMS touches go.
    pub sms: Queue,
    /// The key that hides suppressed addresses.
    pub suppression: SuppressionKey,
    /// Where verdicts go.
    pub decisions: DecisionLog,
    /// Where the first wave of the shard is scheduled; each wave schedules the next.
    pub schedules: Schedules,
}

/// What was read and decided in one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Customers with an open obligation in the window.
    pub customers: usize,
    /// Open obligations in the window.
    pub obligations: usize,
    /// Touches handed to a channel.
    pub touches: usize,
    /// Touches that wait for their moment.
    pub waiting: usize,
    /// Open hours that are too short for what is to be sent in them, at the tenant's rates and daily quotas.
    pub overfull: Vec<Overfull>,
    /// Customers who could not be decided about, and to whom nothing goes out. The others were not held up by them.
    pub failed: Vec<FailedCustomer>,
    /// Whether the tenant is paused; then nothing was planned.
    pub paused: bool,
}

/// A customer who could not be decided about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedCustomer {
    /// Who; absent where not even the key of what is stored says so.
    pub customer: Option<CustomerId>,
    /// Whether planning the shard again may succeed without anybody doing something.
    pub retryable: bool,
    /// What is wrong, with ids only.
    pub problem: String,
}

/// Why a shard could not be planned. The job can be run again.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The tenant's rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The job names a shard that the tenant does not have. It is never carried out.
    #[error("tenant {tenant} has no shard {shard}; expected one below {shards}")]
    NoSuchShard {
        /// The shard.
        shard: u16,
        /// The tenant.
        tenant: TenantId,
        /// How many it has.
        shards: u16,
    },
    /// The job's date is far from today's. It is never carried out.
    #[error(
        "the job is for {as_of} and today is {today}; expected at most {AS_OF_DAYS_BACK_MAX} days before and \
         {AS_OF_DAYS_AHEAD_MAX} after it"
    )]
    WrongDay {
        /// The date of the job.
        as_of: NaiveDate,
        /// The tenant's date.
        today: NaiveDate,
    },
    /// Some customers could not be decided about, and may be when the job runs again; all others were.
    #[error(
        "{failed} customers of shard {shard} of tenant {tenant} could not be decided about, the first {first}"
    )]
    Unfinished {
        /// How many, those that cannot be decided about either way included.
        failed: usize,
        /// The shard.
        shard: u16,
        /// The tenant.
        tenant: String,
        /// The first of them that may succeed, and why it did not.
        first: String,
    },
    /// Facts kept arriving.
    #[error(
        "customer {customer} changed {DECISIONS_MAX} times between decision and record; expected it to settle"
    )]
    Restless {
        /// The customer.
        customer: CustomerId,
    },
    /// The shard has more than one job can read.
    #[error("shard {shard} of tenant {tenant} has more than {INDEX_PAGES_MAX} pages; expected more shards")]
    TooLarge {
        /// The shard.
        shard: u16,
        /// The tenant.
        tenant: String,
    },
}

/// Plans the shards of a batch.
pub async fn handle(deps: &Deps, event: SqsEvent, now: DateTime<Utc>) -> SqsBatchResponse {
    each_job(event, async |job: ShardJob| {
        let timer = timer(Step::Plan);
        let planned = plan_shard(deps, &job, now).await?;
        drop(timer);
        counted::planned(&planned);
        tracing::info!(
            trace = %TraceId::of_day(&job.tenant, job.as_of), tenant = %job.tenant, shard = job.shard, as_of = %job.as_of, customers = planned.customers,
            obligations = planned.obligations, touches = planned.touches, waiting = planned.waiting,
            failed = planned.failed.len(), "shard planned"
        );
        Ok::<(), PlanError>(())
    })
    .await
}

/// Plans one shard.
///
/// What cannot be read about one customer holds up no other: it is in [`Planned::failed`], and in the log.
///
/// # Errors
/// [`PlanError`] when the rules, the store or a queue fail; what was already queued is harmless when it is planned again.
/// [`PlanError::Unfinished`] names a customer for whom that may help, after all others were planned.
pub async fn plan_shard(deps: &Deps, job: &ShardJob, now: DateTime<Utc>) -> Result<Planned, PlanError> {
    let rules = deps.rules.load(&deps.store, &job.tenant, now).await?;
    meant::check(job, &rules, now)?;
    rules.texts_may_be_sent()?;
    if rules.tenant.paused.is_some() {
        tracing::warn!(tenant = %job.tenant, shard = job.shard, "the tenant is paused; nothing was planned");
        return Ok(Planned { paused: true, ..Planned::default() });
    }
    let mut failed = Failed::default();
    let open = open_by_customer(deps, job, &rules.policy, &mut failed).await?;
    let mut reached = reached_by_customer(deps, job, &mut failed).await?;
    let mut planned = Planned { customers: open.len(), ..Planned::default() };
    let mut outgoing = Outgoing::default();
    let spread = Spread::new(&rules.tenant, open.len());
    let shard = Shard { job, rules: &rules, spread };
    for (customer, entries) in open {
        planned.obligations += entries.len();
        let reached = reached.remove(&customer).unwrap_or_default();
        let line = |v| DecisionLine::new(job.as_of, &customer, rules.tenant.time_zone, v);
        if !failed.names(&customer) {
            match triage(&rules.policy, &entries, &reached, job.as_of) {
                Triage::Quiet(verdicts) => {
                    deps.decisions.record(|| verdicts.into_iter().map(line).collect());
                    continue;
                }
                Triage::Due => match plan_customer(deps, &shard, &customer, now, &mut outgoing).await {
                    Ok(()) => continue,
                    Err(problem) => failed.take(&customer, problem)?,
                },
            }
        }
        deps.decisions
            .record(|| entries.iter().map(|entry| line(failed.verdict(&customer, entry))).collect());
    }
    planned.touches = outgoing.email.len() + outgoing.sms.len();
    planned.waiting = outgoing.waiting;
    schedule_first(deps, job, outgoing.first_wave_at, now).await;
    planned.overfull = overfull(deps, &rules, &outgoing.loads).await?;
    warn_of(job, &planned.overfull);
    deps.email.send(&outgoing.email).await?;
    deps.sms.send(&outgoing.sms).await?;
    planned.failed = failed.report(job)?;
    Ok(planned)
}

/// The hours that are too short for the plan, by the rates and what is left of the daily quotas.
async fn overfull(deps: &Deps, rules: &TenantRules, loads: &Loads) -> Result<Vec<Overfull>, StoreError> {
    let tenant = &rules.tenant;
    let mut quotas = Vec::new();
    for channel in [Channel::Email, Channel::Sms] {
        if let Some(quota) = tenant.daily_quotas.of(channel) {
            quotas.push((channel, quota, deps.store.send_rate(&tenant.id, channel).await?));
        }
    }
    Ok(loads.overfull(&Budget::new(&tenant.rates, tenant.shards, &quotas)))
}

/// Schedules the first wave of what waits. Where that fails, the regular look at what waits finds it.
async fn schedule_first(deps: &Deps, job: &ShardJob, at: Option<DateTime<Utc>>, now: DateTime<Utc>) {
    let Some(at) = at else { return };
    if let Err(error) = deps.schedules.wave(&job.tenant, at, now).await {
        tracing::warn!(tenant = %job.tenant, shard = job.shard, %error, "the wave has no schedule of its own");
    }
}

/// Says before the first message that a plan cannot be finished in time.
fn warn_of(job: &ShardJob, overfull: &[Overfull]) {
    for hours in overfull {
        tracing::warn!(
            tenant = %job.tenant, shard = job.shard, as_of = %job.as_of, channel = %hours.channel,
            from_at = %hours.from_at, until_at = %hours.until_at, touches = hours.touches, units = hours.units,
            capacity = hours.capacity, limit = ?hours.limit, "the open hours are too short for the plan"
        );
    }
}

/// The shard at work.
#[derive(Debug, Clone, Copy)]
struct Shard<'a> {
    job: &'a ShardJob,
    rules: &'a TenantRules,
    spread: Spread<'a>,
}

/// What a shard's customers are to be sent.
#[derive(Debug, Default)]
struct Outgoing {
    email: Vec<TouchJob>,
    sms: Vec<TouchJob>,
    waiting: usize,
    first_wave_at: Option<DateTime<Utc>>,
    loads: Loads,
}

impl Outgoing {
    fn add(&mut self, job: &ShardJob, key: &SuppressionKey, touch: &Touch) {
        let touch_job = TouchJob {
            v: JOB_VERSION,
            tenant: job.tenant.clone(),
            customer: touch.customer.clone(),
            touch: touch.id.clone(),
            on: touch.on,
            channel: touch.channel,
            wave: None,
            seal: None,
        };
        let touch_job = touch_job.sealed(key);
        match touch.channel {
            Channel::Email => self.email.push(touch_job),
            // Only channels with a text can be chosen, and texts exist for email and SMS.
            Channel::Sms | Channel::Push | Channel::Whatsapp | Channel::Call => self.sms.push(touch_job),
        }
    }
}

/// Decides for one customer. A fact that arrives before the decision is on record would make the record untrue, so the
/// customer is decided anew: to leave it to the next scan would leave the day without its decision.
async fn plan_customer(
    deps: &Deps,
    shard: &Shard<'_>,
    customer: &CustomerId,
    now: DateTime<Utc>,
    outgoing: &mut Outgoing,
) -> Result<(), PlanError> {
    for _ in 0..DECISIONS_MAX {
        if decide_customer(deps, shard, customer, now, outgoing).await? {
            return Ok(());
        }
    }
    Err(PlanError::Restless { customer: customer.clone() })
}

/// Decides for one customer; `false` when a fact came in between and nothing was handed on.
async fn decide_customer(
    deps: &Deps,
    shard: &Shard<'_>,
    customer: &CustomerId,
    now: DateTime<Utc>,
    outgoing: &mut Outgoing,
) -> Result<bool, PlanError> {
    let Shard { job, rules, spread } = *shard;
    // The index may lag behind: a customer that is gone by now has nothing left to decide.
    let Some(known) = deps.store.customer_facts(&job.tenant, customer).await? else { return Ok(true) };
    let suppressed =
        suppressed_channels(&deps.store, &deps.suppression, &job.tenant, &known.customer).await?;
    let rules_for = rules.for_customer(&known.customer)?;
    let facts = Facts {
        customer: &known.customer,
        obligations: &known.obligations,
        fence: &known.fence,
        suppressed: &suppressed,
    };
    let decided = plan(&rules_for, &facts, now);
    // What goes out now is put on record by its claim, or by the decision that prevents it.
    if decided.now.is_none()
        && let Some(record) = DecisionRecord::of(&rules_for, &facts, &decided, now, Cause::Plan)
        && deps.store.record_decision(&rules.scope(), &record, &known.fence).await? == Recording::FenceMoved
    {
        return Ok(false);
    }
    let Plan { on, now: touch, later, verdicts } = decided;
    let mut prior: Vec<Contact> = known.fence.contacts.clone();
    if let Some(touch) = &touch {
        let until_at = spread::open_until(&rules_for, &facts, &prior, touch);
        let units = units(rules, &rules_for, &known, touch);
        outgoing.loads.add(touch.channel, units, touch.send_at, until_at);
        outgoing.add(job, &deps.suppression, touch);
        // What goes out now counts against what waits.
        prior.push(Contact { at: touch.send_at, channel: touch.channel, direct: false });
    }
    if let Some(first) = later {
        let from_at = first.send_at;
        let (touch, until_at) = spread.place(&rules_for, &facts, &prior, first);
        deps.store.plan_touch(&rules.scope(), &touch).await?;
        outgoing.waiting += 1;
        outgoing.loads.add(touch.channel, units(rules, &rules_for, &known, &touch), from_at, until_at);
        outgoing.first_wave_at =
            Some(outgoing.first_wave_at.map_or(touch.send_at, |first| first.min(touch.send_at)));
    }
    let zone = day_zone(&known.customer, rules_for.jurisdiction);
    let from_dpd = rules.policy.from_dpd();
    let in_window = |v: &Verdict| domain::obligation::dpd(v.due_on, on) >= from_dpd;
    counted::skipped(&verdicts);
    deps.decisions.record(|| {
        let open = verdicts.into_iter().filter(in_window).filter(|v| !is_closed(v));
        open.map(|v| DecisionLine::new(on, customer, zone, v)).collect()
    });
    Ok(true)
}

/// How many units of its channel's rate a touch takes, as its message would be today.
fn units(rules: &TenantRules, rules_for: &Rules<'_>, known: &CustomerFacts, touch: &Touch) -> u32 {
    match touch.channel {
        Channel::Email => 1,
        Channel::Sms | Channel::Push | Channel::Whatsapp | Channel::Call => {
            // The links of a customer are of one length, whatever key signs them.
            let of = (&known.customer.id, touch.channel);
            let link = rules.tenant.opt_out_link(&OptOutKey::new([]), of, touch.on);
            let context =
                message_context(&rules.tenant, &known.customer, &known.obligations, touch, link.as_ref());
            let message = rules_for.policy.templates.render(&touch.template, touch.channel, &context);
            message.map_or(1, |message| message.send_units())
        }
    }
}

fn is_closed(verdict: &Verdict) -> bool {
    matches!(verdict.code(), Some(ReasonCode::Closed | ReasonCode::WindowOver))
}

/// What the index alone says about a customer.
enum Triage {
    /// No stage can be due; the verdicts say why.
    Quiet(Vec<Verdict>),
    /// A stage may be due: the facts must be read.
    Due,
}

/// Whether a stage would be due if nothing held it.
fn is_held_back(policy: &Policy, rung: &Rung<'_>, as_of: NaiveDate) -> bool {
    matches!(stage_due(policy, &Rung { holds: &[], ..*rung }, as_of), StageDue::Due { .. })
}

fn triage(
    policy: &Policy,
    entries: &[OpenEntry],
    reached: &BTreeMap<ObligationId, Reached>,
    as_of: NaiveDate,
) -> Triage {
    let mut verdicts = Vec::with_capacity(entries.len());
    for entry in entries {
        let reached = reached.get(&entry.obligation).filter(|r| r.due_on == entry.due_on);
        let rung = Rung { due_on: entry.due_on, holds: &entry.holds, reached, debtor: None };
        match stage_due(policy, &rung, as_of) {
            StageDue::Due { .. } => return Triage::Due,
            // That a hold stops a stage which is due goes on record, and for that the facts are read.
            StageDue::Quiet(_, reason)
                if matches!(reason.code, ReasonCode::Held(_)) && is_held_back(policy, &rung, as_of) =>
            {
                return Triage::Due;
            }
            StageDue::Quiet(stage, reason) => verdicts.push(Verdict {
                obligation: entry.obligation.clone(),
                due_on: entry.due_on,
                stage: stage.map(|s| s.id.clone()),
                decision: Decision::Skip,
                reasons: vec![reason],
            }),
        }
    }
    Triage::Quiet(verdicts)
}

/// The shard's open obligations in the policy's window, by customer.
async fn open_by_customer(
    deps: &Deps,
    job: &ShardJob,
    policy: &Policy,
    failed: &mut Failed,
) -> Result<BTreeMap<CustomerId, Vec<OpenEntry>>, PlanError> {
    // Days past due run backwards along due dates: the most overdue has the earliest one.
    let due =
        (shift(job.as_of, -i64::from(policy.until_dpd)), shift(job.as_of, -i64::from(policy.from_dpd())));
    let mut by_customer: BTreeMap<CustomerId, Vec<OpenEntry>> = BTreeMap::new();
    let mut cursor = None;
    for _ in 0..INDEX_PAGES_MAX {
        let page = deps.store.open_page(&job.tenant, job.shard, due, cursor, INDEX_PAGE).await?;
        for entry in page.items {
            by_customer.entry(entry.customer.clone()).or_default().push(entry);
        }
        failed.add(page.unreadable);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(by_customer);
        }
    }
    Err(PlanError::TooLarge { shard: job.shard, tenant: job.tenant.to_string() })
}

/// The stages reached in the shard, by customer.
async fn reached_by_customer(
    deps: &Deps,
    job: &ShardJob,
    failed: &mut Failed,
) -> Result<BTreeMap<CustomerId, BTreeMap<ObligationId, Reached>>, PlanError> {
    let mut by_customer = BTreeMap::new();
    let mut cursor = None;
    for _ in 0..INDEX_PAGES_MAX {
        let page = deps.store.reached_page(&job.tenant, job.shard, cursor, INDEX_PAGE).await?;
        by_customer.extend(page.items.into_iter().map(|e| (e.customer, e.reached)));
        failed.add(page.unreadable);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(by_customer);
        }
    }
    Err(PlanError::TooLarge { shard: job.shard, tenant: job.tenant.to_string() })
}

fn shift(on: NaiveDate, days: i64) -> NaiveDate {
    let by = Days::new(days.unsigned_abs());
    let (shifted, edge) = if days < 0 {
        (on.checked_sub_days(by), NaiveDate::MIN)
    } else {
        (on.checked_add_days(by), NaiveDate::MAX)
    };
    shifted.unwrap_or(edge)
}
