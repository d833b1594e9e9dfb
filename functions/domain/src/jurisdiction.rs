//! Jurisdictions: the contact rules of a place, as dated and cited data.
//!
//! Invariant: a [`Jurisdiction`] was checked when it was read, and no code knows a country; what differs between
//! places stands in `jurisdictions/*.toml`.

mod adjust;
mod adjust_error;
#[cfg(test)]
mod adjust_tests;
mod build;
mod change;
mod duties;
mod error;
mod file;
mod grounds;
mod of_tenant;
#[cfg(test)]
mod of_tenant_tests;
mod own;
mod question;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::calendar::{Day, HolidayTable};
use crate::caps::{Cap, ChannelSet, CountingMode, Week};
use crate::channel::{Channel, Purpose};
use crate::locale::Country;

pub use adjust::{ADJUSTMENTS_MAX, Adjustment, RECORD_CHARS_MAX};
pub(crate) use adjust_error::article;
pub use adjust_error::{AdjustError, AdjustErrors, AdjustProblem};
pub use duties::{Consents, Content, CreditBureau, DncRegistry, Duties, OffHours, Records, ThirdParties};
pub use error::{BuiltInError, Place, Problem, ProfileError};
pub use grounds::{Basis, Confidence, Grounds};
pub use of_tenant::TenantJurisdictions;
pub use own::ContactRules;
pub use question::{Answer, Question};

/// The most rules of a profile.
pub const RULES_MAX: usize = 64;
/// The most caps of a rule.
pub const CAPS_PER_RULE_MAX: usize = 16;
/// The most open questions of a profile.
pub const QUESTIONS_MAX: usize = 16;
/// The most intervals of a day.
pub const INTERVALS_PER_DAY_MAX: usize = 8;

/// The profile of countries that have none of their own.
pub const DEFAULT_ID: &str = "DEFAULT";

/// How many bytes of the hash of a profile are shown, as two hexadecimal digits each.
const VERSION_BYTES: usize = 8;

/// A local interval of a day, `[from, to)`, in seconds from midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) from_second: u32,
    pub(crate) to_second: u32,
}

/// The open hours of each weekday, Monday first, and of a public holiday, which replaces them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) weekdays: [Box<[Interval]>; 7],
    pub(crate) holiday: Box<[Interval]>,
}

impl Window {
    /// Open all day, every day.
    pub(crate) fn always() -> Self {
        let day = || -> Box<[Interval]> { Box::new([Interval { from_second: 0, to_second: 86_400 }]) };
        Self { weekdays: std::array::from_fn(|_| day()), holiday: day() }
    }

    pub(crate) fn weekday(&self, on: NaiveDate) -> &[Interval] {
        &self.weekdays[on.weekday().num_days_from_monday() as usize]
    }
}

/// A gate that the caller evaluates before time is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// The customer agreed (`opt_in`).
    OptIn,
    /// The customer made contact and agreed (`opt_in_by_own_initiative`).
    OptInByOwnInitiative,
    /// The contact point is not in the registry of [`Consents::dnc_registry`] (`not_in_…`).
    NotInRegistry,
}

impl Requirement {
    /// The stable wire name; the registry is the profile's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OptIn => "opt_in",
            Self::OptInByOwnInitiative => "opt_in_by_own_initiative",
            Self::NotInRegistry => "not_in_registry",
        }
    }
}

/// One rule: for which contacts it speaks, when they may be made, and how many.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    /// The rule's place in the file, counted from zero.
    pub(crate) place: u8,
    pub(crate) purposes: Vec<Purpose>,
    pub(crate) channels: ChannelSet,
    /// `None` where the rule is exempt from window and caps.
    pub(crate) window: Option<Window>,
    /// The adjustment that the window comes from, where it is not the profile's own.
    pub(crate) window_by: Option<usize>,
    /// Hours outside which the tenant makes no contact, each with its adjustment.
    pub(crate) narrowed: Vec<(Window, usize)>,
    pub(crate) caps: Vec<RuleCap>,
    pub(crate) require: Vec<Requirement>,
    pub(crate) grounds: Grounds,
}

/// A cap of a rule, with the adjustment that it comes from, where it is not the profile's own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RuleCap {
    pub(crate) cap: Cap,
    pub(crate) by: Option<usize>,
}

/// How earlier contacts are counted, and on which grounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counting {
    /// Which contacts count.
    pub mode: CountingMode,
    /// Why.
    pub grounds: Grounds,
    /// Profiles that count in another way, by their id.
    pub alternatives: BTreeMap<String, CountingMode>,
}

type RuleLookup = [[Option<u8>; Channel::ALL.len()]; Purpose::ALL.len()];

/// The contact rules of a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Jurisdiction {
    id: String,
    country: Option<Country>,
    time_zone: Option<Tz>,
    week: Week,
    holidays: Option<&'static HolidayTable>,
    /// The id of the holiday table, or the word for none.
    holiday_table: String,
    /// The only years that are known, where the lender must say which days are holidays; else all of the table.
    known_years: Option<BTreeSet<i32>>,
    in_force_from: Option<NaiveDate>,
    reviewed: NaiveDate,
    authority: Vec<String>,
    channels: ChannelSet,
    counting: Counting,
    /// The answer that counting comes from, where it is not the profile's own.
    counting_by: Option<usize>,
    rules: Vec<Rule>,
    lookup: RuleLookup,
    questions: Vec<Question>,
    /// The days that a tenant closed, each with its adjustment.
    closed_days: BTreeMap<NaiveDate, usize>,
    adjustments: Vec<Adjustment>,
    duties: Duties,
    /// The files, the base first, and the tenant's own rules last.
    texts: Vec<Arc<str>>,
    /// The text of the holiday table; empty where there is none.
    holiday_text: &'static str,
    version: String,
}

impl Jurisdiction {
    /// Reads a profile of schema 1. A file with `extends` takes everything from a full built-in profile, except its
    /// id, the day of its review and how contacts are counted.
    ///
    /// # Errors
    /// [`ProfileError`] names the dotted key, and the line where it is known.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        /// Only what tells a variant from a full profile.
        #[derive(Deserialize)]
        struct Peek {
            extends: Option<toml::Value>,
        }
        match file::read::<Peek>(text)?.extends {
            None => Self::full(text),
            Some(_) => Self::variant(text),
        }
    }

    fn full(text: &str) -> Result<Self, ProfileError> {
        let mut file: file::ProfileFile = file::read(text)?;
        let builder = build::Builder { text };
        builder.schema(&file.schema)?;
        let holidays = builder.table(&file.holidays)?;
        let holiday_text = HolidayTable::built_in_text(file.holidays.get_ref()).unwrap_or_default();
        let windows = builder.windows(&mut file)?;
        let rules = builder.rules(&mut file, &windows)?;
        let time_zone = builder.time_zone(&file)?;
        let questions = builder.questions(file.questions, file.channels.get_ref(), &windows)?;
        builder.content_grounds(&file.content, &file.consent)?;
        let profile = Self {
            lookup: lookup(&rules),
            id: file.id,
            country: file.country,
            time_zone,
            week: file.week,
            holidays,
            holiday_table: file.holidays.get_ref().clone(),
            known_years: None,
            in_force_from: file.in_force_from,
            reviewed: file.reviewed,
            authority: file.authority,
            channels: file.channels.get_ref().iter().copied().collect(),
            counting: builder.counting(file.counting)?,
            counting_by: None,
            rules,
            questions,
            closed_days: BTreeMap::new(),
            adjustments: Vec::new(),
            duties: Duties {
                consent: file.consent,
                content: file.content,
                credit_bureau: file.credit_bureau,
                records: file.records,
            },
            version: version(&[text], holiday_text),
            texts: vec![text.into()],
            holiday_text,
        };
        builder.answered(&profile)?;
        Ok(profile)
    }

    fn variant(text: &str) -> Result<Self, ProfileError> {
        let file: file::VariantFile = file::read(text)?;
        let builder = build::Builder { text };
        builder.schema(&file.schema)?;
        let base = BUILT_IN.iter().find(|b| b.id == file.extends.get_ref());
        let base = base.ok_or_else(|| builder.no_base(&file.extends))?.text;
        // A variant of a variant fails here, so this never goes deeper than one step.
        let full = Self::full(base).map_err(|_| builder.no_base(&file.extends))?;
        let profile = Self {
            id: file.id,
            reviewed: file.reviewed,
            counting: builder.counting(file.counting)?,
            version: version(&[base, text], full.holiday_text),
            texts: vec![base.into(), text.into()],
            ..full
        };
        builder.answered(&profile)?;
        Ok(profile)
    }

    /// A profile that is compiled in, such as `CO`.
    ///
    /// # Errors
    /// [`BuiltInError::Unknown`] names the ids that there are.
    pub fn built_in(id: &str) -> Result<&'static Self, BuiltInError> {
        let Some(profile) = BUILT_IN.iter().find(|b| b.id == id) else {
            let found = id.chars().take(40).collect();
            let expected = Self::built_in_ids().collect::<Vec<_>>().join(", ");
            return Err(BuiltInError::Unknown { found, expected });
        };
        let parsed = profile.parsed.get_or_init(|| Self::parse(profile.text));
        parsed.as_ref().map_err(|error| BuiltInError::Broken { id: profile.id, error: error.clone() })
    }

    /// The text of a profile that is compiled in, for whoever wants to read it without this code.
    #[must_use]
    pub fn built_in_text(id: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|b| b.id == id).map(|b| b.text)
    }

    /// The ids of the profiles that are compiled in.
    pub fn built_in_ids() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|b| b.id)
    }

    /// The profile whose id is the country's code, or the strict one of [`DEFAULT_ID`]. A profile of a part of a
    /// country, or one that reads its law differently, must be named.
    ///
    /// # Errors
    /// None, as long as the compiled-in profiles can be read, which a test makes sure of.
    pub fn for_country(country: Country) -> Result<&'static Self, BuiltInError> {
        Self::built_in(Self::id_for_country(country))
    }

    fn id_for_country(country: Country) -> &'static str {
        let code = country.as_str();
        BUILT_IN.iter().find(|b| b.id == code).map_or(DEFAULT_ID, |own| own.id)
    }

    /// The id, such as `CO` or `BR-SP`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The country; `None` for a profile that serves any.
    #[must_use]
    pub fn country(&self) -> Option<Country> {
        self.country
    }

    /// Where moments are judged for a customer of whom neither the zone nor a country with one clock is known. `None` for a
    /// profile that serves any country: no clock is that of all of them.
    #[must_use]
    pub fn time_zone(&self) -> Option<Tz> {
        self.time_zone
    }

    /// Which days form a week.
    #[must_use]
    pub fn week(&self) -> Week {
        self.week
    }

    /// Since when the law is in force, where one date can be given.
    #[must_use]
    pub fn in_force_from(&self) -> Option<NaiveDate> {
        self.in_force_from
    }

    /// When a person last compared the profile with its sources.
    #[must_use]
    pub fn reviewed_on(&self) -> NaiveDate {
        self.reviewed
    }

    /// Who supervises.
    #[must_use]
    pub fn authority(&self) -> &[String] {
        &self.authority
    }

    /// The first bytes of the SHA-256 of [`Jurisdiction::texts`] and [`Jurisdiction::holiday_text`], one after the other,
    /// in hexadecimal: which words decided.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The texts that [`Jurisdiction::version`] is the hash of, one after the other: the file, before it the one that it
    /// extends, and after it, as TOML, what a tenant adds.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(AsRef::as_ref)
    }

    /// The text of the holiday table; empty where the profile says that it has none.
    #[must_use]
    pub fn holiday_text(&self) -> &'static str {
        self.holiday_text
    }

    /// How earlier contacts are counted.
    #[must_use]
    pub fn counting(&self) -> &Counting {
        &self.counting
    }

    /// What the profile says besides moments and counts.
    #[must_use]
    pub fn duties(&self) -> &Duties {
        &self.duties
    }

    /// The holiday table; `None` where the profile says that it has none.
    #[must_use]
    pub fn holidays(&self) -> Option<&'static HolidayTable> {
        self.holidays
    }

    /// The id of the holiday table, such as `CO`; `none` where the profile says that it has none.
    #[must_use]
    pub fn holiday_table(&self) -> &str {
        &self.holiday_table
    }

    /// Whether only the years are known for which the lender itself closed days: it is a profile of any country, asked
    /// for a country without a table.
    #[must_use]
    pub fn needs_closed_days(&self) -> bool {
        self.known_years.is_some()
    }

    /// The gates that the caller evaluates before it asks about a moment; none where no rule matches.
    #[must_use]
    pub fn requires(&self, purpose: Purpose, channel: Channel) -> &[Requirement] {
        self.rule(purpose, channel).map_or(&[], |(_, rule)| &rule.require)
    }

    /// What the calendar says about a day. Without a table every day is an ordinary one: such a profile makes up for
    /// it with its hours.
    pub(crate) fn day(&self, on: NaiveDate) -> Day<'static> {
        if self.known_years.as_ref().is_some_and(|years| !years.contains(&on.year())) {
            return Day::OutsideTable;
        }
        self.holidays.map_or(Day::Working, |table| table.day(on))
    }

    /// The first day after one which the calendar does not know, of which it knows something.
    pub(crate) fn first_known_day_after(&self, on: NaiveDate) -> Option<NaiveDate> {
        let first = match &self.known_years {
            Some(years) => {
                let next = years.iter().find(|year| **year > on.year())?;
                NaiveDate::from_ymd_opt(*next, 1, 1)?
            }
            None => self.holidays?.first_on(),
        };
        Some(first).filter(|first| *first > on)
    }

    /// The adjustment that closed a day.
    pub(crate) fn closed_by(&self, on: NaiveDate) -> Option<usize> {
        self.closed_days.get(&on).copied()
    }

    /// The rule for a contact and its place in the file.
    pub(crate) fn rule(&self, purpose: Purpose, channel: Channel) -> Option<(u8, &Rule)> {
        let rule = &self.rules[usize::from(self.lookup[purpose as usize][channel as usize]?)];
        Some((rule.place, rule))
    }
}

/// The first rule that matches wins; found once, so that a check is one step.
fn lookup(rules: &[Rule]) -> RuleLookup {
    let mut lookup = RuleLookup::default();
    for purpose in Purpose::ALL {
        for channel in Channel::ALL {
            let first =
                rules.iter().position(|r| r.purposes.contains(purpose) && r.channels.contains(*channel));
            lookup[*purpose as usize][*channel as usize] = first.and_then(|i| u8::try_from(i).ok());
        }
    }
    lookup
}

fn version(texts: &[&str], holidays: &str) -> String {
    let mut hasher = Sha256::new();
    texts.iter().for_each(|text| hasher.update(text.as_bytes()));
    hasher.update(holidays.as_bytes());
    hasher.finalize().iter().take(VERSION_BYTES).map(|b| format!("{b:02x}")).collect()
}

struct BuiltIn {
    id: &'static str,
    text: &'static str,
    parsed: OnceLock<Result<Jurisdiction, ProfileError>>,
}

macro_rules! profiles {
    ($($id:literal),+ $(,)?) => {
        [$(BuiltIn {
            id: $id,
            text: include_str!(concat!("../jurisdictions/", $id, ".toml")),
            parsed: OnceLock::new(),
        }),+]
    };
}

static BUILT_IN: [BuiltIn; 9] =
    profiles!["BR-SP", "CL", "CO", "CO-DIRECT", "DEFAULT", "EC", "MX", "PE", "US"];
