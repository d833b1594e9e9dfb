//! Zones: by which clock a customer's days and hours are judged.
//!
//! Invariant: a zone that is not known is never guessed. Hours are asked only by [`zone_for`]; who has no zone is sent
//! nothing, and its days are counted by [`DAYS_WITHOUT_ZONE`] for the record alone.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use chrono_tz::Tz;

use crate::customer::Customer;
use crate::jurisdiction::Jurisdiction;
use crate::locale::Country;

/// The clock that the days of a customer without a zone are written down by. No contact is ever judged by it.
pub const DAYS_WITHOUT_ZONE: Tz = Tz::Etc__UTC;

/// The countries with one clock, as `country,time_zone`; lines with `#` say where it comes from.
const ONE_ZONE: &str = include_str!("../jurisdictions/time_zones.csv");

/// The time zone of a country with one clock; `None` where there are several, or the country is not known.
#[must_use]
pub fn only_zone_of(country: Country) -> Option<Tz> {
    static ZONES: OnceLock<BTreeMap<Country, Tz>> = OnceLock::new();
    ZONES
        .get_or_init(|| one_zone_lines().filter_map(|(c, z)| Some((c?, z?))).collect())
        .get(&country)
        .copied()
}

/// What each line of the table says; a test sees to it that all of it can be read.
fn one_zone_lines() -> impl Iterator<Item = (Option<Country>, Option<Tz>)> {
    let rows = ONE_ZONE.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.filter_map(|row| row.split_once(',')).map(|(c, z)| (Country::new(c).ok(), z.parse().ok()))
}

/// The zone by which a customer's hours are judged: its own, else that of its country where that has one clock, else that
/// of the profile. A profile of any country has none, unless it is asked for a country with one clock.
#[must_use]
pub fn zone_for(customer: &Customer, jurisdiction: &Jurisdiction) -> Option<Tz> {
    let own = customer.time_zone.or_else(|| customer.country.and_then(only_zone_of));
    own.or_else(|| jurisdiction.time_zone())
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
        let lines = ONE_ZONE.lines().filter(|line| !line.starts_with('#')).count() - 1;
        let read: BTreeMap<_, _> = one_zone_lines().filter_map(|(c, z)| Some((c?, z?))).collect();
        assert_eq!((read.len(), lines), (223, 223));
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
