//! The course of a world: what is known after a run, besides what is in the store and on the scene.
//!
//! Invariant: the model reads it, and only the run writes it.

/// What is known after a run, besides what is in the store and on the scene.
#[derive(Debug)]
pub(crate) struct Course {
    /// The step at which each fact became known; `None` for one that never did.
    pub(crate) known: Vec<Option<u64>>,
    /// Jobs that ended without a message because a fact came after they were queued.
    pub(crate) prevented: u64,
    pub(crate) crashes: u64,
    /// The step at which the erasure was known to be done.
    pub(crate) erased: Option<u64>,
    /// The step at which the writer of each line of the decision log began: whatever was on record by then was known to it.
    pub(crate) lines: Vec<u64>,
    /// Whether the world came to its end.
    pub(crate) settled: bool,
}

impl Course {
    /// The course of a world with so many facts, before its first moment.
    pub(crate) fn new(facts: usize) -> Self {
        let known = vec![None; facts];
        Self { known, prevented: 0, crashes: 0, erased: None, lines: Vec::new(), settled: false }
    }
}
