//! The scene: what all parts of one world share. The clock, the dice, the queues, and the book of what happened.
//!
//! Invariant: one part at a time looks at it, and none keeps it over an await point, so the lock is never waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use domain::touch::Touch;

use crate::climate::Climate;
use crate::dice::Dice;
use crate::people::Word;
use crate::reports::Told;

/// Which actor, in the order of their starts.
pub(crate) type ActorId = u64;

/// The queues between the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pipe {
    /// Shards to plan.
    Plan,
    /// Touches by email.
    Email,
    /// Touches by SMS.
    Sms,
    /// What the provider reports.
    Events,
}

impl Pipe {
    /// The function that takes its messages.
    pub(crate) const fn function(self) -> &'static str {
        match self {
            Self::Plan => "plan-shard",
            Self::Email => "send-email",
            Self::Sms => "send-sms",
            Self::Events => "record-delivery",
        }
    }
}

/// A message in a queue.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) pipe: Pipe,
    pub(crate) body: String,
    /// When it may be given out, in milliseconds.
    pub(crate) visible_at: i64,
    /// How often it was given out.
    pub(crate) receives: u32,
    /// The step at which it was queued.
    pub(crate) queued: u64,
}

/// What the provider did with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate {
    /// It has the message, and will deliver it.
    pub(crate) accepted: bool,
    /// It said so, or said that it will not; otherwise nobody can know.
    pub(crate) answered: bool,
}

/// A call of the provider, in its own book.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) touch: Touch,
    pub(crate) fate: Fate,
    /// The moment that the caller named.
    pub(crate) named_at: DateTime<Utc>,
    /// The true moment, in milliseconds.
    pub(crate) at: i64,
    /// The true moment at which the caller began, in milliseconds.
    pub(crate) begun_at: i64,
    /// How many units of the rate it takes.
    pub(crate) units: u32,
    /// The claim it was made under; `None` where there was none.
    pub(crate) claim: Option<u64>,
    /// Whether the provider reports that the message did not arrive.
    pub(crate) came_back: bool,
}

/// A place in the store.
pub(crate) type Place = (String, String);

/// A change of a touch that the store carried out.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) step: u64,
    pub(crate) place: Place,
    pub(crate) state: String,
    pub(crate) actor: ActorId,
}

/// Everything that is shared.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) dice: Dice,
    pub(crate) climate: Climate,
    /// The true time, in milliseconds since 1970.
    pub(crate) now: i64,
    /// Counts what had an effect.
    pub(crate) step: u64,
    /// Who is being polled.
    pub(crate) actor: ActorId,
    /// Until when an actor waits for an answer, in milliseconds.
    pub(crate) asleep: BTreeMap<ActorId, i64>,
    pub(crate) messages: Vec<Message>,
    pub(crate) dead_letters: Vec<Message>,
    next_message: u64,
    pub(crate) calls: Vec<Call>,
    /// The events that are true.
    pub(crate) told: Vec<Told>,
    /// What operators said, or were about to say.
    pub(crate) words: Vec<Word>,
    /// The messages that are forged events.
    pub(crate) forged: BTreeSet<u64>,
    /// Those of them that were taken as if they were true.
    pub(crate) believed: Vec<u64>,
    /// Every state of a touch that was written, in order.
    pub(crate) turns: Vec<Turn>,
    /// Claims that got the mark of their call, with the step.
    pub(crate) marks: Vec<(u64, Place)>,
    /// The first step at which each actor wrote the fence of a customer: its fact is known from then on.
    pub(crate) fence_written: BTreeMap<ActorId, u64>,
    /// Touches of which nobody may know what became: their writer died, or a write about them was struck.
    pub(crate) excused: Vec<Place>,
    /// Moments for which a touch waits that nobody was woken for yet, in milliseconds.
    pub(crate) new_waves: Vec<i64>,
    /// Whether a fact comes now, and which.
    pub(crate) ambush: Option<Ambush>,
    pub(crate) trace: Option<Vec<String>>,
}

/// A fact that comes before whoever works goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ambush {
    /// The next one, whoever it is about.
    Next,
    /// A payment of the customer with this partition, else the next one.
    Payment(String),
}

/// The scene of a world. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Scene(Arc<Mutex<State>>);

impl Scene {
    pub(crate) fn new(dice: Dice, climate: Climate, now: i64, traced: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            dice,
            climate,
            now,
            step: 0,
            actor: 0,
            asleep: BTreeMap::new(),
            messages: Vec::new(),
            dead_letters: Vec::new(),
            next_message: 0,
            calls: Vec::new(),
            told: Vec::new(),
            words: Vec::new(),
            forged: BTreeSet::new(),
            believed: Vec::new(),
            turns: Vec::new(),
            marks: Vec::new(),
            fence_written: BTreeMap::new(),
            excused: Vec::new(),
            new_waves: Vec::new(),
            ambush: None,
            trace: traced.then(Vec::new),
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Keeps a message, to be given out at a moment; gives its id.
    pub(crate) fn queue(&mut self, pipe: Pipe, body: String, visible_at: i64) -> u64 {
        self.next_message += 1;
        let (id, queued) = (self.next_message, self.step);
        self.messages.push(Message { id, pipe, body, visible_at, receives: 0, queued });
        id
    }

    /// Notes that the function is done with a message: if it carries an event, the event was taken.
    pub(crate) fn take(&mut self, message: u64) {
        let step = self.step;
        if self.forged.contains(&message) {
            self.believed.push(message);
        }
        if let Some(told) = self.told.iter_mut().find(|t| t.messages.contains(&message)) {
            told.taken.get_or_insert(step);
        }
    }

    /// Writes a line about who is being polled. Lines name ids only.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!(
                "{} #{} {}",
                instant(self.now).format("%m-%d %H:%M:%S%.3f"),
                self.actor,
                line()
            ));
        }
    }
}

/// A moment of the scene's clock.
pub(crate) fn instant(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}
