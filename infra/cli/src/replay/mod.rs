//! Replays: real history, day by day, through the same functions that run every day.
//!
//! Invariants: a fact takes effect at the start of its date. The same inputs give the same files; a replay that was
//! stopped anywhere goes on from its last checkpoint and ends with the same files too.

pub(crate) mod checkpoint;
pub(crate) mod timeline;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use channels::Outbox;
use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use domain::tenant::Tenant;
use indicatif::ProgressBar;
use runtime::decision_log::DecisionLog;
use runtime::local_queue::LocalQueues;
use store::Scope;

use crate::decisions::day_lines;
use crate::report::Totals;
use crate::stack::LocalStack;
use checkpoint::Checkpoint;
use timeline::Timeline;

/// How far back the daily sweep looks, in hours: past the one before it.
const SWEEP_HOURS_BACK: u16 = 48;
/// How many days lie between two checkpoints.
const CHECKPOINT_EVERY_DAYS: u64 = 28;
/// The most waves of one day: one a minute.
const WAVES_PER_DAY_MAX: usize = 1_440;
/// The most days of a replay: a century.
pub(crate) const DAYS_MAX: i64 = 36_600;

/// What is replayed.
pub(crate) struct Replay<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) policy: &'a str,
    pub(crate) timeline: Timeline,
    pub(crate) from: NaiveDate,
    pub(crate) to: NaiveDate,
    pub(crate) out: &'a Path,
    /// A digest of everything that the files depend on, the last day aside.
    pub(crate) inputs: String,
}

/// The files of a replay.
pub(crate) struct Files {
    pub(crate) messages: PathBuf,
    pub(crate) decisions: PathBuf,
    pub(crate) summary: PathBuf,
    database: PathBuf,
}

impl Files {
    pub(crate) fn in_folder(out: &Path) -> Self {
        Self {
            messages: out.join("messages.jsonl"),
            decisions: out.join("decisions.jsonl"),
            summary: out.join("summary.json"),
            database: out.join("puntual.sqlite"),
        }
    }
}

impl Replay<'_> {
    /// Works through the days and returns what was done in all of them.
    pub(crate) async fn run(&self, bar: &ProgressBar) -> anyhow::Result<Totals> {
        let files = Files::in_folder(self.out);
        let start = Checkpoint::restore(self.out, &files, &self.inputs, self.from, self.to)?;
        let mut totals = start.totals;
        let outbox = Outbox::file(&files.messages)?;
        // A replay that was stopped goes on from its checkpoint, where every queue was empty.
        let (queues, log) = (LocalQueues::memory(), DecisionLog::memory());
        let stack = LocalStack::open(&files.database, queues, outbox, self.tenant, self.policy, log).await?;
        let mut decisions =
            BufWriter::new(OpenOptions::new().create(true).append(true).open(&files.decisions)?);
        let mut messages = Tail::at_end(&files.messages)?;
        let mut day = start.next_day;
        bar.set_position(u64::try_from((day - self.from).num_days()).unwrap_or_default());
        while day <= self.to {
            self.one_day(&stack, day, &mut totals).await.with_context(|| format!("on {day}"))?;
            if let Some(dead) = stack.first_dead_letter() {
                bail!("on {day} a job failed again and again: {dead}; expected every job to be done");
            }
            for line in day_lines(stack.take_decisions()) {
                totals.add_decision(&line);
                serde_json::to_writer(&mut decisions, &line)?;
                decisions.write_all(b"\n")?;
            }
            messages.read_new(|line| totals.add_message(line))?;
            totals.add_prevented(stack.take_prevented());
            totals.days += 1;
            bar.inc(1);
            let next = day.checked_add_days(Days::new(1)).context("the calendar ends")?;
            let done = u64::try_from((next - self.from).num_days()).unwrap_or_default();
            if done.is_multiple_of(CHECKPOINT_EVERY_DAYS) || next > self.to {
                decisions.flush()?;
                totals.take_capacity(&stack.store);
                Checkpoint::save(self.out, &files, &self.inputs, next, &totals, &stack.store).await?;
            }
            day = next;
        }
        bar.finish_and_clear();
        Ok(totals)
    }

    /// One day: its facts at midnight, then waves, and the scan with the sweep before it, in the order of their moments.
    async fn one_day(&self, stack: &LocalStack, day: NaiveDate, totals: &mut Totals) -> anyhow::Result<()> {
        let zone = self.tenant.time_zone;
        let facts = self.timeline.facts_of(day, day == self.from);
        if !facts.is_empty() {
            let sequence = u64::try_from((day - NaiveDate::MIN).num_days()).unwrap_or_default();
            let counts = stack.store.import_accounts(&self.scope(), sequence, day, &facts).await?;
            totals.customers += counts.customers_new;
            totals.obligations += counts.obligations_new;
        }
        let scan_at = instant(zone, day, self.tenant.scan_at)?;
        let next_day = day.checked_add_days(Days::new(1)).context("the calendar ends")?;
        let midnight = instant(zone, next_day, chrono::NaiveTime::MIN)?;
        let mut scanned = false;
        let mut last_wave: Option<DateTime<Utc>> = None;
        for _ in 0..WAVES_PER_DAY_MAX {
            let wave = self.next_wave(stack, day).await?.filter(|at| *at < midnight);
            match wave {
                Some(at) if scanned || at <= scan_at => {
                    if last_wave.is_some_and(|last| at <= last) {
                        bail!(
                            "the wave of {at} was dispatched and still waits; expected every touch to be settled"
                        );
                    }
                    stack.wave(at, &|| ()).await?;
                    last_wave = Some(at);
                }
                _ if !scanned => {
                    stack.sweep(SWEEP_HOURS_BACK, scan_at).await?;
                    stack.scan(scan_at, &|| ()).await?;
                    scanned = true;
                }
                _ => return Ok(()),
            }
        }
        bail!("more than {WAVES_PER_DAY_MAX} waves; expected at most one a minute")
    }

    fn scope(&self) -> Scope {
        Scope::new(self.tenant.id.clone(), self.tenant.shards)
    }

    async fn next_wave(&self, stack: &LocalStack, day: NaiveDate) -> anyhow::Result<Option<DateTime<Utc>>> {
        // The index is by UTC day: the tenant's local day touches two of them, and an older one may hold a rest.
        let from = day.checked_sub_days(Days::new(scan_due::WAVE_DAYS_BACK)).unwrap_or(day);
        let days = u16::try_from(scan_due::WAVE_DAYS_BACK + 2).unwrap_or(u16::MAX);
        Ok(stack.store.next_wave_at(&self.scope(), from, days).await?)
    }
}

/// The instant of a local time; where a clock change leaves it out, the first instant after the gap.
pub(crate) fn instant(zone: Tz, on: NaiveDate, at: chrono::NaiveTime) -> anyhow::Result<DateTime<Utc>> {
    let local = on.and_time(at);
    (0..=3)
        .find_map(|hours| zone.from_local_datetime(&(local + chrono::Duration::hours(hours))).earliest())
        .map(|t| t.with_timezone(&Utc))
        .with_context(|| format!("{local} does not exist in {zone}"))
}

/// The end of a file of lines, read as it grows.
pub(crate) struct Tail {
    path: PathBuf,
    at: u64,
}

impl Tail {
    pub(crate) fn at_end(path: &Path) -> std::io::Result<Self> {
        let at = if path.exists() { std::fs::metadata(path)?.len() } else { 0 };
        Ok(Self { path: path.to_owned(), at })
    }

    pub(crate) fn read_new(
        &mut self,
        mut each: impl FnMut(&str) -> serde_json::Result<()>,
    ) -> anyhow::Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.at))?;
        for line in BufReader::new(file).lines() {
            let line = line?;
            self.at += line.len() as u64 + 1;
            each(&line).with_context(|| format!("a line of {} cannot be read", self.path.display()))?;
        }
        Ok(())
    }
}
