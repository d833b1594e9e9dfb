//! What an operator does with the dead letters of this machine.

use chrono::{DateTime, Utc};

use super::{LocalQueueError, LocalQueues};
use crate::dead_letter::{Answer, DeadLetters, Found, Listing, MessageId, Redriven};

impl LocalQueues {
    fn dealt_with(&self, id: &MessageId) -> Answer {
        self.end_of(id).map_or(Answer::Nothing, Answer::Before)
    }
}

impl DeadLetters for LocalQueues {
    type Error = LocalQueueError;

    async fn list(&self, queue: Option<&str>) -> Result<Listing, LocalQueueError> {
        let mut letters = self.dead(None);
        letters.retain(|letter| queue.is_none_or(|name| name == letter.queue));
        Ok(Listing { letters, is_all: true })
    }

    async fn inspect(&self, id: &MessageId) -> Result<Found, LocalQueueError> {
        Ok(match self.find(id) {
            Some(letter) => Found::Dead(letter),
            None => self.end_of(id).map_or(Found::Nothing, Found::Ended),
        })
    }

    async fn redrive(&self, id: &MessageId, now: DateTime<Utc>) -> Result<Answer, LocalQueueError> {
        Ok(if LocalQueues::redrive(self, id, now)? { Answer::Done } else { self.dealt_with(id) })
    }

    async fn redrive_all(
        &self,
        queue: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Redriven, LocalQueueError> {
        let letters = self.list(queue).await?.letters;
        for letter in &letters {
            LocalQueues::redrive(self, &letter.id, now)?;
        }
        Ok(Redriven { messages: letters.len(), is_all: true })
    }

    async fn discard(
        &self,
        id: &MessageId,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Answer, LocalQueueError> {
        Ok(if LocalQueues::discard(self, id, reason, now)? { Answer::Done } else { self.dealt_with(id) })
    }
}
