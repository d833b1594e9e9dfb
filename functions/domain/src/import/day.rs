//! Days: from the text of a file to a date of the calendar, in the formats that the mapping names.
//!
//! Invariant: a day is read in one way only. Two formats of one mapping may not read one text as two days, and a
//! year outside [`YEAR_MIN`]..=[`YEAR_MAX`] is refused, since it is a slip (`0013`) and never a due date.

use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{Datelike as _, NaiveDate, TimeDelta};

/// The first year that is accepted.
pub const YEAR_MIN: i32 = 1900;
/// The last year that is accepted.
pub const YEAR_MAX: i32 = 2199;

/// A format of days, in the letters of `strftime`: `%d/%m/%Y`, `%Y-%m-%d`, …
#[derive(Debug, Clone, PartialEq)]
pub struct DayFormat {
    text: String,
    items: Vec<Item<'static>>,
}

/// Why a text is not a format of days.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a format of days; expected a day, a month and a year such as \"%d/%m/%Y\" or \"%Y-%m-%d\""
)]
pub struct DayFormatError(String);

/// Why a text is not a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DayError {
    /// Not in any of the formats, or not in the calendar.
    #[error("is not a day")]
    NotADay,
    /// A year before [`YEAR_MIN`] or after [`YEAR_MAX`].
    #[error("has a year outside {YEAR_MIN} to {YEAR_MAX}")]
    OutOfRange,
}

/// Days that tell every format from its neighbours: day and month differ, both can be either, and one is a leap day.
const PROBES: [(i32, u32, u32); 3] = [(2013, 2, 1), (2024, 2, 29), (2031, 11, 12)];

impl DayFormat {
    /// Takes a format that can write and read back any day.
    ///
    /// # Errors
    /// [`DayFormatError`] when a part is unknown, or when day, month or year is missing.
    pub fn new(text: &str) -> Result<Self, DayFormatError> {
        let refuse = || DayFormatError(text.chars().take(40).collect());
        let items = StrftimeItems::new(text).parse_to_owned().map_err(|_| refuse())?;
        let format = Self { text: text.to_owned(), items };
        let is_sound = probes().all(|day| format.write(day).is_some_and(|t| format.read(&t) == Some(day)));
        if is_sound { Ok(format) } else { Err(refuse()) }
    }

    /// The format as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether some text means one day in this format and another day in the other.
    #[must_use]
    pub fn is_ambiguous_with(&self, other: &Self) -> bool {
        probes().any(|day| {
            let read_as = |a: &Self, b: &Self| a.write(day).and_then(|text| b.read(&text));
            read_as(self, other).is_some_and(|d| d != day) || read_as(other, self).is_some_and(|d| d != day)
        })
    }

    fn write(&self, day: NaiveDate) -> Option<String> {
        use std::fmt::Write as _;
        let mut text = String::new();
        let at = day.and_hms_opt(0, 0, 0)?;
        write!(text, "{}", at.format_with_items(self.items.iter())).ok()?;
        Some(text)
    }

    fn read(&self, text: &str) -> Option<NaiveDate> {
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, self.items.iter()).ok()?;
        parsed.to_naive_date().ok()
    }
}

fn probes() -> impl Iterator<Item = NaiveDate> {
    PROBES.into_iter().filter_map(|(y, m, d)| NaiveDate::from_ymd_opt(y, m, d))
}

/// Reads a day in the first of the formats that fits.
///
/// # Errors
/// [`DayError`] when none fits, or when the year cannot be meant.
pub fn parse_day(text: &str, formats: &[DayFormat]) -> Result<NaiveDate, DayError> {
    formats.iter().find_map(|f| f.read(text)).ok_or(DayError::NotADay).and_then(in_range)
}

/// A day within the years that are accepted.
///
/// # Errors
/// [`DayError::OutOfRange`] outside them.
pub fn in_range(day: NaiveDate) -> Result<NaiveDate, DayError> {
    if (YEAR_MIN..=YEAR_MAX).contains(&day.year()) { Ok(day) } else { Err(DayError::OutOfRange) }
}

/// The day, moved by a number of days.
///
/// # Errors
/// [`DayError::OutOfRange`] when that leaves the years that are accepted.
pub fn shifted(day: NaiveDate, shift_days: i64) -> Result<NaiveDate, DayError> {
    if shift_days == 0 {
        return Ok(day);
    }
    let moved = TimeDelta::try_days(shift_days).and_then(|delta| day.checked_add_signed(delta));
    moved.ok_or(DayError::OutOfRange).and_then(in_range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, formats: &[&str]) -> Result<String, DayError> {
        let formats: Vec<_> = formats.iter().map(|f| DayFormat::new(f).unwrap()).collect();
        parse_day(text, &formats).map(|day| day.to_string())
    }

    #[test]
    fn days_are_read_in_the_named_formats_only() {
        assert_eq!(read("1/2/2013", &["%m/%d/%Y"]).unwrap(), "2013-01-02");
        assert_eq!(read("1/2/2013", &["%d/%m/%Y"]).unwrap(), "2013-02-01");
        assert_eq!(read("29/02/2024", &["%d/%m/%Y"]).unwrap(), "2024-02-29");
        assert_eq!(read("2024-02-29", &["%d/%m/%Y", "%Y-%m-%d"]).unwrap(), "2024-02-29");
        assert_eq!(read("2024-02-29 00:00:00", &["%Y-%m-%d %H:%M:%S"]).unwrap(), "2024-02-29");
        for text in
            ["30/02/2013", "29/02/2023", "31/04/2024", "2013-02-01", "1/2/2013x", "", "0/1/2013", "1/13/2013"]
        {
            assert_eq!(read(text, &["%d/%m/%Y"]), Err(DayError::NotADay), "{text:?}");
        }
        for text in ["01/02/13", "01/02/1899", "01/02/2200", "01/02/99999"] {
            assert!(read(text, &["%d/%m/%Y"]).is_err(), "{text:?}");
        }
        assert_eq!(read("01/02/13", &["%d/%m/%Y"]), Err(DayError::OutOfRange));
        assert_eq!(read("01/02/13", &["%d/%m/%y"]).unwrap(), "2013-02-01");
    }

    #[test]
    fn a_format_must_name_a_whole_day() {
        for text in ["", "%d/%m", "%Q", "%H:%M", "%d/%m/%Y %z", "dd/mm/yyyy", "%"] {
            assert!(DayFormat::new(text).is_err(), "{text:?}");
        }
        let format = |text| DayFormat::new(text).unwrap();
        assert!(format("%d/%m/%Y").is_ambiguous_with(&format("%m/%d/%Y")));
        assert!(!format("%d/%m/%Y").is_ambiguous_with(&format("%Y-%m-%d")));
    }

    #[test]
    fn a_shift_stays_within_the_calendar() {
        let day = NaiveDate::from_ymd_opt(2013, 12, 31).unwrap();
        assert_eq!(shifted(day, 1).unwrap().to_string(), "2014-01-01");
        assert_eq!(shifted(day, -365).unwrap().to_string(), "2012-12-31");
        for days in [i64::MAX, i64::MIN, 1_000_000] {
            assert_eq!(shifted(day, days), Err(DayError::OutOfRange));
        }
    }
}
