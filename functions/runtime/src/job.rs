//! Jobs: what the functions tell each other through the queues.
//!
//! Invariant: a job names things, it carries no facts. Whoever takes it reads the facts of that moment.

use chrono::{DateTime, NaiveDate, Utc};
use domain::channel::Channel;
use domain::ids::{CustomerId, TenantId, TouchId};
use serde::{Deserialize, Serialize};
use store::SuppressionKey;

/// The version of the jobs' form; another one is refused.
pub const JOB_VERSION: u32 = 1;

/// What starts the daily work of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DueEvent {
    /// Scan every shard for what falls due.
    Scan {
        /// The tenant.
        tenant: TenantId,
    },
    /// Dispatch the touches whose moment has come.
    Wave {
        /// The tenant.
        tenant: TenantId,
    },
    /// Settle the claims that were abandoned.
    Sweep {
        /// The tenant.
        tenant: TenantId,
        /// How long ago a customer's latest contact was at most, in hours. A sweep every hour looks some hours back;
        /// one a day looks further, for what was missed.
        hours_back: u16,
    },
    /// Put the schedules of all tenants right.
    Reconcile,
}

/// Plan one shard of a tenant's open obligations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardJob {
    /// [`JOB_VERSION`].
    pub v: u32,
    /// The tenant.
    pub tenant: TenantId,
    /// The shard, counted from 0.
    pub shard: u16,
    /// The tenant-local date that the scan evaluates.
    pub as_of: NaiveDate,
}

/// Decide again for one customer, and send what is due on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TouchJob {
    /// [`JOB_VERSION`].
    pub v: u32,
    /// The tenant.
    pub tenant: TenantId,
    /// The customer.
    pub customer: CustomerId,
    /// The touch that was planned. What is sent is decided anew.
    pub touch: TouchId,
    /// The customer's local date that the touch was planned for.
    pub on: NaiveDate,
    /// The channel whose queue the job is in.
    pub channel: Channel,
    /// The wave that the touch waited in; absent where it was queued at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<WavePlace>,
    /// Proof that the touch was planned, by [`TouchJob::sealed`]. A touch that is queued at once is nowhere on record
    /// before its claim; one that waited is, and needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

impl TouchJob {
    /// The job with the seal of whoever planned its touch.
    #[must_use]
    pub fn sealed(self, key: &SuppressionKey) -> Self {
        Self { seal: Some(key.seal(&self.sealed_text())), ..self }
    }

    /// Whether the job bears a seal of this key.
    #[must_use]
    pub fn is_sealed_by(&self, key: &SuppressionKey) -> bool {
        self.seal.as_ref().is_some_and(|seal| *seal == key.seal(&self.sealed_text()))
    }

    /// What the touch is, without the channel: a job may be handed on to another one.
    fn sealed_text(&self) -> String {
        format!("{}\u{1f}{}\u{1f}{}\u{1f}{}", self.tenant, self.customer, self.touch, self.on)
    }
}

/// Where a touch waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WavePlace {
    /// The shard of its wave.
    pub shard: u16,
    /// The moment it waited for.
    pub send_at: DateTime<Utc>,
}

/// Why a queue message is not a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// Not the JSON of this kind of job.
    #[error("the message is not a {expected}: {problem}")]
    Malformed {
        /// The kind of job.
        expected: &'static str,
        /// What the parser said; it names fields, not values.
        problem: String,
    },
    /// A version that this code does not know.
    #[error("the {expected} has version {found}; expected {JOB_VERSION}")]
    Version {
        /// The kind of job.
        expected: &'static str,
        /// The version found.
        found: u32,
    },
}

/// A job that travels as JSON.
pub trait Job: Serialize + for<'de> Deserialize<'de> {
    /// What it is called in messages.
    const NAME: &'static str;

    /// Its version.
    fn version(&self) -> u32;

    /// Writes it.
    fn to_body(&self) -> String {
        serde_json::to_string(self).expect("a job has only texts, numbers and dates")
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`JobError`] when the text is not such a job, or one of another version.
    fn from_body(body: &str) -> Result<Self, JobError> {
        let job: Self = serde_json::from_str(body).map_err(|e| JobError::Malformed {
            expected: Self::NAME,
            problem: format!("{:?} error at column {}", e.classify(), e.column()),
        })?;
        if job.version() == JOB_VERSION {
            Ok(job)
        } else {
            Err(JobError::Version { expected: Self::NAME, found: job.version() })
        }
    }
}

impl Job for ShardJob {
    const NAME: &'static str = "shard job";
    fn version(&self) -> u32 {
        self.v
    }
}

impl Job for TouchJob {
    const NAME: &'static str = "touch job";
    fn version(&self) -> u32 {
        self.v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_comes_back_as_it_went() {
        let job = ShardJob {
            v: JOB_VERSION,
            tenant: TenantId::new("demo").unwrap(),
            shard: 3,
            as_of: NaiveDate::from_ymd_opt(2026, 11, 23).unwrap(),
        };
        assert_eq!(ShardJob::from_body(&job.to_body()), Ok(job));
    }

    #[test]
    fn a_seal_holds_for_its_touch_and_its_key_alone() {
        let text =
            r#"{"v":1,"tenant":"demo","customer":"c","touch":"t","on":"2026-11-23","channel":"email"}"#;
        let key = SuppressionKey::new(*b"a key of the tests");
        let job = TouchJob::from_body(text).unwrap();
        assert!(!job.is_sealed_by(&key), "an older job has none");
        let sealed = TouchJob::from_body(&job.clone().sealed(&key).to_body()).unwrap();
        assert!(sealed.is_sealed_by(&key));
        assert!(TouchJob { channel: Channel::Sms, ..sealed.clone() }.is_sealed_by(&key));
        assert!(!sealed.is_sealed_by(&SuppressionKey::new(*b"another key")));
        for other in ["tenant", "customer", "touch"] {
            let forged =
                sealed.to_body().replacen(&format!("\"{other}\":\""), &format!("\"{other}\":\"x"), 1);
            assert!(!TouchJob::from_body(&forged).unwrap().is_sealed_by(&key), "{forged}");
        }
    }

    #[test]
    fn a_message_that_is_no_job_is_refused() {
        assert!(matches!(ShardJob::from_body("not json"), Err(JobError::Malformed { .. })));
        assert!(matches!(TouchJob::from_body("{}"), Err(JobError::Malformed { .. })));
        let future = r#"{"v":9,"tenant":"demo","shard":3,"as_of":"2026-11-23"}"#;
        assert_eq!(ShardJob::from_body(future), Err(JobError::Version { expected: "shard job", found: 9 }));
    }
}
