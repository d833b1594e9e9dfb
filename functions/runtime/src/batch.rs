//! Partial batches: one bad message of an SQS batch never holds up, or repeats, the others.
//!
//! Invariant: every record of the event is either done or reported as failed by its message id, and why is told to
//! whoever asked for it with [`with_reasons`]. The answer to Lambda has no place for a reason.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::join_all;

use crate::job::{Job, JobError};

/// Why messages failed, by message id.
pub type Reasons = BTreeMap<String, String>;

tokio::task_local! {
    static REASONS: RefCell<Reasons>;
}

/// Waits for what a function answers, and gives the reasons of what it reports as failed along with it.
pub async fn with_reasons(answer: impl Future<Output = SqsBatchResponse>) -> (SqsBatchResponse, Reasons) {
    let told = async {
        let response = answer.await;
        (response, REASONS.with(RefCell::take))
    };
    REASONS.scope(RefCell::default(), told).await
}

/// Handles each record of a batch in order and reports those that failed.
///
/// A body that is no job of this kind is reported as failed too: after the queue's number of receives it lies in the
/// dead-letter queue with its reason in the log, where an operator finds it.
pub async fn each_job<J: Job, E: Display>(
    event: SqsEvent,
    mut handle: impl AsyncFnMut(J) -> Result<(), E>,
) -> SqsBatchResponse {
    let mut failures = Vec::new();
    for record in event.records {
        let id = record.message_id.clone().unwrap_or_default();
        let result = match J::from_body(record.body.as_deref().unwrap_or_default()) {
            Ok(job) => handle(job).await.map_err(|e| e.to_string()),
            Err(error) => Err(JobError::to_string(&error)),
        };
        if let Err(problem) = result {
            tracing::error!(message_id = %id, %problem, "a job of the batch failed");
            failures.push(failure(id, problem));
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}

/// Handles the records of a batch at the same time, those with the same key in order, and reports those that failed as
/// [`each_job`] does. A batch has as many records as the queue's trigger allows.
pub async fn each_job_at_once<J: Job, K: Ord, E: Display>(
    event: SqsEvent,
    key: impl Fn(&J) -> K,
    handle: impl AsyncFn(J) -> Result<(), E>,
) -> SqsBatchResponse {
    let mut failed = Vec::new();
    let mut by_key: BTreeMap<K, Vec<(String, J)>> = BTreeMap::new();
    for record in event.records {
        let id = record.message_id.unwrap_or_default();
        match J::from_body(record.body.as_deref().unwrap_or_default()) {
            Ok(job) => by_key.entry(key(&job)).or_default().push((id, job)),
            Err(problem) => {
                tracing::error!(message_id = %id, %problem, "a job of the batch failed");
                failed.push(failure(id, problem.to_string()));
            }
        }
    }
    let handle = &handle;
    let groups = by_key.into_values().map(|jobs| async move {
        let mut failed = Vec::new();
        for (id, job) in jobs {
            if let Err(problem) = handle(job).await {
                tracing::error!(message_id = %id, %problem, "a job of the batch failed");
                failed.push(failure(id, problem.to_string()));
            }
        }
        failed
    });
    failed.extend(join_all(groups).await.into_iter().flatten());
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed;
    response
}

/// Handles the text of each record of a batch in order and reports those that failed, for events that are no jobs of
/// ours.
pub async fn each_body<E: Display>(
    event: SqsEvent,
    mut handle: impl AsyncFnMut(String) -> Result<(), E>,
) -> SqsBatchResponse {
    let mut failures = Vec::new();
    for record in event.records {
        let id = record.message_id.unwrap_or_default();
        if let Err(problem) = handle(record.body.unwrap_or_default()).await {
            tracing::error!(message_id = %id, %problem, "an event of the batch failed");
            failures.push(failure(id, problem.to_string()));
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}

/// Reports every record as failed, for the same reason.
#[must_use]
pub fn refuse_all(event: SqsEvent, reason: &str) -> SqsBatchResponse {
    let ids = event.records.into_iter().map(|record| record.message_id.unwrap_or_default());
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = ids.map(|id| failure(id, reason.to_owned())).collect();
    response
}

fn failure(id: String, reason: String) -> BatchItemFailure {
    // Where nobody asked for reasons, the log has them.
    let _ = REASONS.try_with(|reasons| reasons.borrow_mut().insert(id.clone(), reason));
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id;
    failure
}

/// The attribute of a message that says how often it was given out.
pub const RECEIVES_ATTRIBUTE: &str = "ApproximateReceiveCount";

/// A message as a queue gives it to a function.
#[derive(Clone)]
pub struct Incoming {
    /// Its id.
    pub id: String,
    /// How often it was given out, this time included.
    pub receives: u32,
    /// What it says.
    pub body: String,
}

/// An SQS event of messages, as the local stack delivers it.
#[must_use]
pub fn event_of_messages(messages: impl Iterator<Item = Incoming>) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = messages
        .map(|Incoming { id, receives, body }| {
            let mut message = SqsMessage::default();
            message.message_id = Some(id);
            message.body = Some(body);
            message.attributes.insert(RECEIVES_ATTRIBUTE.to_owned(), receives.to_string());
            message
        })
        .collect();
    event
}

/// An SQS event of bodies that are given out for the first time; message ids are positions, counted from 0.
#[must_use]
pub fn event_of(bodies: Vec<String>) -> SqsEvent {
    let first = |(at, body): (usize, String)| Incoming { id: at.to_string(), receives: 1, body };
    event_of_messages(bodies.into_iter().enumerate().map(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::ShardJob;

    #[tokio::test]
    async fn a_bad_message_fails_alone() {
        let good = r#"{"v":1,"tenant":"demo","shard":0,"as_of":"2026-11-23"}"#;
        let refused = good.replace("\"shard\":0", "\"shard\":7");
        let event = event_of(vec!["{".into(), good.into(), refused, good.into()]);
        let mut seen = 0;
        let answer = each_job(event, async |job: ShardJob| {
            seen += 1;
            if job.shard == 7 { Err("no such shard") } else { Ok(()) }
        });
        let (response, reasons) = with_reasons(answer).await;
        assert_eq!(reasons.get("2").map(String::as_str), Some("no such shard"));
        assert!(reasons["0"].contains("not a shard job"), "{reasons:?}");
        let failed: Vec<&str> =
            response.batch_item_failures.iter().map(|f| f.item_identifier.as_str()).collect();
        assert_eq!(failed, ["0", "2"]);
        assert_eq!(seen, 3);
    }
}
