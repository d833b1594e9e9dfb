//! Touches: the claim of a contact.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::delivery::{Code, History, HistoryEntry, Report, Source};
use domain::fence::{Fence, Reached};
use domain::ids::{ObligationId, PolicyId, StageId, TemplateId, TouchId};
use domain::touch::{Touch, TouchState};

use super::fence::{instant_of_hex, items_of, items_text, reached_map, reached_text};
use super::{Reader, keyed, set, set_some};
use crate::backend::Item;
use crate::error::StoreError;
use crate::key::{Key, customer_of, touch_of};

/// A touch as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTouch {
    pub(crate) touch: Touch,
    pub(crate) state: TouchState,
    pub(crate) claimed_at: Option<DateTime<Utc>>,
    /// Since when its provider may have been called; without it, nobody was.
    pub(crate) called_at: Option<DateTime<Utc>>,
    pub(crate) settled_at: Option<DateTime<Utc>>,
    pub(crate) fence_version: Option<u64>,
    /// How often it was tried before this claim, and refused for now.
    pub(crate) tries: u32,
    /// What its obligations had reached before the claim.
    pub(crate) before: BTreeMap<ObligationId, Reached>,
    pub(crate) provider_id: Option<String>,
    pub(crate) reason: Option<String>,
    /// What was said about it since its claim.
    pub(crate) history: History,
    /// The second attempt at its message, whose outcome nobody knew.
    pub(crate) resent_as: Option<TouchId>,
    /// The touch that it is the second attempt of.
    pub(crate) resend_of: Option<TouchId>,
}

impl StoredTouch {
    pub(crate) fn planned(touch: Touch) -> Self {
        Self {
            touch,
            state: TouchState::Planned,
            claimed_at: None,
            called_at: None,
            settled_at: None,
            fence_version: None,
            tries: 0,
            before: BTreeMap::new(),
            provider_id: None,
            reason: None,
            history: History::default(),
            resent_as: None,
            resend_of: None,
        }
    }

    /// Claimed on a fence; what its obligations had reached before is the caller's to say.
    pub(crate) fn claimed(touch: Touch, fence: &Fence, claimed_at: DateTime<Utc>) -> Self {
        Self {
            state: TouchState::Claimed,
            claimed_at: Some(claimed_at),
            fence_version: Some(fence.version),
            tries: fence.tries.get(&touch.id).copied().unwrap_or(0),
            ..Self::planned(touch)
        }
    }

    /// The item at its place in the customer's partition.
    pub(crate) fn encode(&self, key: Key) -> Item {
        let mut item = keyed(key);
        let t = &self.touch;
        set(&mut item, "st", self.state.as_str());
        set(&mut item, "at", t.send_at.timestamp_millis());
        set(&mut item, "n", t.channel.as_str());
        set(&mut item, "g", t.stage.as_str());
        set(&mut item, "o", t.tone.as_str());
        set(&mut item, "u", t.purpose.as_str());
        set(&mut item, "t", t.template.as_str());
        set(&mut item, "y", t.policy.as_str());
        set(&mut item, "yv", u64::from(t.policy_version));
        set(&mut item, "i", items_text(&t.items));
        set_some(&mut item, "ca", self.claimed_at.map(|at| at.timestamp_millis()));
        set_some(&mut item, "pa", self.called_at.map(|at| at.timestamp_millis()));
        set_some(&mut item, "sa", self.settled_at.map(|at| at.timestamp_millis()));
        set_some(&mut item, "fv", self.fence_version);
        set_some(&mut item, "tr", (self.tries > 0).then_some(u64::from(self.tries)));
        if !self.before.is_empty() {
            set(&mut item, "pr", reached_text(self.before.iter()));
        }
        set_some(&mut item, "pi", self.provider_id.as_deref());
        set_some(&mut item, "rs", self.reason.as_deref());
        set_some(&mut item, "ra", self.resent_as.as_ref().map(TouchId::as_str));
        set_some(&mut item, "ro", self.resend_of.as_ref().map(TouchId::as_str));
        if !self.history.entries().is_empty() {
            set(&mut item, "hs", history_text(&self.history));
        }
        item
    }

    /// The item at its place in a wave, with its place in the customer's partition beside it.
    pub(crate) fn encode_waiting(&self, wave: Key, place: Key) -> Item {
        let mut item = self.encode(wave);
        set(&mut item, "tp", place.pk);
        set(&mut item, "ts", place.sk);
        item
    }

    pub(crate) fn decode(item: &Item) -> Result<Self, StoreError> {
        let r = Reader::new("touch", item);
        let (on, id) = r.read("sk", "TOUCH#<day>#<id>", touch_of)?;
        let touch = Touch {
            id,
            customer: r.read("pk", "T#<tenant>#CUST#<customer>", customer_of)?,
            on,
            send_at: r.instant_or("at")?.ok_or_else(|| r.corrupt("at", "milliseconds since 1970"))?,
            channel: r.read("n", "a channel", |t| t.parse().ok())?,
            stage: r.read("g", "a stage id", |t| StageId::new(t).ok())?,
            tone: r.read("o", "a tone", |t| t.parse().ok())?,
            purpose: r.read("u", "a purpose", |t| t.parse().ok())?,
            template: r.read("t", "a template id", |t| TemplateId::new(t).ok())?,
            items: r.read("i", "items", items_of)?,
            policy: r.read("y", "a policy id", |t| PolicyId::new(t).ok())?,
            policy_version: r.number("yv")?,
        };
        Ok(Self {
            touch,
            state: r.read("st", "a state", |t| t.parse().ok())?,
            claimed_at: r.instant_or("ca")?,
            called_at: r.instant_or("pa")?,
            settled_at: r.instant_or("sa")?,
            fence_version: r.number_or("fv")?,
            tries: r.number_or("tr")?.unwrap_or(0),
            before: r.read_or("pr", "reached stages", reached_map)?.unwrap_or_default(),
            provider_id: r.text_or("pi")?.map(str::to_owned),
            reason: r.text_or("rs")?.map(str::to_owned),
            history: r.read_or("hs", "a history", history_of)?.unwrap_or_default(),
            resent_as: r.read_or("ra", "a touch id", |t| TouchId::new(t).ok())?,
            resend_of: r.read_or("ro", "a touch id", |t| TouchId::new(t).ok())?,
        })
    }
}

const fn report_letter(report: Report) -> char {
    match report {
        Report::Unknown => 'u',
        Report::Sent => 's',
        Report::Delayed => 'd',
        Report::Failed => 'f',
        Report::Delivered => 'v',
        Report::SoftBounced => 'b',
        Report::HardBounced => 'h',
        Report::Complained => 'c',
    }
}

const fn source_letter(source: Source) -> char {
    match source {
        Source::Sender => 's',
        Source::Sweeper => 'w',
        Source::Provider => 'p',
        Source::Person => 'h',
    }
}

/// A history: `<report letter><source letter><at>:<recorded at>:<code>`, instants in hexadecimal milliseconds, blank
/// between. A code has neither colon nor blank.
pub(crate) fn history_text(history: &History) -> String {
    let one = |e: &HistoryEntry| {
        let (report, source) = (report_letter(e.report), source_letter(e.source));
        let (at, recorded_at) = (e.at.timestamp_millis(), e.recorded_at.timestamp_millis());
        format!("{report}{source}{at:x}:{recorded_at:x}:{}", e.code.as_str())
    };
    history.entries().iter().map(one).collect::<Vec<_>>().join(" ")
}

pub(crate) fn history_of(text: &str) -> Option<History> {
    let one = |text: &str| {
        let mut letters = text.chars();
        let (report, source) = (letters.next()?, letters.next()?);
        let mut parts = letters.as_str().splitn(3, ':');
        Some(HistoryEntry {
            report: Report::ALL.iter().copied().find(|r| report_letter(*r) == report)?,
            source: Source::ALL.iter().copied().find(|s| source_letter(*s) == source)?,
            at: instant_of_hex(parts.next()?)?,
            recorded_at: instant_of_hex(parts.next()?)?,
            code: Code::new(parts.next()?),
        })
    };
    text.split(' ').map(one).collect()
}

/// The state of a touch that a failed condition handed back, with its provider's id and reason.
pub(crate) fn settled_item(item: &Item) -> Result<(TouchState, Option<&str>, Option<&str>), StoreError> {
    let r = Reader::new("touch", item);
    Ok((r.read("st", "a state", |t| t.parse().ok())?, r.text_or("pi")?, r.text_or("rs")?))
}
