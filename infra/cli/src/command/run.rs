//! `cargo puntual run`: the main job once, on a made-up portfolio: import, scan, send, report.
//!
//! The day's work is done as the daily schedule would do it: at the tenant's own scan hour of today, so that the result
//! does not depend on the hour at which somebody tries it. `--at` sets another moment.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use channels::Outbox;
use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use clap::Args;
use domain::channel::Channel;
use domain::import::mapping::Mapping;
use domain::import::row_error::RowError;
use domain::jurisdiction::TenantJurisdictions;
use domain::policy::Policy;
use domain::tenant::Tenant;
use domain::verdict::Decision;
use import_accounts::ReadOptions;
use import_accounts::import::{ImportJob, import_file, import_key};
use plan_shard::{Limit, Overfull};
use runtime::decision_log::{DecisionLine, DecisionLog};
use scan_due::SWEEP_HOURS_BACK_MAX;
use serde::Serialize;
use store::Scope;

use crate::clock;
use crate::decisions::day_lines;
use crate::demo;
use crate::folder;
use crate::ledger::Source;
use crate::moment;
use crate::policy_check;
use crate::progress;
use crate::replay::checkpoint::refuse_folder;
use crate::replay::{Tail, instant};
use crate::report::{Totals, UnitRates};
use crate::stack::LocalStack;

/// Makes a demo portfolio, imports it, scans for today, and sends to an outbox on this machine.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// How many customers the portfolio has.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(demo::CUSTOMERS_MAX)))]
    size: u32,
    /// What the portfolio is drawn from; the same seed gives the same portfolio.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The folder for the portfolio, the database and the messages.
    #[arg(long, visible_alias = "folder", default_value = "puntual-demo")]
    out: PathBuf,
    /// The moment of the work, such as 2026-11-23T08:00:00-05:00; today's scan hour where it is not said.
    #[arg(long, value_parser = moment::read)]
    at: Option<DateTime<FixedOffset>>,
    /// Prints the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What a run prints with `--json`.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    at: DateTime<FixedOffset>,
    #[serde(flatten)]
    totals: &'a Totals,
    unit_rates: UnitRates,
    /// Open hours that are too short for what is to be sent in them.
    overfull: &'a [Overfull],
    #[serde(flatten)]
    open_ends: OpenEnds,
    folder: &'a Path,
    seconds: f64,
}

/// What a run found out.
struct Figures<'a> {
    totals: &'a Totals,
    overfull: &'a [Overfull],
    open_ends: OpenEnds,
    seconds: f64,
}

/// What a person has to look at after a run.
#[derive(Debug, Clone, Copy, Serialize)]
struct OpenEnds {
    /// Touches of the last weeks of which nobody knows whether they went out.
    unknown: usize,
    /// Messages that no function could handle.
    dead_letters: usize,
}

pub(crate) async fn run(arguments: RunArguments) -> anyhow::Result<ExitCode> {
    let started = clock::stopwatch();
    let out = &arguments.out;
    fs::create_dir_all(out).with_context(|| format!("the folder {} cannot be made", out.display()))?;
    let _lock = folder::lock(out)?;
    refuse_folder(out)?;
    let tenant: Tenant = toml::from_str(demo::TENANT).context("the demo's tenant")?;
    let at = moment_of(&arguments, &tenant)?;
    let today = at.with_timezone(&tenant.time_zone).date_naive();
    let profiles = TenantJurisdictions::new(&tenant, today).context("the demo's contact rules")?;
    let policy = Policy::parse(demo::POLICY)?;
    policy_check::refuse(demo::POLICY, &policy, &profiles.of_customers()?, &tenant, today)?;
    let portfolio = portfolio(&arguments, today)?;

    let messages_file = out.join("messages.jsonl");
    let outbox = Outbox::file(&messages_file)?;
    let decisions_file = out.join(format!("decisions-{today}.jsonl"));
    let journal = out.join(format!("decisions-{today}.journal.jsonl"));
    let log =
        DecisionLog::journal(&journal).with_context(|| format!("{} cannot be written", journal.display()))?;
    let queues = folder::queues(out, at)?;
    let database = out.join(folder::DATABASE);
    let stack = LocalStack::open(&database, queues, outbox, &tenant, demo::POLICY, log).await?;
    let mut messages = Tail::at_end(&messages_file)?;
    let mut totals = Totals { days: 1, ..Totals::default() };
    import_portfolio(&arguments, &stack, &tenant, &portfolio, today, &mut totals).await?;

    let bar = progress::bar(u64::from(tenant.shards), "sending", arguments.json);
    // What a run that was killed has left in the queues comes first: it needs no plan any more.
    stack.drain(at, &|| bar.inc(0)).await?;
    stack.wave(at, &|| bar.inc(0)).await?;
    let overfull = stack.plan(at, &|| bar.tick()).await?;
    // Said before the first message, while there is still time to raise a limit.
    if !arguments.json {
        bar.suspend(|| warn_of(&overfull, &tenant));
    }
    stack.drain(at, &|| bar.tick()).await?;
    bar.finish_and_clear();
    let open_ends = OpenEnds {
        unknown: stack.sweep(SWEEP_HOURS_BACK_MAX, at).await?,
        dead_letters: stack.dead_letters(),
    };
    let lines = day_lines(stack.take_decisions());
    let (kept, mut decisions) = earlier_sends(&[&decisions_file, &journal], &lines)?;
    for line in &lines {
        totals.add_decision(line);
        if !kept.contains(line.obligation.as_str()) {
            decisions.push_str(&serde_json::to_string(line)?);
            decisions.push('\n');
        }
    }
    folder::write_whole(&decisions_file, decisions.as_bytes())?;
    fs::remove_file(&journal)?;
    messages.read_new(|line| totals.add_message(line))?;
    totals.add_prevented(stack.take_prevented());
    totals.take_capacity(&stack.store);
    let seconds = started.elapsed().as_secs_f64();
    print(&arguments, &tenant, at, &Figures { totals: &totals, overfull: &overfull, open_ends, seconds })?;
    Ok(ExitCode::SUCCESS)
}

/// Tells of open hours that are too short for the plan.
fn warn_of(overfull: &[Overfull], tenant: &Tenant) {
    for hours in overfull {
        say!("{}", told(hours, tenant));
    }
}

/// A line about open hours that are too short for the plan.
fn told(hours: &Overfull, tenant: &Tenant) -> String {
    let local = |at: DateTime<Utc>| at.with_timezone(&tenant.time_zone).format("%Y-%m-%d %H:%M");
    let (limit, unit) = (
        match hours.limit {
            Limit::SendRate => "the rate of the channel",
            Limit::DailyQuota => "the daily quota of the channel",
        },
        match hours.channel {
            Channel::Email => "emails",
            Channel::Sms => "parts of SMS",
            Channel::Push | Channel::Whatsapp | Channel::Call => "messages",
        },
    );
    format!(
        "Too much    {} {unit} from {} to {}, and {limit} allows {}: the rest waits longer",
        hours.units,
        local(hours.from_at),
        local(hours.until_at),
        hours.capacity
    )
}

/// The lines of an earlier run of the day that say why something was sent: a later run finds it sent and says only that.
/// A run that was killed has left them in its journal.
fn earlier_sends(files: &[&Path], lines: &[DecisionLine]) -> anyhow::Result<(HashSet<String>, String)> {
    let (mut kept, mut text) = (HashSet::new(), String::new());
    let sends = lines.iter().filter(|line| line.verdict == Decision::Send);
    let now: HashSet<&str> = sends.map(|line| line.obligation.as_str()).collect();
    for file in files.iter().filter(|file| file.exists()) {
        for line in fs::read_to_string(file)?.lines() {
            // A line that was torn by the end of the process was not followed by a message.
            let Ok(said) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let Some(obligation) = said["obligation"].as_str().filter(|o| !now.contains(o)) else { continue };
            if said["verdict"] == "send" && kept.insert(obligation.to_owned()) {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    Ok((kept, text))
}

async fn import_portfolio(
    arguments: &RunArguments,
    stack: &LocalStack,
    tenant: &Tenant,
    portfolio: &Path,
    today: NaiveDate,
    totals: &mut Totals,
) -> anyhow::Result<()> {
    let mapping = Arc::new(Mapping::parse(demo::MAPPING).context("the demo's mapping")?);
    let source = Source::open(portfolio)?;
    let job = ImportJob {
        scope: Scope::new(tenant.id.clone(), tenant.shards),
        sequence: u64::try_from((today - NaiveDate::MIN).num_days()).unwrap_or_default(),
        as_of: today,
        key: import_key(&source.sha256, demo::MAPPING, today, ReadOptions::default()),
        options: ReadOptions::default(),
    };
    let bar = progress::spinner("importing", arguments.json);
    let mut bad = Vec::new();
    let on_bad = |error: &RowError| bad.push(error.to_string());
    let report = import_file(&stack.store, &job, mapping, source.file, on_bad, |rows| bar.inc(rows)).await?;
    bar.finish_and_clear();
    if let Some(first) = bad.first() {
        bail!("the demo portfolio has {} bad rows, first: {first}", bad.len());
    }
    totals.customers = report.counts.customers_new;
    totals.obligations = report.counts.obligations_new;
    Ok(())
}

fn moment_of(arguments: &RunArguments, tenant: &Tenant) -> anyhow::Result<DateTime<Utc>> {
    match arguments.at {
        Some(at) => Ok(at.with_timezone(&Utc)),
        None => {
            let today = clock::now().with_timezone(&tenant.time_zone).date_naive();
            instant(tenant.time_zone, today, tenant.scan_at)
        }
    }
}

/// The portfolio of the folder; made on the first run, and kept, so that later days see the same customers.
fn portfolio(arguments: &RunArguments, today: NaiveDate) -> anyhow::Result<PathBuf> {
    let name = format!("portfolio-{}-{}.csv", arguments.size, arguments.seed);
    let path = arguments.out.join(name);
    if !path.exists() {
        let bytes = demo::portfolio(arguments.size, arguments.seed, today)?;
        folder::write_whole(&path, &bytes)?;
    }
    Ok(path)
}

fn print(
    arguments: &RunArguments,
    tenant: &Tenant,
    at: DateTime<Utc>,
    figures: &Figures<'_>,
) -> anyhow::Result<()> {
    let Figures { totals, overfull, open_ends, seconds } = *figures;
    let at = runtime::decision_log::local(at, tenant.time_zone);
    if arguments.json {
        let folder = arguments.out.as_path();
        let printed =
            Printed { at, totals, unit_rates: totals.unit_rates(), overfull, open_ends, folder, seconds };
        say!("{}", serde_json::to_string_pretty(&printed)?);
        return Ok(());
    }
    say!("Puntual · {} · {}", tenant.lender.name, at.format("%A %Y-%m-%d %H:%M %:z"));
    say_part!("{totals}");
    let OpenEnds { unknown, dead_letters } = open_ends;
    if unknown > 0 {
        say!(
            "Unknown     {unknown} messages may have gone out or not; `cargo puntual unknown list` names them"
        );
    }
    if dead_letters > 0 {
        say!("Dead        {dead_letters} messages of the queues; `cargo puntual dlq list` says why");
    }
    say!("Messages    {}", arguments.out.join("messages.jsonl").display());
    say!("Verdicts    {}", arguments.out.join(format!("decisions-{}.jsonl", at.date_naive())).display());
    Ok(())
}
