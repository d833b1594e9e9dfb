//! The climate of a world: which faults it has, and how often.
//!
//! Invariant: a world has every fault of its climate from the first request to the end of the chaos, and none after it.

use crate::dice::Dice;

/// How often each fault strikes, in a thousand times; 0 where a world does not have it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Climate {
    /// A request to the store is refused for now.
    pub(crate) throttle: i64,
    /// A transaction meets another one.
    pub(crate) contend: i64,
    /// A write does not arrive, and nobody knows.
    pub(crate) lose_request: i64,
    /// A write is done, and nobody knows.
    pub(crate) lose_answer: i64,
    /// A batch read leaves a key out.
    pub(crate) leave_key: i64,
    /// A function dies at an await point.
    pub(crate) crash: i64,
    /// The provider refuses for good.
    pub(crate) refuse: i64,
    /// The provider refuses for now.
    pub(crate) refuse_now: i64,
    /// The provider never gets the message, and nobody knows.
    pub(crate) provider_deaf: i64,
    /// The provider takes the message, and nobody knows.
    pub(crate) provider_mute: i64,
    /// The provider takes its time.
    pub(crate) provider_slow: i64,
    /// A message is queued twice, or given again after it was done.
    pub(crate) duplicate: i64,
    /// A message is late.
    pub(crate) delay: i64,
    /// A queue keeps a part of what it is given, and says so.
    pub(crate) queue_fails: i64,
    /// A fact comes right after a function has read a range, and is quicker than what the function does with it.
    pub(crate) ambush: i64,
    /// A daily scan is started twice.
    pub(crate) repeat_scan: i64,
    /// A daily scan is never started.
    pub(crate) miss_scan: i64,
    /// The provider reports what became of a message.
    pub(crate) reports: i64,
    /// It refuses a message that it had accepted.
    pub(crate) reject: i64,
    /// A message comes back, and the next one may arrive.
    pub(crate) soft_bounce: i64,
    /// A message comes back for good.
    pub(crate) hard_bounce: i64,
    /// A customer complains about a message.
    pub(crate) complain: i64,
    /// An event never comes.
    pub(crate) event_lost: i64,
    /// An event comes twice.
    pub(crate) event_twice: i64,
    /// An event comes late, after later ones.
    pub(crate) event_late: i64,
    /// Somebody forges an event.
    pub(crate) forge: i64,
    /// How far the clock of a function is off at most, in milliseconds.
    pub(crate) skew_ms: i64,
}

/// Five minutes.
pub(crate) const SKEW_MS_MAX: i64 = 5 * 60 * 1_000;

/// How often a provider takes a message and nobody knows, reports, and reports late, where somebody is asked about it;
/// of a thousand, at least.
const DOUBTFUL: (i64, i64, i64) = (300, 900, 700);

impl Climate {
    /// The same where there is more that nobody knows for now.
    pub(crate) fn with_late_events(self) -> Self {
        let (mute, reports, late) = DOUBTFUL;
        Self {
            provider_mute: self.provider_mute.max(mute),
            reports: self.reports.max(reports),
            event_late: self.event_late.max(late),
            ..self
        }
    }

    /// Rolls a climate. One world in ten has fair weather, which shows what the pipeline does when nothing fails.
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        if dice.happens(100) {
            return Self::default();
        }
        let mut sometimes = |choices: &[i64]| if dice.happens(500) { dice.one_of(choices) } else { 0 };
        Self {
            throttle: sometimes(&[10, 50, 150, 500]),
            contend: sometimes(&[20, 100]),
            lose_request: sometimes(&[10, 50]),
            lose_answer: sometimes(&[10, 50, 150]),
            leave_key: sometimes(&[50, 300]),
            crash: sometimes(&[2, 10, 30]),
            refuse: sometimes(&[50, 300]),
            refuse_now: sometimes(&[50, 300, 600]),
            provider_deaf: sometimes(&[50, 300]),
            provider_mute: sometimes(&[50, 300]),
            provider_slow: sometimes(&[50, 300]),
            duplicate: sometimes(&[50, 300]),
            delay: sometimes(&[50, 300]),
            queue_fails: sometimes(&[20, 100]),
            ambush: sometimes(&[100, 400]),
            repeat_scan: sometimes(&[300, 800]),
            miss_scan: sometimes(&[100, 300]),
            reports: sometimes(&[500, 1_000]),
            reject: sometimes(&[50, 200]),
            soft_bounce: sometimes(&[50, 300, 800]),
            hard_bounce: sometimes(&[100, 400]),
            complain: sometimes(&[50, 300]),
            event_lost: sometimes(&[100, 500]),
            event_twice: sometimes(&[100, 500]),
            event_late: sometimes(&[100, 500]),
            forge: sometimes(&[100, 300]),
            skew_ms: sometimes(&[1_000, 60_000, SKEW_MS_MAX]),
        }
    }
}
