//! The clock: the one place where the product reads the time.

use std::time::{Instant, SystemTime};

use chrono::{DateTime, Utc};

/// This moment.
#[expect(clippy::disallowed_methods, reason = "`now` comes in here, once, and is passed on as a value")]
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::<Utc>::from(SystemTime::now())
}

/// A stopwatch that runs from now on.
#[expect(clippy::disallowed_methods, reason = "reports say how long the work took")]
pub(crate) fn stopwatch() -> Instant {
    Instant::now()
}
