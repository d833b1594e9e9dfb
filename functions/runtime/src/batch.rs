//! Partial batches: one bad message of an SQS batch never holds up, or repeats, the others.
//!
//! Invariant: every record of the event is either done or reported as failed by its message id.

use std::collections::BTreeMap;
use std::fmt::Display;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::join_all;

use crate::job::{Job, JobError};

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
            failures.push(failure(id));
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
                failed.push(id);
            }
        }
    }
    let handle = &handle;
    let groups = by_key.into_values().map(|jobs| async move {
        let mut failed = Vec::new();
        for (id, job) in jobs {
            if let Err(problem) = handle(job).await {
                tracing::error!(message_id = %id, %problem, "a job of the batch failed");
                failed.push(id);
            }
        }
        failed
    });
    failed.extend(join_all(groups).await.into_iter().flatten());
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed.into_iter().map(failure).collect();
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
            failures.push(failure(id));
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}

fn failure(id: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id;
    failure
}

/// An SQS event of bodies, as the local stack delivers it; message ids are positions, counted from 0.
#[must_use]
pub fn event_of(bodies: Vec<String>) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = bodies
        .into_iter()
        .enumerate()
        .map(|(i, body)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(i.to_string());
            message.body = Some(body);
            message
        })
        .collect();
    event
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
        let response = each_job(event, async |job: ShardJob| {
            seen += 1;
            if job.shard == 7 { Err("no such shard") } else { Ok(()) }
        })
        .await;
        let failed: Vec<&str> =
            response.batch_item_failures.iter().map(|f| f.item_identifier.as_str()).collect();
        assert_eq!(failed, ["0", "2"]);
        assert_eq!(seen, 3);
    }
}
