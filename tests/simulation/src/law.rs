//! The law as the model knows it: a table of hours, and how much contact a day and a week bear.
//!
//! Invariant: it shares no code with the contact check. It is a copy of the profiles' meaning, by hand, for the five
//! countries of the simulation.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc, Weekday};
use chrono_tz::Tz;

const HOLIDAYS: &[(&str, &str)] = &[
    ("CO", include_str!("../../../functions/domain/holidays/CO.csv")),
    ("PE", include_str!("../../../functions/domain/holidays/PE.csv")),
    ("CL", include_str!("../../../functions/domain/holidays/CL.csv")),
    ("MX", include_str!("../../../functions/domain/holidays/MX.csv")),
];

/// Whether a message may go out at a moment.
pub(crate) fn is_open(country: &str, zone: Tz, at: DateTime<Utc>, overdue: bool) -> bool {
    let local = at.with_timezone(&zone);
    let hour = local.hour();
    let closed = is_holiday(country, local.date_naive());
    let (from, to) = match (country, local.weekday(), closed) {
        ("US", ..) => (8, 21),
        ("PE", ..) if !overdue => (7, 20),
        (_, _, true) | (_, Weekday::Sun, _) => return false,
        ("CO", Weekday::Sat, _) => (8, 15),
        ("CO", ..) => (7, 19),
        ("CL", ..) => (8, 20),
        ("PE" | "MX", Weekday::Sat, _) => return false,
        ("PE", ..) => (7, 20),
        ("MX", ..) => (7, 22),
        (_, _, false) => return false,
    };
    (from..to).contains(&hour)
}

fn is_holiday(country: &str, on: NaiveDate) -> bool {
    let text = HOLIDAYS.iter().find(|(id, _)| *id == country).map_or("", |(_, text)| text);
    let on = on.to_string();
    text.lines().any(|line| line.split(',').next() == Some(on.as_str()))
}

/// The least hours between any message and a later one about something overdue.
pub(crate) fn gap_hours(country: &str) -> Option<i64> {
    (country == "CL").then_some(48)
}

/// Whether a week, Monday to Sunday, bears one channel only for what is overdue.
pub(crate) fn one_channel_a_week(country: &str) -> bool {
    country == "CO"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_hours_weekends_and_holidays() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let bogota = Tz::America__Bogota;
        assert!(is_open("CO", bogota, at("2026-11-23T12:00:00Z"), true), "seven on a Monday");
        assert!(!is_open("CO", bogota, at("2026-11-23T11:59:59Z"), true));
        assert!(!is_open("CO", bogota, at("2026-11-24T00:00:00Z"), true), "seven in the evening");
        assert!(
            is_open("CO", bogota, at("2026-11-21T19:59:00Z"), true)
                && !is_open("CO", bogota, at("2026-11-21T20:00:00Z"), true)
        );
        assert!(!is_open("CO", bogota, at("2026-12-25T15:00:00Z"), true), "Christmas");
        let lima = Tz::America__Lima;
        assert!(
            is_open("PE", lima, at("2026-11-22T15:00:00Z"), false)
                && !is_open("PE", lima, at("2026-11-22T15:00:00Z"), true)
        );
    }
}
