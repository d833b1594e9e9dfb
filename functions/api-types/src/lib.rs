//! The requests and answers of Puntual's HTTP API, for the server and for whoever calls it, the browser included.
//!
//! Invariant: pure. What is read from outside is checked here, completely, so that a page can say all that is wrong
//! before it asks the server, in the same words.

pub mod health;
pub mod imports;
pub mod policies;
pub mod problem;
pub mod settings;
pub mod tenants;

mod place;
