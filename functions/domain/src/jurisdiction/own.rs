//! A tenant's own contact rules: what it adds to the profiles, as it stands in its settings.
//!
//! Invariant: an unknown key or word is an error of reading. Whether the rules fit a profile is found out by
//! [`Jurisdiction::adjusted`](super::Jurisdiction::adjusted).

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::file::{Channels, DayTime, KindWord};
use crate::caps::Per;
use crate::channel::Purpose;

/// The contact rules that a tenant adds, by the id of the profile that they adjust.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContactRules(BTreeMap<String, OwnRules>);

impl ContactRules {
    /// Whether nothing is added anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids of the profiles that are adjusted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn of(&self, id: &str) -> Option<&OwnRules> {
        self.0.get(id)
    }
}

/// What is added to one profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OwnRules {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) closed_days: Vec<ClosedDay>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) answers: BTreeMap<String, Choice>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tighten: Vec<Tightening>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) loosen: Vec<Loosening>,
}

impl OwnRules {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A day on which nobody is contacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClosedDay {
    pub(super) on: NaiveDate,
    pub(super) reason: String,
}

/// The answer to an open question. One that allows more than the profile does needs the record of who allowed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    pub(super) answer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) approved_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) approved_on: Option<NaiveDate>,
}

impl Choice {
    /// An answer without a record.
    pub(super) fn of(answer: &str) -> Self {
        Self { answer: answer.to_owned(), reason: None, approved_by: None, approved_on: None }
    }
}

/// Shorter hours or one more cap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tightening {
    pub(super) purposes: Vec<Purpose>,
    #[serde(default)]
    pub(super) channels: Channels,
    pub(super) reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hours: Option<OwnHours>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cap: Option<OwnCap>,
}

/// Longer hours or a larger cap, with the record of who allowed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Loosening {
    pub(super) purposes: Vec<Purpose>,
    #[serde(default)]
    pub(super) channels: Channels,
    pub(super) reason: String,
    pub(super) approved_by: String,
    pub(super) approved_on: NaiveDate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hours: Option<OwnHours>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cap: Option<OwnCap>,
}

/// What a tightening and a loosening have in common.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) purposes: &'a [Purpose],
    pub(super) channels: &'a Channels,
    pub(super) hours: Option<&'a OwnHours>,
    pub(super) cap: Option<&'a OwnCap>,
}

impl Tightening {
    pub(super) fn change(&self) -> Change<'_> {
        Change {
            purposes: &self.purposes,
            channels: &self.channels,
            hours: self.hours.as_ref(),
            cap: self.cap.as_ref(),
        }
    }
}

impl Loosening {
    pub(super) fn change(&self) -> Change<'_> {
        Change {
            purposes: &self.purposes,
            channels: &self.channels,
            hours: self.hours.as_ref(),
            cap: self.cap.as_ref(),
        }
    }
}

type DayList = Option<Vec<(DayTime, DayTime)>>;

/// The names of the days in the order of [`OwnHours::days`].
pub(super) const DAY_NAMES: [&str; 8] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"];

/// The hours of some days; a day that is not named keeps its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OwnHours {
    #[serde(skip_serializing_if = "Option::is_none")]
    mon: DayList,
    #[serde(skip_serializing_if = "Option::is_none")]
    tue: DayList,
    #[serde(skip_serializing_if = "Option::is_none")]
    wed: DayList,
    #[serde(skip_serializing_if = "Option::is_none")]
    thu: DayList,
    #[serde(skip_serializing_if = "Option::is_none")]
    fri: DayList,
    #[serde(skip_serializing_if = "Option::is_none")]
    sat: DayList,
    #[serde(skip_serializing_if = "Option::is_none")]
    sun: DayList,
    #[serde(skip_serializing_if = "Option::is_none")]
    holiday: DayList,
}

impl OwnHours {
    /// The lists of Monday to Sunday and of holidays.
    pub(super) fn days(&self) -> [Option<&[(DayTime, DayTime)]>; 8] {
        [&self.mon, &self.tue, &self.wed, &self.thu, &self.fri, &self.sat, &self.sun, &self.holiday]
            .map(Option::as_deref)
    }
}

/// A cap in the words of a profile. Its reason code follows from what it limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnCap {
    pub(super) kind: KindWord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) per: Option<Per>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hours: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) days: Option<u32>,
    #[serde(default)]
    pub(super) over: Channels,
}
