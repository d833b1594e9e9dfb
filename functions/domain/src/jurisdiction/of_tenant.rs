//! The profiles of a tenant: the built-in ones as they hold for it, with the strict answers to open questions and what
//! the tenant's settings say.
//!
//! Invariant: they are built together or not at all, so no customer of a tenant with a bad rule is judged by another.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use super::Jurisdiction;
use super::adjust_error::{AdjustErrors, AdjustProblem, Mistakes};
use super::error::BuiltInError;
use super::{adjust, own::ContactRules};
use crate::calendar::HolidayTable;
use crate::locale::Country;
use crate::tenant::Tenant;
use crate::zone::only_zone_of;

/// The profiles that protect a tenant's customers.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantJurisdictions {
    country: Country,
    chosen: String,
    countries: Vec<Country>,
    profiles: BTreeMap<&'static str, Jurisdiction>,
    /// Those that serve any country, with the holidays of each country that has a table, and the clock of the tenant's.
    with_holidays: BTreeMap<&'static str, BTreeMap<Country, Jurisdiction>>,
    /// Those that are not as they would be without the tenant's own rules.
    changed: BTreeSet<&'static str>,
}

impl TenantJurisdictions {
    /// The profiles of a tenant on its own `today`, with its contact rules laid over them.
    ///
    /// # Errors
    /// [`AdjustErrors`] names every key of the settings that is wrong, and the article that stands against it.
    pub fn new(tenant: &Tenant, today: NaiveDate) -> Result<Self, AdjustErrors> {
        let mut mistakes = Mistakes::default();
        let mut known = |place: String, id: &str| {
            let wrong = |error| adjust::wrong(place, AdjustProblem::Jurisdiction(error));
            mistakes.take(Jurisdiction::built_in(id).map_err(wrong));
        };
        known("jurisdiction".to_owned(), &tenant.jurisdiction);
        for id in tenant.contact_rules.ids() {
            known(format!("contact_rules.{}", id.chars().take(40).collect::<String>()), id);
        }
        let mut profiles = Self::profiles(&tenant.contact_rules, today, &mut mistakes);
        mistakes.refuse_any()?;
        let mut with_holidays: BTreeMap<_, _> =
            profiles.iter().map(|(id, profile)| (*id, with_holidays(profile))).collect();
        profiles.values_mut().for_each(Jurisdiction::know_years_of_closed_days);
        add_clock_of(tenant.country, &profiles, &mut with_holidays);
        let unruled = Self::profiles(&ContactRules::default(), today, &mut mistakes);
        let version = Jurisdiction::version;
        let is_changed = |id: &&'static str| profiles.get(id).map(version) != unruled.get(id).map(version);
        let changed = profiles.keys().copied().filter(is_changed).collect();
        let chosen = tenant.jurisdiction.clone();
        let countries = tenant.countries.clone();
        let all = Self { country: tenant.country, chosen, countries, profiles, with_holidays, changed };
        all.named_countries_have_holidays(&mut mistakes);
        mistakes.refuse_any()?;
        Ok(all)
    }

    fn profiles(
        rules: &ContactRules,
        today: NaiveDate,
        mistakes: &mut Mistakes,
    ) -> BTreeMap<&'static str, Jurisdiction> {
        let mut profiles = BTreeMap::new();
        for id in Jurisdiction::built_in_ids() {
            // A test reads every profile that is compiled in; one that could not be read is missed where it is asked for.
            let Ok(base) = Jurisdiction::built_in(id) else { continue };
            match base.adjusted(rules, today) {
                Ok(profile) => {
                    profiles.insert(id, profile);
                }
                Err(wrong) => mistakes.add_all(wrong),
            }
        }
        profiles
    }

    /// The profiles whose texts are worth keeping: those that the tenant's own rules change, and the one that it chose.
    pub fn kept(&self) -> impl Iterator<Item = &Jurisdiction> {
        let own = self.own().ok();
        let version = own.map(Jurisdiction::version);
        let changed = self
            .all()
            .filter(move |profile| self.changed.contains(profile.id()) && Some(profile.version()) != version);
        own.into_iter().chain(changed)
    }

    /// The profile that the tenant chose for itself.
    ///
    /// # Errors
    /// None that [`TenantJurisdictions::new`] has not refused.
    pub fn own(&self) -> Result<&Jurisdiction, BuiltInError> {
        Ok(self.in_country(self.named(&self.chosen)?, self.country))
    }

    /// The profiles of everybody whom the tenant says that it writes to: its own, and those of its countries.
    ///
    /// # Errors
    /// None, as long as the compiled-in profiles can be read, which a test makes sure of.
    pub fn of_customers(&self) -> Result<Vec<&Jurisdiction>, BuiltInError> {
        let mut all = vec![self.own()?];
        for country in &self.countries {
            let one = self.for_country(Some(*country))?;
            if all.iter().all(|known| known.id() != one.id()) {
                all.push(one);
            }
        }
        Ok(all)
    }

    /// A profile by its id, as it holds for the tenant.
    ///
    /// # Errors
    /// [`BuiltInError::Unknown`] names the ids that there are.
    pub fn named(&self, id: &str) -> Result<&Jurisdiction, BuiltInError> {
        match self.profiles.get(id) {
            Some(profile) => Ok(profile),
            None => Jurisdiction::built_in(id),
        }
    }

    /// A profile by its id as it holds for a customer of a country: one that serves any has the holidays of that country.
    ///
    /// # Errors
    /// As [`TenantJurisdictions::named`].
    pub fn named_in(&self, id: &str, country: Option<Country>) -> Result<&Jurisdiction, BuiltInError> {
        let profile = self.named(id)?;
        Ok(country.map_or(profile, |country| self.in_country(profile, country)))
    }

    /// The profile that protects a customer: that of its own country, else the tenant's. One that serves any country has
    /// the holidays of the customer's, where they are known.
    ///
    /// # Errors
    /// None, as long as the compiled-in profiles can be read, which a test makes sure of.
    pub fn for_country(&self, country: Option<Country>) -> Result<&Jurisdiction, BuiltInError> {
        match country {
            Some(country) if country != self.country => {
                Ok(self.in_country(self.named(Jurisdiction::id_for_country(country))?, country))
            }
            Some(_) | None => self.own(),
        }
    }

    /// Every profile that a decision for the tenant can be made by.
    pub fn all(&self) -> impl Iterator<Item = &Jurisdiction> {
        self.profiles.values().chain(self.with_holidays.values().flat_map(BTreeMap::values))
    }

    /// Refuses a country that the tenant names, where nobody said which days are holidays.
    fn named_countries_have_holidays(&self, mistakes: &mut Mistakes) {
        let named = std::iter::once(&self.country).chain(&self.countries);
        for (country, profile) in named.filter_map(|c| Some((*c, self.for_country(Some(*c)).ok()?))) {
            if profile.needs_closed_days() && profile.closed_days.is_empty() {
                let place = format!("contact_rules.{}.closed_days", profile.id);
                mistakes.add(adjust::wrong(place, AdjustProblem::NoHolidays(country)));
            }
        }
    }

    fn in_country<'a>(&'a self, profile: &'a Jurisdiction, country: Country) -> &'a Jurisdiction {
        self.with_holidays.get(profile.id()).and_then(|of| of.get(&country)).unwrap_or(profile)
    }
}

/// A profile that serves any country, with the holidays of each country that has a table.
fn with_holidays(profile: &Jurisdiction) -> BTreeMap<Country, Jurisdiction> {
    let country = |id: &'static str| {
        let country = Country::new(id).ok()?;
        Some((country, profile.in_country(country)?))
    };
    HolidayTable::built_in_ids().filter_map(country).collect()
}

/// Adds the profiles that serve any country with the clock of the tenant's own, where no table of its holidays gave it
/// already: of a customer without a country it is taken that it lives where its lender is, for holidays and clock alike.
fn add_clock_of(
    country: Country,
    profiles: &BTreeMap<&'static str, Jurisdiction>,
    with_holidays: &mut BTreeMap<&'static str, BTreeMap<Country, Jurisdiction>>,
) {
    for (id, profile) in profiles.iter().filter(|(_, profile)| profile.country.is_none()) {
        let of = with_holidays.entry(id).or_default();
        if let Some(time_zone) = only_zone_of(country).filter(|_| !of.contains_key(&country)) {
            let known = Jurisdiction { time_zone: Some(time_zone), ..profile.clone() };
            of.insert(country, known.followed_by(&profile.texts, clock_words(Some(time_zone))));
        }
    }
}

fn clock_words(time_zone: Option<Tz>) -> String {
    time_zone.map_or(String::new(), |zone| format!("timezone = \"{zone}\"\n"))
}

impl Jurisdiction {
    /// A profile that serves any country with the holidays of one, outside of whose years every day is refused, and with its
    /// clock where it has a single one; `None` for a profile of a country, and for a country without a table.
    #[must_use]
    pub fn in_country(&self, country: Country) -> Option<Self> {
        if self.country.is_some() {
            return None;
        }
        let id = country.as_str();
        let holidays = Some(HolidayTable::built_in(id)?);
        let holiday_text = HolidayTable::built_in_text(id)?;
        let (holiday_table, time_zone) = (id.to_owned(), only_zone_of(country));
        let words = format!("holidays = \"{id}\"\n") + &clock_words(time_zone);
        let known = Self { holidays, holiday_text, holiday_table, time_zone, ..self.clone() };
        Some(known.followed_by(&self.texts, words))
    }

    /// A profile that serves any country knows only the years for which the lender closed days: what it has besides is
    /// what most countries share, and no more than a start.
    fn know_years_of_closed_days(&mut self) {
        if self.country.is_none() {
            self.known_years = Some(self.closed_days.keys().map(Datelike::year).collect());
        }
    }
}
