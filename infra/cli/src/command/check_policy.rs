//! `cargo puntual check-policy`: may this policy be used in a jurisdiction, and if not, what speaks against it.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use chrono::NaiveDate;
use clap::Args;
use domain::content_check::{TextException, lists_reviewed_on};
use domain::jurisdiction::{ContactRules, Jurisdiction, TenantJurisdictions};
use domain::policy::Policy;
use domain::tenant::Tenant;
use domain::zone::DAYS_WITHOUT_ZONE;
use serde::Serialize;

use crate::clock;
use crate::policy_check::{PolicyFindings, PolicyObjection, findings};

/// The exit code of a policy that something speaks against.
const OBJECTIONS: u8 = 2;

/// Says whether a policy may be used in a jurisdiction, and what speaks against it.
#[derive(Debug, Args)]
pub(crate) struct CheckPolicyArguments {
    /// The policy.
    #[arg(long)]
    policy: PathBuf,
    /// The profile, such as CO; the tenant's own where a tenant is given and no profile.
    #[arg(long, required_unless_present = "tenant")]
    jurisdiction: Option<String>,
    /// The lender's settings; its own name, ways to pay and lines on opting out are checked, too, its own contact rules
    /// and exceptions count, and the profiles of all of its countries are asked.
    #[arg(long)]
    tenant: Option<PathBuf>,
    /// The first day of the year in which every stage must find a lawful moment; today where it is not said.
    #[arg(long)]
    from: Option<NaiveDate>,
    /// Prints the answer as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is printed with `--json`.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    policy: String,
    version: u32,
    jurisdiction: &'a str,
    profile_version: &'a str,
    reviewed_on: NaiveDate,
    lists_reviewed_on: NaiveDate,
    /// Every profile that was asked.
    jurisdictions: Vec<&'a str>,
    objections: &'a [PolicyObjection],
    excepted: &'a [TextException],
}

pub(crate) fn check_policy(arguments: &CheckPolicyArguments) -> anyhow::Result<ExitCode> {
    let file = arguments.policy.display();
    let text =
        fs::read_to_string(&arguments.policy).with_context(|| format!("the policy {file} cannot be read"))?;
    let policy = Policy::parse(&text).with_context(|| format!("{file}"))?;
    let tenant = arguments.tenant.as_deref().map(|path| -> anyhow::Result<Tenant> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("the tenant {} cannot be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{}", path.display()))
    });
    let tenant = tenant.transpose()?;
    // A lender that is not named has answered no open question, and so has the strict answers.
    let today = |tenant: &Tenant| clock::now().with_timezone(&tenant.time_zone).date_naive();
    let own = tenant.as_ref().map(|tenant| TenantJurisdictions::new(tenant, today(tenant))).transpose()?;
    let strict;
    let jurisdiction = match (&own, &arguments.jurisdiction) {
        (Some(own), None) => own.own()?,
        (Some(own), Some(id)) => own.named(id)?,
        (None, id) => {
            let built_in = Jurisdiction::built_in(id.as_deref().unwrap_or_default())?;
            strict = built_in.adjusted(&ContactRules::default(), clock::now().date_naive())?;
            &strict
        }
    };
    let zone = jurisdiction.time_zone().unwrap_or(DAYS_WITHOUT_ZONE);
    let from = arguments.from.unwrap_or_else(|| clock::now().with_timezone(&zone).date_naive());
    let mut asked = vec![jurisdiction];
    if let Some(own) = &own {
        for profile in own.of_customers()? {
            if asked.iter().all(|known| known.id() != profile.id()) {
                asked.push(profile);
            }
        }
    }
    let PolicyFindings { objections: found, excepted } =
        findings(&text, &policy, &asked, tenant.as_ref(), from);
    let (id, version, place) = (&policy.id, policy.version, jurisdiction.id());
    let reviewed_on = jurisdiction.reviewed_on();
    if arguments.json {
        let printed = Printed {
            policy: id.to_string(),
            version,
            jurisdiction: place,
            profile_version: jurisdiction.version(),
            reviewed_on,
            lists_reviewed_on: lists_reviewed_on(),
            jurisdictions: asked.iter().map(|j| j.id()).collect(),
            objections: &found,
            excepted: &excepted,
        };
        say!("{}", serde_json::to_string_pretty(&printed)?);
    } else {
        let others: String = asked.iter().skip(1).map(|j| format!(", {}", j.id())).collect();
        let profile =
            format!("profile {place} of {reviewed_on}{others}, lists of words of {}", lists_reviewed_on());
        match found.len() {
            0 => say!("Nothing speaks against the policy {id}, version {version} ({profile})."),
            count => say!("Objections to the policy {id}, version {version}: {count} ({profile})."),
        }
        for objection in &found {
            match asked.len() {
                1 => say!("  {}", objection.told()),
                _ => say!("  {}: {}", objection.jurisdiction, objection.told()),
            }
        }
        for exception in &excepted {
            say!("  excepted: {exception}");
        }
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(OBJECTIONS) })
}
