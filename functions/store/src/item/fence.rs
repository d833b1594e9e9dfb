//! The fence: small enough for one write unit with 35 contacts and five open obligations.

use std::collections::BTreeMap;

use chrono::DateTime;
use domain::channel::Channel;
use domain::contact::Contact;
use domain::fence::{Fence, Reached};
use domain::ids::{CustomerId, ObligationId, StageId};

use super::{Reader, keyed, set, set_some};
use crate::backend::Item;
use crate::error::StoreError;
use crate::key::{self, Scope, day_of, day_text, escape, open_fence_sort, open_partition, unescape};

/// A fence as an item. It is in the open index only while something was reached.
pub(crate) fn encode_fence(scope: &Scope, customer: &CustomerId, fence: &Fence) -> Item {
    let mut item = keyed(key::fence(&scope.tenant, customer));
    set(&mut item, "v", fence.version);
    set_some(&mut item, "ah", fence.audit_head.as_deref());
    if !fence.contacts.is_empty() {
        set(&mut item, "k", contacts_text(&fence.contacts));
    }
    set_some(&mut item, "lc", fence.contacts.iter().map(|c| c.at.timestamp_millis()).max());
    if !fence.reached.is_empty() {
        let reached = reached_text(fence.reached.iter());
        set(&mut item, "r", reached);
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
        audit_head: r.text_or("ah")?.map(str::to_owned),
    })
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
    let one = |text: &str| {
        let (digits, last) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let last = last.chars().next()?;
        let channel = Channel::ALL.iter().copied().find(|c| letter(*c) == last.to_ascii_lowercase())?;
        // Negative instants are written in two's complement.
        let ms = u64::from_str_radix(digits, 16).ok()?.cast_signed();
        Some(Contact { at: DateTime::from_timestamp_millis(ms)?, channel, direct: last.is_ascii_uppercase() })
    };
    text.split(' ').map(one).collect()
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
