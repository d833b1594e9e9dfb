//! One world, from its first moment to its last: who runs, who dies, and what comes next.
//!
//! Invariant: one actor is polled at a time, chosen by the dice, so a seed gives the same order of events every time.
//! An actor that dies is dropped where it waits: before something it asked for was done, or after it was done and
//! before it saw the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use runtime::batch::event_of;
use runtime::job::{DueEvent, Job, TouchJob};
use scan_due::SWEEP_HOURS_BACK_MAX;
use store::Scope;

use crate::batches::take_batch;
use crate::climate::Climate;
use crate::course::Course;
use crate::facts::{Ledger, write};
use crate::faults::clock_of_a_function;
use crate::functions::Functions;
use crate::people;
use crate::scene::{ActorId, Ambush, Message, Pipe, Place, Scene};
use crate::task::{Task, told};
use crate::world::{Fact, World};

/// How long a function may run, in milliseconds.
pub(crate) const FUNCTION_MS_MAX: i64 = 60_000;
/// How often a scheduled start is tried, as for an asynchronous call of a function.
const STARTS_MAX: u32 = 3;
/// How many run at the same time at most.
const ACTORS_MAX: usize = 6;
/// How long one step takes at most, in milliseconds.
const POLL_MS_MAX: i64 = 40;
/// The same where the time of senders passes, which plan their calls to the millisecond.
const PACED_POLL_MS_MAX: i64 = 2;
/// The most steps of a world; more mean that it goes round in circles.
const POLLS_MAX: usize = 200_000;
/// How far back the sweeps of a world look, in hours.
const SWEEP_HOURS_BACK: u16 = 48;
/// A minute, in milliseconds.
const MINUTE_MS: i64 = 60_000;
/// How long an erasure waits that was refused or cut off, in milliseconds.
const ERASE_AGAIN_MS: i64 = 5 * MINUTE_MS;

/// How an actor ended.
enum End {
    Batch(SqsBatchResponse),
    Done,
    Again,
}

struct Actor<'w> {
    id: ActorId,
    task: Task,
    begun: u64,
    dies_at: i64,
    future: Pin<Box<dyn Future<Output = End> + 'w>>,
}

/// A world that runs.
pub(crate) struct Run<'w> {
    world: &'w World,
    functions: &'w Functions,
    scene: Scene,
    ledger: Ledger,
    actors: Vec<Actor<'w>>,
    next_actor: ActorId,
    agenda: BTreeMap<(i64, u64), Task>,
    next_entry: u64,
    waves: BTreeSet<i64>,
    /// Whether the lender's first file is in: nobody tells a fact about what is in no file.
    file_is_in: bool,
    /// Who goes before all others, because it is to be quicker.
    favourite: Option<ActorId>,
    course: Course,
}

impl<'w> Run<'w> {
    pub(crate) fn new(world: &'w World, functions: &'w Functions, scene: Scene, ledger: Ledger) -> Self {
        let course = Course::new(world.facts.len());
        let mut run = Self {
            world,
            functions,
            scene,
            ledger,
            actors: Vec::new(),
            next_actor: 1,
            agenda: BTreeMap::new(),
            next_entry: 0,
            waves: BTreeSet::new(),
            file_is_in: !world.file_comes,
            favourite: None,
            course,
        };
        run.write_agenda();
        run
    }

    /// Lets everything happen.
    pub(crate) fn live_through(mut self) -> Course {
        for _ in 0..POLLS_MAX {
            self.start_what_is_due();
            let ready = self.ready();
            if ready.is_empty() {
                match self.next_moment() {
                    Some(at) => self.pass_until(at),
                    None => {
                        self.course.settled = true;
                        return self.course;
                    }
                }
                continue;
            }
            let (chosen, crashes) = {
                let mut state = self.scene.state();
                let crash = state.climate.crash;
                let favourite = ready.iter().copied().find(|i| Some(self.actors[*i].id) == self.favourite);
                let any = ready[state.dice.below(ready.len())];
                (favourite.unwrap_or(any), state.dice.happens(crash))
            };
            if crashes || self.scene.state().now >= self.actors[chosen].dies_at {
                self.crash(chosen);
            } else {
                self.poll(chosen);
            }
        }
        self.course
    }

    fn write_agenda(&mut self) {
        if self.world.file_comes {
            let entry = self.ledger.first_file();
            self.plan(self.world.begins_at, Task::Fact { index: None, entry, tries: 0 });
        }
        for (index, (at, _)) in self.world.facts.iter().enumerate() {
            self.plan(*at, Task::Learn { index });
        }
        for at in &self.world.words {
            self.plan(*at, Task::Word { tries: 0 });
        }
        if let Some((at, customer)) = self.world.erasure {
            self.plan(at, Task::Erase { customer });
        }
        let tenant = &self.world.tenant.id;
        for (at, calm) in self.world.scans.clone() {
            let climate = self.scene.state().climate;
            let (missed, repeated, gap_ms) = {
                let dice = &mut self.scene.state().dice;
                (
                    dice.happens(climate.miss_scan),
                    dice.happens(climate.repeat_scan),
                    dice.between(0, MINUTE_MS),
                )
            };
            let scan = Task::Due { event: DueEvent::Scan { tenant: tenant.clone() }, tries: 0 };
            if calm || !missed {
                self.plan(at, scan.clone());
            }
            if repeated && !calm {
                self.plan(at + gap_ms, scan);
            }
            let later = [
                (60, DueEvent::Wave { tenant: tenant.clone() }),
                (gap_ms / 1_000, DueEvent::Sweep { tenant: tenant.clone(), hours_back: SWEEP_HOURS_BACK }),
                // Once a day as far back as a fence remembers: every sweep of two days may fail.
                (10 * 60, DueEvent::Sweep { tenant: tenant.clone(), hours_back: SWEEP_HOURS_BACK_MAX }),
            ];
            for (minutes, event) in later {
                self.plan(at + minutes * MINUTE_MS, Task::Due { event, tries: 0 });
            }
        }
    }

    fn plan(&mut self, at: i64, task: Task) {
        self.next_entry += 1;
        self.agenda.insert((at, self.next_entry), task);
    }

    fn start_what_is_due(&mut self) {
        let (now, new_waves, ambush) = {
            let mut state = self.scene.state();
            (state.now, std::mem::take(&mut state.new_waves), std::mem::take(&mut state.ambush))
        };
        if let Some(ambush) = ambush {
            self.let_a_fact_in(&ambush);
        }
        for at in new_waves {
            if at < self.world.ends_at && self.waves.insert(at) {
                let event = DueEvent::Wave { tenant: self.world.tenant.id.clone() };
                self.plan(at.max(now), Task::Due { event, tries: 0 });
            }
        }
        while self.actors.len() < ACTORS_MAX {
            let Some(entry) = self.agenda.first_entry().filter(|e| e.key().0 <= now) else { break };
            let task = entry.remove();
            match task {
                Task::Erase { .. } if !self.file_is_in => self.plan(now + MINUTE_MS, task),
                Task::Learn { index } if !self.file_is_in || self.waits_for_earlier(index) => {
                    self.plan(now + MINUTE_MS, task);
                }
                Task::Learn { index } => {
                    if let Some(entry) = self.ledger.learn(self.world, index) {
                        self.start(Task::Fact { index: Some(index), entry, tries: 0 });
                    }
                }
                task @ (Task::Batch { .. }
                | Task::Due { .. }
                | Task::Fact { .. }
                | Task::Word { .. }
                | Task::Erase { .. }) => self.start(task),
            }
        }
        for pipe in [Pipe::Plan, Pipe::Email, Pipe::Sms, Pipe::Events] {
            if self.actors.len() < ACTORS_MAX {
                self.receive(pipe);
            }
        }
    }

    /// Whether a fact waits that became known earlier: what the lender tells keeps its order.
    fn waits_for_earlier(&self, index: usize) -> bool {
        self.agenda.values().any(|task| match task {
            Task::Learn { index: other } => *other < index,
            Task::Batch { .. }
            | Task::Due { .. }
            | Task::Fact { .. }
            | Task::Word { .. }
            | Task::Erase { .. } => false,
        })
    }

    /// Lets a fact come now, before whoever has just read the facts goes on. Facts keep their order, but for payments,
    /// which follow from none.
    fn let_a_fact_in(&mut self, ambush: &Ambush) {
        if !self.file_is_in {
            return;
        }
        let mut ahead = self.agenda.iter().filter_map(|(place, task)| match task {
            Task::Learn { index } => Some((*place, *index)),
            Task::Batch { .. }
            | Task::Due { .. }
            | Task::Fact { .. }
            | Task::Word { .. }
            | Task::Erase { .. } => None,
        });
        let next = match ambush {
            Ambush::Next => ahead.next(),
            Ambush::Payment(customer) => {
                let ahead: Vec<_> = ahead.collect();
                let pays = |(_, index): &&((i64, u64), usize)| self.pays(*index, customer);
                ahead.iter().find(pays).or(ahead.first()).copied()
            }
        };
        let Some((place, index)) = next else { return };
        self.agenda.remove(&place);
        if let Some(entry) = self.ledger.learn(self.world, index) {
            self.favourite = Some(self.next_actor);
            self.start(Task::Fact { index: Some(index), entry, tries: 0 });
        }
    }

    /// Whether a fact is a payment of the customer with this partition.
    fn pays(&self, index: usize, partition: &str) -> bool {
        match &self.world.facts[index].1 {
            Fact::Pay { obligation, .. } => {
                let customer = &self.world.customers[self.world.owners[*obligation]];
                partition.ends_with(&format!("#CUST#{}", customer.id))
            }
            Fact::Unpay { .. }
            | Fact::Move { .. }
            | Fact::Dispute { .. }
            | Fact::OptOut { .. }
            | Fact::Suppress { .. }
            | Fact::Appear { .. }
            | Fact::Policy => false,
        }
    }

    /// Gives a batch of a queue's messages to its function.
    fn receive(&mut self, pipe: Pipe) {
        let ids = take_batch(&mut self.scene.state(), pipe);
        if !ids.is_empty() {
            self.start(Task::Batch { pipe, ids });
        }
    }

    fn start(&mut self, task: Task) {
        let id = self.next_actor;
        self.next_actor += 1;
        let (now, begun, clock) = {
            let mut state = self.scene.state();
            state.actor = id;
            state.note(|| format!("starts: {}", told(&task)));
            (state.now, state.step, clock_of_a_function(&mut state))
        };
        let (functions, world) = (self.functions, self.world);
        let future: Pin<Box<dyn Future<Output = End> + 'w>> = match task.clone() {
            Task::Batch { pipe, ids } => {
                let event = event_of(self.bodies(&ids));
                Box::pin(async move {
                    End::Batch(match pipe {
                        Pipe::Plan => plan_shard::handle(&functions.plan, event, clock).await,
                        Pipe::Email => delivery::handle(&functions.email, event, clock).await,
                        Pipe::Sms => delivery::handle(&functions.sms, event, clock).await,
                        Pipe::Events => record_delivery::handle(&functions.record, event, clock).await,
                    })
                })
            }
            Task::Due { event, .. } => Box::pin(async move {
                match scan_due::handle(&functions.scan, event, clock).await {
                    Ok(_) => End::Done,
                    Err(_) => End::Again,
                }
            }),
            Task::Fact { entry, .. } => Box::pin(async move {
                let written = write(&functions.store, &functions.secret, world, &entry, now).await;
                if written { End::Done } else { End::Again }
            }),
            Task::Learn { .. } => Box::pin(async { End::Done }),
            Task::Word { .. } => {
                let scene = self.scene.clone();
                Box::pin(async move {
                    let tenant = &world.tenant.id;
                    let said = people::settle(&functions.store, &scene, tenant, clock.timestamp_millis());
                    if said.await { End::Done } else { End::Again }
                })
            }
            Task::Erase { customer } => Box::pin(async move {
                let scope = Scope::new(world.tenant.id.clone(), world.tenant.shards);
                let id = &world.customers[customer].id;
                let erased = people::erase(&functions.store, &scope, id, clock.timestamp_millis());
                if erased.await { End::Done } else { End::Again }
            }),
        };
        self.actors.push(Actor { id, task, begun, dies_at: now + FUNCTION_MS_MAX, future });
    }

    fn bodies(&self, ids: &[u64]) -> Vec<String> {
        let state = self.scene.state();
        let body = |id: &u64| state.messages.iter().find(|m| m.id == *id).map(|m| m.body.clone());
        ids.iter().filter_map(body).collect()
    }

    /// The positions of those who can go on.
    fn ready(&self) -> Vec<usize> {
        let state = self.scene.state();
        let awake = |a: &Actor<'_>| state.asleep.get(&a.id).is_none_or(|until| *until <= state.now);
        (0..self.actors.len()).filter(|i| awake(&self.actors[*i])).collect()
    }

    /// The next moment at which anything can happen.
    fn next_moment(&self) -> Option<i64> {
        let state = self.scene.state();
        let room = self.actors.len() < ACTORS_MAX;
        let entry = self.agenda.keys().next().map(|(at, _)| *at).filter(|_| room);
        let message = state.messages.iter().map(|m| m.visible_at).min().filter(|_| room);
        let awake = self.actors.iter().filter_map(|a| state.asleep.get(&a.id).copied()).min();
        [entry, message, awake].into_iter().flatten().min()
    }

    fn pass_until(&mut self, at: i64) {
        let mut state = self.scene.state();
        state.now = state.now.max(at);
        if state.now >= self.world.calm_at {
            state.climate = Climate::default();
        }
    }

    fn poll(&mut self, chosen: usize) {
        {
            let mut state = self.scene.state();
            state.actor = self.actors[chosen].id;
            let step_ms = if self.world.paced { PACED_POLL_MS_MAX } else { POLL_MS_MAX };
            state.now += state.dice.between(1, step_ms);
        }
        let polled = self.actors[chosen].future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.course.lines.resize(self.functions.lines(), self.actors[chosen].begun);
        if let Poll::Ready(end) = polled {
            let actor = self.actors.swap_remove(chosen);
            self.finish(actor.id, actor.task, end);
        }
    }

    fn crash(&mut self, chosen: usize) {
        let actor = self.actors.swap_remove(chosen);
        self.course.crashes += 1;
        {
            let mut state = self.scene.state();
            state.actor = actor.id;
            state.note(|| "dies".to_owned());
            let claimed: Vec<Place> = state
                .turns
                .iter()
                .filter(|t| t.actor == actor.id && t.state == "claimed")
                .map(|t| t.place.clone())
                .collect();
            state.excused.extend(claimed);
        }
        // Its messages come back by themselves when their time is over.
        self.note_fact(actor.id, &actor.task, false);
        self.again(actor.task);
    }

    fn finish(&mut self, id: ActorId, task: Task, end: End) {
        self.scene.state().note(|| "ends".to_owned());
        self.note_fact(id, &task, matches!(end, End::Done));
        match end {
            End::Done if matches!(task, Task::Erase { .. }) => {
                self.course.erased = Some(self.scene.state().step);
            }
            End::Done => {}
            End::Again => self.again(task),
            End::Batch(response) => {
                let Task::Batch { ids, .. } = task else { return };
                let failed =
                    response.batch_item_failures.iter().filter_map(|f| f.item_identifier.parse().ok());
                let failed: BTreeSet<usize> = failed.collect();
                let done = ids.iter().enumerate().filter(|(i, _)| !failed.contains(i)).map(|(_, id)| *id);
                let done: Vec<u64> = done.collect();
                self.done_with(id, &done);
            }
        }
    }

    /// Takes messages out of their queue, unless it gives one out again.
    fn done_with(&mut self, actor: ActorId, ids: &[u64]) {
        let mut prevented = 0;
        for id in ids {
            let mut state = self.scene.state();
            let Some(at) = state.messages.iter().position(|m| m.id == *id) else { continue };
            let claimed = state.turns.iter().any(|t| t.actor == actor && t.state == "claimed");
            if !claimed && self.was_overtaken(&state.messages[at]) {
                prevented += 1;
            }
            state.take(*id);
            let duplicate = state.climate.duplicate;
            if state.dice.happens(duplicate) {
                let visible_at = state.now + state.dice.between(0, 10 * MINUTE_MS);
                state.messages[at].visible_at = visible_at;
            } else {
                state.messages.swap_remove(at);
            }
        }
        self.course.prevented += prevented;
    }

    /// Whether a fact about its customer became known after a touch was queued.
    fn was_overtaken(&self, message: &Message) -> bool {
        let Ok(job) = TouchJob::from_body(&message.body) else { return false };
        let about = |fact: &Fact| match fact {
            Fact::Pay { obligation, .. }
            | Fact::Dispute { obligation, .. }
            | Fact::Move { obligation, .. } => Some(self.world.owners[*obligation]),
            Fact::OptOut { customer, .. } | Fact::Suppress { customer, .. } => Some(*customer),
            Fact::Unpay { .. } | Fact::Appear { .. } | Fact::Policy => None,
        };
        self.world.facts.iter().zip(&self.course.known).any(|((_, fact), known)| {
            known.is_some_and(|step| step > message.queued)
                && about(fact).is_some_and(|c| self.world.customers[c].id == job.customer)
        })
    }

    /// A fact is known from the step at which it was written, also when its writer died or never learned so.
    fn note_fact(&mut self, actor: ActorId, task: &Task, done: bool) {
        let Task::Fact { index, .. } = task else { return };
        let Some(index) = *index else {
            self.file_is_in |= done;
            return;
        };
        let state = self.scene.state();
        let written = state.fence_written.get(&actor).copied().or_else(|| done.then_some(state.step));
        let known = &mut self.course.known[index];
        *known = match (*known, written) {
            (Some(before), Some(now)) => Some(before.min(now)),
            (before, now) => before.or(now),
        };
    }

    fn again(&mut self, task: Task) {
        let now = self.scene.state().now;
        match task {
            Task::Batch { .. } | Task::Learn { .. } => {}
            Task::Due { event, tries } if tries + 1 < STARTS_MAX => {
                self.plan(now + MINUTE_MS, Task::Due { event, tries: tries + 1 });
            }
            Task::Word { tries } if tries + 1 < STARTS_MAX => {
                self.plan(now + MINUTE_MS, Task::Word { tries: tries + 1 });
            }
            Task::Due { .. } | Task::Word { .. } => {}
            // Whoever asks to be forgotten asks until it is done.
            Task::Erase { customer } => self.plan(now + ERASE_AGAIN_MS, Task::Erase { customer }),
            Task::Fact { index, entry, tries } => {
                let wait_ms = MINUTE_MS * i64::from(tries.min(60));
                self.plan(now + wait_ms, Task::Fact { index, entry, tries: tries + 1 });
            }
        }
    }
}
