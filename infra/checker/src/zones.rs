//! Zones: the one clock of a country, where it has one, read from the raw table.
//!
//! Invariant: a country that is not in the table has no clock; none is ever guessed.

use chrono_tz::Tz;

/// `country,time_zone` for every country whose zones all show the same clock; lines with `#` say where it comes from.
const ONE_ZONE: &str = include_str!("../../../functions/domain/jurisdictions/time_zones.csv");

/// The time zone of a country, by its two capital letters; `None` where it has several clocks or is not known.
#[must_use]
pub fn only_zone_of(country: &str) -> Option<Tz> {
    let row = ONE_ZONE.lines().find(|line| line.split(',').next() == Some(country))?;
    row.split(',').nth(1)?.trim().parse().ok()
}
