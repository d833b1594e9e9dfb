//! The sweep: claims that nobody settled become unknown, so that nothing stays claimed for ever; those under which no
//! provider was called are dispatched again. Where the tenant prefers delivery, messages that stay unknown are handed to
//! their channel once more.
//!
//! Invariant: it reads the index, and only the touches of customers with a recent contact. It never plans and never
//! sends: what is dispatched again is decided like anything else, and whether the provider has the message of an
//! abandoned claim, its event or a person says.

use chrono::{DateTime, Days, Duration, Utc};
use domain::channel::Channel;
use domain::ids::TenantId;
use domain::tenant::{OnUnknown, Tenant};
use runtime::job::{JOB_VERSION, TouchJob};
use store::{RESEND_AFTER_MINUTES, StoreError, UnknownTouch};

use crate::{Deps, ScanError, Started, WAVE_DAYS_BACK, dispatch_days};

/// How far back a sweep looks at most, in hours: as long as a fence keeps its contacts.
pub const SWEEP_HOURS_BACK_MAX: u16 = 35 * 24;
/// How many fences are read at once.
pub const SWEEP_PAGE: u32 = 1_000;
/// The most pages of one shard that one sweep reads; a later one begins anew.
pub const SWEEP_PAGES_MAX: usize = 1_000;
/// The most messages that one sweep hands over for a second attempt; the next one takes the rest.
pub(crate) const AGAIN_MAX: usize = 1_000;

/// Settles the abandoned claims of the customers whose latest contact is at most so many hours old.
pub(crate) async fn sweep(
    deps: &Deps,
    tenant: &TenantId,
    hours_back: u16,
    now: DateTime<Utc>,
) -> Result<Started, ScanError> {
    let rules = deps.rules.load(&deps.store, tenant, now).await?;
    let as_of = now.with_timezone(&rules.tenant.time_zone).date_naive();
    let oldest = now - Duration::hours(i64::from(hours_back.min(SWEEP_HOURS_BACK_MAX)));
    // A younger contact may have an open claim and no abandoned one; what is unknown about it is counted next time.
    let youngest = now - deps.store.claim_lease();
    // A local date is at most one day before that of UTC; an older claim of the same customer goes with it.
    let from_on = oldest.date_naive().checked_sub_days(Days::new(1)).unwrap_or(chrono::NaiveDate::MIN);
    let (mut abandoned, mut taken_over, mut unknown, mut again) = (0, 0, 0, Vec::new());
    let scope = rules.scope();
    for shard in 0..rules.tenant.shards {
        let mut cursor = None;
        for _ in 0..SWEEP_PAGES_MAX {
            let page = deps.store.reached_page(tenant, shard, cursor, SWEEP_PAGE).await?;
            for unreadable in page.unreadable {
                let customer = unreadable.customer.as_ref().map_or("unknown", |id| id.as_str());
                tracing::error!(%tenant, shard, customer, problem = %unreadable.problem, "a fence cannot be swept");
            }
            for fence in page.items {
                let Some(last_at) = fence.last_contact_at.filter(|at| *at <= youngest) else { continue };
                let mut open = 0;
                if last_at >= oldest {
                    let swept = deps.store.settle_abandoned(&scope, &fence.customer, from_on, now).await;
                    let found = match swept {
                        Ok(found) => found,
                        Err(problem @ StoreError::Corrupt { .. }) => {
                            tracing::error!(%tenant, shard, customer = %fence.customer, %problem, "a claim cannot be swept");
                            continue;
                        }
                        Err(problem) => return Err(problem.into()),
                    };
                    abandoned += found.settled;
                    taken_over += found.taken_over;
                    open = found.open;
                    unknown += found.unknown;
                    let second = |unknown| second_job(&rules.tenant, unknown, now);
                    let room = AGAIN_MAX.saturating_sub(again.len());
                    again.extend(found.tried_once.iter().filter_map(second).take(room));
                }
                if open == 0 && fence.reached.is_empty() {
                    deps.store.leave_open_index(tenant, &fence.customer, last_at).await?;
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
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
