//! Tenants: an isolated lender or brand, and the settings that every decision for it starts from.
//!
//! Invariant: settings are parsed once, at the edge; a tenant without a known time zone or jurisdiction cannot be
//! built.

use std::num::NonZeroU32;

use chrono::NaiveTime;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::ids::{PolicyId, TenantId};
use crate::jurisdiction::ContactRules;
use crate::locale::{Country, Language};

/// The most shards that a tenant's open obligations are spread over.
pub const SHARDS_MAX: u16 = 256;

/// How the lender presents itself in messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lender {
    /// The name that customers know.
    pub name: String,
    /// Where customers call.
    pub phone: String,
    /// Where customers write.
    pub email: String,
    /// How customers can pay, one way a line.
    pub ways_to_pay: Vec<String>,
    /// How to stop the messages, by email.
    pub opt_out_email: String,
    /// How to stop the messages, by SMS; short, since it is in every part that is paid for.
    pub opt_out_sms: String,
}

/// An isolated lender or brand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The tenant.
    pub id: TenantId,
    /// Its own country.
    pub country: Country,
    /// The profile whose contact rules hold for customers without a country of their own.
    pub jurisdiction: String,
    /// Its own time zone: scans and as-of dates are judged in it.
    pub time_zone: Tz,
    /// The language of messages to customers without one of their own.
    pub language: Language,
    /// The local time of the daily scan.
    pub scan_at: NaiveTime,
    /// Over how many shards the open obligations are spread, from 1 to [`SHARDS_MAX`].
    pub shards: u16,
    /// The policy that is followed.
    pub policy: PolicyId,
    /// The mapping that files uploaded for the tenant are read with, as the text of its TOML file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// For how many days personal data is kept after a customer's last activity; as the customer's profile says where
    /// absent ([`crate::retention::retain_days`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_days: Option<NonZeroU32>,
    /// How the lender presents itself.
    pub lender: Lender,
    /// The contact rules that the tenant adds to the profiles.
    #[serde(default, skip_serializing_if = "ContactRules::is_empty")]
    pub contact_rules: ContactRules,
}
