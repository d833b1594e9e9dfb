//! `cargo puntual check-contact`: may this contact be made at this moment, and by which article.
//!
//! Invariant: what cannot be understood is an error that names its place, and never an allowed contact. What is not said
//! is read on the strict side.

mod vectors;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, FixedOffset, Utc};
use chrono_tz::Tz;
use clap::Args;
use domain::channel::{Channel, Purpose};
use domain::contact::Contact;
use domain::contact_check::{ContactAnswer, ContactQuery};
use domain::jurisdiction::{BuiltInError, Jurisdiction, TenantJurisdictions};
use domain::locale::Country;
use domain::tenant::Tenant;
use domain::zone::only_zone_of;
use runtime::decision_log::local;
use serde::Deserialize;

use crate::{clock, moment};

/// The most earlier contacts that one question may name.
const PRIOR_MAX: usize = 10_000;

/// Says whether a contact may be made at a moment, by which article, and when it may next.
#[derive(Debug, Args)]
pub(crate) struct CheckContactArguments {
    /// A CSV file of questions: id, jurisdiction, timezone, purpose, channel, at, prior; other columns are ignored. It is
    /// answered by the bare profiles, unless a tenant is given.
    #[arg(long, conflicts_with_all = ["jurisdiction", "country", "purpose", "channel", "at", "prior", "time_zone"])]
    vectors: Option<PathBuf>,
    /// The settings of a tenant, as TOML: its own contact rules are laid over the profiles, and open legal questions that
    /// it does not answer have the strict answer.
    #[arg(long)]
    tenant: Option<PathBuf>,
    /// The profile, such as CO; the tenant's own where a tenant is given and no profile.
    #[arg(long, required_unless_present_any = ["vectors", "tenant"])]
    jurisdiction: Option<String>,
    /// The customer's country, such as AR: its holidays are asked where the profile is one of any country. With a tenant
    /// and no profile, the profile that protects a customer of that country answers.
    #[arg(long)]
    country: Option<String>,
    /// What for: pre_due, overdue, transactional, requested or marketing.
    #[arg(long, required_unless_present = "vectors")]
    purpose: Option<String>,
    /// How: email, sms, push, whatsapp or call.
    #[arg(long, required_unless_present = "vectors")]
    channel: Option<String>,
    /// When, with its offset: 2026-07-13T10:00:00-05:00.
    #[arg(long, required_unless_present = "vectors")]
    at: Option<String>,
    /// Earlier contacts, as JSON: [{"at":"…","channel":"sms","direct":false}]. One that does not say whether the customer
    /// answered counts as answered, which allows less.
    #[arg(long, default_value = "[]")]
    prior: String,
    /// The customer's time zone; that of its country where it has a single clock, else the profile's, where it is not said.
    #[arg(long)]
    time_zone: Option<String>,
}

/// One question as it is asked, before it is understood. An empty jurisdiction is the tenant's own; without a time
/// zone it is that of the profile.
#[derive(Debug)]
struct Asked {
    jurisdiction: String,
    timezone: Option<String>,
    purpose: String,
    channel: String,
    at: String,
    prior: String,
}

/// An earlier contact as it is written in a question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Earlier {
    at: DateTime<FixedOffset>,
    channel: Channel,
    /// Whether the customer answered. A contact that does not say so counts wherever an answered one does.
    #[serde(default = "answered")]
    direct: bool,
}

const fn answered() -> bool {
    true
}

/// The profiles that a question may name.
enum Profiles {
    BuiltIn,
    OfTenant(Box<TenantJurisdictions>),
    /// The profile for a country, with the clock of it where it has one.
    InCountry(Box<Jurisdiction>, Option<Tz>),
}

impl Profiles {
    fn read(tenant: Option<&Path>, asked: Option<&str>, country: Option<Country>) -> anyhow::Result<Self> {
        let Some(path) = tenant else {
            return match country {
                None => Ok(Self::BuiltIn),
                Some(country) => Self::in_country(asked.unwrap_or_default(), country),
            };
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the settings {} cannot be read", path.display()))?;
        let place = || format!("{}", path.display());
        let tenant: Tenant = toml::from_str(&text).with_context(place)?;
        let today = clock::now().with_timezone(&tenant.time_zone).date_naive();
        let profiles = TenantJurisdictions::new(&tenant, today).with_context(place)?;
        let Some(_) = country else { return Ok(Self::OfTenant(Box::new(profiles))) };
        let profile = match asked {
            Some(id) => profiles.named_in(id, country).context("jurisdiction")?,
            None => profiles.for_country(country)?,
        };
        Ok(Self::InCountry(Box::new(profile.clone()), country.and_then(only_zone_of)))
    }

    /// The bare profile of an id as it is asked for a country.
    fn in_country(id: &str, country: Country) -> anyhow::Result<Self> {
        let profile = Jurisdiction::built_in(id).context("jurisdiction")?;
        match profile.in_country(country) {
            Some(profile) => Ok(Self::InCountry(Box::new(profile), only_zone_of(country))),
            None if profile.country().is_some() => {
                Ok(Self::InCountry(Box::new(profile.clone()), only_zone_of(country)))
            }
            None => bail!(
                "--country {country}: no table of its holidays lies in the product; expected --tenant with the lender's \
                 own under contact_rules.{id}.closed_days"
            ),
        }
    }

    /// The clock of a customer of whom only its country is known, as the product takes it.
    fn clock(&self, jurisdiction: &Jurisdiction) -> Option<Tz> {
        let by_country = match self {
            Self::InCountry(_, zone) => *zone,
            Self::BuiltIn | Self::OfTenant(_) => None,
        };
        by_country.or_else(|| jurisdiction.time_zone())
    }

    /// The profile of an id; of none, the one that the tenant chose.
    fn named(&self, id: &str) -> Result<&Jurisdiction, BuiltInError> {
        match self {
            Self::OfTenant(profiles) if id.is_empty() => profiles.own(),
            Self::OfTenant(profiles) => profiles.named(id),
            Self::BuiltIn => Jurisdiction::built_in(id),
            Self::InCountry(profile, _) => Ok(profile),
        }
    }
}

/// A question that was understood.
struct Question<'a> {
    jurisdiction: &'a Jurisdiction,
    purpose: Purpose,
    channel: Channel,
    at: DateTime<Utc>,
    time_zone: Tz,
    prior: Vec<Contact>,
}

impl<'a> Question<'a> {
    fn of(asked: &Asked, profiles: &'a Profiles) -> anyhow::Result<Self> {
        let jurisdiction = profiles.named(&asked.jurisdiction).context("jurisdiction")?;
        let time_zone = match asked.timezone.as_deref() {
            None => match profiles.clock(jurisdiction) {
                Some(zone) => zone,
                None => bail!(
                    "no_time_zone: the profile {} serves any country and has no clock; expected --time-zone, or --country \
                     with one that has a single clock",
                    jurisdiction.id()
                ),
            },
            Some(name) => match name.parse() {
                Ok(zone) => zone,
                Err(_) => bail!(
                    "timezone: unknown time zone {name:?}; expected an IANA name such as America/Bogota"
                ),
            },
        };
        let at = moment::read(&asked.at).context("at")?;
        let prior: Vec<Earlier> = serde_json::from_str(&asked.prior)
            .context("prior: the history cannot be read; expected a JSON list of at, channel and direct")?;
        if prior.len() > PRIOR_MAX {
            bail!("prior: {} contacts; expected at most {PRIOR_MAX}", prior.len());
        }
        if let Some(n) = prior.iter().position(|earlier| moment::is_leap_second(earlier.at)) {
            bail!("prior: contact {}: at has the second 60; expected 00 to 59", n + 1);
        }
        let contact =
            |c: Earlier| Contact { at: c.at.with_timezone(&Utc), channel: c.channel, direct: c.direct };
        Ok(Self {
            jurisdiction,
            purpose: asked.purpose.parse().context("purpose")?,
            channel: asked.channel.parse().context("channel")?,
            at: at.with_timezone(&Utc),
            time_zone,
            prior: prior.into_iter().map(contact).collect(),
        })
    }

    fn query(&self) -> ContactQuery<'_> {
        ContactQuery {
            purpose: self.purpose,
            channel: self.channel,
            at: self.at,
            time_zone: self.time_zone,
            prior: &self.prior,
            agreed_hours: None,
        }
    }

    fn answer(&self) -> ContactAnswer<'_> {
        self.jurisdiction.check(&self.query())
    }

    fn next_allowed_at(&self) -> Option<DateTime<FixedOffset>> {
        self.next_allowed_under(self.jurisdiction)
    }

    fn next_allowed_under(&self, jurisdiction: &Jurisdiction) -> Option<DateTime<FixedOffset>> {
        jurisdiction.next_allowed_at(&self.query()).map(|at| local(at, self.time_zone))
    }
}

pub(crate) fn check_contact(arguments: CheckContactArguments) -> anyhow::Result<ExitCode> {
    let CheckContactArguments {
        vectors,
        tenant,
        jurisdiction,
        country,
        purpose,
        channel,
        at,
        prior,
        time_zone,
    } = arguments;
    let country = country.map(|code| Country::new(&code)).transpose().context("--country")?;
    for (key, given) in [("--jurisdiction", &jurisdiction), ("--time-zone", &time_zone)] {
        if given.as_ref().is_some_and(|text| text.trim().is_empty()) {
            bail!("{key} is empty; expected a name, or the argument left out");
        }
    }
    let profiles = Profiles::read(tenant.as_deref(), jurisdiction.as_deref(), country)?;
    if let Some(file) = vectors {
        return vectors::check_file(&file, &profiles);
    }
    let (Some(purpose), Some(channel), Some(at)) = (purpose, channel, at) else {
        bail!("a question needs --purpose, --channel and --at");
    };
    let jurisdiction = jurisdiction.unwrap_or_default();
    let asked = Asked { jurisdiction, timezone: time_zone, purpose, channel, at, prior };
    words::say(&Question::of(&asked, &profiles)?);
    Ok(ExitCode::SUCCESS)
}
