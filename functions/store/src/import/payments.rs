//! Rows about payments. A payment is kept by its own id, so that the same one twice counts once; its obligation
//! keeps their sum. One that comes before its obligation waits in an item that has nothing but the sum.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use domain::ids::{CustomerId, ObligationId, PaymentId};
use domain::import::record::PaymentRow;

use super::accounts::obligation_write;
use super::{IMPORT_TRIES_MAX, ImportCounts, Known, Plan, Ruling, contended, ruling};
use crate::backend::{Expression, Table, Write};
use crate::claim::fence_write;
use crate::item::{StoredObligation, StoredPayment, decode_fence};
use crate::key::{self, Key};
use crate::{Scope, Store, StoreError};

/// The most payments of one customer in one transaction: each may move from one obligation to another.
const GROUP_PAYMENTS_MAX: usize = 30;
const _: () = assert!(3 * GROUP_PAYMENTS_MAX < crate::backend::TRANSACTION_WRITES_MAX);

impl Store {
    /// Imports the payments among `rows` that were made by `as_of`, as source number `sequence`. Counted as
    /// `import`. Of several rows with one id the last counts.
    ///
    /// # Errors
    /// [`StoreError`] when an access fails. Rows before it may be stored; importing the same rows again is safe.
    pub async fn import_payments(
        &self,
        scope: &Scope,
        sequence: u64,
        as_of: NaiveDate,
        rows: &[PaymentRow],
    ) -> Result<ImportCounts, StoreError> {
        let mut counts = ImportCounts::default();
        let mut order: Vec<(&CustomerId, Vec<&PaymentRow>)> = Vec::new();
        let mut places: HashMap<&CustomerId, usize> = HashMap::new();
        let mut seen: HashMap<(&CustomerId, &PaymentId), usize> = HashMap::new();
        for row in rows {
            if row.paid_on > as_of {
                counts.not_yet_known += 1;
                continue;
            }
            let place = *places.entry(&row.customer).or_insert_with(|| {
                order.push((&row.customer, Vec::new()));
                order.len() - 1
            });
            let payments = &mut order[place].1;
            match seen.get(&(&row.customer, &row.id)) {
                Some(&at) => {
                    counts.repeated += 1;
                    payments[at] = row;
                }
                None => {
                    seen.insert((&row.customer, &row.id), payments.len());
                    payments.push(row);
                }
            }
        }
        for (customer, payments) in order {
            for group in payments.chunks(GROUP_PAYMENTS_MAX) {
                counts += self.import_payment_group(scope, sequence, customer, group).await?;
            }
        }
        Ok(counts)
    }

    async fn import_payment_group(
        &self,
        scope: &Scope,
        sequence: u64,
        customer: &CustomerId,
        rows: &[&PaymentRow],
    ) -> Result<ImportCounts, StoreError> {
        for _ in 0..IMPORT_TRIES_MAX {
            let known = self.known_payments(scope, customer, rows).await?;
            let mut plan = decide(scope, sequence, (customer, rows), &known)?;
            if self.carry_out(&mut plan).await? {
                return Ok(plan.counts);
            }
        }
        Err(contended())
    }

    async fn known_payments(
        &self,
        scope: &Scope,
        customer: &CustomerId,
        rows: &[&PaymentRow],
    ) -> Result<Known, StoreError> {
        let place = |id: &ObligationId| key::obligation(&scope.tenant, customer, id);
        let mut keys: Vec<Key> = vec![key::fence(&scope.tenant, customer)];
        keys.extend(rows.iter().map(|row| key::payment(&scope.tenant, customer, &row.id)));
        keys.extend(rows.iter().map(|row| place(&row.obligation)));
        let mut seen = std::collections::HashSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        let mut known = self.known(keys).await?;
        // A corrected payment may leave another obligation than the one it goes to.
        let mut left = Vec::new();
        for row in rows {
            if let Some(item) = known.get(&key::payment(&scope.tenant, customer, &row.id)) {
                let from = place(&StoredPayment::decode(item)?.obligation);
                if seen.insert(from.clone()) {
                    left.push(from);
                }
            }
        }
        known.extend(self.known(left).await?);
        Ok(known)
    }
}

fn decide(
    scope: &Scope,
    sequence: u64,
    (customer, rows): (&CustomerId, &[&PaymentRow]),
    known: &Known,
) -> Result<Plan, StoreError> {
    let tenant = &scope.tenant;
    let mut plan = Plan::default();
    let fence = known.get(&key::fence(tenant, customer)).map(decode_fence).transpose()?;
    if fence.is_some_and(|f| f.erased_at.is_some()) {
        plan.counts.erased_rejected += rows.len() as u64;
        return Ok(plan);
    }
    let mut change_minor: BTreeMap<ObligationId, i64> = BTreeMap::new();
    for row in rows {
        let place = key::payment(tenant, customer, &row.id);
        let stored = known.get(&place).map(StoredPayment::decode).transpose()?;
        let now = StoredPayment::new(row, sequence);
        let condition = match &stored {
            None => Expression::absent(),
            Some(s) => Expression { text: "#q = :q", names: &["q"], values: vec![(":q", s.sequence.into())] },
        };
        match (ruling(sequence, &now.hash, stored.as_ref().map(|s| (s.sequence, s.hash.as_str()))), &stored) {
            (Ruling::Older, _) => plan.counts.older_rejected += 1,
            (Ruling::Same, _) => plan.counts.unchanged += 1,
            (Ruling::Advance, Some(stored)) => {
                plan.counts.unchanged += 1;
                plan.advance(place, stored.sequence, sequence);
            }
            (Ruling::New | Ruling::Changed | Ruling::Advance, stored) => {
                match stored {
                    None => plan.counts.payments_new += 1,
                    Some(old) => {
                        plan.counts.payments_changed += 1;
                        let from = change_minor.entry(old.obligation.clone()).or_default();
                        *from = from.saturating_sub(old.amount_minor);
                    }
                }
                let to = change_minor.entry(now.obligation.clone()).or_default();
                *to = to.saturating_add(now.amount_minor);
                let item = now.encode(place);
                plan.facts.push(Write::Put { table: Table::Ops, item, condition: Some(condition) });
            }
        }
    }
    if !plan.facts.is_empty() {
        move_money(scope, customer, &change_minor, known, &mut plan)?;
    }
    Ok(plan)
}

/// Plans the new sums of the obligations, and the fence: every payment may forbid a send.
fn move_money(
    scope: &Scope,
    customer: &CustomerId,
    change_minor: &BTreeMap<ObligationId, i64>,
    known: &Known,
    plan: &mut Plan,
) -> Result<(), StoreError> {
    let tenant = &scope.tenant;
    let fence = known.get(&key::fence(tenant, customer)).map(decode_fence).transpose()?;
    let mut next_fence = fence.clone().unwrap_or_default();
    next_fence.version += 1;
    for (id, change_minor) in change_minor {
        let place = key::obligation(tenant, customer, id);
        let stored = known.get(&place).map(|item| StoredObligation::decode(item, customer)).transpose()?;
        let none =
            StoredObligation { snapshot: None, sequence: 0, hash: None, payments_minor: 0, past: vec![] };
        let mut next = stored.clone().unwrap_or(none);
        next.payments_minor = next.payments_minor.saturating_add(*change_minor);
        next.turn_cycle(id, &mut next_fence.reached);
        plan.facts.push(obligation_write(place, scope, stored.as_ref(), &next));
    }
    plan.facts.push(fence_write(scope, customer, fence.map_or(0, |f| f.version), &next_fence));
    Ok(())
}
