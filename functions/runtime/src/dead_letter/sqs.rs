//! Dead letters on AWS: what lies in the dead-letter queues of SQS.
//!
//! Invariants: SQS cannot be looked into without taking messages out, so whatever is not wanted is given back at once, and
//! by itself after [`HOLD_SECONDS`]. A message is in the queue it came from before it is taken away from the dead letters,
//! so a stop in between leaves it in both, and whoever takes it decides anew. Every walk through a queue has an end.

use std::collections::BTreeMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName, SendMessageBatchRequestEntry,
};
use chrono::{DateTime, Utc};

use super::{Answer, DeadLetter, DeadLetters, Found, Listing, MessageId, Redriven};
use crate::queue::BATCH_ENTRIES_MAX;

/// How long a message that was taken to be looked at stays hidden if it cannot be given back, in seconds.
pub const HOLD_SECONDS: i32 = 120;
/// How long one look into a queue waits for a message, in seconds: SQS then asks all of its servers.
const WAIT_SECONDS: i32 = 1;
/// The most messages of one queue that are listed.
pub const LETTERS_MAX: usize = 1_000;
/// The most messages of one queue among which one is looked for.
pub const SOUGHT_MAX: usize = 10_000;
/// The most messages of one queue that one call sends back.
pub const REDRIVEN_MAX: usize = 10_000;
/// How long an attribute of a call is shown, in bytes: longer ones are no codes and no ids.
const ATTRIBUTE_BYTES_MAX: usize = 100;
/// The most looks into one queue, empty-handed ones included.
const LOOKS_MAX: usize = 2 * REDRIVEN_MAX / BATCH_ENTRIES_MAX;

/// A dead-letter queue, and the queue that its messages came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqsPlace {
    /// The name of the queue, such as `send-email`.
    pub name: String,
    /// The address of the dead letters.
    pub dead_url: String,
    /// The address of the queue that they go back to; `None` for calls that came from no queue.
    pub back_url: Option<String>,
}

/// The dead letters of a deployment.
#[derive(Debug, Clone)]
pub struct SqsDeadLetters {
    client: Client,
    places: Vec<SqsPlace>,
}

/// A dead-letter queue cannot be worked on. What was done before it stays done, and all of it can be done again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqsDeadLetterError {
    /// SQS refused a call, or did not answer.
    #[error("the dead letters of {queue}: {call} failed: {problem}")]
    Call {
        /// The name of the queue.
        queue: String,
        /// What was asked for.
        call: &'static str,
        /// What the client said.
        problem: String,
    },
    /// Its messages came from no queue.
    #[error("what lies with {queue} came from no queue; expected a dead letter of a queue, or to discard it")]
    NoWayBack {
        /// The name of the queue.
        queue: String,
    },
    /// There are more messages than are looked through.
    #[error(
        "{id} is not among the {looked_through} dead letters of {queue} that were looked through, and there are more; \
         expected fewer: send all back, or try again"
    )]
    NotAllSeen {
        /// The message that was looked for.
        id: MessageId,
        /// The name of the queue.
        queue: String,
        /// How many were looked through.
        looked_through: usize,
    },
}

/// A message that was taken out of a queue to be looked at.
struct Held {
    receipt: String,
    message: Message,
}

/// What was taken out of a queue.
struct Taken {
    /// By message id; one that came twice with its newest receipt.
    held: BTreeMap<String, Held>,
    /// Whether the queue had no more.
    is_all: bool,
}

impl SqsDeadLetters {
    /// The dead letters of some queues.
    #[must_use]
    pub const fn new(client: Client, places: Vec<SqsPlace>) -> Self {
        Self { client, places }
    }

    fn named<'a>(&'a self, queue: Option<&'a str>) -> impl Iterator<Item = &'a SqsPlace> {
        self.places.iter().filter(move |place| queue.is_none_or(|name| name == place.name))
    }

    /// Takes up to ten messages out of a queue; none where it has no more, as far as SQS knows.
    async fn receive(&self, place: &SqsPlace) -> Result<Vec<Held>, SqsDeadLetterError> {
        let most = i32::try_from(BATCH_ENTRIES_MAX).unwrap_or(1);
        let answer = self
            .client
            .receive_message()
            .queue_url(&place.dead_url)
            .max_number_of_messages(most)
            .visibility_timeout(HOLD_SECONDS)
            .wait_time_seconds(WAIT_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| failed(place, "to receive", &error))?;
        let held = |message: Message| Some(Held { receipt: message.receipt_handle()?.to_owned(), message });
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(held).collect())
    }

    /// Takes messages out of a queue until it has no more, there are enough, or the wanted one is among them.
    async fn take(&self, place: &SqsPlace, wanted: Option<&MessageId>) -> Result<Taken, SqsDeadLetterError> {
        let most = if wanted.is_some() { SOUGHT_MAX } else { LETTERS_MAX };
        let mut taken = Taken { held: BTreeMap::new(), is_all: false };
        for _ in 0..LOOKS_MAX {
            let messages = match self.receive(place).await {
                Ok(messages) => messages,
                Err(error) => {
                    self.give_back(place, taken.held.values()).await;
                    return Err(error);
                }
            };
            taken.is_all = messages.is_empty();
            for held in messages {
                taken.held.insert(id_of(&held.message).to_owned(), held);
            }
            let is_found = wanted.is_some_and(|id| taken.held.contains_key(id.as_str()));
            if taken.is_all || is_found || taken.held.len() >= most {
                break;
            }
        }
        Ok(taken)
    }

    /// Takes one message, and gives every other back that was in its way. That there is none is said only where every
    /// queue was looked through.
    async fn find(&self, id: &MessageId) -> Result<Option<(&SqsPlace, Held)>, SqsDeadLetterError> {
        let mut not_all_seen = None;
        for place in &self.places {
            let mut taken = self.take(place, Some(id)).await?;
            let found = taken.held.remove(id.as_str());
            self.give_back(place, taken.held.values()).await;
            if let Some(held) = found {
                return Ok(Some((place, held)));
            }
            if !taken.is_all && not_all_seen.is_none() {
                let (queue, looked_through) = (place.name.clone(), taken.held.len());
                not_all_seen = Some(SqsDeadLetterError::NotAllSeen { id: id.clone(), queue, looked_through });
            }
        }
        not_all_seen.map_or(Ok(None), Err)
    }

    /// Lets others see messages again. One for which that fails is seen again after [`HOLD_SECONDS`].
    async fn give_back<'a>(&self, place: &SqsPlace, held: impl Iterator<Item = &'a Held>) {
        let held: Vec<&Held> = held.collect();
        for batch in held.chunks(BATCH_ENTRIES_MAX) {
            let entry = |(n, held): (usize, &&Held)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string());
                entry.receipt_handle(&held.receipt).visibility_timeout(0).build().ok()
            };
            let entries = batch.iter().enumerate().filter_map(entry).collect();
            let call = self.client.change_message_visibility_batch().queue_url(&place.dead_url);
            if let Err(error) = call.set_entries(Some(entries)).send().await {
                let problem = DisplayErrorContext(&error).to_string();
                tracing::warn!(
                    queue = place.name,
                    problem,
                    "dead letters stay hidden for {HOLD_SECONDS} seconds"
                );
            }
        }
    }

    async fn delete(&self, place: &SqsPlace, held: &Held) -> Result<(), SqsDeadLetterError> {
        let call = self.client.delete_message().queue_url(&place.dead_url).receipt_handle(&held.receipt);
        call.send().await.map(|_| ()).map_err(|error| failed(place, "to delete", &error))
    }

    /// Puts messages into the queue they came from, then takes them away from the dead letters; says how many.
    async fn send_back(&self, place: &SqsPlace, held: &[Held]) -> Result<usize, SqsDeadLetterError> {
        let Some(back_url) = &place.back_url else {
            return Err(SqsDeadLetterError::NoWayBack { queue: place.name.clone() });
        };
        let entry = |(n, Held { message, .. }): (usize, &Held)| {
            let entry = SendMessageBatchRequestEntry::builder().id(n.to_string());
            let entry = entry.message_body(message.body().unwrap_or_default());
            entry.set_message_attributes(message.message_attributes().cloned()).build().ok()
        };
        let entries = held.iter().enumerate().filter_map(entry).collect();
        let call = self.client.send_message_batch().queue_url(back_url).set_entries(Some(entries));
        let sent = call.send().await.map_err(|error| failed(place, "to send back", &error))?;
        let kept = sent.successful().iter().filter_map(|one| one.id().parse::<usize>().ok());
        let kept: Vec<&Held> = kept.filter_map(|n| held.get(n)).collect();
        if kept.is_empty() {
            return Ok(0);
        }
        let entry = |(n, held): (usize, &&Held)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(n.to_string());
            entry.receipt_handle(&held.receipt).build().ok()
        };
        let entries = kept.iter().enumerate().filter_map(entry).collect();
        let call = self.client.delete_message_batch().queue_url(&place.dead_url).set_entries(Some(entries));
        let deleted = call.send().await.map_err(|error| failed(place, "to delete", &error))?;
        if let Some(first) = deleted.failed().first() {
            let (count, code) = (deleted.failed().len(), first.code());
            let problem = format!("{count} were sent back and still lie there, first with {code}");
            return Err(SqsDeadLetterError::Call { queue: place.name.clone(), call: "to delete", problem });
        }
        Ok(kept.len())
    }
}

impl DeadLetters for SqsDeadLetters {
    type Error = SqsDeadLetterError;

    async fn list(&self, queue: Option<&str>) -> Result<Listing, SqsDeadLetterError> {
        let mut listing = Listing { letters: Vec::new(), is_all: true };
        for place in self.named(queue) {
            let taken = self.take(place, None).await?;
            self.give_back(place, taken.held.values()).await;
            listing.is_all &= taken.is_all;
            listing.letters.extend(taken.held.values().map(|held| letter(place, &held.message)));
        }
        Ok(listing)
    }

    async fn inspect(&self, id: &MessageId) -> Result<Found, SqsDeadLetterError> {
        let Some((place, held)) = self.find(id).await? else { return Ok(Found::Nothing) };
        self.give_back(place, std::iter::once(&held)).await;
        Ok(Found::Dead(letter(place, &held.message)))
    }

    async fn redrive(&self, id: &MessageId, _: DateTime<Utc>) -> Result<Answer, SqsDeadLetterError> {
        let Some((place, held)) = self.find(id).await? else { return Ok(Answer::Nothing) };
        let held = [held];
        match self.send_back(place, &held).await {
            Ok(0) => {
                self.give_back(place, held.iter()).await;
                let problem = "the queue refused the message".to_owned();
                Err(SqsDeadLetterError::Call { queue: place.name.clone(), call: "to send back", problem })
            }
            Ok(_) => {
                tracing::info!(message_id = %id, queue = place.name, "a dead letter was sent back");
                Ok(Answer::Done)
            }
            Err(error) => {
                self.give_back(place, held.iter()).await;
                Err(error)
            }
        }
    }

    async fn redrive_all(
        &self,
        queue: Option<&str>,
        _: DateTime<Utc>,
    ) -> Result<Redriven, SqsDeadLetterError> {
        let mut redriven = Redriven { messages: 0, is_all: true };
        // Where none was named, what cannot go back is left where it is.
        for place in self.named(queue).filter(|place| queue.is_some() || place.back_url.is_some()) {
            let (mut messages, mut is_all) = (0, false);
            for _ in 0..REDRIVEN_MAX / BATCH_ENTRIES_MAX {
                let held = self.receive(place).await?;
                if held.is_empty() {
                    is_all = true;
                    break;
                }
                let sent = self.send_back(place, &held).await;
                if !matches!(sent, Ok(all) if all == held.len()) {
                    // Those that went back have no receipt any more, and the others are seen again.
                    self.give_back(place, held.iter()).await;
                }
                messages += sent?;
            }
            tracing::info!(queue = place.name, messages, is_all, "dead letters were sent back");
            redriven.messages += messages;
            redriven.is_all &= is_all;
        }
        Ok(redriven)
    }

    async fn discard(
        &self,
        id: &MessageId,
        reason: &str,
        _: DateTime<Utc>,
    ) -> Result<Answer, SqsDeadLetterError> {
        let Some((place, held)) = self.find(id).await? else { return Ok(Answer::Nothing) };
        if let Err(error) = self.delete(place, &held).await {
            self.give_back(place, std::iter::once(&held)).await;
            return Err(error);
        }
        // SQS keeps nothing of a message that is gone.
        tracing::info!(message_id = %id, queue = place.name, reason, "a dead letter was thrown away");
        Ok(Answer::Done)
    }
}

fn failed<E: std::error::Error>(place: &SqsPlace, call: &'static str, error: &E) -> SqsDeadLetterError {
    let problem = DisplayErrorContext(error).to_string();
    SqsDeadLetterError::Call { queue: place.name.clone(), call, problem }
}

fn id_of(message: &Message) -> &str {
    message.message_id().unwrap_or_default()
}

fn letter(place: &SqsPlace, message: &Message) -> DeadLetter {
    let receives =
        message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    DeadLetter {
        id: MessageId::new(id_of(message)),
        queue: place.name.clone(),
        // Of a message of a queue the log of its function has it, under the id of the message.
        reason: reason_of_call(message),
        // Whoever looks counts as well.
        receives: receives.and_then(|count| count.parse().ok()).unwrap_or_default(),
        dead_at: None,
        body: message.body().unwrap_or_default().to_owned(),
    }
}

/// What Lambda, or the scheduler, says of a call that failed: codes and ids, never the text of an error.
fn reason_of_call(message: &Message) -> Option<String> {
    let said = |name: &str| {
        let value = message.message_attributes()?.get(name)?.string_value()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        (value.len() <= ATTRIBUTE_BYTES_MAX && value.chars().all(is_plain)).then_some(value)
    };
    let of_lambda = said("RequestID").map(|request| {
        let code = said("ErrorCode").unwrap_or("no code");
        format!("its function failed with {code}; the log of the function says why, under request {request}")
    });
    let of_scheduler = || said("ERROR_CODE").map(|code| format!("the schedule could not start it: {code}"));
    of_lambda.or_else(of_scheduler)
}

#[cfg(test)]
mod tests;
