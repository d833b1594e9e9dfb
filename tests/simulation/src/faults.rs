//! Store, provider and queues of a world: each lets the others run before and after it does something, and fails as
//! the climate says.
//!
//! Invariant: what is noted in the scene's book is what was done, not what the caller was told.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use channels::{Answer, Outcome, Outgoing, SNS, ScriptedProvider};
use chrono::Utc;
use delivery::{ScriptedTime, Waiting};
use domain::channel::Channel;
use runtime::queue::{ScriptedQueue, Taking};
use store::{Pause, Request, StoreCall, Strike, Weather};

use crate::reports::follow_up;
use crate::scene::{Ambush, Call, Fate, Pipe, Place, Scene, State, Turn, instant};

/// How long a slow provider takes at most, in milliseconds: an attempt of the real one is given up after 25 seconds.
const PROVIDER_MS_MAX: i64 = 25_000;
/// How late a message comes usually, in milliseconds.
const QUEUE_MS_MAX: i64 = 3_000;
/// How late a message comes that is late, in milliseconds.
const QUEUE_LATE_MS_MAX: i64 = 6 * 3_600 * 1_000;

/// Gives the others a turn.
#[derive(Default)]
pub(crate) struct Turnstile {
    passed: bool,
}

impl Future for Turnstile {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // Nobody has to be woken: the simulation polls whom it likes.
        if std::mem::replace(&mut self.passed, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// How many times rarer a fact comes after a query than before a claim.
const QUERIES_FOR_AN_AMBUSH: i64 = 10;

/// The weather over the store.
#[derive(Debug)]
pub(crate) struct StoreWeather(pub(crate) Scene);

impl Weather for StoreWeather {
    fn before<'a>(&'a self, call: &'a StoreCall) -> Pause<'a> {
        // Between the decision and its claim is where a fact hurts most.
        let claimed =
            |i: &&store::NamedItem| i.sk.starts_with("TOUCH#") && i.state.as_deref() == Some("claimed");
        if call.request == Request::Transact
            && let Some(touch) = call.items.iter().find(claimed)
        {
            let mut state = self.0.state();
            let ambush = state.climate.ambush;
            if state.dice.happens(ambush) {
                state.ambush = Some(Ambush::Payment(touch.pk.clone()));
            }
        }
        Box::pin(Turnstile::default())
    }

    fn strike(&self, call: &StoreCall) -> Strike {
        let mut state = self.0.state();
        let strike = roll(&mut state, call.request);
        if strike != Strike::Spare && strike != Strike::LeaveKey {
            // A claim that was refused has no outcome yet that could be lost.
            let lost = |i: &&store::NamedItem| match i.state.as_deref() {
                Some("claimed") => strike == Strike::LoseAnswer,
                Some(_) => true,
                // Who settles a touch reads it first, and gives up where it cannot.
                None => {
                    matches!(call.request, Request::Get | Request::BatchGet) && i.sk.starts_with("TOUCH#")
                }
            };
            let struck: Vec<Place> =
                call.items.iter().filter(lost).map(|i| (i.pk.clone(), i.sk.clone())).collect();
            state.excused.extend(struck);
            // A settlement that moves the fence reads the facts of its customer, and gives up where it cannot.
            if call.request == Request::Query {
                let actor = state.actor;
                let is_open = |t: &&Turn| t.actor == actor && t.state == "claimed";
                let open: Vec<Place> = state.turns.iter().filter(is_open).map(|t| t.place.clone()).collect();
                state.excused.extend(open);
            }
        }
        if strike != Strike::Spare {
            state.note(|| format!("{:?} {:?}: {}", strike, call.request, places(call)));
        }
        strike
    }

    fn after<'a>(&'a self, call: &'a StoreCall, done: bool) -> Pause<'a> {
        if matches!(call.request, Request::Write | Request::Transact) {
            let mut state = self.0.state();
            state.note(|| format!("{} {}", if done { "wrote" } else { "refused" }, places(call)));
            if done {
                book(&mut state, call);
            }
        } else if call.request == Request::Query {
            let mut state = self.0.state();
            // Rarely: there are many queries, and whatever came early comes no more before a claim.
            let ambush = state.climate.ambush / QUERIES_FOR_AN_AMBUSH;
            if state.dice.happens(ambush) {
                state.ambush = Some(Ambush::Next);
            }
        }
        Box::pin(Turnstile::default())
    }
}

fn roll(state: &mut State, request: Request) -> Strike {
    let (climate, dice) = (state.climate, &mut state.dice);
    if dice.happens(climate.throttle) {
        return Strike::Throttle;
    }
    match request {
        Request::Get | Request::Query => Strike::Spare,
        Request::BatchGet if dice.happens(climate.leave_key) => Strike::LeaveKey,
        Request::BatchGet => Strike::Spare,
        Request::Transact if dice.happens(climate.contend) => Strike::Contend,
        Request::Write | Request::Transact => match () {
            () if dice.happens(climate.lose_request) => Strike::LoseRequest,
            () if dice.happens(climate.lose_answer) => Strike::LoseAnswer,
            () => Strike::Spare,
        },
    }
}

/// Notes what a write has done.
fn book(state: &mut State, call: &StoreCall) {
    state.step += 1;
    let (step, actor) = (state.step, state.actor);
    for item in &call.items {
        if item.sk == "FENCE" {
            state.fence_written.entry(actor).or_insert(step);
        }
        if item.is_mark {
            state.marks.push((step, (item.pk.clone(), item.sk.clone())));
        }
        let Some(touch_state) = &item.state else { continue };
        if item.sk.starts_with("TOUCH#") {
            let place = (item.pk.clone(), item.sk.clone());
            state.turns.push(Turn { step, place, state: touch_state.clone(), actor });
        } else if let Some(at) = item.sk.split('#').next().and_then(wave_moment) {
            state.new_waves.push(at);
        }
    }
}

/// The moment of a place in a wave, in milliseconds.
fn wave_moment(text: &str) -> Option<i64> {
    let at = chrono::NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S%.3fZ").ok()?;
    Some(at.and_utc().timestamp_millis())
}

fn places(call: &StoreCall) -> String {
    let place = |i: &store::NamedItem| match &i.state {
        Some(state) => format!("{}/{}={state}", i.pk, i.sk),
        None => format!("{}/{}", i.pk, i.sk),
    };
    call.items.iter().map(place).collect::<Vec<_>>().join(" ")
}

/// The provider of a channel.
pub(crate) struct Provider {
    pub(crate) scene: Scene,
    pub(crate) channel: Channel,
}

impl ScriptedProvider for Provider {
    fn reports_by_id(&self) -> Option<&'static str> {
        (self.channel == Channel::Sms).then_some(SNS)
    }

    fn call<'a>(&'a self, outgoing: &'a Outgoing<'a>) -> Answer<'a> {
        Box::pin(async move {
            let begun_at = self.scene.state().now;
            Turnstile::default().await;
            let outcome = self.decide(outgoing, begun_at);
            // The answer is on its way: the others go on, and the caller may die before it sees it.
            Turnstile::default().await;
            outcome
        })
    }
}

impl Provider {
    fn decide(&self, outgoing: &Outgoing<'_>, begun_at: i64) -> Outcome {
        let mut state = self.scene.state();
        let climate = state.climate;
        let provider_id = format!("sim-{}-{}", outgoing.touch.id, state.calls.len());
        let dice = &mut state.dice;
        let no = Fate { accepted: false, answered: true };
        let reason = || "the provider refused".to_owned();
        let lost = |accepted| {
            let fate = Fate { accepted, answered: false };
            (fate, Outcome::Unknown { reason: "the provider did not answer in time".to_owned() })
        };
        let (fate, outcome) = match () {
            () if dice.happens(climate.refuse) => (no, Outcome::NotSent { reason: reason(), retry: false }),
            () if dice.happens(climate.refuse_now) => match dice.below(4) {
                0 => (no, Outcome::Throttled { reason: reason() }),
                1 => (no, Outcome::Blocked { reason: reason() }),
                _ => (no, Outcome::NotSent { reason: reason(), retry: true }),
            },
            () if dice.happens(climate.provider_deaf) => lost(false),
            () if dice.happens(climate.provider_mute) => lost(true),
            () => {
                let provider_id = provider_id.clone();
                (Fate { accepted: true, answered: true }, Outcome::Accepted { provider_id })
            }
        };
        // Between the call and what is written of it is where a fact hurts next: a claim is taken back after it.
        let is_refused = !fate.accepted && fate.answered;
        let ambush = is_refused && dice.happens(climate.ambush);
        if dice.happens(climate.provider_slow) {
            let wake_at = dice.between(0, PROVIDER_MS_MAX) + state.now;
            let actor = state.actor;
            state.asleep.insert(actor, wake_at);
        }
        if ambush {
            state.ambush = Some(Ambush::Payment(format!("#CUST#{}", outgoing.touch.customer)));
        }
        state.note(|| format!("provider: {} on {}: {outcome:?}", outgoing.touch.id, outgoing.touch.channel));
        state.step += 1;
        let claim = claim_of(&state, outgoing);
        let (at, named_at) = (state.now, outgoing.at.with_timezone(&Utc));
        let to = outgoing.to.address.reveal();
        let came_back =
            fate.accepted && follow_up(&mut state, outgoing.tenant, outgoing.touch, to, &provider_id);
        let (touch, units) = (outgoing.touch.clone(), outgoing.message.send_units());
        state.calls.push(Call { touch, fate, named_at, at, begun_at, units, claim, came_back });
        outcome
    }
}

/// The step of the latest claim of a touch.
fn claim_of(state: &State, outgoing: &Outgoing<'_>) -> Option<u64> {
    let ending = format!("#{}", outgoing.touch.id);
    let of_touch = state.turns.iter().rev().find(|t| t.state == "claimed" && t.place.1.ends_with(&ending));
    of_touch.map(|turn| turn.step)
}

/// One queue.
#[derive(Debug)]
pub(crate) struct SimulatedQueue {
    pub(crate) scene: Scene,
    pub(crate) pipe: Pipe,
}

impl ScriptedQueue for SimulatedQueue {
    fn take_in(&self, bodies: Vec<String>) -> Taking<'_> {
        Box::pin(async move {
            if bodies.is_empty() {
                return Ok(());
            }
            Turnstile::default().await;
            let taken = self.take(bodies);
            Turnstile::default().await;
            taken
        })
    }
}

impl SimulatedQueue {
    fn take(&self, mut bodies: Vec<String>) -> Result<(), usize> {
        let mut state = self.scene.state();
        let climate = state.climate;
        let mut taken = Ok(());
        if state.dice.happens(climate.queue_fails) {
            let kept = state.dice.below(bodies.len() + 1);
            bodies.truncate(kept);
            taken = Err(kept);
        }
        let count = bodies.len();
        state.note(|| format!("queued {count} for {}", self.pipe.function()));
        for body in bodies {
            let copies = if state.dice.happens(climate.duplicate) { 2 } else { 1 };
            for _ in 0..copies {
                let late = state.dice.happens(climate.delay);
                let late_ms = state.dice.between(0, if late { QUEUE_LATE_MS_MAX } else { QUEUE_MS_MAX });
                let visible_at = state.now + late_ms;
                state.queue(self.pipe, body.clone(), visible_at);
            }
        }
        taken
    }
}

/// The time of the senders in a world in which it passes.
#[derive(Debug)]
pub(crate) struct SceneTime(pub(crate) Scene);

impl ScriptedTime for SceneTime {
    fn elapsed_ms(&self) -> i64 {
        self.0.state().now
    }

    fn until_ms(&self, elapsed_ms: i64) -> Waiting<'_> {
        Box::pin(std::future::poll_fn(move |_| {
            let mut state = self.0.state();
            if state.now >= elapsed_ms {
                return Poll::Ready(());
            }
            let actor = state.actor;
            state.asleep.insert(actor, elapsed_ms);
            Poll::Pending
        }))
    }
}

/// The moment that a function's clock shows, which may be off.
pub(crate) fn clock_of_a_function(state: &mut State) -> chrono::DateTime<Utc> {
    let off = state.climate.skew_ms;
    let now = state.now + state.dice.between(-off, off);
    instant(now)
}

/// The store of a world, under its weather.
pub(crate) fn under_weather(raw: &store::Store, scene: &Scene) -> store::Store {
    raw.under(Arc::new(StoreWeather(scene.clone())))
}
