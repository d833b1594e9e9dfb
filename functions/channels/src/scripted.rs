//! A provider that a simulation plays: it decides what becomes of a call and when its answer is seen.
//!
//! Invariant: it is asked once for each call of [`crate::Sender::send`], like every other provider.

use std::future::Future;
use std::pin::Pin;

use crate::{Outcome, Outgoing};

/// An answer that may take its time.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// What plays the provider.
pub trait ScriptedProvider: Send + Sync {
    /// Takes one call.
    fn call<'a>(&'a self, outgoing: &'a Outgoing<'a>) -> Answer<'a>;
}
