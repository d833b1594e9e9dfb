//! `cargo puntual check-contact`: may this contact be made at this moment, and by which article.
//!
//! Invariant: what cannot be understood is an error that names its place, and never an allowed contact.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, FixedOffset, Utc};
use chrono_tz::Tz;
use clap::Args;
use domain::channel::{Channel, Purpose};
use domain::contact::Contact;
use domain::contact_check::{ContactAnswer, ContactQuery};
use domain::jurisdiction::{Adjustment, BuiltInError, Jurisdiction, TenantJurisdictions};
use domain::tenant::Tenant;
use runtime::decision_log::local;
use serde::Deserialize;

/// The most earlier contacts that one question may name.
const PRIOR_MAX: usize = 10_000;

/// Says whether a contact may be made at a moment, by which article, and when it may next.
#[derive(Debug, Args)]
pub(crate) struct CheckContactArguments {
    /// A CSV file of questions: id, jurisdiction, timezone, purpose, channel, at, prior; other columns are ignored.
    #[arg(long, conflicts_with_all = ["jurisdiction", "purpose", "channel", "at", "prior", "time_zone"])]
    vectors: Option<PathBuf>,
    /// The settings of a tenant, as TOML: its own contact rules are laid over the profiles.
    #[arg(long)]
    tenant: Option<PathBuf>,
    /// The profile, such as CO; the tenant's own where a tenant is given and no profile.
    #[arg(long, required_unless_present_any = ["vectors", "tenant"])]
    jurisdiction: Option<String>,
    /// What for: pre_due, overdue, transactional, requested or marketing.
    #[arg(long, required_unless_present = "vectors")]
    purpose: Option<String>,
    /// How: email, sms, push, whatsapp or call.
    #[arg(long, required_unless_present = "vectors")]
    channel: Option<String>,
    /// When, with its offset: 2026-07-13T10:00:00-05:00.
    #[arg(long, required_unless_present = "vectors")]
    at: Option<String>,
    /// Earlier contacts, as JSON: [{"at":"…","channel":"sms","direct":false}].
    #[arg(long, default_value = "[]")]
    prior: String,
    /// The customer's time zone; the profile's where it is not said.
    #[arg(long)]
    time_zone: Option<String>,
}

/// One question as it is asked, before it is understood.
#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    id: String,
    jurisdiction: String,
    #[serde(default)]
    timezone: String,
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
    #[serde(default)]
    direct: bool,
}

/// The profiles that a question may name.
enum Profiles {
    BuiltIn,
    OfTenant(Box<TenantJurisdictions>),
}

impl Profiles {
    fn read(tenant: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = tenant else { return Ok(Self::BuiltIn) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the settings {} cannot be read", path.display()))?;
        let place = || format!("{}", path.display());
        let tenant: Tenant = toml::from_str(&text).with_context(place)?;
        Ok(Self::OfTenant(Box::new(TenantJurisdictions::new(&tenant).with_context(place)?)))
    }

    /// The profile of an id; of none, the one that the tenant chose.
    fn named(&self, id: &str) -> Result<&Jurisdiction, BuiltInError> {
        match self {
            Self::OfTenant(profiles) if id.is_empty() => profiles.own(),
            Self::OfTenant(profiles) => profiles.named(id),
            Self::BuiltIn => Jurisdiction::built_in(id),
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
        let time_zone = match asked.timezone.as_str() {
            "" => jurisdiction.time_zone(),
            name => match name.parse() {
                Ok(zone) => zone,
                Err(_) => bail!(
                    "timezone: unknown time zone {name:?}; expected an IANA name such as America/Bogota"
                ),
            },
        };
        let at = DateTime::parse_from_rfc3339(&asked.at).with_context(|| {
            format!(
                "at: {:?} is no instant; expected one with its offset, such as 2026-07-13T10:00:00-05:00",
                asked.at
            )
        })?;
        let prior: Vec<Earlier> = serde_json::from_str(&asked.prior)
            .context("prior: the history cannot be read; expected a JSON list of at, channel and direct")?;
        if prior.len() > PRIOR_MAX {
            bail!("prior: {} contacts; expected at most {PRIOR_MAX}", prior.len());
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
        self.jurisdiction.next_allowed_at(&self.query()).map(|at| local(at, self.time_zone))
    }
}

pub(crate) fn check_contact(arguments: CheckContactArguments) -> anyhow::Result<ExitCode> {
    let CheckContactArguments { vectors, tenant, jurisdiction, purpose, channel, at, prior, time_zone } =
        arguments;
    let profiles = Profiles::read(tenant.as_deref())?;
    if let Some(file) = vectors {
        return check_file(&file, &profiles);
    }
    let (Some(purpose), Some(channel), Some(at)) = (purpose, channel, at) else {
        bail!("a question needs --purpose, --channel and --at");
    };
    let (jurisdiction, timezone) = (jurisdiction.unwrap_or_default(), time_zone.unwrap_or_default());
    let asked = Asked { id: String::new(), jurisdiction, timezone, purpose, channel, at, prior };
    say(&Question::of(&asked, &profiles)?);
    Ok(ExitCode::SUCCESS)
}

/// An adjustment in words: where it stands, why, and who allowed it.
fn described(adjustment: &Adjustment) -> String {
    let record = match (&adjustment.approved_by, adjustment.approved_on) {
        (Some(by), Some(on)) => format!(" (approved by {by} on {on})"),
        (Some(by), None) => format!(" (approved by {by})"),
        (None, _) => String::new(),
    };
    format!("{}, because: {}{record}", adjustment.place, adjustment.reason)
}

/// What the tenant added to a contact that the profile alone refuses.
#[expect(clippy::print_stdout, reason = "the answer is what the command is for")]
fn say_what_allowed_it(question: &Question<'_>) {
    let Ok(base) = Jurisdiction::built_in(question.jurisdiction.id()) else { return };
    let alone = base.check(&question.query());
    if alone.is_allowed() {
        return;
    }
    println!("The profile alone refuses it: {}.", alone.reason());
    for adjustment in question.jurisdiction.adjustments_for(question.purpose, question.channel) {
        println!("Allowed by the tenant's own rule: {}.", described(adjustment));
    }
}

#[expect(clippy::print_stdout, reason = "the answer is what the command is for")]
fn say(question: &Question<'_>) {
    let at = local(question.at, question.time_zone).format("%A %Y-%m-%d %H:%M:%S %:z");
    let what = format!("{} by {} on {at}", question.purpose, question.channel);
    let reviewed = question.jurisdiction.reviewed_on();
    let profile = format!("profile {}, reviewed on {reviewed}", question.jurisdiction.id());
    match question.answer() {
        ContactAnswer::Allowed(permission) => {
            let cite = permission.cite.unwrap_or("no article");
            println!("Allowed: {what}.\nGrounds: {cite} ({}; {profile}).", permission.basis.as_str());
            say_what_allowed_it(question);
        }
        ContactAnswer::Refused(refusal) => {
            let cite = refusal.cite.unwrap_or("no article");
            println!("Not allowed: {what}.\nReason: {}.", refusal.code);
            println!("Grounds: {cite} ({}; {profile}).", refusal.basis.as_str());
            if let Some(adjustment) = refusal.adjustment {
                println!("Decided by the tenant's own rule: {}.", described(adjustment));
            }
            match question.next_allowed_at() {
                Some(next) => println!("Next allowed: {}.", next.format("%A %Y-%m-%d %H:%M:%S %:z")),
                None => println!("Next allowed: at no time that the profile knows."),
            }
        }
    }
}

/// Answers every question of a file. One that cannot be understood is refused in its line and said on standard error.
fn check_file(path: &Path, profiles: &Profiles) -> anyhow::Result<ExitCode> {
    let mut reader = csv::Reader::from_path(path)
        .with_context(|| format!("the file {} cannot be read", path.display()))?;
    let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
    writer.write_record(["id", "allowed", "reason", "next_allowed"])?;
    let mut bad = 0_usize;
    for asked in reader.deserialize::<Asked>() {
        let asked = asked.with_context(|| format!("{}", path.display()))?;
        let id = domain::csv_text::neutralise_csv(&asked.id);
        match Question::of(&asked, profiles) {
            Ok(question) => {
                let answer = question.answer();
                let next = question.next_allowed_at().map_or(String::new(), |at| at.to_rfc3339());
                writer.write_record([
                    &*id,
                    if answer.is_allowed() { "true" } else { "false" },
                    answer.reason(),
                    &next,
                ])?;
            }
            Err(problem) => {
                bad += 1;
                eprintln!("id {:?}: {problem:#}", asked.id);
                writer.write_record([&*id, "false", "error", ""])?;
            }
        }
    }
    writer.flush()?;
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
