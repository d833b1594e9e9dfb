//! References: from a provider's own id of a message back to its touch.
//!
//! Invariant: only for providers whose reports carry nothing else. SES echoes the tags of a message; SNS tells the id
//! of a text message and no more, so a text message costs one write unit more than an email.

use chrono::{DateTime, Days, Utc};
use domain::ids::TenantId;

use crate::backend::{Table, Write};
use crate::item::{Reader, keyed, set};
use crate::key::{customer_of, reference, tenant_of, touch_of};
use crate::{Store, StoreError, TouchKey, failed};

/// How many days a reference is kept: reports come within hours.
pub const REFERENCE_DAYS_KEPT: u64 = 30;

impl Store {
    /// Remembers which touch a provider's id stands for. Again is fine. Counted as `refer`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn refer(
        &self,
        provider: &str,
        provider_id: &str,
        tenant: &TenantId,
        touch: &TouchKey,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let place = touch.key(tenant);
        let mut item = keyed(reference(provider, provider_id));
        set(&mut item, "tp", place.pk);
        set(&mut item, "ts", place.sk);
        let until = at.checked_add_days(Days::new(REFERENCE_DAYS_KEPT)).unwrap_or(at);
        set(&mut item, "ex", until.timestamp());
        let put = Write::Put { table: Table::Ops, item, condition: None };
        self.write("refer", put).await.map_err(|failure| failed("refer", failure))
    }

    /// The touch that a provider's id stands for. Strongly consistent; counted as `refer`.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails, or the reference cannot be read.
    pub async fn referred(
        &self,
        provider: &str,
        provider_id: &str,
    ) -> Result<Option<(TenantId, TouchKey)>, StoreError> {
        let Some(item) = self.get("refer", reference(provider, provider_id)).await? else { return Ok(None) };
        let r = Reader::new("reference", &item);
        let (on, id) = r.read("ts", "TOUCH#<day>#<id>", touch_of)?;
        let customer = r.read("tp", "T#<tenant>#CUST#<customer>", customer_of)?;
        let tenant = r.read("tp", "T#<tenant>#CUST#<customer>", tenant_of)?;
        Ok(Some((tenant, TouchKey { customer, on, id })))
    }
}
