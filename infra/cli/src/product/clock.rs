//! The clock of the product on this machine: the machine's own, or one that stands still until a person moves it.
//!
//! Invariant: it never goes back, also not over an end of the process: a folder remembers up to which moment everything
//! that was due has been started.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::folder::write_whole;

/// The name of the clock in a folder.
const CLOCK: &str = "clock.json";

/// A moment, and who moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reached {
    /// Everything that was due up to here has been started.
    at: DateTime<Utc>,
    /// Whether a person moves it; else the machine does.
    is_set: bool,
}

/// The clock of a folder. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ProductClock {
    path: PathBuf,
    reached: Arc<Mutex<Reached>>,
}

impl ProductClock {
    /// The clock of a folder, as it was left there. It is set where `wanted` is said, or was said before.
    pub(crate) fn open(folder: &Path, wanted: Option<DateTime<Utc>>) -> anyhow::Result<Self> {
        let path = folder.join(CLOCK);
        let left = match fs::read(&path) {
            Ok(bytes) => {
                let read = serde_json::from_slice::<Reached>(&bytes);
                Some(read.with_context(|| format!("{} is no clock", path.display()))?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let reached = match (left, wanted) {
            (Some(left), Some(wanted)) if wanted < left.at => bail!(
                "the clock of {} stands at {}; expected --clock at that moment or later",
                folder.display(),
                left.at
            ),
            (Some(left), wanted) => Reached { is_set: left.is_set || wanted.is_some(), ..left },
            (None, Some(at)) => Reached { at, is_set: true },
            (None, None) => Reached { at: clock::now(), is_set: false },
        };
        Ok(Self { path, reached: Arc::new(Mutex::new(reached)) })
    }

    /// This moment.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let Reached { at, is_set } = *self.lock();
        // A machine whose clock was put back must not take the product back with it.
        if is_set { at } else { clock::now().max(at) }
    }

    /// Up to which moment everything that was due has been started.
    pub(crate) fn reached_at(&self) -> DateTime<Utc> {
        self.lock().at
    }

    /// Whether a person moves it.
    pub(crate) fn is_set(&self) -> bool {
        self.lock().is_set
    }

    /// Goes on to a moment up to which everything was started, or is about to be. It never goes back.
    pub(crate) fn reach(&self, at: DateTime<Utc>) {
        let mut reached = self.lock();
        reached.at = reached.at.max(at);
    }

    /// Keeps in the folder how far it is, once everything up to there has been started.
    pub(crate) fn keep(&self) -> anyhow::Result<()> {
        write_whole(&self.path, &serde_json::to_vec(&*self.lock())?)
    }

    fn lock(&self) -> MutexGuard<'_, Reached> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: u32) -> DateTime<Utc> {
        format!("2126-11-16T{hour:02}:00:00Z").parse().unwrap()
    }

    #[test]
    fn a_clock_that_was_set_stands_still_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ProductClock::open(folder.path(), Some(at(6))).unwrap();
        clock.reach(at(8));
        clock.reach(at(7));
        assert_eq!((clock.now(), clock.is_set()), (at(8), true));
        clock.keep().unwrap();
        assert_eq!(ProductClock::open(folder.path(), None).unwrap().now(), at(8), "it stays set");
        let later = ProductClock::open(folder.path(), Some(at(9))).unwrap();
        assert_eq!(later.now(), at(8), "what lies between is still to be started");
        let refused = ProductClock::open(folder.path(), Some(at(7))).unwrap_err().to_string();
        assert!(refused.contains("2126-11-16 08:00"), "{refused}");
    }

    #[test]
    fn the_clock_of_the_machine_does_not_go_back_behind_what_was_started() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ProductClock::open(folder.path(), None).unwrap();
        assert!(clock.now() < at(1) && !clock.is_set());
        clock.reach(at(1));
        clock.keep().unwrap();
        assert_eq!(ProductClock::open(folder.path(), None).unwrap().now(), at(1));
    }
}
