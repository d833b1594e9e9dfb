//! Queues: where a function leaves jobs for the next one.
//!
//! Invariant: `send` returns only when every job is kept, or says that some may not be; the caller then fails its own
//! batch entry and is called again. Jobs are idempotent, so a job that is there twice does no harm.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::dead_letter::QueueName;
use crate::job::Job;
use crate::local_queue::LocalQueues;

/// The most entries of one SQS batch call.
pub const BATCH_ENTRIES_MAX: usize = 10;

/// Jobs could not be handed over; worth trying again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kept} of {all} jobs were queued: {problem}")]
pub struct QueueError {
    kept: usize,
    all: usize,
    problem: String,
}

/// A queue inside the process.
#[derive(Debug, Clone, Default)]
pub struct MemoryQueue(Arc<Mutex<VecDeque<String>>>);

impl MemoryQueue {
    /// Takes up to `most` messages, oldest first.
    #[must_use]
    pub fn take(&self, most: usize) -> Vec<String> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = most.min(queue.len());
        queue.drain(..most).collect()
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Waiting until a simulation has taken some messages; the error says how many of them it kept.
#[cfg(feature = "faults")]
pub type Taking<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(), usize>> + Send + 'a>>;

/// A queue that a simulation plays.
#[cfg(feature = "faults")]
pub trait ScriptedQueue: std::fmt::Debug + Send + Sync {
    /// Takes messages, in order.
    fn take_in(&self, bodies: Vec<String>) -> Taking<'_>;
}

/// Where jobs are left.
#[derive(Debug, Clone)]
pub enum Queue {
    /// Inside the process.
    Memory(MemoryQueue),
    /// In a file of this machine.
    Local(LocalQueues, QueueName),
    /// An SQS queue.
    #[cfg(feature = "aws")]
    Sqs {
        /// The client.
        client: aws_sdk_sqs::Client,
        /// The address of the queue.
        url: String,
    },
    /// A queue that a simulation plays.
    #[cfg(feature = "faults")]
    Scripted(Arc<dyn ScriptedQueue>),
}

impl Queue {
    /// Leaves jobs, in order.
    ///
    /// # Errors
    /// [`QueueError`] when some jobs may not have been kept; all of them can be sent again.
    pub async fn send<J: Job>(&self, jobs: &[J]) -> Result<(), QueueError> {
        match self {
            Self::Memory(MemoryQueue(queue)) => {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.extend(jobs.iter().map(Job::to_body));
                Ok(())
            }
            Self::Local(queues, name) => {
                let kept = queues.put(*name, jobs.iter().map(Job::to_body).collect());
                let problem = |problem: String| QueueError { kept: 0, all: jobs.len(), problem };
                kept.map_err(|error| problem(error.to_string()))
            }
            #[cfg(feature = "aws")]
            Self::Sqs { client, url } => send_to_sqs(client, url, jobs).await,
            #[cfg(feature = "faults")]
            Self::Scripted(queue) => {
                let taken = queue.take_in(jobs.iter().map(Job::to_body).collect()).await;
                let problem = || "the queue did not answer".to_owned();
                taken.map_err(|kept| QueueError { kept, all: jobs.len(), problem: problem() })
            }
        }
    }
}

#[cfg(feature = "aws")]
async fn send_to_sqs<J: Job>(client: &aws_sdk_sqs::Client, url: &str, jobs: &[J]) -> Result<(), QueueError> {
    use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
    let mut kept = 0;
    for batch in jobs.chunks(BATCH_ENTRIES_MAX) {
        let problem = |problem: String| QueueError { kept, all: jobs.len(), problem };
        let entries = batch
            .iter()
            .enumerate()
            .map(|(i, job)| {
                let entry = SendMessageBatchRequestEntry::builder().id(i.to_string());
                entry.message_body(job.to_body()).build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| problem(e.to_string()))?;
        let sent = client.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await;
        let sent = sent.map_err(|e| problem(format!("{}", aws_sdk_sqs::error::DisplayErrorContext(&e))))?;
        if let Some(first) = sent.failed().first() {
            return Err(problem(format!("{} refused, first with {}", sent.failed().len(), first.code())));
        }
        kept += batch.len();
    }
    Ok(())
}
