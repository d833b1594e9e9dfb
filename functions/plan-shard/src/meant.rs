//! Whether somebody can have meant a job.
//!
//! Invariant: a job for a shard that the tenant does not have, or for a day far from today, plans nothing.

use chrono::{DateTime, Utc};
use runtime::job::ShardJob;
use runtime::rules::TenantRules;

use crate::PlanError;

/// How many days a job's date may lie behind the tenant's: longer than a queue and its dead letters keep a message.
pub const AS_OF_DAYS_BACK_MAX: i64 = 35;
/// How many days it may lie ahead: two clocks may see midnight differently.
pub const AS_OF_DAYS_AHEAD_MAX: i64 = 1;

/// Refuses a job that nobody can have meant.
pub(crate) fn check(job: &ShardJob, rules: &TenantRules, now: DateTime<Utc>) -> Result<(), PlanError> {
    let shards = rules.tenant.shards;
    if job.shard >= shards {
        return Err(PlanError::NoSuchShard { shard: job.shard, tenant: job.tenant.clone(), shards });
    }
    let today = now.with_timezone(&rules.tenant.time_zone).date_naive();
    let ahead = job.as_of.signed_duration_since(today).num_days();
    if (-AS_OF_DAYS_BACK_MAX..=AS_OF_DAYS_AHEAD_MAX).contains(&ahead) {
        Ok(())
    } else {
        Err(PlanError::WrongDay { as_of: job.as_of, today })
    }
}
