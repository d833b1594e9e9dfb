//! Items that are made unreadable on purpose, to prove that one of them costs no other. Only tests compile this.

use chrono::NaiveDate;
use domain::ids::{CustomerId, TenantId};

use crate::backend::{Expression, Failure, Query, Table, Write};
use crate::item::set;
use crate::key::{self, wave_partition};
use crate::{Store, StoreError, failed};

/// What stands where something readable should.
const NONSENSE: &str = "?";

impl Store {
    /// Makes an attribute of a customer's fence unreadable; `v` is its version, `r` what it has reached.
    ///
    /// # Errors
    /// [`StoreError`] when an access fails.
    pub async fn spoil_fence(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
        attribute: &'static str,
    ) -> Result<(), StoreError> {
        let Some(mut item) = self.get("spoil", key::fence(tenant, customer)).await? else { return Ok(()) };
        set(&mut item, attribute, NONSENSE);
        self.spoil(Write::Put { table: Table::Ops, item, condition: None }).await
    }

    /// Makes every touch of a customer unreadable that waits in a shard on a UTC day, and says how many they were.
    ///
    /// # Errors
    /// [`StoreError`] when an access fails.
    pub async fn spoil_waiting(
        &self,
        tenant: &TenantId,
        (day, shard): (NaiveDate, u16),
        customer: &CustomerId,
    ) -> Result<usize, StoreError> {
        let condition = Expression {
            text: "#pk = :pk",
            names: &["pk"],
            values: vec![(":pk", wave_partition(tenant, day, shard).into())],
        };
        let query =
            Query { table: Table::Ops, index: None, condition, consistent: true, limit: None, start: None };
        let mut spoilt = 0;
        for mut item in self.query_all("spoil", query, 1).await? {
            if crate::item::customer_named(&item).as_ref() == Some(customer) {
                set(&mut item, "n", NONSENSE);
                self.spoil(Write::Put { table: Table::Ops, item, condition: None }).await?;
                spoilt += 1;
            }
        }
        Ok(spoilt)
    }

    async fn spoil(&self, write: Write) -> Result<(), StoreError> {
        self.write("spoil", write).await.map_err(|failure: Failure| failed("spoil", failure))
    }
}
