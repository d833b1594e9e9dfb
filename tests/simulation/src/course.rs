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
    /// Whether the world came to its end.
    pub(crate) settled: bool,
}
