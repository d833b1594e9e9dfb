//! Obligations and payments.
//!
//! What a snapshot says was paid and what single payments add up to are kept apart, because either source may be
//! the better one; the domain sees the larger, so that money once seen is never asked for again.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::fence::Reached;
use domain::ids::{AccountId, CustomerId, ObligationId};
use domain::import::record::PaymentRow;
use domain::money::Money;
use domain::obligation::{Hold, HoldReason, Obligation};

use super::fence::{reached_list, reached_text};
use super::{Reader, keyed, row_hash, set, set_some};
use crate::backend::Item;
use crate::error::StoreError;
use crate::key::{Key, Scope, day_of, day_text, open_partition, open_sort, unescape};

/// An obligation with the source it came from, or only the payments towards one that no snapshot named yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredObligation {
    /// By the snapshot alone: `paid_minor` does not count single payments.
    pub(crate) snapshot: Option<Obligation>,
    /// 0 without a snapshot.
    pub(crate) sequence: u64,
    pub(crate) hash: Option<String>,
    pub(crate) payments_minor: i64,
    /// The stages of cycles that are over for now: of other due dates, or of before it was closed. A due date that comes
    /// back, or a payment that is taken back, goes on where its cycle was, so that no stage is ever reached twice.
    pub(crate) past: Vec<Reached>,
}

/// The most cycles of one obligation that are remembered, the latest due dates.
const PAST_CYCLES_MAX: usize = 12;

impl StoredObligation {
    /// Moves the stage of a cycle that is over from the fence to the obligation, and one that comes back to the fence.
    pub(crate) fn turn_cycle(&mut self, id: &ObligationId, reached: &mut BTreeMap<ObligationId, Reached>) {
        let current = self.current_cycle();
        if reached.get(id).is_some_and(|r| Some(r.due_on) != current)
            && let Some(over) = reached.remove(id)
        {
            self.set_past(over.due_on, Some(over));
        }
        if !reached.contains_key(id)
            && let Some(at) = self.past.iter().position(|p| Some(p.due_on) == current)
        {
            reached.insert(id.clone(), self.past.remove(at));
        }
    }

    /// The due date of the cycle whose stage stands in the fence; `None` while the obligation is not open.
    pub(crate) fn current_cycle(&self) -> Option<NaiveDate> {
        self.snapshot.as_ref().filter(|_| self.is_open()).map(|o| o.due_on)
    }

    /// The stages of its past cycles as they are stored; `None` where there is none.
    pub(crate) fn past_text(&self) -> Option<String> {
        let o = self.snapshot.as_ref().filter(|_| !self.past.is_empty())?;
        Some(reached_text(self.past.iter().map(|past| (&o.id, past))))
    }

    /// Sets the stage of a cycle that is over for now.
    pub(crate) fn set_past(&mut self, due_on: NaiveDate, stage: Option<Reached>) {
        self.past.retain(|p| p.due_on != due_on);
        self.past.extend(stage);
        self.past.sort_unstable_by_key(|p| p.due_on);
        let excess = self.past.len().saturating_sub(PAST_CYCLES_MAX);
        self.past.drain(..excess);
    }

    /// What the domain sees.
    pub(crate) fn merged(&self) -> Option<Obligation> {
        let mut obligation = self.snapshot.clone()?;
        obligation.paid_minor = obligation.paid_minor.max(self.payments_minor);
        Some(obligation)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.merged().is_some_and(|o| o.is_open())
    }

    pub(crate) fn encode(&self, key: Key, scope: &Scope) -> Item {
        let mut item = keyed(key);
        set(&mut item, "q", self.sequence);
        set(&mut item, "ps", self.payments_minor);
        set_some(&mut item, "x", self.hash.as_deref());
        set_some(&mut item, "pc", self.past_text());
        let Some(o) = &self.snapshot else { return item };
        set(&mut item, "d", day_text(o.due_on));
        set(&mut item, "m", o.amount.amount_minor);
        set(&mut item, "u", o.amount.currency.code());
        set(&mut item, "p", o.paid_minor);
        set_some(&mut item, "a", o.account.as_ref().map(AccountId::as_str));
        set_some(&mut item, "c", o.closed_on.map(day_text));
        if !o.holds.is_empty() {
            set(&mut item, "h", holds_text(&o.holds));
        }
        if self.is_open() {
            set(&mut item, "op", open_partition(&scope.tenant, scope.shard_of(&o.customer)));
            set(&mut item, "os", open_sort(o.due_on, &o.customer, &o.id));
        }
        item
    }

    pub(crate) fn decode(item: &Item, customer: &CustomerId) -> Result<Self, StoreError> {
        let r = Reader::new("obligation", item);
        let hash = r.text_or("x")?.map(str::to_owned);
        let snapshot = match hash {
            None => None,
            Some(_) => Some(Obligation {
                id: r.read("sk", "OBL#<id>", obligation_of)?,
                customer: customer.clone(),
                account: r.read_or("a", "an account id", |t| AccountId::new(t).ok())?,
                due_on: r.read("d", "a day", day_of)?,
                amount: Money::new(r.number("m")?, r.read("u", "a currency", |t| t.parse().ok())?),
                paid_minor: r.number("p")?,
                closed_on: r.read_or("c", "a day", day_of)?,
                holds: r.read_or("h", "holds", holds_of)?.unwrap_or_default(),
            }),
        };
        let past = r.read_or("pc", "stages of past cycles", reached_list)?.unwrap_or_default();
        let past = past.into_iter().map(|(_, past)| past).collect();
        Ok(Self { snapshot, sequence: r.number("q")?, hash, payments_minor: r.number("ps")?, past })
    }
}

fn obligation_of(sk: &str) -> Option<ObligationId> {
    ObligationId::new(unescape(sk.strip_prefix(crate::key::OBLIGATION)?)).ok()
}

/// A payment with the source it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredPayment {
    pub(crate) obligation: ObligationId,
    pub(crate) amount_minor: i64,
    pub(crate) paid_on: NaiveDate,
    pub(crate) sequence: u64,
    pub(crate) hash: String,
}

impl StoredPayment {
    pub(crate) fn new(row: &PaymentRow, sequence: u64) -> Self {
        // The line is where it was read, not what it says.
        let hash = row_hash(&(&row.obligation, row.amount_minor, row.paid_on));
        Self {
            obligation: row.obligation.clone(),
            amount_minor: row.amount_minor,
            paid_on: row.paid_on,
            sequence,
            hash,
        }
    }

    pub(crate) fn encode(&self, key: Key) -> Item {
        let mut item = keyed(key);
        set(&mut item, "o", self.obligation.as_str());
        set(&mut item, "m", self.amount_minor);
        set(&mut item, "d", day_text(self.paid_on));
        set(&mut item, "q", self.sequence);
        set(&mut item, "x", self.hash.as_str());
        item
    }

    pub(crate) fn decode(item: &Item) -> Result<Self, StoreError> {
        let r = Reader::new("payment", item);
        Ok(Self {
            obligation: r.read("o", "an obligation id", |t| ObligationId::new(t).ok())?,
            amount_minor: r.number("m")?,
            paid_on: r.read("d", "a day", day_of)?,
            sequence: r.number("q")?,
            hash: r.text("x")?.to_owned(),
        })
    }
}

const REASONS: [(HoldReason, char); 4] = [
    (HoldReason::Dispute, 'd'),
    (HoldReason::Promise, 'p'),
    (HoldReason::Hardship, 'h'),
    (HoldReason::Manual, 'm'),
];

pub(crate) fn holds_text(holds: &[Hold]) -> String {
    let one = |hold: &Hold| {
        let letter = REASONS.iter().find(|(reason, _)| *reason == hold.reason).map_or('m', |(_, c)| *c);
        let until = hold.until_on.map(day_text).unwrap_or_default();
        format!("{letter}{}-{until}", day_text(hold.from_on))
    };
    holds.iter().map(one).collect::<Vec<_>>().join(",")
}

pub(crate) fn holds_of(text: &str) -> Option<Vec<Hold>> {
    let one = |text: &str| {
        let mut chars = text.chars();
        let letter = chars.next()?;
        let (from, until) = chars.as_str().split_once('-')?;
        Some(Hold {
            reason: REASONS.iter().find(|(_, c)| *c == letter)?.0,
            from_on: day_of(from)?,
            until_on: if until.is_empty() { None } else { Some(day_of(until)?) },
        })
    };
    text.split(',').map(one).collect()
}
