//! Dead letters: messages that no function could handle, and what an operator may do with them.
//!
//! Invariants: a letter is listed until a person sends it back or throws it away. To send back twice, or after the touch
//! went out, sends nothing: whoever takes a message decides anew. What is shown names ids and no person.

mod shown;
#[cfg(feature = "sqs")]
mod sqs;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use shown::shown_body;
#[cfg(feature = "sqs")]
pub use sqs::{
    HOLD_SECONDS, LETTERS_MAX, REDRIVEN_MAX, SOUGHT_MAX, SqsDeadLetterError, SqsDeadLetters, SqsPlace,
};

/// A queue, by the function that takes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueName {
    /// Shard jobs.
    PlanShard,
    /// Touch jobs of the email channel.
    SendEmail,
    /// Touch jobs of the SMS channel.
    SendSms,
    /// Events of the providers.
    RecordDelivery,
}

impl QueueName {
    /// All queues, in the order of the work.
    pub const ALL: [Self; 4] = [Self::PlanShard, Self::SendEmail, Self::SendSms, Self::RecordDelivery];

    /// The name as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlanShard => "plan-shard",
            Self::SendEmail => "send-email",
            Self::SendSms => "send-sms",
            Self::RecordDelivery => "record-delivery",
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no queue; expected plan-shard, send-email, send-sms or record-delivery")]
pub struct UnknownQueue(String);

impl FromStr for QueueName {
    type Err = UnknownQueue;

    fn from_str(text: &str) -> Result<Self, UnknownQueue> {
        let found = Self::ALL.into_iter().find(|queue| queue.as_str() == text);
        found.ok_or_else(|| UnknownQueue(text.to_owned()))
    }
}

/// The id of a message in its queue: on AWS that of SQS, on one machine `m` and a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(String);

impl MessageId {
    /// An id as a queue gave it. Any text is one; one that no queue gave is found nowhere.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message that no function could handle.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: MessageId,
    /// The queue it came from.
    pub queue: String,
    /// Why it is dead; `None` where nobody could say, because its function died or ran out of time.
    pub reason: Option<String>,
    /// How often its function had it.
    pub receives: u32,
    /// Since when it is dead, where that is known.
    pub dead_at: Option<DateTime<Utc>>,
    /// What it says. It may name a person; [`shown_body`] does not.
    pub body: String,
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An event of a provider names an address.
        f.debug_struct("DeadLetter").field("id", &self.id).field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// What a person did with a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
pub enum Removed {
    /// It went back into its queue.
    Redriven {
        /// When.
        at: DateTime<Utc>,
    },
    /// It was thrown away.
    Discarded {
        /// Why.
        reason: String,
        /// When.
        at: DateTime<Utc>,
    },
}

/// Dead letters that were listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The letters.
    pub letters: Vec<DeadLetter>,
    /// Whether these are all; some queues are only looked into as far as a limit.
    pub is_all: bool,
}

/// What lies under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A dead letter.
    Dead(DeadLetter),
    /// One that a person has dealt with, where that is remembered.
    Ended(Removed),
    /// Nothing that is known.
    Nothing,
}

/// What came of a wish about a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// A person had dealt with the letter before; nothing was done.
    Before(Removed),
    /// No dead letter has the id.
    Nothing,
}

/// What one call of [`DeadLetters::redrive_all`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redriven {
    /// How many messages went back into their queues.
    pub messages: usize,
    /// Whether none is left; otherwise another call takes the rest.
    pub is_all: bool,
}

/// What an operator may do with dead letters, wherever they lie. All of it may be done twice.
pub trait DeadLetters {
    /// Why something could not be done.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The letters of one queue, by its name, or of all.
    fn list(&self, queue: Option<&str>) -> impl Future<Output = Result<Listing, Self::Error>>;

    /// One letter, with its message.
    fn inspect(&self, id: &MessageId) -> impl Future<Output = Result<Found, Self::Error>>;

    /// Puts a letter back into its queue, with all its receives before it once more.
    fn redrive(
        &self,
        id: &MessageId,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Answer, Self::Error>>;

    /// Puts all letters of one queue, or of all, back.
    fn redrive_all(
        &self,
        queue: Option<&str>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Redriven, Self::Error>>;

    /// Throws a letter away for a reason, which is kept, or logged where nothing keeps it.
    fn discard(
        &self,
        id: &MessageId,
        reason: &str,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Answer, Self::Error>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_is_read_as_it_is_written() {
        for queue in QueueName::ALL {
            assert_eq!(queue.to_string().parse(), Ok(queue));
            assert_eq!(serde_json::to_value(queue).unwrap(), queue.as_str());
        }
        assert!("send-fax".parse::<QueueName>().unwrap_err().to_string().contains("expected plan-shard"));
    }
}
