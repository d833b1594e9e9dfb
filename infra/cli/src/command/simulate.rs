//! `cargo puntual simulate`: whole worlds from seeds, in which functions die and answers are lost, and a model that says
//! what must have happened.
//!
//! Invariant: a seed that breaks something is printed with the command that shows it again, and the exit code says so.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use simulation::{Options, Report, Simulator, Totals};
use tracing::subscriber::{NoSubscriber, with_default};

use crate::{clock, progress};

/// The exit code where a world broke a promise.
const BROKEN: u8 = 2;
/// How many worlds are run where nothing else is said.
const SEEDS_DEFAULT: u64 = 1_000;
/// How many worlds every change must pass.
const SEEDS_OF_A_TEST: u64 = 10_000;
/// How many broken worlds are printed; all of them are counted.
const SHOWN_MAX: usize = 20;

/// Runs worlds from seeds and checks each against a model.
#[derive(Debug, Args)]
pub(crate) struct SimulateArguments {
    /// One world only.
    #[arg(long, conflicts_with_all = ["seeds", "from_seed"])]
    seed: Option<u64>,
    /// How many worlds.
    #[arg(long, default_value_t = SEEDS_DEFAULT, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from_seed: u64,
    /// Prints what happens in the world, in order; ids only.
    #[arg(long, requires = "seed")]
    verbose: bool,
    /// Prints one JSON object and nothing else to standard output.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    totals: &'a Totals,
    /// Seconds on the clock on the wall.
    seconds: f64,
    /// Seeds that broke a promise, the first few of them.
    broken_seeds: Vec<u64>,
}

/// What several threads found together.
#[derive(Default)]
struct Found {
    totals: Totals,
    broken: Vec<Report>,
}

/// Runs the worlds that every change must pass.
pub(crate) fn pass_every_world() -> anyhow::Result<()> {
    let arguments =
        SimulateArguments { seed: None, seeds: SEEDS_OF_A_TEST, from_seed: 0, verbose: false, json: true };
    let code = simulate(&arguments)?;
    anyhow::ensure!(code == ExitCode::SUCCESS, "a world broke a promise");
    Ok(())
}

pub(crate) fn simulate(arguments: &SimulateArguments) -> anyhow::Result<ExitCode> {
    let started = clock::stopwatch();
    let mut found = match arguments.seed {
        Some(seed) => one_world(seed, arguments.verbose)?,
        None => many_worlds(arguments)?,
    };
    found.broken.sort_by_key(|report| report.seed);
    let seconds = (started.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    let mut out = crate::output::stdout();
    if arguments.json {
        let broken_seeds = found.broken.iter().map(|r| r.seed).take(SHOWN_MAX).collect();
        serde_json::to_writer(&mut out, &Summary { totals: &found.totals, seconds, broken_seeds })?;
        writeln!(out)?;
    } else {
        tell(&mut out, &found.totals, seconds)?;
    }
    for report in found.broken.iter().take(SHOWN_MAX) {
        for violation in &report.violations {
            tell!("seed {}: {violation}", report.seed);
        }
        tell!("see it again: cargo puntual simulate --seed {} --verbose", report.seed);
    }
    Ok(if found.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

fn one_world(seed: u64, verbose: bool) -> anyhow::Result<Found> {
    let report = run(&mut Simulator::new()?, seed, Options::traced(verbose))?;
    // The trace is for people, so that standard output stays what a program reads.
    for line in &report.trace {
        tell!("{line}");
    }
    let mut found = Found::default();
    found.take(report);
    Ok(found)
}

/// Runs a world without the log of the functions in it, which fail all the time there.
fn run(simulator: &mut Simulator, seed: u64, options: Options) -> anyhow::Result<Report> {
    let report = with_default(NoSubscriber::default(), || simulator.run(seed, options));
    report.with_context(|| format!("in the world of seed {seed}"))
}

fn many_worlds(arguments: &SimulateArguments) -> anyhow::Result<Found> {
    let bar = progress::bar(arguments.seeds, "worlds", arguments.json);
    let next = AtomicU64::new(0);
    let work = || -> anyhow::Result<Found> {
        let mut simulator = Simulator::new()?;
        let mut found = Found::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= arguments.seeds {
                return Ok(found);
            }
            let seed = arguments.from_seed.wrapping_add(number);
            found.take(run(&mut simulator, seed, Options::default())?);
            bar.inc(1);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let parts = std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = started.into_iter().map(|thread| thread.join());
        ended
            .map(|part| part.unwrap_or_else(|_| Err(anyhow::anyhow!("a world panicked"))))
            .collect::<Vec<_>>()
    });
    bar.finish_and_clear();
    let mut found = Found::default();
    for part in parts {
        let part = part?;
        found.totals += part.totals;
        found.broken.extend(part.broken);
    }
    Ok(found)
}

impl Found {
    fn take(&mut self, report: Report) {
        self.totals.add(&report);
        if !report.violations.is_empty() {
            self.broken.push(report);
        }
    }
}

fn tell(out: &mut impl Write, totals: &Totals, seconds: f64) -> std::io::Result<()> {
    writeln!(out, "{:>10} worlds in {seconds} s", totals.seeds)?;
    for (count, what) in [
        (totals.touches, "touches"),
        (totals.sends, "messages that the provider has"),
        (totals.events, "events of the provider that were taken"),
        (totals.crashes, "functions that died"),
        (totals.unknown_reported, "touches whose outcome nobody knows, reported"),
        (totals.prevented, "messages stopped by a fact between plan and send"),
        (totals.dead_letters, "dead letters"),
        (totals.duplicates_known, "duplicates of a known outcome"),
        (totals.duplicates_after_unknown, "duplicates after an unknown outcome"),
        (totals.duplicates_after_words, "of them because an operator was wrong"),
        (totals.lost, "lost"),
        (totals.other_violations, "other breaches"),
    ] {
        writeln!(out, "{count:>10} {what}")?;
    }
    Ok(())
}
