//! The settings of a tenant, as they are read from a request: every mistake at once, each with its place.
//!
//! Invariant: settings that were read here can be followed: the zone and the profile exist, the lender's own contact
//! rules fit the profiles, the mapping parses, and every limit holds.

use std::num::NonZeroU32;

use chrono::{DateTime, NaiveTime, Timelike, Utc};
use chrono_tz::Tz;
use domain::choice::OptOutUrl;
use domain::content_check::{TextException, exception_problems};
use domain::email::parse_email;
use domain::ids::PolicyId;
use domain::import::mapping::Mapping;
use domain::jurisdiction::{ContactRules, Jurisdiction, TenantJurisdictions};
use domain::locale::{Country, Language};
use domain::money::Currency;
use domain::tenant::{DailyQuotas, Lender, Pause, Rates, SHARDS_MAX, Tenant, TenantSlug, UnknownRules};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::place::{of_dotted, pointer};
use crate::problem::Mistake;

/// The longest text of the lender's presentation, in characters; one line of an SMS is shorter still.
pub const LENDER_TEXT_CHARS_MAX: usize = 200;
/// The most ways to pay.
pub const WAYS_TO_PAY_MAX: usize = 10;
/// The longest mapping, in bytes.
pub const MAPPING_BYTES_MAX: usize = 64 * 1024;
/// The most countries besides the tenant's own.
pub const COUNTRIES_MAX: usize = 30;

/// What a tenant decides about itself. Its id and whether it is paused are not among it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its own country.
    pub country: Country,
    /// The profile whose contact rules hold for customers without a country of their own.
    pub jurisdiction: String,
    /// Its own time zone: scans and as-of dates are judged in it.
    pub time_zone: Tz,
    /// The language of messages to customers without one of their own.
    pub language: Language,
    /// The currency that its sums are shown in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The local time of the daily scan, on the minute.
    pub scan_at: NaiveTime,
    /// Over how many shards the open obligations are spread; it can grow and never shrink.
    pub shards: u16,
    /// The policy that is followed.
    pub policy: PolicyId,
    /// The mapping that uploaded files are read with, as the text of its TOML file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// How fast each channel sends, in messages a second.
    #[serde(default)]
    pub rates: Rates,
    /// The most that each channel sends in any 24 hours.
    #[serde(default)]
    pub daily_quotas: DailyQuotas,
    /// What is done about messages of which nobody knows whether they were sent.
    #[serde(default)]
    pub on_unknown: UnknownRules,
    /// For how many days personal data is kept after a customer's last activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_days: Option<NonZeroU32>,
    /// The countries besides its own in which it has customers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<Country>,
    /// Sentences that the lists of forbidden words object to, and that it says on the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_exceptions: Vec<TextException>,
    /// Where the opt-out links of its messages lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out_url: Option<OptOutUrl>,
    /// How the lender presents itself.
    pub lender: Lender,
    /// The contact rules that the tenant adds to the profiles.
    #[serde(default, skip_serializing_if = "ContactRules::is_empty")]
    pub contact_rules: ContactRules,
}

/// Every key of the settings, and what is expected there.
const KEYS: [(&str, &str); 18] = [
    ("country", "a two-letter code of ISO 3166 such as CO"),
    ("jurisdiction", "the id of a profile such as CO"),
    ("time_zone", "a name of the IANA time zone database such as America/Bogota"),
    ("language", "es or en"),
    ("currency", "a code of ISO 4217 such as COP"),
    ("scan_at", "a local time on the minute such as 08:00"),
    ("shards", "a whole number from 1 to 256"),
    ("policy", "the id of a policy"),
    ("mapping", "the text of a mapping"),
    ("rates", "messages a second by channel"),
    ("daily_quotas", "messages in 24 hours by channel"),
    ("on_unknown", "prefer_no_duplicate or prefer_delivery by channel"),
    ("retain_days", "a whole number from 1"),
    ("countries", "a list of two-letter codes of ISO 3166"),
    ("text_exceptions", "a list of code, sentence, reason, approved_by and approved_on"),
    ("opt_out_url", "an address that opt-out links begin with, such as https://example.com/baja"),
    ("lender", "name, phone, email, ways_to_pay, opt_out_email and opt_out_sms"),
    ("contact_rules", "contact rules by the id of a profile"),
];

/// Reads the keys of a document one by one, and notes what is wrong with each.
struct Fields<'a> {
    object: &'a Map<String, Value>,
    mistakes: Vec<Mistake>,
}

impl Fields<'_> {
    /// What stands under a key; `None` where nothing does, or it cannot be read.
    fn optional<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let value = self.object.get(key).filter(|value| !value.is_null())?;
        match serde_path_to_error::deserialize(value) {
            Ok(read) => Some(read),
            Err(error) => {
                let place = pointer(key, error.path());
                let sentence = error.inner().to_string();
                let mut mistake = Mistake::of_sentence(place, &sentence);
                if mistake.expected.is_empty() && mistake.pointer == format!("/{key}") {
                    mistake.expected = expected(key).to_owned();
                }
                self.mistakes.push(mistake);
                None
            }
        }
    }

    fn required<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        if self.object.get(key).is_none_or(Value::is_null) {
            self.mistakes.push(Mistake::new(format!("/{key}"), "is missing", expected(key)));
            return None;
        }
        self.optional(key)
    }
}

fn expected(key: &str) -> &'static str {
    KEYS.iter().find(|(name, _)| *name == key).map_or("", |(_, expected)| expected)
}

impl Settings {
    /// Reads settings, and says everything that is wrong with them `now`, which no approval in them may lie after.
    ///
    /// # Errors
    /// Every mistake, by its place in the document.
    pub fn read(document: &Value, now: DateTime<Utc>) -> Result<Self, Vec<Mistake>> {
        let Some(object) = document.as_object() else {
            return Err(vec![Mistake::new("", "is no JSON object", "an object of settings")]);
        };
        let mut fields = Fields { object, mistakes: Vec::new() };
        for key in object.keys().filter(|key| !KEYS.iter().any(|(name, _)| name == key)) {
            let names = KEYS.map(|(name, _)| name).join(", ");
            let place = format!("/{}", key.chars().take(40).collect::<String>());
            fields.mistakes.push(Mistake::new(place, "is no setting", format!("one of {names}")));
        }
        let read = (
            (fields.required("country"), fields.required("jurisdiction"), fields.required("time_zone")),
            (fields.required("language"), fields.optional("currency"), fields.required("scan_at")),
            (fields.required("shards"), fields.required("policy"), fields.optional("mapping")),
            (fields.optional("rates"), fields.optional("retain_days"), fields.required("lender")),
            (fields.optional("daily_quotas"), fields.optional("on_unknown"), fields.optional("countries")),
            (
                fields.optional("text_exceptions"),
                fields.optional("opt_out_url"),
                fields.optional("contact_rules"),
            ),
        );
        let mut mistakes = fields.mistakes;
        let (
            (Some(country), Some(jurisdiction), Some(time_zone)),
            (Some(language), currency, Some(scan_at)),
            (Some(shards), Some(policy), mapping),
            (rates, retain_days, Some(lender)),
            (daily_quotas, on_unknown, countries),
            (text_exceptions, opt_out_url, contact_rules),
        ) = read
        else {
            check_parts(object, &mut mistakes);
            return Err(mistakes);
        };
        let settings = Self {
            country,
            jurisdiction,
            time_zone,
            language,
            currency,
            scan_at,
            shards,
            policy,
            mapping,
            rates: rates.unwrap_or_default(),
            daily_quotas: daily_quotas.unwrap_or_default(),
            on_unknown: on_unknown.unwrap_or_default(),
            retain_days,
            countries: countries.unwrap_or_default(),
            text_exceptions: text_exceptions.unwrap_or_default(),
            opt_out_url,
            lender,
            contact_rules: contact_rules.unwrap_or_default(),
        };
        settings.check(now, &mut mistakes);
        if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
    }

    /// The tenant with these settings.
    #[must_use]
    pub fn of_tenant(self, id: &TenantSlug, paused: Option<Pause>) -> Tenant {
        Tenant {
            id: id.id().clone(),
            country: self.country,
            jurisdiction: self.jurisdiction,
            time_zone: self.time_zone,
            language: self.language,
            currency: self.currency,
            scan_at: self.scan_at,
            shards: self.shards,
            policy: self.policy,
            mapping: self.mapping,
            rates: self.rates,
            daily_quotas: self.daily_quotas,
            on_unknown: self.on_unknown,
            retain_days: self.retain_days,
            countries: self.countries,
            text_exceptions: self.text_exceptions,
            opt_out_url: self.opt_out_url,
            lender: self.lender,
            contact_rules: self.contact_rules,
            paused,
        }
    }

    fn check(&self, now: DateTime<Utc>, mistakes: &mut Vec<Mistake>) {
        check_jurisdiction(&self.jurisdiction, mistakes);
        check_scan(self.scan_at, mistakes);
        check_shards(self.shards, mistakes);
        check_lender(&self.lender, mistakes);
        if let Some(mapping) = &self.mapping {
            check_mapping(mapping, mistakes);
        }
        if self.countries.len() > COUNTRIES_MAX {
            let problem = format!("has {} countries", self.countries.len());
            mistakes.push(Mistake::new("/countries", problem, format!("at most {COUNTRIES_MAX}")));
        }
        let today = now.with_timezone(&self.time_zone).date_naive();
        for (at, problem) in exception_problems(&self.text_exceptions) {
            mistakes.push(Mistake::of_sentence(format!("/text_exceptions/{at}"), problem));
        }
        for (at, exception) in self.text_exceptions.iter().enumerate().filter(|(_, e)| e.approved_on > today)
        {
            let place = format!("/text_exceptions/{at}/approved_on");
            let problem = format!("{} is a day to come", exception.approved_on);
            mistakes.push(Mistake::new(place, problem, format!("{today} at the latest")));
        }
        // The rules are laid over the profiles; without a profile there is nothing to compare them with.
        if Jurisdiction::built_in(&self.jurisdiction).is_ok()
            && let Ok(id) = TenantSlug::new("x")
            && let Err(errors) = TenantJurisdictions::new(&self.clone().of_tenant(&id, None), today)
        {
            mistakes.extend(
                errors
                    .mistakes()
                    .iter()
                    .map(|error| Mistake::of_sentence(of_dotted(&error.place), &error.problem.to_string())),
            );
        }
    }
}

impl From<Tenant> for Settings {
    fn from(tenant: Tenant) -> Self {
        Self {
            country: tenant.country,
            jurisdiction: tenant.jurisdiction,
            time_zone: tenant.time_zone,
            language: tenant.language,
            currency: tenant.currency,
            scan_at: tenant.scan_at,
            shards: tenant.shards,
            policy: tenant.policy,
            mapping: tenant.mapping,
            rates: tenant.rates,
            daily_quotas: tenant.daily_quotas,
            on_unknown: tenant.on_unknown,
            retain_days: tenant.retain_days,
            countries: tenant.countries,
            text_exceptions: tenant.text_exceptions,
            opt_out_url: tenant.opt_out_url,
            lender: tenant.lender,
            contact_rules: tenant.contact_rules,
        }
    }
}

/// Checks what can be read of settings of which some cannot.
fn check_parts(object: &Map<String, Value>, mistakes: &mut Vec<Mistake>) {
    fn part<T: DeserializeOwned>(object: &Map<String, Value>, key: &str) -> Option<T> {
        serde_json::from_value(object.get(key)?.clone()).ok()
    }
    if let Some(jurisdiction) = part::<String>(object, "jurisdiction") {
        check_jurisdiction(&jurisdiction, mistakes);
    }
    if let Some(scan_at) = part(object, "scan_at") {
        check_scan(scan_at, mistakes);
    }
    if let Some(shards) = part(object, "shards") {
        check_shards(shards, mistakes);
    }
    if let Some(lender) = part(object, "lender") {
        check_lender(&lender, mistakes);
    }
    if let Some(mapping) = part::<String>(object, "mapping") {
        check_mapping(&mapping, mistakes);
    }
}

fn check_jurisdiction(id: &str, mistakes: &mut Vec<Mistake>) {
    if let Err(error) = Jurisdiction::built_in(id) {
        mistakes.push(Mistake::of_sentence("/jurisdiction", &error.to_string()));
    }
}

fn check_scan(scan_at: NaiveTime, mistakes: &mut Vec<Mistake>) {
    if scan_at.second() != 0 || scan_at.nanosecond() != 0 {
        mistakes.push(Mistake::new("/scan_at", "has seconds", expected("scan_at")));
    }
}

fn check_shards(shards: u16, mistakes: &mut Vec<Mistake>) {
    if !(1..=SHARDS_MAX).contains(&shards) {
        let expected = format!("a whole number from 1 to {SHARDS_MAX}");
        mistakes.push(Mistake::new("/shards", format!("{shards} shards"), expected));
    }
}

fn check_mapping(text: &str, mistakes: &mut Vec<Mistake>) {
    if text.len() > MAPPING_BYTES_MAX {
        let expected = format!("at most {MAPPING_BYTES_MAX}");
        mistakes.push(Mistake::new("/mapping", format!("has {} bytes", text.len()), expected));
    } else if let Err(error) = Mapping::parse(text) {
        mistakes.push(Mistake::of_sentence("/mapping", &error.to_string()));
    }
}

fn check_lender(lender: &Lender, mistakes: &mut Vec<Mistake>) {
    let mut text = |place: String, text: &str| {
        let chars = text.trim().chars().count();
        if !(1..=LENDER_TEXT_CHARS_MAX).contains(&chars) || text.chars().any(char::is_control) {
            let expected = format!("1 to {LENDER_TEXT_CHARS_MAX} characters on one line");
            mistakes.push(Mistake::new(place, format!("has {chars} characters, or several lines"), expected));
        }
    };
    for (key, value) in [
        ("name", &lender.name),
        ("phone", &lender.phone),
        ("opt_out_email", &lender.opt_out_email),
        ("opt_out_sms", &lender.opt_out_sms),
    ] {
        text(format!("/lender/{key}"), value);
    }
    for (index, way) in lender.ways_to_pay.iter().enumerate().take(WAYS_TO_PAY_MAX) {
        text(format!("/lender/ways_to_pay/{index}"), way);
    }
    if lender.ways_to_pay.len() > WAYS_TO_PAY_MAX {
        let problem = format!("has {} ways", lender.ways_to_pay.len());
        mistakes.push(Mistake::new("/lender/ways_to_pay", problem, format!("at most {WAYS_TO_PAY_MAX}")));
    }
    if let Err(error) = parse_email(&lender.email) {
        let mut mistake = Mistake::of_sentence("/lender/email", &error.to_string());
        if mistake.expected.is_empty() {
            mistake.expected = "one plain address such as pagos@example.com".to_owned();
        }
        mistakes.push(mistake);
    }
}

#[cfg(test)]
mod tests;
