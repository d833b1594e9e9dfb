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
    /// The provider that its reports come from, where they tell an id and nothing else; see
    /// [`crate::Sender::reports_by_id`].
    fn reports_by_id(&self) -> Option<&'static str> {
        None
    }

    /// Takes one call.
    fn call<'a>(&'a self, outgoing: &'a Outgoing<'a>) -> Answer<'a>;
}
