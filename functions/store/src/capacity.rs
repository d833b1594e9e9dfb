//! Capacity: what the access patterns consume, measured at every call.
//!
//! Invariant: every answered request is counted under the name of its access pattern, table and indexes together.
//! Capacity does not depend on the machine, so it is what tests and reports compare. DynamoDB does not report what
//! a refused write consumed; such a request counts without units.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What one access pattern consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Read units.
    pub read_units: f64,
    /// Write units.
    pub write_units: f64,
    /// Requests, refused ones included.
    pub requests: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.read_units += other.read_units;
        self.write_units += other.write_units;
        self.requests += other.requests;
    }
}

/// Counts by access pattern.
#[derive(Debug, Default)]
pub struct CapacityMeter(Mutex<BTreeMap<&'static str, Usage>>);

impl CapacityMeter {
    /// What was consumed since the last reset, by access pattern.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<&'static str, Usage> {
        self.lock().clone()
    }

    /// The sum over all access patterns.
    #[must_use]
    pub fn total(&self) -> Usage {
        self.lock().values().fold(Usage::default(), |mut sum, usage| {
            sum += *usage;
            sum
        })
    }

    /// The sum over all access patterns, and starts again from nothing.
    #[must_use]
    pub fn take(&self) -> Usage {
        std::mem::take(&mut *self.lock()).into_values().fold(Usage::default(), |mut sum, usage| {
            sum += usage;
            sum
        })
    }

    /// Starts again from nothing.
    pub fn reset(&self) {
        self.lock().clear();
    }

    pub(crate) fn add(&self, operation: &'static str, usage: Usage) {
        *self.lock().entry(operation).or_default() += usage;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Usage>> {
        // Sums stay sound when a holder panicked: nothing in between is half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
