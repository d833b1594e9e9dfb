//! Suppressions: contact points that must not be used, whoever they belong to.
//!
//! Invariant: no address is stored. A suppression is found by the HMAC-SHA-256 of the address under the tenant's
//! own key, so the table alone says nothing about who opted out.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::contact::Address;
use domain::ids::{CustomerId, TenantId};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::backend::{Expression, Failure, Table, Write};
use crate::item::{hex, keyed, set};
use crate::key::{self, Key};
use crate::touch::clipped;
use crate::{Store, StoreError, failed};

/// When the customer took the suppression back; absent while it stands.
pub(crate) const LIFTED: &str = "lf";

/// How many bytes of an HMAC a seal has.
const SEAL_BYTES: usize = 16;

/// The tenant's key for hashing addresses.
#[derive(Clone)]
pub struct SuppressionKey(Vec<u8>);

impl std::fmt::Debug for SuppressionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SuppressionKey(***)")
    }
}

impl SuppressionKey {
    /// Takes secret bytes of any length; 32 random ones are right.
    #[must_use]
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    /// The seal of a text of ours, by which a function knows what another one has written: the first 16 bytes of an
    /// HMAC, in hexadecimal digits. No address has the form of what is sealed, so no seal is the place of a suppression.
    #[must_use]
    pub fn seal(&self, text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(b"\0seal\0");
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes()[..SEAL_BYTES])
    }

    pub(crate) fn place(&self, tenant: &TenantId, channel: Channel, address: &Address) -> Key {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        // Case does not tell two mailboxes apart in practice, and a missed opt-out is worse than a spared reminder.
        mac.update(address.reveal().trim().to_lowercase().as_bytes());
        key::suppression(tenant, channel, &hex(&mac.finalize().into_bytes()))
    }
}

/// Puts a suppression where [`SuppressionKey::place`] says.
pub(crate) fn suppression_write(place: Key, reason: &str, at: DateTime<Utc>) -> Write {
    let mut item = keyed(place);
    set(&mut item, "rs", clipped(reason));
    set(&mut item, "at", at.timestamp_millis());
    Write::Put { table: Table::Ops, item, condition: None }
}

impl Store {
    /// Suppresses a contact point. Where the customer is known, its fence gets a new version in the same
    /// transaction, so that a decision made before can no longer be carried out. Again is fine.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn suppress(
        &self,
        tenant: &TenantId,
        secret: &SuppressionKey,
        (channel, address): (Channel, &Address),
        customer: Option<&CustomerId>,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let put = suppression_write(secret.place(tenant, channel, address), reason, at);
        if let Some(customer) = customer {
            let bump = Write::Update {
                key: key::fence(tenant, customer),
                update: "SET #v = #v + :one",
                condition: Expression {
                    text: "attribute_exists(#pk)",
                    names: &["pk", "v"],
                    values: vec![(":one", 1_u64.into())],
                },
            };
            match self.transact("suppress", vec![put.clone(), bump]).await {
                // No import has named the customer: there is no decision to stop either.
                Err(Failure::Transaction(_)) => {}
                other => return other.map_err(|failure| failed("suppress", failure)),
            }
        }
        self.write("suppress", put).await.map_err(|failure| failed("suppress", failure))
    }

    /// Those of some contact points that are suppressed. Strongly consistent; counted as `suppressed`.
    ///
    /// # Errors
    /// [`StoreError`] when a read fails.
    pub async fn suppressed(
        &self,
        tenant: &TenantId,
        secret: &SuppressionKey,
        points: &[(Channel, &Address)],
    ) -> Result<BTreeSet<(Channel, Address)>, StoreError> {
        let places: Vec<(Key, (Channel, &Address))> =
            points.iter().map(|point| (secret.place(tenant, point.0, point.1), *point)).collect();
        // A batch read refuses the same key twice.
        let mut keys: Vec<Key> = places.iter().map(|(key, _)| key.clone()).collect();
        keys.sort_unstable_by(|a, b| a.pk.cmp(&b.pk));
        keys.dedup();
        let items = self.get_all("suppressed", keys).await?;
        let found: Vec<Key> =
            items.iter().filter(|item| !item.contains_key(LIFTED)).filter_map(Key::of_item).collect();
        Ok(places
            .into_iter()
            .filter(|(key, _)| found.contains(key))
            .map(|(_, (channel, address))| (channel, address.clone()))
            .collect())
    }
}
