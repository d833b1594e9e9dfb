//! Touches: the claim of a contact.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::fence::Reached;
use domain::ids::{ObligationId, PolicyId, StageId, TemplateId};
use domain::touch::{Touch, TouchItem, TouchState};

use super::fence::{reached_list, reached_map, reached_text};
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
    pub(crate) settled_at: Option<DateTime<Utc>>,
    pub(crate) fence_version: Option<u64>,
    /// How often it was tried before this claim, and refused for now.
    pub(crate) tries: u32,
    /// What its obligations had reached before the claim.
    pub(crate) before: BTreeMap<ObligationId, Reached>,
    pub(crate) provider_id: Option<String>,
    pub(crate) reason: Option<String>,
}

impl StoredTouch {
    pub(crate) fn planned(touch: Touch) -> Self {
        Self {
            touch,
            state: TouchState::Planned,
            claimed_at: None,
            settled_at: None,
            fence_version: None,
            tries: 0,
            before: BTreeMap::new(),
            provider_id: None,
            reason: None,
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
        set_some(&mut item, "sa", self.settled_at.map(|at| at.timestamp_millis()));
        set_some(&mut item, "fv", self.fence_version);
        set_some(&mut item, "tr", (self.tries > 0).then_some(u64::from(self.tries)));
        if !self.before.is_empty() {
            set(&mut item, "pr", reached_text(self.before.iter()));
        }
        set_some(&mut item, "pi", self.provider_id.as_deref());
        set_some(&mut item, "rs", self.reason.as_deref());
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
        let items = r.read("i", "items", reached_list)?;
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
            items: items
                .into_iter()
                .map(|(obligation, r)| TouchItem { obligation, due_on: r.due_on, stage: r.stage, dpd: r.dpd })
                .collect(),
            policy: r.read("y", "a policy id", |t| PolicyId::new(t).ok())?,
            policy_version: r.number("yv")?,
        };
        Ok(Self {
            touch,
            state: r.read("st", "a state", |t| t.parse().ok())?,
            claimed_at: r.instant_or("ca")?,
            settled_at: r.instant_or("sa")?,
            fence_version: r.number_or("fv")?,
            tries: r.number_or("tr")?.unwrap_or(0),
            before: r.read_or("pr", "reached stages", reached_map)?.unwrap_or_default(),
            provider_id: r.text_or("pi")?.map(str::to_owned),
            reason: r.text_or("rs")?.map(str::to_owned),
        })
    }
}

pub(crate) fn items_text(items: &[TouchItem]) -> String {
    let reached: Vec<(ObligationId, Reached)> = items
        .iter()
        .map(|i| (i.obligation.clone(), Reached { due_on: i.due_on, stage: i.stage.clone(), dpd: i.dpd }))
        .collect();
    reached_text(reached.iter().map(|(id, r)| (id, r)))
}

/// The state of a touch that a failed condition handed back, with its provider's id and reason.
pub(crate) fn settled_item(item: &Item) -> Result<(TouchState, Option<&str>, Option<&str>), StoreError> {
    let r = Reader::new("touch", item);
    Ok((r.read("st", "a state", |t| t.parse().ok())?, r.text_or("pi")?, r.text_or("rs")?))
}
