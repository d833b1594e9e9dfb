//! Zones: by which clock a customer's days and hours are judged.
//!
//! Invariant: a zone that is not known is never guessed. Hours are asked only by [`clocks_for`]: of somebody in a country
//! with several clocks by all of them. Who has no zone is sent nothing, and its days are counted by [`DAYS_WITHOUT_ZONE`]
//! for the record alone.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::contact_check::{ContactAnswer, ContactQuery};
use crate::customer::Customer;
use crate::jurisdiction::Jurisdiction;
use crate::locale::Country;

/// The clock that the days of a customer without a zone are written down by. No contact is ever judged by it.
pub const DAYS_WITHOUT_ZONE: Tz = Tz::Etc__UTC;

/// The countries with one clock, as `country,time_zone`; lines with `#` say where it comes from.
const ONE_ZONE: &str = include_str!("../jurisdictions/time_zones.csv");

/// The other clocks of the countries with a profile of their own and several clocks, in the same form, one a line.
const MORE_ZONES: &str = include_str!("../jurisdictions/more_time_zones.csv");
/// How often a moment is looked for that suits all clocks; the clocks of a country are half a day apart at most.
const ROUNDS_MAX: usize = 64;

/// The clocks by which the hours of one customer are judged. A contact may be made when all of them allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The one by which its days are written down.
    pub days: Tz,
    /// The others that it may live by.
    others: &'static [Tz],
}

impl Clocks {
    /// The day that a moment lies on.
    #[must_use]
    pub fn day_of(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.days).date_naive()
    }

    /// The first instant of the day after that of a moment. Where midnight does not exist, the first instant that does.
    #[must_use]
    pub fn midnight_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.day_of(at).checked_add_days(Days::new(1))?;
        (0..24).find_map(|hour| {
            let local = next.and_time(NaiveTime::from_hms_opt(hour, 0, 0)?);
            self.days.from_local_datetime(&local).earliest().map(|t| t.with_timezone(&Utc))
        })
    }

    /// Whether a contact may be made at a moment, as [`Jurisdiction::check`] says by every clock. The first refusal counts.
    #[must_use]
    pub fn check<'j>(&self, jurisdiction: &'j Jurisdiction, query: &ContactQuery<'_>) -> ContactAnswer<'j> {
        let by = |zone: Tz| jurisdiction.check(&ContactQuery { time_zone: zone, ..*query });
        let refused = |answer: &ContactAnswer<'_>| !answer.is_allowed();
        let first = by(self.days);
        if refused(&first) {
            return first;
        }
        self.others.iter().map(|zone| by(*zone)).find(refused).unwrap_or(first)
    }

    /// The earliest moment that all clocks allow, as [`Jurisdiction::next_allowed_at`].
    #[must_use]
    pub fn next_allowed_at(
        &self,
        jurisdiction: &Jurisdiction,
        query: &ContactQuery<'_>,
    ) -> Option<DateTime<Utc>> {
        let mut at = query.at;
        for _ in 0..ROUNDS_MAX {
            let mut latest_at = at;
            for zone in self.all() {
                let query = ContactQuery { time_zone: zone, at: latest_at, ..*query };
                latest_at = jurisdiction.next_allowed_at(&query)?;
            }
            if latest_at == at {
                return Some(at);
            }
            at = latest_at;
        }
        None
    }

    /// Until when a contact stays allowed by all clocks, as [`Jurisdiction::open_until`].
    #[must_use]
    pub fn open_until(&self, jurisdiction: &Jurisdiction, query: &ContactQuery<'_>) -> Option<DateTime<Utc>> {
        let by = |zone| jurisdiction.open_until(&ContactQuery { time_zone: zone, ..*query });
        // One that does not allow it at all leaves none.
        self.all().map(by).try_fold(DateTime::<Utc>::MAX_UTC, |until_at, by| Some(until_at.min(by?)))
    }

    fn all(&self) -> impl Iterator<Item = Tz> {
        std::iter::once(self.days).chain(self.others.iter().copied())
    }
}

/// The clocks by which a customer's hours are judged: [`zone_for`], and where only the profile gives that one, and its
/// country has several, all of them: nobody knows which is the customer's.
#[must_use]
pub fn clocks_for(customer: &Customer, jurisdiction: &Jurisdiction) -> Option<Clocks> {
    let known = own_zone(customer);
    let others = match known {
        Some(_) => &[],
        None => jurisdiction.country().map_or(&[][..], more_zones_of),
    };
    Some(Clocks { days: known.or_else(|| jurisdiction.time_zone())?, others })
}

fn own_zone(customer: &Customer) -> Option<Tz> {
    customer.time_zone.or_else(|| customer.country.and_then(only_zone_of))
}

/// The clocks of a country with a profile beside the one that the profile names.
fn more_zones_of(country: Country) -> &'static [Tz] {
    static ZONES: OnceLock<BTreeMap<Country, Vec<Tz>>> = OnceLock::new();
    let zones = ZONES.get_or_init(|| {
        let mut zones: BTreeMap<Country, Vec<Tz>> = BTreeMap::new();
        for (country, zone) in lines_of(MORE_ZONES).filter_map(|(c, z)| Some((c?, z?))) {
            zones.entry(country).or_default().push(zone);
        }
        zones
    });
    zones.get(&country).map_or(&[], Vec::as_slice)
}

/// The time zone of a country with one clock; `None` where there are several, or the country is not known.
#[must_use]
pub fn only_zone_of(country: Country) -> Option<Tz> {
    static ZONES: OnceLock<BTreeMap<Country, Tz>> = OnceLock::new();
    ZONES
        .get_or_init(|| lines_of(ONE_ZONE).filter_map(|(c, z)| Some((c?, z?))).collect())
        .get(&country)
        .copied()
}

/// What each line of a table says; a test sees to it that all of it can be read.
fn lines_of(table: &'static str) -> impl Iterator<Item = (Option<Country>, Option<Tz>)> {
    let rows = table.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.filter_map(|row| row.split_once(',')).map(|(c, z)| (Country::new(c).ok(), z.parse().ok()))
}

/// The zone by which a customer's days are counted: its own, else that of its country where that has one clock, else that
/// of the profile. A profile of any country has none, unless it is asked for a country with one clock.
#[must_use]
pub fn zone_for(customer: &Customer, jurisdiction: &Jurisdiction) -> Option<Tz> {
    own_zone(customer).or_else(|| jurisdiction.time_zone())
}

/// The zone by which a customer's days are written down: [`zone_for`], else [`DAYS_WITHOUT_ZONE`].
#[must_use]
pub fn day_zone(customer: &Customer, jurisdiction: &Jurisdiction) -> Tz {
    zone_for(customer, jurisdiction).unwrap_or(DAYS_WITHOUT_ZONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_country_and_its_zone() {
        let lines = |table: &str| table.lines().filter(|line| !line.starts_with('#')).count() - 1;
        let read: BTreeMap<_, _> = lines_of(ONE_ZONE).filter_map(|(c, z)| Some((c?, z?))).collect();
        assert_eq!((read.len(), lines(ONE_ZONE)), (223, 223));
        let more: Vec<_> = lines_of(MORE_ZONES).filter_map(|(c, z)| Some((c?, z?))).collect();
        assert_eq!(more.len(), lines(MORE_ZONES));
        assert!(more.iter().all(|(country, _)| only_zone_of(*country).is_none()), "one clock or several");
    }

    /// A profile of a country names one of its clocks. Where there are more, they are in the table, but for a profile of a
    /// part of a country.
    #[test]
    fn every_profile_of_a_country_has_all_its_clocks() {
        for id in Jurisdiction::built_in_ids() {
            let profile = Jurisdiction::built_in(id).expect("a profile");
            let Some(country) = profile.country() else { continue };
            let several = only_zone_of(country).is_none() && !id.contains("-SP");
            assert_eq!(!more_zones_of(country).is_empty(), several, "{id}");
        }
    }

    #[test]
    fn a_country_with_several_clocks_has_no_zone() {
        let zone = |code: &str| only_zone_of(Country::new(code).expect("a country")).map(|zone| zone.name());
        assert_eq!(zone("AR"), Some("America/Argentina/Buenos_Aires"));
        assert_eq!(zone("BO"), Some("America/La_Paz"));
        for several in ["BR", "MX", "CL", "EC", "US", "ES", "CN", "XX"] {
            assert_eq!(zone(several), None, "{several}");
        }
    }

    #[test]
    fn the_zone_of_a_profile_of_a_country_is_that_of_the_table() {
        for id in Jurisdiction::built_in_ids() {
            let profile = Jurisdiction::built_in(id).expect("a profile");
            assert_eq!(profile.country().is_some(), profile.time_zone().is_some(), "{id}");
            if let Some(zone) = profile.country().and_then(only_zone_of) {
                assert_eq!(profile.time_zone(), Some(zone), "{id}");
            }
        }
    }
}
