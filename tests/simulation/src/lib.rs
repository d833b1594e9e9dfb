//! The simulator: whole worlds from a seed. The real handlers run over the embedded store in memory, with queues,
//! a provider, a scheduler and clocks that fail as the dice say; then a model that shares no code with them says what
//! must have happened.
//!
//! Invariant: a world is its seed. The same seed gives the same world, the same order of events and the same end.

mod another_way;
mod batches;
mod bounds;
mod climate;
mod course;
mod dice;
mod evidence;
mod facts;
mod faults;
mod functions;
mod law;
mod model;
mod owed;
mod people;
mod reports;
mod run;
mod scene;
mod simulator;
mod task;
mod told;
mod world;

pub use model::{Rule, Violation};
pub use simulator::{Options, Report, Simulator, Totals};
#[cfg(feature = "deliberate-faults")]
pub use store::DeliberateFault;
