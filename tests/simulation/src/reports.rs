//! What the provider says after it took a message: events of SES and delivery reports of SNS, some of them lost, late,
//! repeated or out of order, and events that somebody forges.
//!
//! Invariant: the book holds what became of the message; what is said about it is queued and never added to. A forged
//! event says something that must never be believed.

use channels::tag::{TagKey, TouchTags};
use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::ids::TenantId;
use domain::touch::Touch;
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::scene::{Pipe, State, instant};

/// The key that signs the tags of every world.
const KEY: &[u8] = b"a key of the simulation";
/// How late an event comes usually, in milliseconds.
const EVENT_MS_MAX: i64 = 5 * 60 * 1_000;
/// How late an event comes that is late, in milliseconds; the calm is longer.
const EVENT_LATE_MS_MAX: i64 = 36 * 3_600 * 1_000;
/// In how many ways an event is forged.
const FORGERIES: usize = 6;

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    Sent,
    Delayed,
    Rejected,
    Delivered,
    SoftBounced,
    HardBounced,
    Complained,
}

impl Said {
    /// Whether it says that the message did not arrive.
    pub(crate) const fn came_back(self) -> bool {
        match self {
            Self::Rejected | Self::SoftBounced | Self::HardBounced => true,
            Self::Sent | Self::Delayed | Self::Delivered | Self::Complained => false,
        }
    }

    /// Whether the address must never be used again.
    pub(crate) const fn ends_use(self) -> bool {
        match self {
            Self::HardBounced | Self::Complained => true,
            Self::Sent | Self::Delayed | Self::Rejected | Self::Delivered | Self::SoftBounced => false,
        }
    }
}

/// A true event that was queued.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) touch: Touch,
    pub(crate) said: Said,
    /// The messages that carry it.
    pub(crate) messages: Vec<u64>,
    /// The step at which the function had first taken one of them for good.
    pub(crate) taken: Option<u64>,
}

/// The key of the functions.
pub(crate) fn tag_key() -> TagKey {
    TagKey::new(KEY)
}

/// Decides what becomes of a message that was accepted, and queues what is said about it. Says whether it came back.
pub(crate) fn follow_up(state: &mut State, tenant: &TenantId, touch: &Touch, to: &str, id: &str) -> bool {
    let climate = state.climate;
    if !state.dice.happens(climate.reports) {
        return false;
    }
    let dice = &mut state.dice;
    let mut all = vec![Said::Sent];
    if dice.happens(climate.event_late) {
        all.push(Said::Delayed);
    }
    match () {
        () if dice.happens(climate.reject) => all.push(Said::Rejected),
        () if dice.happens(climate.soft_bounce) => all.push(Said::SoftBounced),
        () if dice.happens(climate.hard_bounce) && dice.happens(300) => {
            all.extend([Said::Delivered, Said::HardBounced]);
        }
        () if dice.happens(climate.hard_bounce) => all.push(Said::HardBounced),
        () if dice.happens(climate.complain) => all.extend([Said::Delivered, Said::Complained]),
        () => all.push(Said::Delivered),
    }
    if touch.channel != Channel::Email {
        // A text message has one report, its last.
        let last = all.pop().filter(|said| *said != Said::Complained).unwrap_or(Said::Delivered);
        all = vec![last];
    }
    let came_back = all.iter().any(|said| said.came_back());
    let now = instant(state.now);
    for said in all {
        if state.dice.happens(climate.event_lost) {
            continue;
        }
        let tags = signed(tenant, touch, &tag_key());
        let body = match touch.channel {
            Channel::Email => of_ses(said, &tags, (to, id), now),
            Channel::Sms | Channel::Push | Channel::Whatsapp | Channel::Call => of_sns(said, (to, id), now),
        };
        let copies = if state.dice.happens(climate.event_twice) { 2 } else { 1 };
        let messages = (0..copies).map(|_| post(state, body.clone())).collect();
        state.told.push(Told { touch: touch.clone(), said, messages, taken: None });
    }
    if state.dice.happens(climate.forge) {
        let body = forged(&mut state.dice, tenant, touch, (to, id), now);
        let message = post(state, body);
        state.forged.insert(message);
    }
    came_back
}

fn post(state: &mut State, body: String) -> u64 {
    let late = state.climate.event_late;
    let late = state.dice.happens(late);
    let visible_at = state.now + state.dice.between(0, if late { EVENT_LATE_MS_MAX } else { EVENT_MS_MAX });
    state.queue(Pipe::Events, body, visible_at)
}

fn signed(tenant: &TenantId, touch: &Touch, key: &TagKey) -> Value {
    let tags = TouchTags {
        tenant: tenant.clone(),
        customer: touch.customer.clone(),
        on: touch.on,
        touch: touch.id.clone(),
    };
    tags.write(key).into_iter().map(|(name, value)| (name, json!([value]))).collect()
}

fn of_ses(said: Said, tags: &Value, (to, id): (&str, &str), at: DateTime<Utc>) -> String {
    let (kind, part, detail) = match said {
        Said::Sent => ("Send", "send", json!({})),
        Said::Delayed => {
            ("DeliveryDelay", "deliveryDelay", json!({"delayType": "MailboxFull", "timestamp": at}))
        }
        Said::Rejected => ("Reject", "reject", json!({"reason": "Bad content"})),
        Said::Delivered => ("Delivery", "delivery", json!({"timestamp": at})),
        Said::SoftBounced | Said::HardBounced => {
            let kind = if said == Said::HardBounced { "Permanent" } else { "Transient" };
            let detail = json!({"bounceType": kind, "bounceSubType": "General", "timestamp": at,
                                "bouncedRecipients": [{"emailAddress": to}]});
            ("Bounce", "bounce", detail)
        }
        Said::Complained => {
            let detail = json!({"complaintFeedbackType": "abuse", "timestamp": at,
                                "complainedRecipients": [{"emailAddress": to}]});
            ("Complaint", "complaint", detail)
        }
    };
    json!({"eventType": kind, part: detail,
           "mail": {"timestamp": at, "messageId": id, "destination": [to], "tags": tags}})
    .to_string()
}

fn of_sns(said: Said, (to, id): (&str, &str), at: DateTime<Utc>) -> String {
    let (status, answer) = match said {
        Said::HardBounced => ("FAILURE", "Phone number is opted out"),
        Said::Rejected => ("FAILURE", "Blocked as spam by phone carrier"),
        Said::SoftBounced => ("FAILURE", "Phone is currently unreachable/unavailable"),
        Said::Sent | Said::Delayed | Said::Delivered | Said::Complained => {
            ("SUCCESS", "Message has been accepted by phone")
        }
    };
    let timestamp = at.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    json!({"notification": {"messageId": id, "timestamp": timestamp}, "status": status,
           "delivery": {"destination": to, "providerResponse": answer}})
    .to_string()
}

/// An event that is not ours, or nobody knows: it says the worst of a touch that there is.
fn forged(
    dice: &mut Dice,
    tenant: &TenantId,
    touch: &Touch,
    (to, id): (&str, &str),
    at: DateTime<Utc>,
) -> String {
    let complaint = |tags: &Value| of_ses(Said::Complained, tags, (to, id), at);
    let own = signed(tenant, touch, &tag_key());
    match dice.below(FORGERIES) {
        0 => complaint(&signed(tenant, touch, &TagKey::new(*b"a key of somebody else"))),
        1 => complaint(&json!({})),
        2 => {
            let other = TenantId::new("nobody").expect("an id that is made here is sound");
            complaint(&signed(&other, touch, &tag_key()))
        }
        3 => complaint(&own).replace("\"Complaint\"", "\"Subscription\""),
        4 => format!("{}, and no JSON", complaint(&own)),
        _ => of_sns(Said::HardBounced, (to, "sim-nobody"), at),
    }
}
