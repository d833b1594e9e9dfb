//! The shape of a mapping's TOML file, before it is checked.
//!
//! Invariant: a key that is not here is an error, so that a misspelt column is never silently left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::super::{ColumnName, Encoding};
use crate::channel::{Channel, Purpose};
use crate::customer::{CustomerKind, Role};
use crate::import::day::DayFormat;
use crate::locale::Country;
use crate::money::Currency;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) file: RawFile,
    pub(super) customer: Option<RawCustomer>,
    pub(super) consent: Option<RawConsent>,
    pub(super) contacts: Option<RawContacts>,
    pub(super) obligation: Option<RawObligation>,
    pub(super) payment: Option<RawPayment>,
    pub(super) dispute: Option<RawDispute>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Accounts,
    Payments,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) delimiter: RawDelimiter,
    #[serde(default)]
    pub(super) encoding: Option<Encoding>,
    pub(super) sheet: Option<String>,
    pub(super) date_formats: Vec<RawDayFormat>,
    pub(super) decimal_sign: RawSign,
    pub(super) currency: Option<Currency>,
    pub(super) phone_region: Option<Country>,
}

#[derive(Deserialize, Clone, Copy, Default)]
pub(super) enum RawDelimiter {
    #[default]
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = ",")]
    Comma,
    #[serde(rename = ";")]
    Semicolon,
    #[serde(rename = "tab", alias = "\t")]
    Tab,
}

#[derive(Deserialize, Clone, Copy)]
pub(super) enum RawSign {
    #[serde(rename = ".")]
    Point,
    #[serde(rename = ",")]
    Comma,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct RawDayFormat(pub(super) DayFormat);

impl TryFrom<String> for RawDayFormat {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        DayFormat::new(&text).map(Self).map_err(|e| e.to_string())
    }
}

/// `"Column"`, or `{ column = "Column", values = { word = "value" } }`.
pub(super) struct RawWordColumn<V> {
    pub(super) column: ColumnName,
    pub(super) values: BTreeMap<String, V>,
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for RawWordColumn<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<V>(std::marker::PhantomData<V>);
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full<V> {
            column: ColumnName,
            #[serde(default = "BTreeMap::new")]
            values: BTreeMap<String, V>,
        }
        impl<'de, V: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<V> {
            type Value = RawWordColumn<V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a column, or { column = …, values = { … } }")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let column = ColumnName::try_from(text.to_owned()).map_err(E::custom)?;
                Ok(RawWordColumn { column, values: BTreeMap::new() })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let full = Full::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(RawWordColumn { column: full.column, values: full.values })
            }
        }
        deserializer.deserialize_any(Visitor(std::marker::PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCustomer {
    pub(super) id: ColumnName,
    pub(super) name: Option<ColumnName>,
    pub(super) email: Option<ColumnName>,
    pub(super) phone: Option<ColumnName>,
    pub(super) kind: Option<RawWordColumn<CustomerKind>>,
    pub(super) role: Option<RawWordColumn<Role>>,
    pub(super) country: Option<ColumnName>,
    pub(super) time_zone: Option<ColumnName>,
    pub(super) language: Option<ColumnName>,
    pub(super) segment: Option<ColumnName>,
    pub(super) preferred_channel: Option<RawWordColumn<Channel>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConsent {
    #[serde(default)]
    pub(super) assume: Vec<Channel>,
    #[serde(default)]
    pub(super) columns: BTreeMap<Channel, ColumnName>,
    pub(super) yes: Option<Vec<String>>,
    pub(super) no: Option<Vec<String>>,
    pub(super) on: Option<ColumnName>,
    pub(super) purposes: Option<Vec<Purpose>>,
    pub(super) source: String,
    pub(super) evidence: Option<ColumnName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawContacts {
    pub(super) phone_channels: Option<Vec<Channel>>,
    #[serde(default)]
    pub(super) test: bool,
    pub(super) made_up: Option<RawMadeUp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMadeUp {
    pub(super) email_domain: String,
    pub(super) phone_region: Country,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawObligation {
    pub(super) id: ColumnName,
    pub(super) account: Option<ColumnName>,
    pub(super) amount: ColumnName,
    pub(super) currency: Option<ColumnName>,
    pub(super) due_on: ColumnName,
    pub(super) known_on: Option<ColumnName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPayment {
    pub(super) closed_on: Option<ColumnName>,
    pub(super) paid_amount: Option<ColumnName>,
    pub(super) id: Option<ColumnName>,
    pub(super) obligation: Option<ColumnName>,
    pub(super) customer: Option<ColumnName>,
    pub(super) amount: Option<ColumnName>,
    pub(super) currency: Option<ColumnName>,
    pub(super) paid_on: Option<ColumnName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDispute {
    pub(super) column: ColumnName,
    pub(super) yes: Option<Vec<String>>,
    pub(super) no: Option<Vec<String>>,
    pub(super) from: Option<ColumnName>,
    pub(super) until: Option<ColumnName>,
}
