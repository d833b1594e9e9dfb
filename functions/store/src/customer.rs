//! The facts of one customer: everything that a decision is made on.
//!
//! Invariant: one strongly consistent query gives them all, so a decision never mixes two moments: the fence it
//! names belongs to the facts it was made on, or the claim fails.

use std::collections::BTreeMap;

use domain::customer::Customer;
use domain::fence::Fence;
use domain::ids::{CustomerId, ObligationId, TenantId};
use domain::obligation::Obligation;

use crate::backend::{Expression, Item, Query, Scan, Table};
use crate::item::{Reader, StoredCustomer, StoredObligation, decode_choice, decode_fence};
use crate::key::{
    self, CHOICE, FACTS_END, FENCE, OBLIGATION, PROFILE, customer_of, customer_partition, customers_of_tenant,
};
use crate::{Cursor, PAGE_ITEMS_MAX, Page, Store, StoreError, failed};

/// The most pages of one customer's facts, of 1 MB each.
const FACTS_PAGES_MAX: usize = 8;

/// Everything that a decision about a customer is made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerFacts {
    /// Who, with the customer's own choices beside what the files say.
    pub customer: Customer,
    /// What the claim must name.
    pub fence: Fence,
    /// What is or was owed, by id. Paid is the larger of the snapshot's word and the sum of the payments.
    pub obligations: Vec<Obligation>,
}

/// The same, with what is stored of each obligation: the stages of its past cycles among it.
pub(crate) struct StoredFacts {
    pub(crate) customer: Customer,
    pub(crate) fence: Fence,
    pub(crate) obligations: BTreeMap<ObligationId, StoredObligation>,
}

impl Store {
    /// The fence of a customer, which outlives its data; `None` where nothing was ever recorded. Counted as `facts`.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails, or the item cannot be read.
    pub async fn fence(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Option<Fence>, StoreError> {
        self.get("facts", key::fence(tenant, customer)).await?.as_ref().map(decode_fence).transpose()
    }

    /// The facts of a customer; `None` when no import named it. Counted as `facts`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an item cannot be read.
    pub async fn customer_facts(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
    ) -> Result<Option<CustomerFacts>, StoreError> {
        let stored = self.stored_facts(tenant, customer).await?;
        Ok(stored.map(|StoredFacts { customer, fence, obligations }| {
            let obligations = obligations.into_values().filter_map(|o| o.merged()).collect();
            CustomerFacts { customer, fence, obligations }
        }))
    }

    pub(crate) async fn stored_facts(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
    ) -> Result<Option<StoredFacts>, StoreError> {
        let query = Query {
            table: Table::Ops,
            index: None,
            condition: Expression {
                text: "#pk = :pk AND #sk < :end",
                names: &["pk", "sk"],
                values: vec![
                    (":pk", customer_partition(tenant, customer).into()),
                    (":end", FACTS_END.into()),
                ],
            },
            consistent: true,
            limit: None,
            start: None,
        };
        let items = self.query_all("facts", query, FACTS_PAGES_MAX).await?;
        let (mut profile, mut fence) = (None, Fence::default());
        let (mut choices, mut obligations) = (Vec::new(), BTreeMap::new());
        for item in &items {
            let Some(crate::backend::Value::S(sk)) = item.get("sk") else { continue };
            match sk.as_str() {
                PROFILE => profile = Some(StoredCustomer::decode(item)?.customer),
                FENCE => fence = decode_fence(item)?,
                other if other.starts_with(OBLIGATION) => {
                    let stored = StoredObligation::decode(item, customer)?;
                    // Payments towards an obligation that no file has named owe nothing yet.
                    let named = stored.snapshot.as_ref().map(|o| o.id.clone());
                    obligations.extend(named.map(|id| (id, stored)));
                }
                other if other.starts_with(CHOICE) => choices.push(decode_choice(item)?),
                _ => {}
            }
        }
        Ok(profile.map(|mut customer: Customer| {
            customer.take_choices(choices);
            StoredFacts { customer, fence, obligations }
        }))
    }

    /// Customers of a tenant, in no order; of erased ones only those whose erasure was cut off. It reads `limit` items of the whole table,
    /// bounded by [`PAGE_ITEMS_MAX`], to find the profiles among them, so a page may be empty and have a next one.
    ///
    /// A walk through all pages reads the whole table once, of every tenant, and costs that: half a read unit for every
    /// 4 kB. It is for a job of once a month, such as retention, and needs no index that every import would pay for.
    /// Eventually consistent; counted as `customers`.
    ///
    /// # Errors
    /// [`StoreError`] when the scan fails.
    pub async fn customers_page(
        &self,
        tenant: &TenantId,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<CustomerId>, StoreError> {
        let scan = Scan {
            filter: Expression {
                text: "(#sk = :sk OR attribute_exists(#ep)) AND begins_with(#pk, :pk)",
                names: &["pk", "sk", "ep"],
                values: vec![(":sk", PROFILE.into()), (":pk", customers_of_tenant(tenant).into())],
            },
            projection: "#pk, #sk",
            limit: limit.clamp(1, PAGE_ITEMS_MAX),
            start: cursor.map(|c| c.0),
        };
        let answer = self.backend.scan(scan).await;
        let page = self.meter("customers", false, answer).map_err(|failure| failed("customers", failure))?;
        let customer = |item: &Item| {
            Reader::new("customer key", item).read("pk", "T#<tenant>#CUST#<customer>", customer_of)
        };
        Ok(Page::read(page, customer))
    }
}
