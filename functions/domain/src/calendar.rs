//! Public holidays: dated tables of facts, one per country, and what they say about a day.
//!
//! Invariant: a table answers only for the years it holds. A day outside them is [`Day::OutsideTable`], never
//! assumed to be a working day.

use std::sync::OnceLock;

use chrono::{Datelike, NaiveDate};

/// The most days that one table may list.
pub const TABLE_DAYS_MAX: usize = 4_096;

/// The table of the holidays that most countries of the region share, for a country of which nothing else is known.
pub const COMMON_ID: &str = "COMMON";

/// What a table says about a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day<'a> {
    /// Not a public holiday; it may still be a Saturday or a Sunday.
    Working,
    /// A public holiday, by its name.
    Holiday(&'a str),
    /// The table does not hold the year.
    OutsideTable,
}

/// A text that is not a holiday table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The first line is not the header.
    #[error("line 1 is not the header; expected \"date,name\"")]
    Header,
    /// A line that is not a date and a name.
    #[error("line {line} is not a date and a name; expected something like \"2026-01-01,New Year's Day\"")]
    Row {
        /// Counted from one.
        line: usize,
    },
    /// A line that does not come after the one before it.
    #[error("line {line} is not later than the line before it; expected each date once, in order")]
    Order {
        /// Counted from one.
        line: usize,
    },
    /// A year without a holiday between two that have some.
    #[error("line {line} skips a year; expected a table without gaps")]
    Gap {
        /// Counted from one.
        line: usize,
    },
    /// No rows, or more than [`TABLE_DAYS_MAX`].
    #[error("the table has {0} rows; expected 1 to {TABLE_DAYS_MAX}")]
    Size(usize),
}

/// A dated table of public holidays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolidayTable {
    first_year: i32,
    last_year: i32,
    days: Vec<(NaiveDate, Box<str>)>,
}

impl HolidayTable {
    /// Reads a table: a header `date,name`, then one holiday a line, in order. It holds every year from its first
    /// date's to its last date's.
    ///
    /// # Errors
    /// [`TableError`] names the line.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let mut lines = text.lines();
        if lines.next() != Some("date,name") {
            return Err(TableError::Header);
        }
        let mut days: Vec<(NaiveDate, Box<str>)> = Vec::new();
        for (row, text) in lines.enumerate() {
            let line = row + 2;
            let (on, name) = text.split_once(',').ok_or(TableError::Row { line })?;
            // None of the tables needs quoting; a quote would be kept as part of the name.
            if name.is_empty() || name.contains(['"', ',']) {
                return Err(TableError::Row { line });
            }
            let on: NaiveDate = on.parse().map_err(|_| TableError::Row { line })?;
            if let Some((before, _)) = days.last() {
                if on <= *before {
                    return Err(TableError::Order { line });
                }
                if on.year() > before.year() + 1 {
                    return Err(TableError::Gap { line });
                }
            }
            if days.len() == TABLE_DAYS_MAX {
                return Err(TableError::Size(days.len() + 1));
            }
            days.push((on, name.into()));
        }
        match (days.first(), days.last()) {
            (Some((first, _)), Some((last, _))) => {
                Ok(Self { first_year: first.year(), last_year: last.year(), days })
            }
            _ => Err(TableError::Size(0)),
        }
    }

    /// The table that is compiled in under an id, such as `CO`.
    #[must_use]
    pub fn built_in(id: &str) -> Option<&'static Self> {
        let table = BUILT_IN.iter().find(|table| table.id == id)?;
        // A test reads every table that is compiled in, so none is missing for being unreadable.
        table.parsed.get_or_init(|| Self::parse(table.text).ok()).as_ref()
    }

    /// The text of a table that is compiled in, for whoever wants to read it without this code.
    #[must_use]
    pub fn built_in_text(id: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|table| table.id == id).map(|table| table.text)
    }

    /// The ids of the tables that are compiled in.
    pub fn built_in_ids() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|table| table.id)
    }

    /// What the table says about a day.
    #[must_use]
    pub fn day(&self, on: NaiveDate) -> Day<'_> {
        if on.year() < self.first_year || on.year() > self.last_year {
            return Day::OutsideTable;
        }
        match self.days.binary_search_by(|(day, _)| day.cmp(&on)) {
            Ok(found) => Day::Holiday(&self.days[found].1),
            Err(_) => Day::Working,
        }
    }

    /// The first day the table answers for.
    #[must_use]
    pub fn first_on(&self) -> NaiveDate {
        // The year comes from a date that exists, and each year has a first of January.
        NaiveDate::from_ymd_opt(self.first_year, 1, 1).unwrap_or(NaiveDate::MIN)
    }

    /// The last year that the table holds, so that its end can be announced in time.
    #[must_use]
    pub fn last_year(&self) -> i32 {
        self.last_year
    }
}

struct BuiltIn {
    id: &'static str,
    text: &'static str,
    parsed: OnceLock<Option<HolidayTable>>,
}

macro_rules! tables {
    ($($id:literal),+ $(,)?) => {
        [$(BuiltIn {
            id: $id,
            text: include_str!(concat!("../holidays/", $id, ".csv")),
            parsed: OnceLock::new(),
        }),+]
    };
}

static BUILT_IN: [BuiltIn; 9] = tables!["AR", "BR", "CL", "CO", "COMMON", "EC", "MX", "PE", "US"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::{Days, Weekday};

    use super::*;

    fn day(y: i32, m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, m, d).unwrap()
    }

    /// Easter Sunday of the Gregorian calendar: the Sunday after the first full moon of spring, counted with the
    /// golden number (`lunar`), the epact, and the weekday of 21 March.
    fn easter(year: i32) -> NaiveDate {
        let golden = year % 19;
        let century = year / 100;
        let corrections = century - century / 4 - (8 * century + 13) / 25;
        let epact = (19 * golden + corrections + 15).rem_euclid(30);
        let late = epact == 29 || (epact == 28 && golden > 10);
        let full_moon = day(year, 3, 21) + Days::new((epact - i32::from(late)).unsigned_abs().into());
        (1..=7)
            .map(|n| full_moon + Days::new(n))
            .find(|on| on.weekday() == Weekday::Sun)
            .expect("seven days have a Sunday")
    }

    /// Moved to the next Monday unless it is one: Ley 51 de 1983 ("Ley Emiliani").
    fn moved(on: NaiveDate) -> NaiveDate {
        (0..7)
            .map(|n| on + Days::new(n))
            .find(|on| on.weekday() == Weekday::Mon)
            .expect("a week has a Monday")
    }

    fn by_rule(year: i32) -> BTreeSet<NaiveDate> {
        let fixed = [(1, 1), (5, 1), (7, 20), (8, 7), (12, 8), (12, 25)];
        let mondays = [(1, 6), (3, 19), (6, 29), (8, 15), (10, 12), (11, 1), (11, 11)];
        let easter = easter(year);
        let mut days: BTreeSet<_> = fixed.iter().map(|&(m, d)| day(year, m, d)).collect();
        days.extend(mondays.iter().map(|&(m, d)| moved(day(year, m, d))));
        days.extend([3, 2].map(|n| easter - Days::new(n)));
        // Ascension, Corpus Christi and the Sacred Heart, each on its Monday.
        days.extend([43, 64, 71].map(|n| easter + Days::new(n)));
        if year >= 2026 {
            // The day of Our Lady of Chiquinquirá, Ley 2578 de 2026.
            days.insert(moved(day(year, 7, 9)));
        }
        days
    }

    #[test]
    fn easter_falls_on_the_known_sundays() {
        for (y, m, d) in
            [(1981, 4, 19), (2024, 3, 31), (2025, 4, 20), (2028, 4, 16), (2030, 4, 21), (2038, 4, 25)]
        {
            assert_eq!(easter(y), day(y, m, d));
        }
    }

    #[test]
    fn the_colombian_table_is_what_the_rules_give() {
        let table = HolidayTable::built_in("CO").unwrap();
        for year in 2024..=2030 {
            let listed: BTreeSet<_> = table.days.iter().map(|d| d.0).filter(|d| d.year() == year).collect();
            assert_eq!(listed, by_rule(year), "{year}");
        }
        assert!(matches!(table.day(day(2026, 7, 13)), Day::Holiday(_)));
        assert_eq!(table.day(day(2025, 7, 14)), Day::Working);
        assert_eq!(table.day(day(2026, 7, 9)), Day::Working);
    }

    #[test]
    fn the_common_table_has_the_four_days_of_every_year_and_no_other() {
        let table = HolidayTable::built_in(COMMON_ID).unwrap();
        let of =
            |year: i32| [day(year, 1, 1), easter(year) - Days::new(2), day(year, 5, 1), day(year, 12, 25)];
        let listed: Vec<_> = table.days.iter().map(|d| d.0).collect();
        assert_eq!(listed, (2024..=2030).flat_map(of).collect::<Vec<_>>());
    }

    #[test]
    fn a_table_is_silent_outside_its_years() {
        for id in HolidayTable::built_in_ids() {
            let table = HolidayTable::built_in(id).unwrap();
            assert_eq!(table.day(day(2023, 12, 31)), Day::OutsideTable, "{id}");
            assert!(matches!(table.day(day(2024, 1, 1)), Day::Holiday(_)), "{id}");
            assert_eq!(table.day(day(2030, 12, 31)), Day::Working, "{id}");
            assert_eq!(table.day(day(2031, 1, 2)), Day::OutsideTable, "{id}");
            assert_eq!((table.first_on(), table.last_year()), (day(2024, 1, 1), 2030), "{id}");
        }
        assert_eq!(HolidayTable::built_in("XX"), None);
    }

    #[test]
    fn a_broken_table_names_its_line() {
        let cases = [
            ("", TableError::Header),
            ("date,name\n", TableError::Size(0)),
            ("date,name\n2024-01-01\n", TableError::Row { line: 2 }),
            ("date,name\n2024-02-30,No day\n", TableError::Row { line: 2 }),
            ("date,name\n2024-01-01,A\n2024-01-01,B\n", TableError::Order { line: 3 }),
            ("date,name\n2024-01-01,A\n2026-01-01,B\n", TableError::Gap { line: 3 }),
        ];
        for (text, expected) in cases {
            assert_eq!(HolidayTable::parse(text), Err(expected));
        }
    }

    #[test]
    fn the_tables_are_those_of_the_facts() {
        let facts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/facts/holidays");
        // The common table is the product's own choice, and computed above.
        for table in BUILT_IN.iter().filter(|table| table.id != COMMON_ID) {
            let Ok(text) = std::fs::read_to_string(format!("{facts}/{}.csv", table.id)) else {
                println!("skipped: ../shared/facts/holidays is missing");
                return;
            };
            assert!(text == table.text, "{}", table.id);
        }
    }
}
