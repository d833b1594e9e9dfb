//! The simulator: runs the world of a seed and says what came of it.
//!
//! Invariant: worlds never meet. Each has a tenant of its own, so that many can share a database.

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use chrono::Days;
use domain::touch::TouchState;
use runtime::rules::RulesCache;
use serde::Serialize;
#[cfg(feature = "deliberate-faults")]
use store::DeliberateFault;
use store::{Scope, SettingsDoc, Store, StoreError, TouchKey, TouchRecord};

use crate::climate::Climate;
use crate::course::Course;
use crate::dice::Dice;
use crate::evidence::unverified;
use crate::facts::{Ledger, write};
use crate::faults::under_weather;
use crate::functions::Functions;
use crate::model::{Evidence, Rule, Violation, judge};
use crate::run::Run;
use crate::scene::{Scene, instant};
use crate::world::World;

/// How many worlds share a database before it is made anew, so that it stays small.
const WORLDS_PER_DATABASE: u32 = 200;
/// Of every how many worlds the evidence is checked.
const EVIDENCE_EVERY: u64 = 50;
/// How far ahead touches may wait at the end of a world, in days.
const WAITING_DAYS: u64 = 20;
/// How many waiting touches of a shard and day are read.
const WAITING_MAX: u32 = 1_000;

/// How a world is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether everything that happens is written down.
    pub trace: bool,
    /// Whether the evidence of each customer is checked, which is done of some worlds in any case.
    pub evidence: bool,
    /// A mistake that the pipeline has, to prove that it would be seen.
    #[cfg(feature = "deliberate-faults")]
    pub deliberate: Option<DeliberateFault>,
}

impl Options {
    /// A world that is looked at closely; `trace` says whether everything that happens is written down.
    #[must_use]
    pub fn traced(trace: bool) -> Self {
        Self {
            trace,
            evidence: true,
            #[cfg(feature = "deliberate-faults")]
            deliberate: None,
        }
    }
}

/// What came of a world.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Touches that were claimed or closed.
    pub touches: u64,
    /// Messages that the provider has.
    pub sends: u64,
    /// Touches that ended as unknown, with their reason.
    pub unknown_reported: u64,
    /// Messages that a fact stopped between plan and send.
    pub prevented: u64,
    /// Events of the provider that were taken.
    pub events: u64,
    /// Functions that died.
    pub crashes: u64,
    /// Messages that were given out too often and lie with the dead letters.
    pub dead_letters: u64,
    /// Stages that were delivered again because an operator said wrongly that they were not, which breaks no promise.
    pub after_words: u64,
    /// What operators said of unknown messages.
    pub words: u64,
    /// Customers that were erased.
    pub erasures: u64,
    /// What was broken; empty in a sound world.
    pub violations: Vec<Violation>,
    /// What happened, a line each, with ids only.
    pub trace: Vec<String>,
}

/// What came of many worlds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Worlds.
    pub seeds: u64,
    /// Touches that were claimed or closed.
    pub touches: u64,
    /// Messages that the provider has.
    pub sends: u64,
    /// Stages that were delivered twice though their outcome was known.
    pub duplicates_known: u64,
    /// Stages that were delivered again though their outcome was not known, because an operator was wrong or for no
    /// reason.
    pub duplicates_after_unknown: u64,
    /// Those of them that an operator's wrong word led to.
    pub duplicates_after_words: u64,
    /// Obligations and touches that ended nowhere.
    pub lost: u64,
    /// Other breaches: facts, hours, caps, wrong records.
    pub other_violations: u64,
    /// Touches that ended as unknown, with their reason.
    pub unknown_reported: u64,
    /// Messages that a fact stopped between plan and send.
    pub prevented: u64,
    /// Events of the provider that were taken.
    pub events: u64,
    /// Functions that died.
    pub crashes: u64,
    /// Messages with the dead letters.
    pub dead_letters: u64,
    /// What operators said of unknown messages.
    pub words: u64,
    /// Customers that were erased.
    pub erasures: u64,
}

impl Totals {
    /// Adds a world.
    pub fn add(&mut self, report: &Report) {
        let broken = |rule| report.violations.iter().filter(|v| v.rule == rule).count() as u64;
        let (known, doubtful, lost) =
            (broken(Rule::DuplicateKnown), broken(Rule::DuplicateAfterUnknown), broken(Rule::Lost));
        self.seeds += 1;
        self.touches += report.touches;
        self.sends += report.sends;
        self.duplicates_known += known;
        self.duplicates_after_unknown += doubtful + report.after_words;
        self.duplicates_after_words += report.after_words;
        self.lost += lost;
        self.other_violations += report.violations.len() as u64 - known - doubtful - lost;
        self.unknown_reported += report.unknown_reported;
        self.prevented += report.prevented;
        self.events += report.events;
        self.crashes += report.crashes;
        self.dead_letters += report.dead_letters;
        self.words += report.words;
        self.erasures += report.erasures;
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.touches += other.touches;
        self.sends += other.sends;
        self.duplicates_known += other.duplicates_known;
        self.duplicates_after_unknown += other.duplicates_after_unknown;
        self.duplicates_after_words += other.duplicates_after_words;
        self.lost += other.lost;
        self.other_violations += other.other_violations;
        self.unknown_reported += other.unknown_reported;
        self.prevented += other.prevented;
        self.events += other.events;
        self.crashes += other.crashes;
        self.dead_letters += other.dead_letters;
        self.words += other.words;
        self.erasures += other.erasures;
    }
}

/// Runs worlds, one after the other.
#[derive(Debug)]
pub struct Simulator {
    raw: Store,
    /// Keeps the policies of earlier worlds compiled: there are few texts.
    rules: RulesCache,
    worlds: u32,
}

impl Simulator {
    /// A simulator with an empty database in memory.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be made.
    pub fn new() -> Result<Self, StoreError> {
        let raw = Store::simulated()?;
        at_once(raw.create_tables())?;
        Ok(Self { raw, rules: RulesCache::of_checked_texts(), worlds: 0 })
    }

    /// Runs the world of a seed.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails on its own account, which no world asks of it.
    pub fn run(&mut self, seed: u64, options: Options) -> Result<Report, StoreError> {
        if self.worlds == WORLDS_PER_DATABASE {
            *self = Self { rules: self.rules.clone(), ..Self::new()? };
        }
        self.worlds += 1;
        let mut dice = Dice::new(seed);
        let world = World::roll(seed, &mut dice);
        let climate = Climate::roll(&mut dice);
        // A rate holds as far as the clocks of its senders agree.
        let climate = if world.paced { Climate { skew_ms: 0, ..climate } } else { climate };
        // An operator is asked about messages of which the provider says late what became of them.
        let climate = if world.words.is_empty() { climate } else { climate.with_late_events() };
        let ledger = Ledger::new(&world);
        let scene = Scene::new(dice, climate, world.begins_at, options.trace);
        let store = under_weather(&self.raw, &scene);
        #[cfg(feature = "deliberate-faults")]
        let store = options.deliberate.map_or(store.clone(), |fault| store.broken_by(fault));
        let functions = Functions::over(store, self.rules.beside(), &scene, world.paced);
        at_once(self.set_up(&world, &ledger, &functions))?;
        let course = Run::new(&world, &functions, scene.clone(), ledger).live_through();
        let touches = self.touches(&world)?;
        let waiting = self.waiting(&world)?;
        let decisions = functions.decisions.take();
        let mut state = scene.state();
        let evidence = Evidence {
            world: &world,
            course: &course,
            state: &state,
            touches: &touches,
            waiting: &waiting,
            decisions: &decisions,
            left_of_erased: self.left_of_erased(&world, &course)?,
        };
        let mut violations = judge(&evidence);
        if options.evidence || seed.is_multiple_of(EVIDENCE_EVERY) || !violations.is_empty() {
            violations.extend(at_once(unverified(&self.raw, &functions.secret, &world)));
        }
        let said = |v: &Violation| v.rule == Rule::DuplicateAfterWord;
        let after_words = violations.iter().filter(|v| said(v)).count() as u64;
        violations.retain(|v| !said(v));
        let places: BTreeSet<&(String, String)> = state.turns.iter().map(|t| &t.place).collect();
        let unknown =
            touches.iter().flatten().filter(|t| t.state == TouchState::Unknown && t.reason.is_some());
        Ok(Report {
            seed,
            touches: places.len() as u64,
            sends: state.calls.iter().filter(|c| c.fate.accepted).count() as u64,
            unknown_reported: unknown.count() as u64,
            prevented: course.prevented,
            events: state.told.iter().filter(|t| t.taken.is_some()).count() as u64,
            crashes: course.crashes,
            dead_letters: state.dead_letters.len() as u64,
            after_words,
            words: state.words.len() as u64,
            erasures: u64::from(course.erased.is_some()),
            violations,
            trace: state.trace.take().unwrap_or_default(),
        })
    }

    async fn set_up(&self, world: &World, ledger: &Ledger, functions: &Functions) -> Result<(), StoreError> {
        let tenant = &world.tenant;
        let document = serde_json::to_string(tenant).expect("settings that are made here are JSON");
        self.raw.put_settings(&tenant.id, &SettingsDoc { version: 1, document }).await?;
        self.raw.put_policy(&tenant.id, &tenant.policy, 1, &world.policy(1)).await?;
        self.raw.activate_policy(&tenant.id, &tenant.policy, 1).await?;
        if !world.file_comes {
            write(&self.raw, &functions.secret, world, &ledger.first(), world.begins_at).await;
        }
        Ok(())
    }

    fn touches(&self, world: &World) -> Result<Vec<Vec<TouchRecord>>, StoreError> {
        world.customers.iter().map(|c| at_once(self.raw.touches(&world.tenant.id, &c.id))).collect()
    }

    /// Whether data of the customer is left that was erased.
    fn left_of_erased(&self, world: &World, course: &Course) -> Result<bool, StoreError> {
        let (Some((_, who)), Some(_)) = (world.erasure, course.erased) else { return Ok(false) };
        let (tenant, id) = (&world.tenant.id, &world.customers[who].id);
        let facts = at_once(self.raw.customer_facts(tenant, id))?;
        let fence = at_once(self.raw.fence(tenant, id))?;
        let payments = at_once(self.raw.payments(tenant, id))?;
        let is_done = fence.is_some_and(|fence| fence.erased_at.is_some() && !fence.erasing);
        Ok(facts.is_some() || !payments.is_empty() || !is_done)
    }

    fn waiting(&self, world: &World) -> Result<Vec<TouchKey>, StoreError> {
        let scope = Scope::new(world.tenant.id.clone(), world.tenant.shards);
        let end = instant(world.ends_at);
        let mut waiting = Vec::new();
        for ahead in 0..=WAITING_DAYS {
            let Some(day) = end.date_naive().checked_add_days(Days::new(ahead)) else { break };
            let until = end + chrono::Duration::days(30);
            for shard in 0..scope.shards {
                let page = at_once(self.raw.due_waves(&scope.tenant, shard, day, until, None, WAITING_MAX))?;
                waiting
                    .extend(page.items.into_iter().filter(|w| w.place.send_at >= end).map(|w| w.place.touch));
            }
        }
        Ok(waiting)
    }
}

/// The result of work that never waits: the embedded database answers at once.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
    }
}
