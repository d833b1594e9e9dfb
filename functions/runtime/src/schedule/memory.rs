//! Schedules inside the process, for the local product and for tests.
//!
//! Invariant: whoever plays the scheduler asks for each span of time once; a schedule of one moment is gone after it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{Put, Rule, Schedule};
use crate::job::DueEvent;

/// Schedules by their names. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemorySchedules(Arc<Mutex<BTreeMap<String, Schedule>>>);

impl MemorySchedules {
    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Schedule> {
        self.lock().values().cloned().collect()
    }

    /// The next moment after `after` at which one of them starts something.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.lock().values().filter(|s| s.enabled).filter_map(|s| s.rule.next_after(after)).min()
    }

    /// What starts after `from` and up to `until`, in the order of the moments; a schedule that repeats within the span
    /// is there once, for its last moment, as a scheduler that was stopped catches up. Those of one moment are removed.
    #[must_use]
    pub fn take_due(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<(DateTime<Utc>, DueEvent)> {
        let mut all = self.lock();
        let mut due: Vec<_> = all
            .values()
            .filter(|s| s.enabled)
            .filter_map(|s| {
                let first = s.rule.next_after(from).filter(|at| *at <= until)?;
                let at = match &s.rule {
                    Rule::Daily { .. } => first,
                    Rule::Every { .. } => until,
                    Rule::Once { at } => *at,
                };
                Some((at, s.event.clone()))
            })
            .collect();
        due.sort_by_key(|(at, _)| *at);
        all.retain(|_, s| match s.rule {
            Rule::Once { at } => at > until,
            Rule::Daily { .. } | Rule::Every { .. } => true,
        });
        due
    }

    pub(super) fn put(&self, schedule: &Schedule) -> Put {
        match self.lock().insert(schedule.name.clone(), schedule.clone()) {
            None => Put::Created,
            Some(before) if before == *schedule => Put::Kept,
            Some(_) => Put::Updated,
        }
    }

    pub(super) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    pub(super) fn names(&self, prefix: &str) -> Vec<String> {
        self.lock().keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Schedule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
