//! What a profile says besides moments and counts: consent, content, credit bureaus, records.
//!
//! Invariant: these are facts for people, templates and audits, save for two that decide: whether a person besides the
//! debtor may be told ([`ThirdParties`]), and whether the customer may ask for other hours ([`OffHours`]).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::grounds::{Confidence, Grounds};
use crate::channel::Purpose;
use crate::customer::Role;

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
    pub off_hours: Option<OffHours>,
    /// How the customer withdraws.
    pub opt_out: Option<String>,
    /// The registry of those who do not want to be contacted.
    pub dnc_registry: Option<DncRegistry>,
}

/// What allows a contact outside the hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffHours {
    /// A request of the debtor's own, in a document apart from the contract and later than it.
    DebtorInitiatedSeparateLaterInstrument,
}

/// Who besides the debtor may be told of the debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThirdParties {
    /// Nobody.
    Forbidden,
    /// Only who answers for it.
    ForbiddenExceptGuarantor,
    /// Only who owes it too, or answers for it.
    ForbiddenExceptCodebtorGuarantor,
}

impl ThirdParties {
    /// Whether a person of this role may be reminded. A co-debtor owes the debt and is no third party.
    #[must_use]
    pub const fn allows(self, role: Role) -> bool {
        match (role, self) {
            (Role::Debtor | Role::Codebtor, _) => true,
            (Role::Guarantor, Self::ForbiddenExceptGuarantor | Self::ForbiddenExceptCodebtorGuarantor) => {
                true
            }
            (Role::Guarantor, Self::Forbidden) | (Role::Reference, _) => false,
        }
    }
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
    /// Why, for every word of the two lists, under `opt_out` for [`Consents::opt_out`], and under `collection_fee` for
    /// [`Content::collection_fees`].
    #[serde(default)]
    pub grounds: BTreeMap<String, Grounds>,
    /// Who besides the debtor may be told.
    pub third_parties: Option<ThirdParties>,
    /// Where that stands.
    pub third_parties_cite: Option<String>,
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
