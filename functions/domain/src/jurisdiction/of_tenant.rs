//! The profiles of a tenant: the built-in ones, adjusted where the tenant's settings say so.
//!
//! Invariant: they are built together or not at all, so no customer of a tenant with a bad rule is judged by another.

use std::collections::BTreeMap;

use super::Jurisdiction;
use super::adjust_error::{AdjustError, AdjustProblem};
use super::error::BuiltInError;
use super::own::ContactRules;
use crate::locale::Country;
use crate::tenant::Tenant;

/// The profiles that protect a tenant's customers.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantJurisdictions {
    country: Country,
    chosen: String,
    countries: Vec<Country>,
    adjusted: BTreeMap<String, Jurisdiction>,
}

impl TenantJurisdictions {
    /// The profiles of a tenant, with its own contact rules laid over them.
    ///
    /// # Errors
    /// [`AdjustError`] names the key of the settings that is wrong, and the article that stands against it.
    pub fn new(tenant: &Tenant) -> Result<Self, AdjustError> {
        let wrong = |place: String, error: BuiltInError| AdjustError {
            place,
            problem: Box::new(AdjustProblem::Jurisdiction(error)),
        };
        Jurisdiction::built_in(&tenant.jurisdiction).map_err(|e| wrong("jurisdiction".to_owned(), e))?;
        Ok(Self {
            country: tenant.country,
            chosen: tenant.jurisdiction.clone(),
            countries: tenant.countries.clone(),
            adjusted: Self::adjust(&tenant.contact_rules, wrong)?,
        })
    }

    fn adjust(
        rules: &ContactRules,
        wrong: impl Fn(String, BuiltInError) -> AdjustError,
    ) -> Result<BTreeMap<String, Jurisdiction>, AdjustError> {
        rules
            .ids()
            .map(|id| {
                let place = || format!("contact_rules.{}", id.chars().take(40).collect::<String>());
                let base = Jurisdiction::built_in(id).map_err(|error| wrong(place(), error))?;
                Ok((id.to_owned(), base.adjusted(rules)?))
            })
            .collect()
    }

    /// The profile that the tenant chose for itself.
    ///
    /// # Errors
    /// None that [`TenantJurisdictions::new`] has not refused.
    pub fn own(&self) -> Result<&Jurisdiction, BuiltInError> {
        self.named(&self.chosen)
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

    /// A profile by its id, with the tenant's adjustments.
    ///
    /// # Errors
    /// [`BuiltInError::Unknown`] names the ids that there are.
    pub fn named(&self, id: &str) -> Result<&Jurisdiction, BuiltInError> {
        match self.adjusted.get(id) {
            Some(adjusted) => Ok(adjusted),
            None => Jurisdiction::built_in(id),
        }
    }

    /// The profile that protects a customer: that of its own country, else the tenant's.
    ///
    /// # Errors
    /// None, as long as the compiled-in profiles can be read, which a test makes sure of.
    pub fn for_country(&self, country: Option<Country>) -> Result<&Jurisdiction, BuiltInError> {
        match country {
            Some(country) if country != self.country => self.named(Jurisdiction::id_for_country(country)),
            Some(_) | None => self.own(),
        }
    }
}
