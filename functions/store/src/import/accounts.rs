//! Rows about customers and their obligations.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use domain::choice::imported_words;
use domain::customer::Customer;
use domain::ids::{CustomerId, ObligationId};
use domain::import::record::AccountRow;
use domain::obligation::Obligation;

use super::{IMPORT_TRIES_MAX, ImportCounts, Known, Plan, READ_AHEAD_KEYS_MAX, Ruling, contended, ruling};
use crate::backend::{Expression, Table, Write};
use crate::claim::fence_write;
use crate::item::{StoredCustomer, StoredObligation, decode_fence, row_hash};
use crate::key::{self, Key};
use crate::{Scope, Store, StoreError};

/// The most obligations of one customer in one transaction, which has room for the customer and the fence too.
const GROUP_OBLIGATIONS_MAX: usize = 90;
const _: () = assert!(GROUP_OBLIGATIONS_MAX + 2 <= crate::backend::TRANSACTION_WRITES_MAX);

/// What the rows of one call say about one customer.
struct Group {
    as_of: NaiveDate,
    customer: Customer,
    obligations: Vec<Obligation>,
}

impl Group {
    fn keys(&self, scope: &Scope) -> Vec<Key> {
        let (tenant, customer) = (&scope.tenant, &self.customer.id);
        let mut keys = vec![key::profile(tenant, customer), key::fence(tenant, customer)];
        keys.extend(self.obligations.iter().map(|o| key::obligation(tenant, customer, &o.id)));
        keys
    }
}

impl Store {
    /// Imports what `rows` say was true on `as_of`, as source number `sequence`. Counted as `import`.
    ///
    /// Rows about one customer are folded in order: the last one decides what is known about the customer, and
    /// about an obligation that several rows name.
    ///
    /// # Errors
    /// [`StoreError`] when an access fails. Rows before it may be stored; importing the same rows again is safe.
    pub async fn import_accounts(
        &self,
        scope: &Scope,
        sequence: u64,
        as_of: NaiveDate,
        rows: &[AccountRow],
    ) -> Result<ImportCounts, StoreError> {
        let mut counts = ImportCounts::default();
        let groups = fold(rows, as_of, &mut counts);
        let mut rest = groups.as_slice();
        while !rest.is_empty() {
            let mut keys = Vec::new();
            let ahead = rest
                .iter()
                .take_while(|group| {
                    let room = keys.is_empty() || keys.len() < READ_AHEAD_KEYS_MAX;
                    if room {
                        keys.extend(group.keys(scope));
                    }
                    room
                })
                .count();
            let (now, later) = rest.split_at(ahead);
            // Two groups of one customer read the same profile.
            let mut seen = HashSet::new();
            keys.retain(|key| seen.insert(key.clone()));
            let mut known = self.known(keys).await?;
            for group in now {
                counts += self.import_group(scope, sequence, group, &mut known).await?;
            }
            rest = later;
        }
        Ok(counts)
    }

    async fn import_group(
        &self,
        scope: &Scope,
        sequence: u64,
        group: &Group,
        known: &mut Known,
    ) -> Result<ImportCounts, StoreError> {
        let mut plan = decide(scope, sequence, group, known)?;
        for _ in 0..IMPORT_TRIES_MAX {
            if self.carry_out(&mut plan).await? {
                return Ok(plan.counts);
            }
            let now = self.known(group.keys(scope)).await?;
            plan = decide(scope, sequence, group, &now)?;
        }
        Err(contended())
    }
}

/// Rows by customer, in the order in which customers first appear, in groups that fit a transaction.
fn fold(rows: &[AccountRow], as_of: NaiveDate, counts: &mut ImportCounts) -> Vec<Group> {
    type Folded = (Customer, Vec<Obligation>, HashMap<ObligationId, usize>);
    let mut order: Vec<Folded> = Vec::new();
    let mut places: HashMap<&CustomerId, usize> = HashMap::new();
    for row in rows {
        let Some(obligation) = row.snapshot_on(as_of) else {
            counts.not_yet_known += 1;
            continue;
        };
        let place = *places.entry(&row.customer.id).or_insert_with(|| {
            order.push((row.customer.clone(), Vec::new(), HashMap::new()));
            order.len() - 1
        });
        let (customer, obligations, seen) = &mut order[place];
        let said = std::mem::replace(customer, row.customer.clone());
        keep_strict(customer, &said);
        match seen.get(&obligation.id) {
            Some(&at) => {
                counts.repeated += 1;
                obligations[at] = obligation;
            }
            None => {
                seen.insert(obligation.id.clone(), obligations.len());
                obligations.push(obligation);
            }
        }
    }
    let mut groups = Vec::with_capacity(order.len());
    for (customer, obligations, _) in order {
        for some in obligations.chunks(GROUP_OBLIGATIONS_MAX) {
            groups.push(Group { as_of, customer: customer.clone(), obligations: some.to_vec() });
        }
    }
    groups
}

/// A refusal in one row of a file is not undone by another row of the same file: of two words of one day the strict one
/// counts, whatever their order. So does the role: whom one row calls a reference is not told of anything.
fn keep_strict(customer: &mut Customer, said: &Customer) {
    customer.role = customer.role.max(said.role);
    for refusal in said.consents.iter().filter(|c| !c.granted) {
        if !customer.consents.contains(refusal) {
            customer.consents.push(refusal.clone());
        }
    }
}

fn decide(scope: &Scope, sequence: u64, group: &Group, known: &Known) -> Result<Plan, StoreError> {
    let (tenant, id) = (&scope.tenant, &group.customer.id);
    let mut plan = Plan::default();
    let fence = known.get(&key::fence(tenant, id)).map(decode_fence).transpose()?;
    if fence.as_ref().is_some_and(|f| f.erased_at.is_some()) {
        plan.counts.erased_rejected += group.obligations.len() as u64;
        return Ok(plan);
    }
    let mut next = fence.clone().unwrap_or_default();
    let mut bump = fence.is_none();

    bump |= decide_customer(scope, sequence, group, known, &mut plan)?;
    for obligation in &group.obligations {
        let place = key::obligation(tenant, id, &obligation.id);
        let stored = known.get(&place).map(|item| StoredObligation::decode(item, id)).transpose()?;
        let hash = row_hash(obligation);
        let by_snapshot = stored.as_ref().and_then(|s| Some((s.sequence, s.hash.as_deref()?)));
        let verdict = ruling(sequence, &hash, by_snapshot);
        match (verdict, &stored) {
            (Ruling::Older, _) => plan.counts.older_rejected += 1,
            (Ruling::Same, _) => plan.counts.unchanged += 1,
            (Ruling::Advance, Some(stored)) => {
                plan.counts.unchanged += 1;
                plan.advance(place, stored.sequence, sequence);
            }
            (Ruling::New | Ruling::Changed | Ruling::Advance, _) => {
                if verdict == Ruling::New {
                    plan.counts.obligations_new += 1;
                } else {
                    plan.counts.obligations_changed += 1;
                    bump = true;
                }
                let mut item = StoredObligation {
                    snapshot: Some(obligation.clone()),
                    sequence,
                    hash: Some(hash),
                    payments_minor: stored.as_ref().map_or(0, |s| s.payments_minor),
                    past: stored.as_ref().map_or_else(Vec::new, |s| s.past.clone()),
                };
                item.turn_cycle(&obligation.id, &mut next.reached);
                plan.facts.push(obligation_write(place, scope, stored.as_ref(), &item));
            }
        }
    }
    if bump {
        next.version += 1;
        let read = fence.as_ref().map_or(0, |f| f.version);
        plan.facts.push(fence_write(scope, id, read, &next));
    }
    Ok(plan)
}

/// Plans the customer's own item; `true` when the fence must get a new version.
fn decide_customer(
    scope: &Scope,
    sequence: u64,
    group: &Group,
    known: &Known,
    plan: &mut Plan,
) -> Result<bool, StoreError> {
    let customer = &group.customer;
    let place = key::profile(&scope.tenant, &customer.id);
    let stored = known.get(&place).map(StoredCustomer::decode).transpose()?;
    // The hash is of what the file says; what is kept has the days by which a file cannot undo a choice.
    let mut now = StoredCustomer::new(customer.clone(), sequence);
    let before = stored.as_ref().map_or(&[][..], |s| &s.customer.consents);
    now.customer.consents = imported_words(&customer.consents, before, group.as_of);
    let put = |condition| Write::Put {
        table: Table::Ops,
        item: now.encode(place.clone()),
        condition: Some(condition),
    };
    match (ruling(sequence, &now.hash, stored.as_ref().map(|s| (s.sequence, s.hash.as_str()))), &stored) {
        (Ruling::Older | Ruling::Same, _) => Ok(false),
        (Ruling::Advance, Some(stored)) => {
            plan.advance(place.clone(), stored.sequence, sequence);
            Ok(false)
        }
        (Ruling::Changed, Some(stored)) => {
            plan.counts.customers_changed += 1;
            let values = vec![(":q", stored.sequence.into())];
            plan.facts.push(put(Expression { text: "#q = :q", names: &["q"], values }));
            Ok(true)
        }
        (Ruling::New | Ruling::Changed | Ruling::Advance, _) => {
            plan.counts.customers_new += 1;
            plan.facts.push(put(Expression::absent()));
            Ok(true)
        }
    }
}

/// Replaces an obligation, when it is still as it was read.
pub(super) fn obligation_write(
    place: Key,
    scope: &Scope,
    read: Option<&StoredObligation>,
    next: &StoredObligation,
) -> Write {
    let condition = read.map_or_else(Expression::absent, |read| {
        let mut values = vec![(":q", read.sequence.into()), (":ps", read.payments_minor.into())];
        // Items that are read together are not of one moment: news of a message may have changed a past stage in between.
        let text = match read.past_text() {
            Some(past) => {
                values.push((":pc", past.into()));
                "#q = :q AND #ps = :ps AND #pc = :pc"
            }
            None => "#q = :q AND #ps = :ps AND attribute_not_exists(#pc)",
        };
        Expression { text, names: &["q", "ps", "pc"], values }
    });
    Write::Put { table: Table::Ops, item: next.encode(place, scope), condition: Some(condition) }
}
