//! Law: by which profile and holidays each customer is judged.
//!
//! Invariant: a customer of another country than the lender's is judged by that country's profile, or by the one for any
//! country where it has none; never by the lender's.

use std::collections::BTreeMap;

use crate::profile::{HolidayTable, OpenQuestions, Profile};
use crate::{InputError, Inputs};

/// The profile of countries without one of their own.
const ANY_COUNTRY: &str = "DEFAULT";

/// Where customers live, and the raw texts of the law there.
#[derive(Debug, Clone, Default)]
pub struct Countries {
    /// The lender's own: its customers, and those of unknown country, are judged by [`Inputs::profile`].
    pub home: String,
    /// The country of each customer who has one, as two capital letters.
    pub of_customers: BTreeMap<String, String>,
    /// Profiles by their id, in full. That of a country has its two letters; `DEFAULT` serves any other.
    pub profiles: BTreeMap<String, String>,
    /// Holiday tables (`date,name`) by the two letters of their country.
    pub holidays: BTreeMap<String, String>,
}

/// A profile and the holidays that it is kept with.
pub(crate) struct Law {
    pub(crate) profile: Profile,
    pub(crate) holidays: HolidayTable,
}

impl Law {
    /// A profile with its table, which is not read where it names none. One that is of no country has that of the
    /// customer's, if there is one.
    fn read(
        (profile, holidays): (&str, &str),
        country: &str,
        countries: &Countries,
        open: OpenQuestions,
    ) -> Result<Self, InputError> {
        let profile = Profile::parse(profile, open)?;
        let holidays = match countries.holidays.get(country) {
            Some(table) if profile.serves_any => HolidayTable::parse(table)?,
            _ if profile.has_holidays => HolidayTable::parse(holidays)?,
            Some(table) => HolidayTable::parse(table)?,
            None => HolidayTable::None,
        };
        Ok(Self { profile, holidays })
    }
}

/// The law of every customer.
pub(crate) struct Laws<'a> {
    countries: &'a Countries,
    home: Law,
    elsewhere: BTreeMap<&'a str, Law>,
}

impl<'a> Laws<'a> {
    pub(crate) fn read<M, D>(inputs: &Inputs<'a, M, D>) -> Result<Self, InputError> {
        let (countries, open) = (inputs.countries, inputs.open_questions);
        let home = Law::read((inputs.profile, inputs.holidays), &countries.home, countries, open)?;
        let mut elsewhere = BTreeMap::new();
        for country in countries.of_customers.values().filter(|country| **country != countries.home) {
            if elsewhere.contains_key(country.as_str()) {
                continue;
            }
            let profile = countries.profiles.get(country).or_else(|| countries.profiles.get(ANY_COUNTRY));
            let Some(profile) = profile else {
                let problem = format!("there is none for customers of {country}, and no {ANY_COUNTRY}");
                return Err(InputError::Profile(problem));
            };
            let table = countries.holidays.get(country).map(String::as_str).unwrap_or_default();
            elsewhere.insert(country.as_str(), Law::read((profile, table), country, countries, open)?);
        }
        Ok(Self { countries, home, elsewhere })
    }

    pub(crate) fn country_of(&self, customer: &str) -> Option<&str> {
        self.countries.of_customers.get(customer).map(String::as_str)
    }

    pub(crate) fn home_country(&self) -> &str {
        &self.countries.home
    }

    pub(crate) fn of(&self, customer: &str) -> &Law {
        let country = self.countries.of_customers.get(customer);
        country.and_then(|country| self.elsewhere.get(country.as_str())).unwrap_or(&self.home)
    }
}
