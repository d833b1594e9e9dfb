//! What a profile says besides moments and counts: consent, content, credit bureaus, records.
//!
//! Invariant: these are facts for people, templates and audits; nothing here decides about a moment.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::grounds::{Confidence, Grounds};
use crate::channel::Purpose;

/// The duties of a profile.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Duties {
    /// What the customer must have agreed to.
    pub consent: Consents,
    /// What a message must and must not say, and to whom.
    pub content: Content,
    /// What comes before a negative report.
    pub credit_bureau: Option<CreditBureau>,
    /// What must be kept.
    pub records: Option<Records>,
}

/// What the customer must have agreed to, each in a word of the profile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consents {
    /// What makes a channel usable.
    pub channel_authorisation: Option<String>,
    /// The consent to process personal data.
    pub data_processing: Option<String>,
    /// What allows a contact outside the hours.
    pub off_hours: Option<String>,
    /// How the customer withdraws.
    pub opt_out: Option<String>,
    /// The registry of those who do not want to be contacted.
    pub dnc_registry: Option<DncRegistry>,
}

/// A registry of those who do not want to be contacted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DncRegistry {
    /// Its name.
    pub name: String,
    /// For which purposes it must be consulted.
    pub applies_to: Vec<Purpose>,
}

/// What a message must and must not say, each in a word of the profile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// What every message says.
    #[serde(default)]
    pub must_include: Vec<String>,
    /// What no message says.
    #[serde(default)]
    pub must_not: Vec<String>,
    /// Why, for every word of the two lists, and under `opt_out` for [`Consents::opt_out`].
    #[serde(default)]
    pub grounds: BTreeMap<String, Grounds>,
    /// Whether others may be told.
    pub third_parties: Option<String>,
    /// Whether a visit may be made.
    pub visits: Option<String>,
    /// Whether a contact may be charged for.
    pub collection_fees: Option<String>,
}

/// What comes before a negative report to a credit bureau.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreditBureau {
    /// Calendar days between the notice and the report.
    pub notice_days: u32,
    /// Up to this part of a monthly minimum wage, two notices on different days.
    pub two_notices_if_debt_le_minimum_wage_fraction: Option<f64>,
    /// How well the rule is known.
    pub confidence: Option<Confidence>,
    /// Where it stands.
    pub cite: Option<String>,
}

/// What must be kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// For how many years.
    pub retain_years: u32,
    /// Which facts of each contact.
    pub fields: Vec<String>,
}
