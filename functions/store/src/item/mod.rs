//! Items: how each kind of item is written and read.
//!
//! Invariant: what was written reads back equal (instants in whole milliseconds), and an unreadable attribute is
//! an error that names it, never a default. Attribute names are short because they are paid for in every read:
//!
//! | name | on | meaning |
//! |---|---|---|
//! | `pk` `sk` | all | the primary key |
//! | `op` `os` | FENCE, OBL | key of the open index, sparse |
//! | `tp` `ts` | WAVE, REF | the key that the touch has in its customer's partition |
//! | `tr` | FENCE, TOUCH | how often touches were tried and refused for now: `touch|number`, comma between; the number |
//! | `q` | PROFILE, OBL, ZPAY | source sequence; 0 on an obligation that only payments know |
//! | `x` | PROFILE, OBL, ZPAY, audit | hash: of the row's snapshot, of the audit entry |
//! | `j` | CHOICE, PROFILE, SETTINGS, IMPORT, policy, audit | document: JSON, or the policy's source |
//! | `v` | FENCE, SETTINGS, policy HEAD | version |
//! | `k` | FENCE | contacts: `<ms since 1970, hex><channel letter>`, upper case when two-way; blank between |
//! | `r` | FENCE (in `open`) | reached: `obligation|due|stage|dpd`, comma between |
//! | `fa` | FENCE | attempts that did not arrive, with the items whose stage was taken back |
//! | `ah` | FENCE | head of the audit chain |
//! | `er` | FENCE | when the customer's personal data was erased |
//! | `ad` | FENCE | last decision on record: `<day>:<digest>` |
//! | `d` `m` `u` | OBL | due date, amount in minor units, currency |
//! | `a` `c` | OBL | account, closed on |
//! | `p` `ps` | OBL | paid by the snapshot, paid by payments; in minor units |
//! | `h` | OBL (in `open`) | holds: `<reason letter><from>-<until>`, comma between |
//! | `o` `m` `d` | ZPAY | obligation, amount in minor units, paid on |
//! | `st` | TOUCH, IMPORT | state |
//! | `i` | TOUCH | items, as `r` |
//! | `n` `g` `o` `u` `t` `y` `yv` `at` | TOUCH | channel, stage, tone, purpose, template, policy, its version, send at |
//! | `ca` `sa` `fv` | TOUCH | claimed at, settled at, fence version that was decided on |
//! | `pc` | OBL | reached stages of its past cycles |
//! | `pr` | TOUCH | reached of its obligations before the claim, for a release |
//! | `pi` `rs` | TOUCH, SUPP | provider's id, reason |
//! | `at` `lf` | SUPP | since when; lifted at, by the customer's own word |
//! | `hs` | TOUCH | history: what was said about it since its claim, by whom, when and why |
//! | `sb` | SOFT | instants of the soft bounces that count, oldest first |
//! | `ex` | REF, UPLOADS, REQUEST | when it may be forgotten, in seconds since 1970: what a table's time to live reads |
//! | `n` | IMPORT | rows done |
//! | `dl` | SETTINGS | when the tenant was deleted |
//! | `q` `by` `at` `st` `ik` `j` `rs` | UPLOADS | sequence, who asked, when, state, key of the ledger, report, problem |
//! | `x` `at` `st` `j` `h` | REQUEST | digest, begun at, status, body and headers of the answer |

mod choice;
mod customer;
mod fence;
mod obligation;
mod touch;

pub(crate) use choice::{decode_choice, encode_choice};
pub(crate) use customer::StoredCustomer;
pub(crate) use fence::{decode_fence, encode_fence, failed_text, instant_of_hex, reached_map, reached_text};
pub(crate) use obligation::{StoredObligation, StoredPayment, holds_of};
pub(crate) use touch::{StoredTouch, history_text, settled_item};

use chrono::{DateTime, Utc};
use domain::ids::CustomerId;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::backend::{Item, Value};
use crate::error::StoreError;
use crate::key::Key;

/// An item with its primary key.
pub(crate) fn keyed(key: Key) -> Item {
    Item::from([("pk".to_owned(), Value::S(key.pk)), ("sk".to_owned(), Value::S(key.sk))])
}

/// Sets an attribute.
pub(crate) fn set(item: &mut Item, name: &'static str, value: impl Into<Value>) {
    item.insert(name.to_owned(), value.into());
}

/// Sets an attribute where there is something to set.
pub(crate) fn set_some(item: &mut Item, name: &'static str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        set(item, name, value);
    }
}

/// Reads attributes of one kind of item.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) kind: &'static str,
    pub(crate) item: &'a Item,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(kind: &'static str, item: &'a Item) -> Self {
        Self { kind, item }
    }

    pub(crate) fn corrupt(&self, attribute: &'static str, expected: &'static str) -> StoreError {
        let part = |name| match self.item.get(name) {
            Some(Value::S(text)) => text.as_str(),
            Some(Value::N(_)) | None => "?",
        };
        let place = format!("{} {}", part("pk"), part("sk"));
        StoreError::Corrupt { item: self.kind, place, attribute, expected }
    }

    /// A text, where it is there.
    pub(crate) fn text_or(&self, name: &'static str) -> Result<Option<&'a str>, StoreError> {
        match self.item.get(name) {
            None => Ok(None),
            Some(Value::S(text)) => Ok(Some(text)),
            Some(Value::N(_)) => Err(self.corrupt(name, "text")),
        }
    }

    /// A text that must be there.
    pub(crate) fn text(&self, name: &'static str) -> Result<&'a str, StoreError> {
        self.text_or(name)?.ok_or_else(|| self.corrupt(name, "text"))
    }

    /// A whole number, where it is there.
    pub(crate) fn number_or<N: std::str::FromStr>(
        &self,
        name: &'static str,
    ) -> Result<Option<N>, StoreError> {
        match self.item.get(name) {
            None => Ok(None),
            Some(Value::N(number)) => {
                number.parse().map(Some).map_err(|_| self.corrupt(name, "a whole number in range"))
            }
            Some(Value::S(_)) => Err(self.corrupt(name, "a whole number")),
        }
    }

    /// A whole number that must be there.
    pub(crate) fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<N, StoreError> {
        self.number_or(name)?.ok_or_else(|| self.corrupt(name, "a whole number"))
    }

    /// A text read by `read`, where it is there.
    pub(crate) fn read_or<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        self.text_or(name)?.map(|text| read(text).ok_or_else(|| self.corrupt(name, expected))).transpose()
    }

    /// A text read by `read` that must be there.
    pub(crate) fn read<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        self.read_or(name, expected, read)?.ok_or_else(|| self.corrupt(name, expected))
    }

    /// An instant in milliseconds since 1970, where it is there.
    pub(crate) fn instant_or(&self, name: &'static str) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.number_or::<i64>(name)?
            .map(|ms| {
                DateTime::from_timestamp_millis(ms)
                    .ok_or_else(|| self.corrupt(name, "milliseconds since 1970"))
            })
            .transpose()
    }
}

/// The customer that the key of an item names: its partition, or that of the touch that waits in it.
pub(crate) fn customer_named(item: &Item) -> Option<CustomerId> {
    ["pk", "tp"].into_iter().find_map(|name| match item.get(name) {
        Some(Value::S(text)) => crate::key::customer_of(text),
        Some(Value::N(_)) | None => None,
    })
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The first 16 bytes of the SHA-256 of a snapshot in its canonical form: JSON with the fields in declared order.
pub(crate) fn row_hash(snapshot: &impl Serialize) -> String {
    let json = serde_json::to_vec(snapshot).expect("domain types have no map with non-text keys");
    hex(&Sha256::digest(json)[..16])
}

#[cfg(test)]
mod tests;
