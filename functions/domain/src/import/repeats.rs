//! Repeats: an id that stands in a file more than once.
//!
//! Invariant: a row is told from its repetition by two hashes and its line, 16 bytes in all, so that a million
//! rows stay well within the memory of a small function.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use super::record::Record;
use super::row_error::{RowError, RowErrorCode, quoted};

/// Tables that grow one after the other: one large table would hold its old and its new half at once.
const SHARDS: usize = 64;

/// What a row is, given the rows before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The first with its id.
    First,
    /// The same id and the same facts as an earlier row.
    Repeated,
    /// The same id as an earlier row, with other facts.
    Conflicting(RowError),
}

/// The ids of one file so far.
#[derive(Debug)]
pub struct Repeats {
    // The key is a hash already; hashing it again would only cost time.
    shards: Vec<HashMap<u64, Entry, BuildHasherDefault<KeyIsHash>>>,
}

#[derive(Debug)]
struct Entry {
    facts: u32,
    line: u32,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| HashMap::default()).collect() }
    }
}

impl Repeats {
    /// Notes a record and says whether its id came before. Two of a million ids share their hash once in 37
    /// million files; that would refuse a sound row, visibly, and never let a wrong one through.
    #[must_use]
    pub fn note(&mut self, record: &Record) -> Seen {
        let (id, line) = match record {
            Record::Account(row) => (row.obligation.id.as_str(), row.line),
            Record::Payment(row) => (row.id.as_str(), row.line),
        };
        let key = hash_of(&id);
        let facts = (facts_hash(record) >> 32) as u32;
        let shard = &mut self.shards[(key >> 32) as usize % SHARDS];
        match shard.get(&key) {
            None => {
                shard.insert(key, Entry { facts, line: u32::try_from(line).unwrap_or(u32::MAX) });
                Seen::First
            }
            Some(entry) if entry.facts == facts => Seen::Repeated,
            Some(entry) => Seen::Conflicting(RowError::of_row(
                line,
                RowErrorCode::ConflictingDuplicate,
                format!(
                    "the id {} stands on line {} with other facts than on line {line}",
                    quoted(id),
                    entry.line
                ),
                "one row for each id",
            )),
        }
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Everything that the row says, except where it stands.
fn facts_hash(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    let h = &mut hasher;
    match record {
        Record::Account(row) => {
            let (customer, obligation) = (&row.customer, &row.obligation);
            (&customer.id, &customer.name, customer.kind, customer.country, customer.language).hash(h);
            customer.time_zone.map(|zone| zone.name()).hash(h);
            (&customer.segment, customer.preferred_channel).hash(h);
            for point in &customer.contact_points {
                (point.channel, &point.address, point.test).hash(h);
            }
            for consent in &customer.consents {
                (consent.channel, consent.granted, consent.on).hash(h);
            }
            (&obligation.account, obligation.due_on, obligation.amount, obligation.paid_minor).hash(h);
            (row.known_on, row.closed_on).hash(h);
            row.dispute.as_ref().map(|hold| (hold.reason, hold.from_on, hold.until_on)).hash(h);
        }
        Record::Payment(row) => {
            (&row.customer, &row.obligation, row.amount_minor, row.paid_on).hash(h);
        }
    }
    hasher.finish()
}

/// Passes a key through that is a hash already.
#[derive(Debug, Default)]
struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        // Only `write_u64` is ever called; this keeps the hasher correct all the same.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::ids::{CustomerId, ObligationId, PaymentId};
    use crate::import::record::PaymentRow;

    fn payment(line: u64, id: &str, amount_minor: i64) -> Record {
        Record::Payment(PaymentRow {
            line,
            id: PaymentId::new(id).unwrap(),
            customer: CustomerId::new("c").unwrap(),
            obligation: ObligationId::new("o").unwrap(),
            amount_minor,
            paid_on: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap(),
        })
    }

    #[test]
    fn the_same_facts_repeat_and_other_facts_conflict() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.note(&payment(2, "p", 5)), Seen::First);
        assert_eq!(repeats.note(&payment(3, "q", 5)), Seen::First);
        assert_eq!(repeats.note(&payment(4, "p", 5)), Seen::Repeated);
        let Seen::Conflicting(error) = repeats.note(&payment(9, "p", 6)) else { panic!("not a conflict") };
        assert_eq!(
            error.to_string(),
            "line 9: the id \"p\" stands on line 2 with other facts than on line 9; expected one row for each id"
        );
    }

    #[test]
    fn an_entry_takes_sixteen_bytes() {
        assert_eq!(size_of::<(u64, Entry)>(), 16);
    }
}
