//! A copy of what the embedded database holds, for the reads of a simulation: SQLite compiles a statement for every
//! read, which is most of what ten thousand worlds would cost.
//!
//! Invariant: writes and their conditions are the database's alone. The copy takes over what a write left there, in the
//! same step, so it answers as the database would; a question that it does not understand goes to the database.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::embedded::Embedded;
use super::{BatchPage, Expression, Item, Metered, Query, QueryPage, Scan, Table, Value, Write};
use crate::key::Key;
use crate::tables::{OPEN_INDEX, OPEN_PROJECTION};

/// What a read costs here. Nobody bills a simulation, so the copy does not count.
const UNITS: f64 = 0.0;

/// A place in a table: partition and sort key.
type Place = (String, String);

/// The embedded database with a copy of what it holds. Clones share both.
#[derive(Clone)]
pub(crate) struct Mirrored {
    pub(crate) database: Embedded,
    copy: Arc<Mutex<Copied>>,
}

#[derive(Default)]
struct Copied {
    ops: BTreeMap<Place, Item>,
    audit: BTreeMap<Place, Item>,
    /// The places of the open index, each with the place of its item.
    open: BTreeSet<(Place, Place)>,
}

/// The sort keys that a key condition asks for, in one partition.
struct Range {
    partition: String,
    from: String,
    to: Bound<String>,
}

impl Mirrored {
    /// A database that is empty, and stays out of everybody else's hands.
    pub(crate) fn over(database: Embedded) -> Self {
        Self { database, copy: Arc::default() }
    }

    fn copy(&self) -> MutexGuard<'_, Copied> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::unnecessary_wraps, reason = "answers as every other backend does")]
    pub(crate) fn get(&self, key: Key) -> Metered<Option<Item>> {
        Ok((self.copy().ops.get(&(key.pk, key.sk)).cloned(), UNITS))
    }

    #[expect(clippy::unnecessary_wraps, reason = "answers as every other backend does")]
    pub(crate) fn batch_get(&self, keys: Vec<Key>) -> Metered<BatchPage> {
        let copy = self.copy();
        let items = keys.into_iter().filter_map(|key| copy.ops.get(&(key.pk, key.sk)).cloned()).collect();
        Ok((BatchPage { items, unprocessed: Vec::new() }, UNITS))
    }

    pub(crate) fn query(&self, query: Query) -> Metered<QueryPage> {
        let range = Range::of(&query.condition).filter(|_| query.start.is_none());
        let Some(range) = range else { return self.database.query(query) };
        let copy = self.copy();
        let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
        let items: Vec<Item> = match (query.index, query.table) {
            (None, Table::Ops) => {
                range.places_in(&copy.ops).map(|(_, item)| item.clone()).take(limit).collect()
            }
            (None, Table::Audit) => {
                range.places_in(&copy.audit).map(|(_, item)| item.clone()).take(limit).collect()
            }
            (Some(OPEN_INDEX), Table::Ops) => copy.open_in(&range).take(limit).collect(),
            (Some(_), Table::Ops | Table::Audit) => Vec::new(),
        };
        // A full page has a next one, which may be empty; where it goes on, the database says.
        if items.len() == limit {
            drop(copy);
            return self.database.query(query);
        }
        Ok((QueryPage { items, next: None }, UNITS))
    }

    pub(crate) fn scan(&self, scan: Scan) -> Metered<QueryPage> {
        self.database.scan(scan)
    }

    pub(crate) fn write(&self, write: Write) -> Metered<()> {
        let done = self.database.write(write.clone())?;
        self.take_over(write)?;
        Ok(done)
    }

    pub(crate) fn transact(&self, writes: Vec<Write>) -> Metered<()> {
        let done = self.database.transact(writes.clone())?;
        for write in writes {
            self.take_over(write)?;
        }
        Ok(done)
    }

    /// Takes over what a write left in the database.
    fn take_over(&self, write: Write) -> Result<(), super::Failure> {
        let (table, key, item) = match write {
            Write::Put { table, item, .. } => match Key::of_item(&item) {
                Some(key) => (table, key, Some(item)),
                None => return Ok(()),
            },
            Write::Update { key, .. } => {
                let (item, _) = self.database.get(key.clone())?;
                (Table::Ops, key, item)
            }
            Write::Delete { key } => (Table::Ops, key, None),
            Write::Check { .. } => return Ok(()),
        };
        self.copy().set(table, (key.pk, key.sk), item);
        Ok(())
    }
}

impl Copied {
    fn set(&mut self, table: Table, place: Place, item: Option<Item>) {
        let items = match table {
            Table::Ops => &mut self.ops,
            Table::Audit => &mut self.audit,
        };
        let indexed = item.as_ref().and_then(open_place);
        let before = match item {
            Some(item) => items.insert(place.clone(), item),
            None => items.remove(&place),
        };
        if let Some(was) = before.as_ref().and_then(open_place) {
            self.open.remove(&(was, place.clone()));
        }
        if let Some(is) = indexed {
            self.open.insert((is, place));
        }
    }

    /// The entries of the open index, with the attributes that it projects.
    fn open_in<'a>(&'a self, range: &'a Range) -> impl Iterator<Item = Item> + 'a {
        let from = (range.first(), Place::default());
        let entries = self.open.range(from..).take_while(|(entry, _)| range.holds(entry));
        entries.filter_map(|(_, place)| {
            let item = self.ops.get(place)?;
            let keys = ["op", "os", "pk", "sk"];
            let shown = keys.iter().chain(OPEN_PROJECTION);
            Some(shown.filter_map(|name| Some(((*name).to_owned(), item.get(*name)?.clone()))).collect())
        })
    }
}

fn open_place(item: &Item) -> Option<Place> {
    match (item.get("op"), item.get("os")) {
        (Some(Value::S(op)), Some(Value::S(os))) => Some((op.clone(), os.clone())),
        (Some(Value::S(_) | Value::N(_)) | None, Some(Value::S(_) | Value::N(_)) | None) => None,
    }
}

impl Range {
    /// The range of a key condition; `None` where it has another shape than those of this crate.
    fn of(condition: &Expression) -> Option<Self> {
        let value = |name: &str| {
            let found = condition.values.iter().find(|(n, _)| *n == name);
            found.and_then(|(_, value)| match value {
                Value::S(text) => Some(text.clone()),
                Value::N(_) => None,
            })
        };
        let (partition, sort) = match condition.text.split_once(" AND ") {
            Some((partition, sort)) => (partition, Some(sort)),
            None => (condition.text, None),
        };
        let partition = value(partition.split_once(" = ")?.1)?;
        let all = Self { partition, from: String::new(), to: Bound::Unbounded };
        let Some(sort) = sort else { return Some(all) };
        if let Some(arguments) = sort.strip_prefix("begins_with(") {
            let prefix = value(arguments.strip_suffix(')')?.split_once(", ")?.1)?;
            // No key holds the last character of all, so what begins with the prefix sorts before it.
            let to = Bound::Excluded(format!("{prefix}\u{10FFFF}"));
            return Some(Self { from: prefix, to, ..all });
        }
        let words: Vec<&str> = sort.split(' ').collect();
        match words.as_slice() {
            [_, "BETWEEN", from, "AND", to] => {
                Some(Self { from: value(from)?, to: Bound::Included(value(to)?), ..all })
            }
            [_, "<=", to] => Some(Self { to: Bound::Included(value(to)?), ..all }),
            [_, "<", to] => Some(Self { to: Bound::Excluded(value(to)?), ..all }),
            _ => None,
        }
    }

    fn first(&self) -> Place {
        (self.partition.clone(), self.from.clone())
    }

    /// Whether a place at or after the first one is still in the range.
    fn holds(&self, (partition, sort): &Place) -> bool {
        *partition == self.partition
            && match &self.to {
                Bound::Unbounded => true,
                Bound::Included(to) => sort <= to,
                Bound::Excluded(to) => sort < to,
            }
    }

    fn places_in<'a>(
        &'a self,
        items: &'a BTreeMap<Place, Item>,
    ) -> impl Iterator<Item = (&'a Place, &'a Item)> {
        items.range(self.first()..).take_while(|(place, _)| self.holds(place))
    }
}
