//! What every function shares: the jobs that travel between them, queues, partial batches, the rules of a tenant,
//! and what only Lambda needs.
//!
//! Invariant: a function is `handle(deps, event, now)`. Everything from outside, the moment included, comes in as an
//! argument, so tests, the local stack and Lambda run the same code.

pub mod batch;
pub mod dead_letter;
pub mod decision_log;
pub mod evidence;
pub mod job;
#[cfg(feature = "aws")]
pub mod lambda;
pub mod local_queue;
pub mod metric;
pub mod policy_version;
pub mod queue;
pub mod rules;
pub mod schedule;
mod text_gate;
pub mod trace;
