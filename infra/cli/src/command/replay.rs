//! `cargo puntual replay`: real history, day by day, through the functions that run every day.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use checker::{Countries, Inputs, ObligationHistory, OpenQuestions, Report, check};
use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::Args;
use domain::calendar::HolidayTable;
use domain::import::record::{AccountRow, Record};
use domain::jurisdiction::{Jurisdiction, TenantJurisdictions};
use domain::locale::Country;
use domain::policy::Policy;
use domain::tenant::Tenant;
use import_accounts::{ReadOptions, ReadSummary, RowOutcome, read_records};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::ledger::{self, Source, hex};
use crate::replay::timeline::Timeline;
use crate::replay::{DAYS_MAX, Files, Replay};
use crate::report::{Totals, UnitRates};
use crate::{clock, demo, folder, policy_check, progress};

/// The most rows of a file that is replayed: they are all held in memory.
const ROWS_MAX: usize = 500_000;
/// The exit code of a replay whose file has bad rows, or that the checker objects to.
const OBJECTIONS: u8 = 2;

/// Replays real history day by day under a virtual clock.
#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The file of receivables: CSV or XLSX.
    #[arg(long)]
    file: PathBuf,
    /// The mapping that says what its columns are.
    #[arg(long)]
    mapping: PathBuf,
    /// The policy that is followed.
    #[arg(long)]
    policy: PathBuf,
    /// The profile whose contact rules hold, such as CO or PE.
    #[arg(long)]
    jurisdiction: String,
    /// Moves every date of the file by so many days; whole weeks keep the weekdays.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    shift_days: i64,
    /// The first day.
    #[arg(long)]
    from: NaiveDate,
    /// The last day.
    #[arg(long)]
    to: NaiveDate,
    /// The folder for the messages, the verdicts, the summary and the database.
    #[arg(long, visible_alias = "folder")]
    out: PathBuf,
    /// Prints the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What stands in `summary.json`.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    from: NaiveDate,
    to: NaiveDate,
    jurisdiction: &'a str,
    #[serde(flatten)]
    totals: &'a Totals,
    unit_rates: UnitRates,
    bad_rows: u64,
    violations: u64,
    seconds: f64,
}

pub(crate) async fn replay(arguments: ReplayArguments) -> anyhow::Result<ExitCode> {
    let started = clock::stopwatch();
    let days = (arguments.to - arguments.from).num_days() + 1;
    if !(1..=DAYS_MAX).contains(&days) {
        bail!("from {} to {} are {days} days; expected 1 to {DAYS_MAX}", arguments.from, arguments.to);
    }
    let jurisdiction = Jurisdiction::built_in(&arguments.jurisdiction)?;
    let policy = fs::read_to_string(&arguments.policy)
        .with_context(|| format!("the policy {} cannot be read", arguments.policy.display()))?;
    let parsed = Policy::parse(&policy).with_context(|| format!("{}", arguments.policy.display()))?;
    let tenant = tenant_of(jurisdiction, &parsed)?;
    let profiles = TenantJurisdictions::new(&tenant, arguments.from).context("the demo's contact rules")?;
    let jurisdiction = profiles.own()?;
    let may_be_used = |asked: &[&Jurisdiction]| {
        policy_check::refuse(&policy, &parsed, asked, &tenant, arguments.from)
            .with_context(|| format!("{}", arguments.policy.display()))
    };
    may_be_used(&profiles.of_customers()?)?;
    let (rows, read, digest) = read_rows(&arguments)?;
    may_be_used(&profiles_of(&rows, &profiles)?)?;
    let out = arguments.out.as_path();
    fs::create_dir_all(out).with_context(|| format!("the folder {} cannot be made", out.display()))?;
    let _lock = folder::lock(out)?;

    let replay = Replay {
        tenant: &tenant,
        policy: &policy,
        inputs: inputs(&arguments, &digest, &policy, jurisdiction)?,
        timeline: Timeline::new(rows),
        from: arguments.from,
        to: arguments.to,
        out,
    };
    let bar = progress::bar(u64::try_from(days).unwrap_or_default(), "replaying", arguments.json);
    let totals = replay.run(&bar).await?;
    let report = check_files(&arguments, jurisdiction, &policy, &replay)?;
    let summary = Summary {
        from: arguments.from,
        to: arguments.to,
        jurisdiction: jurisdiction.id(),
        unit_rates: totals.unit_rates(),
        totals: &totals,
        bad_rows: read.bad,
        violations: report.violations_total() as u64,
        seconds: started.elapsed().as_secs_f64(),
    };
    let json = serde_json::to_string_pretty(&summary)? + "\n";
    fs::write(Files::in_folder(out).summary, &json)?;
    print(&arguments, &totals, &report, &json, out);
    Ok(if report.is_clean() && read.bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(OBJECTIONS) })
}

/// The lender of the local runs, under the contact rules that were asked for.
fn tenant_of(jurisdiction: &Jurisdiction, policy: &Policy) -> anyhow::Result<Tenant> {
    let demo: Tenant = toml::from_str(demo::TENANT).context("the demo's tenant")?;
    Ok(Tenant {
        country: jurisdiction.country().unwrap_or(demo.country),
        jurisdiction: jurisdiction.id().to_owned(),
        // A lender under the profile of any country is that of the demo.
        time_zone: jurisdiction.time_zone().unwrap_or(demo.time_zone),
        policy: policy.id.clone(),
        ..demo
    })
}

/// The profiles of everybody in the file whom those of the lender do not protect. They are no more than there are
/// profiles, however many countries the file names.
fn profiles_of<'a>(
    rows: &[AccountRow],
    profiles: &'a TenantJurisdictions,
) -> anyhow::Result<Vec<&'a Jurisdiction>> {
    let known = profiles.of_customers()?;
    let countries: BTreeSet<Country> = rows.iter().filter_map(|row| row.customer.country).collect();
    let mut others: Vec<&Jurisdiction> = Vec::new();
    for country in countries {
        let one = profiles.for_country(Some(country))?;
        if one.needs_closed_days() {
            tell!(
                "warning: nothing is sent to customers of {country}: no table of its holidays lies in the product, and the \
                 lender of a replay has no closed days of {country} (contact_rules.{}.closed_days)",
                one.id()
            );
        }
        if known.iter().chain(&others).all(|asked| asked.id() != one.id()) {
            others.push(one);
        }
    }
    Ok(others)
}

fn read_rows(arguments: &ReplayArguments) -> anyhow::Result<(Vec<AccountRow>, ReadSummary, String)> {
    let (_, mapping) = ledger::mapping(&arguments.mapping)?;
    let source = Source::open(&arguments.file)?;
    let mut rows = Vec::new();
    let options = ReadOptions { shift_days: arguments.shift_days };
    let summary = read_records(source.file, &mapping, options, &mut |outcome| {
        match outcome {
            RowOutcome::Record(Record::Account(_)) if rows.len() >= ROWS_MAX => {
                return Err(format!("more than {ROWS_MAX} rows; expected fewer in a replay").into());
            }
            RowOutcome::Record(Record::Account(row)) => rows.push(*row),
            RowOutcome::Record(Record::Payment(_)) => {
                return Err("a file of payments; expected one of receivables".into());
            }
            RowOutcome::Bad(errors) => errors.iter().for_each(|error| tell!("{error}")),
        }
        Ok(())
    })
    .with_context(|| format!("{}", arguments.file.display()))?;
    Ok((rows, summary, source.sha256))
}

/// A digest of everything that the files depend on, the last day aside.
fn inputs(
    arguments: &ReplayArguments,
    file: &str,
    policy: &str,
    jurisdiction: &Jurisdiction,
) -> anyhow::Result<String> {
    let mapping = fs::read_to_string(&arguments.mapping)?;
    let mut hasher = Sha256::new();
    let (shift, from) = (arguments.shift_days.to_string(), arguments.from.to_string());
    let profile = [jurisdiction.id(), jurisdiction.version()];
    for part in [
        env!("CARGO_PKG_VERSION"),
        file,
        &mapping,
        policy,
        profile[0],
        profile[1],
        demo::TENANT,
        &shift,
        &from,
    ] {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    Ok(hex(&hasher.finalize()))
}

/// Lets the checker, which shares no code with the planner, look at the files.
fn check_files(
    arguments: &ReplayArguments,
    jurisdiction: &Jurisdiction,
    policy: &str,
    replay: &Replay<'_>,
) -> anyhow::Result<Report> {
    let history: Vec<ObligationHistory> = replay.timeline.rows().iter().map(history_of).collect();
    let files = Files::in_folder(&arguments.out);
    let open =
        |path: &Path| File::open(path).map(BufReader::new).with_context(|| format!("{}", path.display()));
    let zoned = |row: &AccountRow| Some((row.customer.id.to_string(), row.customer.time_zone?));
    let time_zones: BTreeMap<String, Tz> = replay.timeline.rows().iter().filter_map(zoned).collect();
    let (profile, holidays) = profile_texts(jurisdiction.id())?;
    let countries = countries(replay)?;
    let inputs = Inputs {
        history: &history,
        time_zones: &time_zones,
        policy,
        profile: &profile,
        holidays,
        countries: &countries,
        // The lender of a replay has answered nothing.
        open_questions: OpenQuestions::Strict,
        messages: open(&files.messages)?,
        decisions: open(&files.decisions)?,
        from: arguments.from,
        to: arguments.to,
    };
    check(inputs).context("the checker could not read the files")
}

/// Where the customers of a replay live, and every profile and holiday table that there is.
fn countries(replay: &Replay<'_>) -> anyhow::Result<Countries> {
    let of =
        |row: &AccountRow| Some((row.customer.id.to_string(), row.customer.country?.as_str().to_owned()));
    let profile = |id: &'static str| Ok((id.to_owned(), profile_texts(id)?.0));
    let table = |id: &'static str| Some((id.to_owned(), HolidayTable::built_in_text(id)?.to_owned()));
    Ok(Countries {
        home: replay.tenant.country.as_str().to_owned(),
        of_customers: replay.timeline.rows().iter().filter_map(of).collect(),
        profiles: Jurisdiction::built_in_ids().map(profile).collect::<anyhow::Result<_>>()?,
        holidays: HolidayTable::built_in_ids().filter_map(table).collect(),
    })
}

/// The texts that the checker reads the contact rules from: the profile, in full, and its holidays.
fn profile_texts(id: &str) -> anyhow::Result<(String, &'static str)> {
    let table = |id: &str| -> anyhow::Result<toml::Table> {
        let text =
            Jurisdiction::built_in_text(id).with_context(|| format!("the profile {id} is not built in"))?;
        Ok(text.parse()?)
    };
    let mut profile = table(id)?;
    // A variant says only what is different from the profile that it extends.
    if let Some(base) = profile.remove("extends") {
        let mut full = table(base.as_str().unwrap_or_default())?;
        full.extend(profile);
        profile = full;
    }
    let holidays = profile.get("holidays").and_then(toml::Value::as_str).unwrap_or_default();
    let holidays = HolidayTable::built_in_text(holidays).unwrap_or_default();
    Ok((profile.to_string(), holidays))
}

fn history_of(row: &AccountRow) -> ObligationHistory {
    ObligationHistory {
        obligation: row.obligation.id.to_string(),
        customer: row.customer.id.to_string(),
        known_on: row.known_on,
        due_on: row.obligation.due_on,
        closed_on: row.closed_on,
        dispute: row.dispute.as_ref().map(|d| (d.from_on, d.until_on)),
    }
}

fn print(arguments: &ReplayArguments, totals: &Totals, report: &Report, json: &str, out: &Path) {
    if arguments.json {
        say_part!("{json}");
        return;
    }
    say!(
        "Replayed    {} days, {} to {}, under {}",
        totals.days,
        arguments.from,
        arguments.to,
        arguments.jurisdiction
    );
    say_part!("{totals}");
    say_part!("{report}");
    say!("Files       {}", out.display());
}
