//! One sender per channel, over the providers and the local outbox.
//!
//! Invariant: [`Sender::send`] makes at most one call to a provider, and every answer is one of the [`Outcome`]s.
//! `NotSent`, `Throttled` and `Blocked` are only said when it is proven; whatever is in doubt is `Unknown`, since a
//! reminder that was sent twice cannot be taken back, and one that is in doubt can be settled by the provider's event or
//! by a person.

#[cfg(test)]
#[cfg(any(feature = "ses", feature = "sns"))]
mod loopback;
#[cfg(feature = "ses")]
mod mailbox;
mod outbox;
#[cfg(any(feature = "ses", feature = "sns"))]
mod provider;
#[cfg(test)]
mod sample;
#[cfg(feature = "faults")]
mod scripted;
#[cfg(feature = "ses")]
mod ses;
#[cfg(feature = "sns")]
mod sns;
pub mod tag;

use chrono::{DateTime, FixedOffset};
use domain::choice::SignedLink;
use domain::contact::ContactPoint;
use domain::ids::TenantId;
use domain::template::Message;
use domain::tenant::Lender;
use domain::touch::Touch;

pub use outbox::{Fault, Outbox, OutboxError, OutboxItem, OutboxMessage};
#[cfg(any(feature = "ses", feature = "sns"))]
pub use provider::{ATTEMPT_TIMEOUT, CONNECT_TIMEOUT, CallTimeouts, READ_TIMEOUT};
#[cfg(feature = "faults")]
pub use scripted::{Answer, ScriptedProvider};
#[cfg(feature = "ses")]
pub use ses::SesSender;
#[cfg(feature = "sns")]
pub use sns::SnsSender;

/// The name of Amazon SNS in references from its message ids to touches.
pub const SNS: &str = "sns";

/// A claimed touch with everything that one call needs. It has no `Debug`: it carries an address and a content.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The lender that sends.
    pub tenant: &'a TenantId,
    /// The touch that was claimed.
    pub touch: &'a Touch,
    /// Where the message goes.
    pub to: &'a ContactPoint,
    /// How the lender presents itself.
    pub lender: &'a Lender,
    /// What is sent.
    pub message: &'a Message,
    /// The customer's own link to stop the messages of the channel, where the lender has one.
    pub opt_out_link: Option<&'a SignedLink>,
    /// The moment of the call, with the customer's own offset.
    pub at: DateTime<FixedOffset>,
}

/// What is known after the call. Reasons hold codes and ids only, never an address or a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took the message.
    Accepted {
        /// The provider's own id of the message, which its events carry.
        provider_id: String,
    },
    /// The message was surely not sent.
    NotSent {
        /// Why, for the timeline.
        reason: String,
        /// Whether the same call may succeed later.
        retry: bool,
    },
    /// The message was surely not sent, because the provider takes no more of them for now.
    Throttled {
        /// Why, for the timeline.
        reason: String,
    },
    /// The message was surely not sent, because the provider refuses whoever calls: credentials, permissions, the state of
    /// the account. That is nobody's fault who is to get a message, and has to be mended by the operator.
    Blocked {
        /// Why, for the timeline.
        reason: String,
    },
    /// The message may or may not have been sent. It must not be sent again by itself.
    Unknown {
        /// What was seen, for the timeline.
        reason: String,
    },
}

/// The way out of one channel.
pub enum Sender {
    /// Keeps the messages on this machine.
    Outbox(Outbox),
    /// Amazon SES, for email.
    #[cfg(feature = "ses")]
    Ses(SesSender),
    /// Amazon SNS, for SMS.
    #[cfg(feature = "sns")]
    Sns(SnsSender),
    /// A provider that a simulation plays.
    #[cfg(feature = "faults")]
    Scripted(std::sync::Arc<dyn ScriptedProvider>),
}

/// Names the backend, and nothing of what it sends.
impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Outbox(_) => "Sender::Outbox",
            #[cfg(feature = "ses")]
            Self::Ses(_) => "Sender::Ses",
            #[cfg(feature = "sns")]
            Self::Sns(_) => "Sender::Sns",
            #[cfg(feature = "faults")]
            Self::Scripted(_) => "Sender::Scripted",
        })
    }
}

impl Sender {
    /// The provider whose delivery reports tell its own id of a message and nothing else, so that the id must be kept
    /// with the touch it belongs to; `None` where reports echo tags, or there are none.
    #[must_use]
    pub fn reports_by_id(&self) -> Option<&'static str> {
        match self {
            Self::Outbox(_) => None,
            #[cfg(feature = "ses")]
            Self::Ses(_) => None,
            #[cfg(feature = "sns")]
            Self::Sns(_) => Some(SNS),
            #[cfg(feature = "faults")]
            Self::Scripted(provider) => provider.reports_by_id(),
        }
    }

    /// Sends a claimed touch with at most one call to the provider.
    ///
    /// It never fails in the sense of `Result`: every answer, also none, is an [`Outcome`] that settles the claim.
    pub async fn send(&self, outgoing: &Outgoing<'_>) -> Outcome {
        match self {
            Self::Outbox(outbox) => outbox.send(outgoing),
            #[cfg(feature = "ses")]
            Self::Ses(ses) => ses.send(outgoing).await,
            #[cfg(feature = "sns")]
            Self::Sns(sns) => sns.send(outgoing).await,
            #[cfg(feature = "faults")]
            Self::Scripted(provider) => provider.call(outgoing).await,
        }
    }
}
