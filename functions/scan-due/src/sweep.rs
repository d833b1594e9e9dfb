//! The sweep: claims that nobody settled become unknown, so that nothing stays claimed for ever.
//!
//! Invariant: it reads the index, and only the touches of customers with a recent contact. It never plans and never
//! sends: whether the provider has the message of an abandoned claim, its event or a person says.

use chrono::{DateTime, Days, Duration, Utc};
use domain::ids::TenantId;
use store::CLAIM_LEASE_MINUTES;

use crate::{Deps, ScanError, Started};

/// How far back a sweep looks at most, in hours: as long as a fence keeps its contacts.
pub const SWEEP_HOURS_BACK_MAX: u16 = 35 * 24;
/// How many fences are read at once.
pub const SWEEP_PAGE: u32 = 1_000;
/// The most pages of one shard that one sweep reads; a later one begins anew.
pub const SWEEP_PAGES_MAX: usize = 1_000;

/// Settles the abandoned claims of the customers whose latest contact is at most so many hours old.
pub(crate) async fn sweep(
    deps: &Deps,
    tenant: &TenantId,
    hours_back: u16,
    now: DateTime<Utc>,
) -> Result<Started, ScanError> {
    let rules = deps.rules.load(&deps.store, tenant).await?;
    let as_of = now.with_timezone(&rules.tenant.time_zone).date_naive();
    let oldest = now - Duration::hours(i64::from(hours_back.min(SWEEP_HOURS_BACK_MAX)));
    let youngest = now - Duration::minutes(CLAIM_LEASE_MINUTES);
    // A local date is at most one day before that of UTC; an older claim of the same customer goes with it.
    let from_on = oldest.date_naive().checked_sub_days(Days::new(1)).unwrap_or(chrono::NaiveDate::MIN);
    let mut abandoned = 0;
    for shard in 0..rules.tenant.shards {
        let mut cursor = None;
        for _ in 0..SWEEP_PAGES_MAX {
            let page = deps.store.reached_page(tenant, shard, cursor, SWEEP_PAGE).await?;
            for fence in page.items {
                if fence.last_contact_at.is_some_and(|at| (oldest..=youngest).contains(&at)) {
                    let found = deps.store.settle_abandoned(tenant, &fence.customer, from_on, now).await?;
                    abandoned += found.settled;
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    tracing::info!(%tenant, %as_of, abandoned, "claims swept");
    Ok(Started { as_of, shards: 0, touches: 0, abandoned, paused: false })
}
