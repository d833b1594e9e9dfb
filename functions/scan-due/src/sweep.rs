//! The sweep: claims that nobody settled become unknown, so that nothing stays claimed for ever; those under which no
//! provider was called are dispatched again. Where the tenant prefers delivery, messages that stay unknown are handed to
//! their channel once more.
//!
//! Invariants: it reads the index, and only the touches of customers with a recent contact and of those who owe nothing
//! any more, once. What is unknown is noted before its customer leaves the index, and counted until it is settled. A
//! sweep never plans and never sends: what is dispatched again is decided like anything else, and whether the provider
//! has the message of an abandoned claim, its event or a person says.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, Duration, NaiveDate, Utc};
use domain::channel::Channel;
use domain::ids::{CustomerId, TenantId};
use domain::tenant::{OnUnknown, Tenant};
use runtime::job::{JOB_VERSION, TouchJob};
use runtime::rules::TenantRules;
use store::{RESEND_AFTER_MINUTES, ReachedEntry, StoreError, TouchKey, UNKNOWN_BATCH_MAX, UnknownTouch};

use crate::{Deps, ScanError, Started, WAVE_DAYS_BACK, dispatch_days};

/// How far back a sweep looks at most at customers who owe something, in hours: as long as a fence keeps its contacts.
pub const SWEEP_HOURS_BACK_MAX: u16 = 35 * 24;
/// How many fences are read at once.
pub const SWEEP_PAGE: u32 = 1_000;
/// The most pages of one shard that one sweep reads; a later one begins anew.
pub const SWEEP_PAGES_MAX: usize = 1_000;
/// The most messages that one sweep hands over for a second attempt; the next one takes the rest.
pub(crate) const AGAIN_MAX: usize = 1_000;

/// The most notes of unknown touches that one sweep reads; where there are more, the oldest are counted.
pub(crate) const NOTES_MAX: usize = 100_000;
/// How many days a fence remembers its contacts: no claim of a customer is older than its latest contact by more.
const CONTACTS_KEPT_DAYS: u64 = 36;

/// Settles the abandoned claims of the customers whose latest contact is at most so many hours old, and of those who
/// owe nothing any more, whenever their latest contact was: they leave the index then.
pub(crate) async fn sweep(
    deps: &Deps,
    tenant: &TenantId,
    hours_back: u16,
    now: DateTime<Utc>,
) -> Result<Started, ScanError> {
    let rules = deps.rules.load(&deps.store, tenant, now).await?;
    let as_of = now.with_timezone(&rules.tenant.time_zone).date_naive();
    let mut sweep = Sweep {
        deps,
        rules: &rules,
        now,
        oldest: now - Duration::hours(i64::from(hours_back.min(SWEEP_HOURS_BACK_MAX))),
        noted: notes(deps, tenant).await?,
        abandoned: 0,
        taken_over: 0,
        again: Vec::new(),
    };
    for shard in 0..rules.tenant.shards {
        sweep.shard(shard).await?;
    }
    let unknown = sweep.count_unknown().await?;
    let Sweep { abandoned, taken_over, again, .. } = sweep;
    let (email, sms): (Vec<TouchJob>, Vec<TouchJob>) =
        again.into_iter().partition(|job| job.channel == Channel::Email);
    let again = email.len() + sms.len();
    deps.email.send(&email).await?;
    deps.sms.send(&sms).await?;
    // They wait from now on.
    let touches =
        if taken_over > 0 { dispatch_days(deps, &rules, 0..=WAVE_DAYS_BACK, now).await? } else { 0 };
    tracing::info!(%tenant, %as_of, abandoned, taken_over, unknown, again, touches, "claims swept");
    Ok(Started { abandoned, taken_over, unknown, again, touches, ..Started::on(as_of) })
}

/// The touches that earlier sweeps found unknown.
async fn notes(deps: &Deps, tenant: &TenantId) -> Result<BTreeSet<TouchKey>, ScanError> {
    let (mut noted, mut cursor) = (BTreeSet::new(), None);
    while noted.len() < NOTES_MAX {
        let page = deps.store.noted_unknown(tenant, cursor, SWEEP_PAGE).await?;
        for unreadable in page.unreadable {
            tracing::error!(%tenant, problem = %unreadable.problem, "a note of an unknown touch cannot be read");
        }
        noted.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(noted);
        }
    }
    tracing::warn!(%tenant, notes = noted.len(), "more unknown touches than one sweep counts");
    Ok(noted)
}

/// A sweep at work.
struct Sweep<'a> {
    deps: &'a Deps,
    rules: &'a TenantRules,
    now: DateTime<Utc>,
    /// Customers who owe something are looked at where their latest contact is not older.
    oldest: DateTime<Utc>,
    noted: BTreeSet<TouchKey>,
    abandoned: usize,
    taken_over: usize,
    again: Vec<TouchJob>,
}

impl Sweep<'_> {
    async fn shard(&mut self, shard: u16) -> Result<(), ScanError> {
        let tenant = &self.rules.tenant.id;
        let mut cursor = None;
        for _ in 0..SWEEP_PAGES_MAX {
            let page = self.deps.store.contacted_page(tenant, shard, cursor, SWEEP_PAGE).await?;
            for unreadable in page.unreadable {
                let customer = unreadable.customer.as_ref().map_or("unknown", |id| id.as_str());
                tracing::error!(%tenant, shard, customer, problem = %unreadable.problem, "a fence cannot be swept");
            }
            for fence in page.items {
                match self.customer(&fence).await {
                    Ok(()) => {}
                    Err(problem @ StoreError::Corrupt { .. }) => {
                        tracing::error!(%tenant, shard, customer = %fence.customer, %problem, "a claim cannot be swept");
                    }
                    Err(problem) => return Err(problem.into()),
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(())
    }

    async fn customer(&mut self, fence: &ReachedEntry) -> Result<(), StoreError> {
        let Self { deps, rules, now, .. } = *self;
        // A younger contact may have an open claim and no abandoned one; what is unknown about it is found next time.
        let youngest = now - deps.store.claim_lease();
        let Some(last_at) = fence.last_contact_at.filter(|at| *at <= youngest) else { return Ok(()) };
        let owes_nothing = fence.reached.is_empty();
        if last_at < self.oldest && !owes_nothing {
            return Ok(());
        }
        // A local date is at most one day before that of UTC; an older claim of the same customer goes with it. Whoever
        // leaves the index is not looked at again, so nothing that may be open is left out.
        let (since, days_more) = if owes_nothing { (last_at, CONTACTS_KEPT_DAYS) } else { (self.oldest, 1) };
        let from_on = since.date_naive().checked_sub_days(Days::new(days_more)).unwrap_or(NaiveDate::MIN);
        let found = deps.store.settle_abandoned(&rules.scope(), &fence.customer, from_on, now).await?;
        if found.unknown > 0 {
            self.note(&fence.customer, from_on).await?;
        }
        self.abandoned += found.settled;
        self.taken_over += found.taken_over;
        let second = |unknown| second_job(&rules.tenant, unknown, now);
        let room = AGAIN_MAX.saturating_sub(self.again.len());
        self.again.extend(found.tried_once.iter().filter_map(second).take(room));
        if found.open == 0 && owes_nothing {
            deps.store.leave_open_index(&rules.tenant.id, &fence.customer, last_at).await?;
        }
        Ok(())
    }

    /// Notes what is unknown about a customer, so that it stays in the report whatever becomes of the index.
    async fn note(&mut self, customer: &CustomerId, from_on: NaiveDate) -> Result<(), StoreError> {
        let (store, tenant) = (&self.deps.store, &self.rules.tenant.id);
        for touch in store.unknown_touches(tenant, customer, from_on).await? {
            if !self.noted.contains(&touch) {
                store.note_unknown(tenant, &touch).await?;
                self.noted.insert(touch);
            }
        }
        Ok(())
    }

    /// How many of the noted touches are unknown still. The notes of the others are taken away.
    async fn count_unknown(&self) -> Result<usize, ScanError> {
        let (store, tenant) = (&self.deps.store, &self.rules.tenant.id);
        let noted: Vec<TouchKey> = self.noted.iter().cloned().collect();
        let mut count = 0;
        for batch in noted.chunks(UNKNOWN_BATCH_MAX) {
            let unknown: BTreeSet<TouchKey> = match store.still_unknown(tenant, batch).await {
                Ok(found) => found.iter().map(|record| TouchKey::of(&record.touch)).collect(),
                // One that cannot be read may be unknown, and so may those that were asked for along with it.
                Err(problem @ StoreError::Corrupt { .. }) => {
                    tracing::error!(%tenant, %problem, "an unknown touch cannot be read");
                    batch.iter().cloned().collect()
                }
                Err(problem) => return Err(problem.into()),
            };
            count += unknown.len();
            for settled in batch.iter().filter(|touch| !unknown.contains(touch)) {
                store.forget_unknown(tenant, settled).await?;
            }
        }
        Ok(count)
    }
}

/// The job of a second attempt, where the tenant prefers delivery and an hour has passed. Whoever takes it decides and
/// claims, so that two sweeps do no harm, and neither does an event that comes first.
fn second_job(tenant: &Tenant, unknown: &UnknownTouch, now: DateTime<Utc>) -> Option<TouchJob> {
    let is_wanted = match tenant.on_unknown.of(unknown.channel) {
        OnUnknown::PreferNoDuplicate => false,
        OnUnknown::PreferDelivery => {
            now.signed_duration_since(unknown.claimed_at) >= Duration::minutes(RESEND_AFTER_MINUTES)
        }
    };
    is_wanted.then(|| TouchJob {
        v: JOB_VERSION,
        tenant: tenant.id.clone(),
        customer: unknown.place.customer.clone(),
        touch: unknown.place.id.clone(),
        on: unknown.place.on,
        channel: unknown.channel,
        wave: None,
        seal: None,
    })
}
