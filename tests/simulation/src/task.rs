//! What the actors of a world do: a batch of a queue, a scheduled start, a fact, a word, an erasure.
//!
//! Invariant: a task says everything that whoever tries it again has to know.

use runtime::job::DueEvent;

use crate::facts::Entry;
use crate::scene::Pipe;

/// What an actor does.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    Batch {
        pipe: Pipe,
        ids: Vec<u64>,
    },
    Due {
        event: DueEvent,
        tries: u32,
    },
    /// Records a fact, or the first file.
    Fact {
        index: Option<usize>,
        entry: Entry,
        tries: u32,
    },
    Learn {
        index: usize,
    },
    /// An operator settles what is in the report.
    Word {
        tries: u32,
    },
    /// A customer is erased.
    Erase {
        customer: usize,
    },
}

/// What a task is, in words.
pub(crate) fn told(task: &Task) -> String {
    match task {
        Task::Batch { pipe, ids } => format!("{} with messages {ids:?}", pipe.function()),
        Task::Due { event: DueEvent::Scan { .. }, .. } => "scan-due: scan".to_owned(),
        Task::Due { event: DueEvent::Wave { .. }, .. } => "scan-due: wave".to_owned(),
        Task::Due { event: DueEvent::Sweep { .. }, .. } => "scan-due: sweep".to_owned(),
        Task::Due { event: DueEvent::Reconcile, .. } => "scan-due: reconcile".to_owned(),
        Task::Fact { index: Some(index), .. } => format!("records fact {index}"),
        Task::Fact { index: None, .. } => "imports the first file".to_owned(),
        Task::Learn { index } => format!("learns fact {index}"),
        Task::Word { .. } => "an operator looks into the report".to_owned(),
        Task::Erase { customer } => format!("erases customer {customer}"),
    }
}
