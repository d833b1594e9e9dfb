//! Events: what reaches us about the choices of customers, as versioned JSON.
//!
//! Invariant: an event that was read is complete and of a known version. What a person wrote, and from where, is masked
//! wherever it is printed.

use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::choice::HoursRequest;
use domain::contact::{Address, ConsentSource, EvidenceRef, PurposeScope, ReplyText};
use domain::ids::{ChoiceId, CustomerId, TenantId};
use serde::{Deserialize, Serialize};

/// The version of the events' form; another one is refused.
pub const EVENT_VERSION: u32 = 1;

/// Something that a customer chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChoiceEvent {
    /// An authorisation.
    Given(WordEvent),
    /// A withdrawal.
    Withdrawn(WordEvent),
    /// A request for other hours, or its end.
    Hours(HoursEvent),
    /// A reply to a text message.
    Reply(ReplyEvent),
    /// The link of a message was followed.
    Link(LinkEvent),
}

/// The version of an event; only [`EVENT_VERSION`] can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Version;

impl TryFrom<u32> for Version {
    type Error = String;
    fn try_from(found: u32) -> Result<Self, String> {
        if found == EVENT_VERSION {
            Ok(Self)
        } else {
            Err(format!("the event has version {found}; expected {EVENT_VERSION}"))
        }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        EVENT_VERSION
    }
}

/// One channel, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Channels {
    /// Every channel, `all`.
    All,
    /// One.
    One(Channel),
}

impl Channels {
    /// The channels that are meant.
    pub fn each(self) -> impl Iterator<Item = Channel> {
        Channel::ALL.iter().copied().filter(move |c| match self {
            Self::All => true,
            Self::One(one) => one == *c,
        })
    }
}

impl TryFrom<String> for Channels {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "all" => Ok(Self::All),
            one => one.parse().map(Self::One).map_err(|e| format!("{e}, or all")),
        }
    }
}

impl From<Channels> for String {
    fn from(channels: Channels) -> Self {
        match channels {
            Channels::All => "all".to_owned(),
            Channels::One(channel) => channel.as_str().to_owned(),
        }
    }
}

/// A word of a known customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordEvent {
    /// [`EVENT_VERSION`].
    pub v: Version,
    /// The event; the same one again changes nothing.
    pub id: ChoiceId,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose word it is.
    pub customer: CustomerId,
    /// What it is about: a channel, or `all`.
    pub channel: Channels,
    /// For which purposes; all of them where absent.
    #[serde(default, skip_serializing_if = "PurposeScope::is_all")]
    pub purposes: PurposeScope,
    /// Where the word came from.
    pub source: ConsentSource,
    /// What the lender keeps of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceRef>,
    /// When it was said.
    pub at: DateTime<Utc>,
}

/// A request of a known customer for other hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoursEvent {
    /// [`EVENT_VERSION`].
    pub v: Version,
    /// The event; the same one again changes nothing.
    pub id: ChoiceId,
    /// The tenant.
    pub tenant: TenantId,
    /// Who asks.
    pub customer: CustomerId,
    /// The request; absent where an earlier one is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<HoursRequest>,
    /// When it was received.
    pub at: DateTime<Utc>,
}

/// A reply to a text message. The number that it was sent to tells whose customer wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyEvent {
    /// [`EVENT_VERSION`].
    pub v: Version,
    /// The tenant whose number it was sent to.
    pub tenant: TenantId,
    /// The message as SNS delivers it.
    pub message: InboundSms,
    /// When it was received.
    pub at: DateTime<Utc>,
}

/// A text message from a person, in the JSON of two-way SMS on AWS. Other keys are not needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundSms {
    /// From which number.
    pub origination_number: Address,
    /// To which number.
    pub destination_number: Option<Address>,
    /// What it says.
    pub message_body: ReplyText,
    /// Its id.
    pub inbound_message_id: ChoiceId,
    /// The message that it answers, where AWS knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_published_message_id: Option<String>,
}

/// The link of a message, followed by whoever has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkEvent {
    /// [`EVENT_VERSION`].
    pub v: Version,
    /// The token of the link.
    pub token: String,
    /// When it was followed.
    pub at: DateTime<Utc>,
}

/// Why a text is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event cannot be read: {0:?} error at line {1}, column {2}; expected the JSON of a choice, version {EVENT_VERSION}"
)]
pub struct EventError(serde_json::error::Category, usize, usize);

impl From<serde_json::Error> for EventError {
    // The parser's own words may quote a value, which may be personal.
    fn from(error: serde_json::Error) -> Self {
        Self(error.classify(), error.line(), error.column())
    }
}

/// The envelope in which SNS gives messages to a function.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsEnvelope {
    records: Vec<SnsRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsRecord {
    sns: SnsMessage,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsMessage {
    message: String,
    timestamp: DateTime<Utc>,
}

/// The events of what a function was called with: replies in the envelope of SNS, all to the numbers of `replies_to`, or
/// one event as it is.
///
/// # Errors
/// [`EventError`] says where the text cannot be read, and never what stands there.
pub fn events_of(
    called_with: serde_json::Value,
    replies_to: &TenantId,
) -> Result<Vec<ChoiceEvent>, EventError> {
    if called_with.get("Records").is_none() {
        return Ok(vec![serde_json::from_value(called_with)?]);
    }
    let envelope: SnsEnvelope = serde_json::from_value(called_with)?;
    let reply = |record: SnsRecord| {
        let SnsMessage { message, timestamp } = record.sns;
        let message = serde_json::from_str(&message)?;
        Ok(ChoiceEvent::Reply(ReplyEvent { v: Version, tenant: replies_to.clone(), message, at: timestamp }))
    };
    envelope.records.into_iter().map(reply).collect()
}
