//! Delivers SMS touches by SNS.
//!
//! Invariant: everything that keeps a message from going out twice, or unlawfully, is in `delivery`; this crate names the
//! channel.

pub use delivery::{Deps, Pace, Turns, handle};

/// The channel of this function.
pub const CHANNEL: domain::channel::Channel = domain::channel::Channel::Sms;
