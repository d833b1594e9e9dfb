//! Payments of a customer, for whoever wants to see the history behind the sums.
//!
//! Invariant: no decision reads them; the sum that counts is kept with the obligation.

use chrono::NaiveDate;
use domain::ids::{CustomerId, ObligationId, PaymentId, TenantId};

use crate::backend::{Expression, Query, Table};
use crate::item::{Reader, StoredPayment};
use crate::key::{PAYMENT, customer_partition, payment_of};
use crate::{Store, StoreError};

/// The most pages of one customer's payments, of 1 MB each.
const PAYMENT_PAGES_MAX: usize = 64;

/// A payment as an import told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentRecord {
    /// Which.
    pub id: PaymentId,
    /// What it pays.
    pub obligation: ObligationId,
    /// How much, in minor units of the obligation's currency.
    pub amount_minor: i64,
    /// When it was made.
    pub paid_on: NaiveDate,
}

impl Store {
    /// All payments of a customer, by id. Strongly consistent; counted as `payments`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an item cannot be read.
    pub async fn payments(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
    ) -> Result<Vec<PaymentRecord>, StoreError> {
        let query = Query {
            table: Table::Ops,
            index: None,
            condition: Expression {
                text: "#pk = :pk AND begins_with(#sk, :payment)",
                names: &["pk", "sk"],
                values: vec![
                    (":pk", customer_partition(tenant, customer).into()),
                    (":payment", PAYMENT.into()),
                ],
            },
            consistent: true,
            limit: None,
            start: None,
        };
        let items = self.query_all("payments", query, PAYMENT_PAGES_MAX).await?;
        let read = |item| {
            let id = Reader::new("payment", item).read("sk", "ZPAY#<id>", payment_of)?;
            let StoredPayment { obligation, amount_minor, paid_on, .. } = StoredPayment::decode(item)?;
            Ok(PaymentRecord { id, obligation, amount_minor, paid_on })
        };
        items.iter().map(read).collect()
    }
}
