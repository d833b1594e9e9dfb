//! Queues in a file: on one machine, what SQS is on AWS.
//!
//! Invariants: a message is in the file before `put` returns, and stays there until its function is done with it, also
//! where the process is killed. A message that failed [`RECEIVES_MAX`] times lies with the dead letters, with its reason,
//! until a person sends it back or throws it away. A line that cannot be read is set apart, and costs no other. One
//! process at a time writes the file; its caller sees to that.

mod file;
mod letters;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use chrono::{DateTime, Utc};

use crate::batch::{Incoming, event_of_messages, with_reasons};
use crate::dead_letter::{DeadLetter, MessageId, QueueName, Removed};
use file::{Journal, Line};

/// How often a message is given to its function before it lies with the dead letters; the queues on AWS have the same
/// `maxReceiveCount`.
pub const RECEIVES_MAX: u32 = 5;
/// How many ends of dead letters a file remembers; older ones are forgotten when it is opened.
pub const ENDS_KEPT_MAX: usize = 10_000;

/// The reason of a message whose function never came back.
pub const NEVER_CAME_BACK: &str = "the process ended each time while its function worked on it";

/// A file of queues cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalQueueError {
    /// It cannot be read or written.
    #[error("the queues in {path} cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No line is one of ours.
    #[error(
        "{path}, line {line}: {problem}, and no other line can be read; expected what a local run has written"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the parser said; it names fields, not values.
        problem: String,
    },
}

/// A line of a file of queues that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableLine {
    /// Which, counted from 1.
    pub line: usize,
    /// What the parser said; it names no values.
    pub problem: String,
}

/// What one call of [`LocalQueues::give`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    /// How many messages the function got.
    pub messages: usize,
    /// How many of them lie with the dead letters now.
    pub dead: usize,
}

/// Queues with their dead letters. Clones share them.
#[derive(Clone, Default)]
pub struct LocalQueues(Arc<Mutex<State>>);

impl std::fmt::Debug for LocalQueues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A message may name a person.
        f.debug_struct("LocalQueues").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    /// The id of the newest message.
    newest: u64,
    messages: BTreeMap<u64, Message>,
    waiting: BTreeMap<QueueName, BTreeSet<u64>>,
    ended: BTreeMap<u64, Removed>,
    unreadable: Vec<UnreadableLine>,
    journal: Journal,
}

#[derive(Clone)]
struct Message {
    queue: QueueName,
    body: String,
    receives: u32,
    dead: Option<Death>,
}

#[derive(Clone)]
struct Death {
    reason: String,
    at: DateTime<Utc>,
}

impl LocalQueues {
    /// Queues in memory, which end with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self::default()
    }

    /// Opens the queues of a file, which is made where it is not there, for the only process that writes it. What was
    /// given out and not finished waits again. Lines that cannot be read go to a file beside it, whose name ends in
    /// `.unreadable.jsonl`, with their place.
    ///
    /// # Errors
    /// [`LocalQueueError`] when the file cannot be read or written, or is none of ours.
    pub fn open(path: &Path, now: DateTime<Utc>) -> Result<Self, LocalQueueError> {
        let (mut state, set_apart) = file::load(path)?;
        file::keep_apart(path, &set_apart, now)?;
        state.bury_those_that_never_came_back(now);
        state.journal = Journal::rewrite(path, &state.lines())?;
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    /// Reads the queues of a file and changes nothing in it; one that is not there is empty.
    ///
    /// # Errors
    /// [`LocalQueueError`] when the file cannot be read, or is none of ours.
    pub fn read(path: &Path) -> Result<Self, LocalQueueError> {
        Ok(Self(Arc::new(Mutex::new(file::load(path)?.0))))
    }

    /// The lines that could not be read when the file was.
    #[must_use]
    pub fn unreadable(&self) -> Vec<UnreadableLine> {
        self.state().unreadable.clone()
    }

    /// Keeps messages in a queue, in order.
    ///
    /// # Errors
    /// [`LocalQueueError`] when they may not all be kept.
    pub fn put(&self, queue: QueueName, bodies: Vec<String>) -> Result<(), LocalQueueError> {
        let mut state = self.state();
        let first = state.newest + 1;
        let sent = (first..).zip(bodies).map(|(id, body)| Line::Sent { id, queue, body, receives: 0 });
        let lines: Vec<Line> = sent.collect();
        state.carry_out(lines)
    }

    /// How many messages wait in a queue.
    #[must_use]
    pub fn waiting(&self, queue: QueueName) -> usize {
        self.state().waiting.get(&queue).map_or(0, BTreeSet::len)
    }

    /// Gives up to `most` messages of a queue to its function, oldest first, and keeps what came of them: those that it
    /// reports as failed wait again, or lie with the dead letters after [`RECEIVES_MAX`] times.
    ///
    /// # Errors
    /// [`LocalQueueError`] when that cannot be kept.
    pub async fn give(
        &self,
        queue: QueueName,
        most: usize,
        now: DateTime<Utc>,
        handle: impl AsyncFn(SqsEvent) -> SqsBatchResponse,
    ) -> Result<Given, LocalQueueError> {
        let taken = self.receive(queue, most)?;
        if taken.is_empty() {
            return Ok(Given::default());
        }
        let ids: BTreeMap<String, u64> =
            taken.iter().map(|(id, _)| (id_text(*id).to_string(), *id)).collect();
        let event = event_of_messages(taken.iter().map(|(id, message)| Incoming {
            id: id_text(*id).to_string(),
            receives: message.receives,
            body: message.body.clone(),
        }));
        let (response, reasons) = with_reasons(handle(event)).await;
        let failed: BTreeMap<u64, String> = response
            .batch_item_failures
            .iter()
            .filter_map(|failure| {
                let reason = reasons.get(&failure.item_identifier);
                let reason = reason.map_or("its function gave no reason", String::as_str);
                Some((*ids.get(&failure.item_identifier)?, reason.to_owned()))
            })
            .collect();
        self.finish(&taken, &failed, now)
    }

    /// Takes messages out of a queue and counts the receive before anybody works on them.
    fn receive(&self, queue: QueueName, most: usize) -> Result<Vec<(u64, Message)>, LocalQueueError> {
        let mut state = self.state();
        let oldest = state.waiting.get(&queue).into_iter().flatten().copied().take(most);
        let ids: Vec<u64> = oldest.collect();
        if !ids.is_empty() {
            state.carry_out(vec![Line::Received { ids: ids.clone() }])?;
        }
        Ok(ids.into_iter().filter_map(|id| Some((id, state.messages.get(&id)?.clone()))).collect())
    }

    fn finish(
        &self,
        taken: &[(u64, Message)],
        failed: &BTreeMap<u64, String>,
        now: DateTime<Utc>,
    ) -> Result<Given, LocalQueueError> {
        let done: Vec<u64> = taken.iter().map(|(id, _)| *id).filter(|id| !failed.contains_key(id)).collect();
        let mut lines = Vec::new();
        if !done.is_empty() {
            lines.push(Line::Done { ids: done });
        }
        let mut again = Vec::new();
        for (id, message) in taken {
            let Some(reason) = failed.get(id) else { continue };
            if message.receives >= RECEIVES_MAX {
                lines.push(Line::Dead { id: *id, reason: reason.clone(), at: now });
            } else {
                again.push(*id);
            }
        }
        let dead = failed.len() - again.len();
        if !again.is_empty() {
            lines.push(Line::Failed { ids: again });
        }
        self.state().carry_out(lines)?;
        Ok(Given { messages: taken.len(), dead })
    }

    /// The dead letters, of one queue or of all, oldest first.
    #[must_use]
    pub fn dead(&self, queue: Option<QueueName>) -> Vec<DeadLetter> {
        let state = self.state();
        let of_queue = state.messages.iter().filter(|(_, m)| queue.is_none_or(|q| q == m.queue));
        of_queue.filter_map(|(id, message)| letter(*id, message)).collect()
    }

    /// One dead letter.
    #[must_use]
    pub fn find(&self, id: &MessageId) -> Option<DeadLetter> {
        let number = number_of(id)?;
        letter(number, self.state().messages.get(&number)?)
    }

    /// What became of a letter that is dead no more.
    #[must_use]
    pub fn end_of(&self, id: &MessageId) -> Option<Removed> {
        self.state().ended.get(&number_of(id)?).cloned()
    }

    /// Puts a dead letter back into its queue, with all its receives before it once more; `false` where it is none.
    ///
    /// # Errors
    /// [`LocalQueueError`] when that cannot be kept.
    pub fn redrive(&self, id: &MessageId, now: DateTime<Utc>) -> Result<bool, LocalQueueError> {
        self.end(id, |id| Line::Redriven { id, at: now })
    }

    /// Throws a dead letter away for a reason, which is kept; `false` where it is none.
    ///
    /// # Errors
    /// [`LocalQueueError`] when that cannot be kept.
    pub fn discard(&self, id: &MessageId, reason: &str, now: DateTime<Utc>) -> Result<bool, LocalQueueError> {
        self.end(id, |id| Line::Discarded { id, reason: reason.to_owned(), at: now })
    }

    fn end(&self, id: &MessageId, line: impl FnOnce(u64) -> Line) -> Result<bool, LocalQueueError> {
        let mut state = self.state();
        let dead = |id: &u64| state.messages.get(id).is_some_and(|message| message.dead.is_some());
        let Some(number) = number_of(id).filter(dead) else { return Ok(false) };
        state.carry_out(vec![line(number)])?;
        Ok(true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every line is taken as a whole, so what another thread left behind is sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes lines and does what they say.
    fn carry_out(&mut self, lines: Vec<Line>) -> Result<(), LocalQueueError> {
        self.journal.append(&lines)?;
        lines.into_iter().for_each(|line| self.take(line));
        Ok(())
    }

    /// Does what a line says. What it says about a message that is not there says nothing.
    fn take(&mut self, line: Line) {
        match line {
            Line::Newest { id } => self.newest = self.newest.max(id),
            Line::Sent { id, queue, body, receives } => {
                self.newest = self.newest.max(id);
                self.messages.insert(id, Message { queue, body, receives, dead: None });
                self.waiting.entry(queue).or_default().insert(id);
            }
            Line::Received { ids } => {
                for id in ids {
                    let Some(message) = self.messages.get_mut(&id) else { continue };
                    message.receives += 1;
                    self.waiting.entry(message.queue).or_default().remove(&id);
                }
            }
            Line::Failed { ids } => ids.into_iter().for_each(|id| self.wait(id)),
            Line::Done { ids } => {
                for id in ids {
                    if let Some(message) = self.messages.remove(&id) {
                        self.waiting.entry(message.queue).or_default().remove(&id);
                    }
                }
            }
            Line::Dead { id, reason, at } => {
                if let Some(message) = self.messages.get_mut(&id) {
                    self.waiting.entry(message.queue).or_default().remove(&id);
                    message.dead = Some(Death { reason, at });
                    self.ended.remove(&id);
                }
            }
            Line::Redriven { id, at } => {
                if let Some(message) = self.messages.get_mut(&id) {
                    (message.dead, message.receives) = (None, 0);
                    self.wait(id);
                    self.ended.insert(id, Removed::Redriven { at });
                }
            }
            Line::Discarded { id, reason, at } => {
                self.messages.remove(&id);
                self.ended.insert(id, Removed::Discarded { reason, at });
            }
            Line::Ended { id, end } => {
                self.ended.insert(id, end);
            }
        }
    }

    fn wait(&mut self, id: u64) {
        if let Some(message) = self.messages.get(&id) {
            self.waiting.entry(message.queue).or_default().insert(id);
        }
    }

    /// A message that was given out when its process ended waits again; one that saw too many of them does not.
    fn bury_those_that_never_came_back(&mut self, now: DateTime<Utc>) {
        let living = self.messages.iter().filter(|(_, m)| m.dead.is_none());
        let (lost, again): (Vec<_>, Vec<_>) =
            living.map(|(id, m)| (*id, m.receives)).partition(|(_, receives)| *receives >= RECEIVES_MAX);
        again.into_iter().for_each(|(id, _)| self.wait(id));
        for (id, _) in lost {
            self.take(Line::Dead { id, reason: NEVER_CAME_BACK.to_owned(), at: now });
        }
    }

    /// The shortest file that says the same.
    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::Newest { id: self.newest }];
        for (&id, message) in &self.messages {
            let Message { queue, body, receives, dead } = message.clone();
            lines.push(Line::Sent { id, queue, body, receives });
            if let Some(Death { reason, at }) = dead {
                lines.push(Line::Dead { id, reason, at });
            }
        }
        let forgotten = self.ended.len().saturating_sub(ENDS_KEPT_MAX);
        lines
            .extend(self.ended.iter().skip(forgotten).map(|(&id, end)| Line::Ended { id, end: end.clone() }));
        lines
    }
}

fn letter(id: u64, message: &Message) -> Option<DeadLetter> {
    let Message { queue, body, receives, dead } = message.clone();
    let Death { reason, at } = dead?;
    let dead_at = Some(at);
    Some(DeadLetter {
        id: id_text(id),
        queue: queue.to_string(),
        reason: Some(reason),
        receives,
        dead_at,
        body,
    })
}

fn id_text(id: u64) -> MessageId {
    MessageId::new(format!("m{id}"))
}

fn number_of(id: &MessageId) -> Option<u64> {
    id.as_str().strip_prefix('m')?.parse().ok()
}

#[cfg(test)]
mod tests;
