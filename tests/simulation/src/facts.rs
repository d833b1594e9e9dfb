//! Facts on their way into the store, as an importer or an opt-out page records them, and since when each is known.
//!
//! Invariant: a fact counts as known from the step at which the store took it, whether or not the writer learned so.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use domain::contact::Consent;
use domain::ids::PaymentId;
use domain::import::record::{AccountRow, PaymentRow};
use domain::obligation::{Hold, HoldReason};
use store::{ImportCounts, ImportState, Scope, Store, StoreError, SuppressionKey};

use crate::scene::instant;
use crate::world::{Fact, World};

/// The source number of what is known at first; every fact has a later one.
const FIRST_SEQUENCE: u64 = 1;
/// How many rows of a file come in at once.
const PART_ROWS: usize = 2;
/// What the ledger knows the file by.
const FILE_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a writer has to write. It is made when the lender knows the fact, and stays the same in every try.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Rows(u64, Vec<AccountRow>),
    /// A file, which comes in parts.
    File(u64, Vec<AccountRow>),
    Payment(u64, PaymentRow),
    Suppression {
        customer: usize,
        channel: domain::channel::Channel,
    },
    Policy,
}

/// What the lender knows by now, and has told or is about to tell.
#[derive(Debug)]
pub(crate) struct Ledger {
    rows: Vec<AccountRow>,
    shown: Vec<bool>,
    /// The payments that were told of.
    paid: BTreeSet<usize>,
}

impl Ledger {
    pub(crate) fn new(world: &World) -> Self {
        let shown = (0..world.rows.len()).map(|o| world.known_at_first(o)).collect();
        Self { rows: world.rows.clone(), shown, paid: BTreeSet::new() }
    }

    /// What is known at first.
    pub(crate) fn first(&self) -> Entry {
        let known = self.rows.iter().zip(&self.shown).filter(|(_, shown)| **shown);
        Entry::Rows(FIRST_SEQUENCE, known.map(|(row, _)| row.clone()).collect())
    }

    /// The same as a file that comes in parts.
    pub(crate) fn first_file(&self) -> Entry {
        let known = self.rows.iter().zip(&self.shown).filter(|(_, shown)| **shown);
        Entry::File(FIRST_SEQUENCE, known.map(|(row, _)| row.clone()).collect())
    }

    /// Takes the next fact in, and says what is to be written about it; `None` where there is nothing to write.
    pub(crate) fn learn(&mut self, world: &World, index: usize) -> Option<Entry> {
        let sequence = FIRST_SEQUENCE + 1 + u64::try_from(index).unwrap_or_default();
        match &world.facts[index].1 {
            Fact::Pay { obligation, amount_minor, key } => {
                self.paid.insert(*key);
                Some(self.payment(sequence, *obligation, *amount_minor, *key))
            }
            // The same payment again, of nothing.
            Fact::Unpay { obligation, key } => {
                self.paid.contains(key).then(|| self.payment(sequence, *obligation, 0, *key))
            }
            Fact::Move { obligation, due_on } => {
                self.shown[*obligation].then_some(())?;
                self.rows[*obligation].obligation.due_on = *due_on;
                self.told(sequence, *obligation)
            }
            // What the lender has not told yet cannot be disputed.
            Fact::Dispute { obligation, from_on, until_on } => {
                self.shown[*obligation].then_some(())?;
                let hold = Hold { reason: HoldReason::Dispute, from_on: *from_on, until_on: *until_on };
                self.rows[*obligation].obligation.holds.push(hold);
                self.told(sequence, *obligation)
            }
            Fact::OptOut { customer, channel, on } => {
                let word = Consent::of_contract(*channel, false, *on);
                let owned = (0..self.rows.len()).filter(|o| world.owners[*o] == *customer);
                let owned: Vec<usize> = owned.collect();
                let shown = owned.iter().copied().find(|o| self.shown[*o])?;
                for o in &owned {
                    self.rows[*o].customer.consents.push(word.clone());
                }
                self.told(sequence, shown)
            }
            Fact::Suppress { customer, channel } => {
                Some(Entry::Suppression { customer: *customer, channel: *channel })
            }
            Fact::Appear { obligation } => {
                self.shown[*obligation] = true;
                self.told(sequence, *obligation)
            }
            Fact::Policy => Some(Entry::Policy),
        }
    }

    fn payment(&self, sequence: u64, obligation: usize, amount_minor: i64, key: usize) -> Entry {
        let row = &self.rows[obligation];
        let id = PaymentId::new(format!("p{key}")).expect("an id that is made here is sound");
        let (customer, obligation) = (row.customer.id.clone(), row.obligation.id.clone());
        let paid_on = NaiveDate::MIN;
        Entry::Payment(sequence, PaymentRow { line: 2, id, customer, obligation, amount_minor, paid_on })
    }

    fn told(&self, sequence: u64, obligation: usize) -> Option<Entry> {
        self.shown[obligation].then(|| Entry::Rows(sequence, vec![self.rows[obligation].clone()]))
    }
}

/// Imports a file in parts, as the importer does: what the ledger says is in is not written again.
async fn import(store: &Store, scope: &Scope, sequence: u64, rows: &[AccountRow]) -> Result<(), StoreError> {
    let done = match store.begin_import(&scope.tenant, FILE_KEY).await? {
        ImportState::Done(_) => return Ok(()),
        ImportState::New => 0,
        ImportState::InProgress { rows_done } => rows_done,
    };
    let mut seen = 0;
    for part in rows.chunks(PART_ROWS) {
        seen += part.len() as u64;
        if seen > done {
            store.import_accounts(scope, sequence, NaiveDate::MAX, part).await?;
            store.import_progress(&scope.tenant, FILE_KEY, seen).await?;
        }
    }
    store.finish_import(&scope.tenant, FILE_KEY, &ImportCounts::default()).await
}

/// Writes an entry; `false` when it has to be tried again.
pub(crate) async fn write(
    store: &Store,
    secret: &SuppressionKey,
    world: &World,
    entry: &Entry,
    now_ms: i64,
) -> bool {
    let scope = Scope::new(world.tenant.id.clone(), world.tenant.shards);
    let tenant = &scope.tenant;
    match entry {
        Entry::Rows(sequence, rows) => {
            store.import_accounts(&scope, *sequence, NaiveDate::MAX, rows).await.is_ok()
        }
        Entry::File(sequence, rows) => import(store, &scope, *sequence, rows).await.is_ok(),
        Entry::Payment(sequence, row) => {
            let rows = std::slice::from_ref(row);
            store.import_payments(&scope, *sequence, NaiveDate::MAX, rows).await.is_ok()
        }
        Entry::Suppression { customer, channel } => {
            let customer = &world.customers[*customer];
            let Some(point) = customer.contact_points.iter().find(|p| p.channel == *channel) else {
                return true;
            };
            let (point, at) = ((*channel, &point.address), instant(now_ms));
            store.suppress(tenant, secret, point, Some(&customer.id), "opt_out", at).await.is_ok()
        }
        Entry::Policy => {
            let (id, source) = (&world.tenant.policy, world.policy(2));
            store.put_policy(tenant, id, 2, &source).await.is_ok()
                && store.activate_policy(tenant, id, 2).await.is_ok()
        }
    }
}
