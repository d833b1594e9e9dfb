//! Moments as people and files write them: an instant with its offset.
//!
//! Invariant: a leap second is refused. The clocks that this product reads have none, and one that is taken for the second
//! before or after it could lie on the other side of a limit.

use anyhow::{bail, ensure};
use chrono::{DateTime, FixedOffset, Timelike};

/// Where the nanoseconds of a second end; those of a leap second go on from there.
const NANOS_OF_A_SECOND: u32 = 1_000_000_000;

/// Reads an instant of RFC 3339.
pub(crate) fn read(text: &str) -> anyhow::Result<DateTime<FixedOffset>> {
    let Ok(at) = DateTime::parse_from_rfc3339(text.trim()) else {
        bail!("{text:?} is no instant; expected one with its offset, such as 2026-11-20T10:00:00-05:00");
    };
    ensure!(!is_leap_second(at), "{text:?} has the second 60; expected 00 to 59");
    Ok(at)
}

/// Whether an instant that was read elsewhere is a leap second.
pub(crate) fn is_leap_second(at: DateTime<FixedOffset>) -> bool {
    at.nanosecond() >= NANOS_OF_A_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_second_is_refused_and_the_seconds_around_it_are_not() {
        let said = |text| read(text).map_or_else(|e| format!("{e:#}"), |at| at.to_rfc3339());
        assert_eq!(said("2016-12-31T23:59:59Z"), "2016-12-31T23:59:59+00:00");
        assert_eq!(said(" 2026-11-20T10:00:00.5-05:00"), "2026-11-20T10:00:00.500-05:00");
        let leap = said("2016-12-31T23:59:60Z");
        assert_eq!(leap, "\"2016-12-31T23:59:60Z\" has the second 60; expected 00 to 59");
        assert!(said("2026-11-20 10:00").contains("is no instant; expected one with its offset"));
    }
}
