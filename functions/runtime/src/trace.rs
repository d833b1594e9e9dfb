//! Traces: one id for all that was done about a tenant's day, from the schedule that started the scan to the provider's
//! report about a message.
//!
//! Invariant: the id follows from the tenant and the day alone. Nothing has to carry it, so a job that is delivered
//! again, a touch that waited in a wave, and a provider that returns nothing but our tag all find it.

use std::fmt;

use chrono::NaiveDate;
use domain::ids::TenantId;
use sha2::{Digest, Sha256};

/// Bytes of a trace id, as in the W3C's trace context.
const TRACE_BYTES: usize = 16;

/// The id of the work for one tenant on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; TRACE_BYTES]);

impl TraceId {
    /// The trace of a day: the tenant's for a scan, the customer's for a touch.
    #[must_use]
    pub fn of_day(tenant: &TenantId, on: NaiveDate) -> Self {
        let digest = Sha256::digest(format!("{tenant}\u{1f}{on}"));
        Self(std::array::from_fn(|i| digest[i]))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_day_has_one_trace_and_another_day_or_tenant_another() {
        let of = |tenant: &str, day| {
            TraceId::of_day(&TenantId::new(tenant).unwrap(), NaiveDate::from_ymd_opt(2026, 11, day).unwrap())
        };
        assert_eq!(of("demo", 23), of("demo", 23));
        assert_ne!(of("demo", 23), of("demo", 24));
        assert_ne!(of("demo", 23), of("demo2", 23));
        assert_eq!(of("demo", 23).to_string().len(), 2 * TRACE_BYTES);
    }
}
