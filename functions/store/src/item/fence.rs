//! The fence: small enough for one write unit with 35 contacts and five open obligations.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::contact::Contact;
use domain::fence::{FailedAttempt, Fence, Reached, RecordedDecision};
use domain::ids::{CustomerId, ObligationId, StageId, TouchId};
use domain::touch::TouchItem;

use super::{Reader, keyed, set, set_some};
use crate::backend::Item;
use crate::error::StoreError;
use crate::key::{self, Scope, day_of, day_text, escape, open_fence_sort, open_partition, unescape};

/// A fence as an item. It is in the open index while something was reached, and, after that, until a sweep has seen
/// that no claim is open: a payment that comes between a claim and its settlement must not hide the claim.
pub(crate) fn encode_fence(scope: &Scope, customer: &CustomerId, fence: &Fence) -> Item {
    let mut item = keyed(key::fence(&scope.tenant, customer));
    set(&mut item, "v", fence.version);
    set_some(&mut item, "ah", fence.audit_head.as_deref());
    if !fence.tries.is_empty() {
        set(&mut item, "tr", tries_text(&fence.tries));
    }
    set_some(&mut item, "er", fence.erased_at.map(|at| at.timestamp_millis()));
    set_some(&mut item, "ep", fence.erasing.then_some(1_u64));
    set_some(&mut item, "ad", fence.recorded.as_ref().map(recorded_text));
    if !fence.contacts.is_empty() {
        set(&mut item, "k", contacts_text(&fence.contacts));
    }
    if !fence.failed.is_empty() {
        set(&mut item, "fa", failed_text(&fence.failed));
    }
    set_some(&mut item, "lc", fence.contacts.iter().map(|c| c.at.timestamp_millis()).max());
    if !fence.reached.is_empty() {
        set(&mut item, "r", reached_text(fence.reached.iter()));
    }
    if !fence.reached.is_empty() || !fence.contacts.is_empty() {
        set(&mut item, "op", open_partition(&scope.tenant, scope.shard_of(customer)));
        set(&mut item, "os", open_fence_sort(customer));
    }
    item
}

pub(crate) fn decode_fence(item: &Item) -> Result<Fence, StoreError> {
    let r = Reader::new("fence", item);
    Ok(Fence {
        version: r.number("v")?,
        contacts: r.read_or("k", "contacts", contacts_of)?.unwrap_or_default(),
        reached: r.read_or("r", "reached stages", reached_map)?.unwrap_or_default(),
        failed: r.read_or("fa", "attempts that did not arrive", failed_of)?.unwrap_or_default(),
        audit_head: r.text_or("ah")?.map(str::to_owned),
        recorded: r.read_or("ad", "<day>:<digest>", recorded_of)?,
        tries: r.read_or("tr", "tries", tries_of)?.unwrap_or_default(),
        erased_at: r.instant_or("er")?,
        erasing: r.number_or::<u64>("ep")?.is_some(),
    })
}

fn tries_text(tries: &BTreeMap<TouchId, u32>) -> String {
    let one = |(id, tries): (&TouchId, &u32)| format!("{}|{tries}", escape(id.as_str()));
    tries.iter().map(one).collect::<Vec<_>>().join(",")
}

fn tries_of(text: &str) -> Option<BTreeMap<TouchId, u32>> {
    let one = |text: &str| {
        let (id, tries) = text.split_once('|')?;
        Some((TouchId::new(unescape(id)).ok()?, tries.parse().ok()?))
    };
    text.split(',').map(one).collect()
}

fn recorded_text(recorded: &RecordedDecision) -> String {
    format!("{}:{}", day_text(recorded.on), recorded.digest)
}

fn recorded_of(text: &str) -> Option<RecordedDecision> {
    let (on, digest) = text.split_once(':')?;
    Some(RecordedDecision { on: day_of(on)?, digest: digest.to_owned() })
}

const fn letter(channel: Channel) -> char {
    match channel {
        Channel::Email => 'm',
        Channel::Sms => 's',
        Channel::Push => 'p',
        Channel::Whatsapp => 'w',
        // No letter may be a hexadecimal digit: it ends the number before it.
        Channel::Call => 't',
    }
}

fn contacts_text(contacts: &[Contact]) -> String {
    let one = |c: &Contact| {
        let channel = letter(c.channel);
        let channel = if c.direct { channel.to_ascii_uppercase() } else { channel };
        format!("{:x}{channel}", c.at.timestamp_millis())
    };
    contacts.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn contacts_of(text: &str) -> Option<Vec<Contact>> {
    text.split(' ').map(contact_of).collect()
}

fn contact_of(text: &str) -> Option<Contact> {
    let (digits, last) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let last = last.chars().next()?;
    let channel = Channel::ALL.iter().copied().find(|c| letter(*c) == last.to_ascii_lowercase())?;
    Some(Contact { at: instant_of_hex(digits)?, channel, direct: last.is_ascii_uppercase() })
}

/// The instant of milliseconds since 1970 in hexadecimal digits; negative ones are in two's complement.
pub(crate) fn instant_of_hex(digits: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(u64::from_str_radix(digits, 16).ok()?.cast_signed())
}

/// Attempts that did not arrive: `<ms since 1970, hex><channel letter>,<items as reached>`, and `#`, which no escaped id
/// has, between.
pub(crate) fn failed_text(attempts: &[FailedAttempt]) -> String {
    let one = |a: &FailedAttempt| {
        format!("{:x}{},{}", a.at.timestamp_millis(), letter(a.channel), items_text(&a.items))
    };
    attempts.iter().map(one).collect::<Vec<_>>().join("#")
}

fn failed_of(text: &str) -> Option<Vec<FailedAttempt>> {
    let one = |text: &str| {
        let (contact, items) = text.split_once(',')?;
        let Contact { at, channel, .. } = contact_of(contact)?;
        Some(FailedAttempt { at, channel, items: items_of(items)? })
    };
    text.split('#').map(one).collect()
}

/// The items of a touch, compact.
pub(crate) fn items_text(items: &[TouchItem]) -> String {
    let reached: Vec<(ObligationId, Reached)> = items
        .iter()
        .map(|i| (i.obligation.clone(), Reached { due_on: i.due_on, stage: i.stage.clone(), dpd: i.dpd }))
        .collect();
    reached_text(reached.iter().map(|(id, r)| (id, r)))
}

/// What [`items_text`] wrote.
pub(crate) fn items_of(text: &str) -> Option<Vec<TouchItem>> {
    let item = |(obligation, r): (ObligationId, Reached)| TouchItem {
        obligation,
        due_on: r.due_on,
        stage: r.stage,
        dpd: r.dpd,
    };
    reached_list(text).map(|list| list.into_iter().map(item).collect())
}

/// Obligations with the stage of each, compact.
pub(crate) fn reached_text<'a>(entries: impl Iterator<Item = (&'a ObligationId, &'a Reached)>) -> String {
    let one = |(id, r): (&ObligationId, &Reached)| {
        format!("{}|{}|{}|{}", escape(id.as_str()), day_text(r.due_on), escape(r.stage.as_str()), r.dpd)
    };
    entries.map(one).collect::<Vec<_>>().join(",")
}

/// What [`reached_text`] wrote, in order.
pub(crate) fn reached_list(text: &str) -> Option<Vec<(ObligationId, Reached)>> {
    let one = |text: &str| {
        let mut parts = text.split('|');
        let id = ObligationId::new(unescape(parts.next()?)).ok()?;
        let due_on = day_of(parts.next()?)?;
        let stage = StageId::new(unescape(parts.next()?)).ok()?;
        Some((id, Reached { due_on, stage, dpd: parts.next()?.parse().ok()? }))
    };
    if text.is_empty() { Some(Vec::new()) } else { text.split(',').map(one).collect() }
}

pub(crate) fn reached_map(text: &str) -> Option<BTreeMap<ObligationId, Reached>> {
    reached_list(text).map(|list| list.into_iter().collect())
}
