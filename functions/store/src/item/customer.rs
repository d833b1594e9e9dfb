//! The customer's own item.

use domain::customer::Customer;

use super::{Reader, keyed, row_hash, set};
use crate::backend::Item;
use crate::error::StoreError;
use crate::key::Key;

/// A customer with the source it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredCustomer {
    pub(crate) customer: Customer,
    pub(crate) sequence: u64,
    pub(crate) hash: String,
}

impl StoredCustomer {
    pub(crate) fn new(customer: Customer, sequence: u64) -> Self {
        let hash = row_hash(&customer);
        Self { customer, sequence, hash }
    }

    pub(crate) fn encode(&self, key: Key) -> Item {
        let mut item = keyed(key);
        let json = serde_json::to_string(&self.customer).expect("a customer has no map with non-text keys");
        set(&mut item, "j", json);
        set(&mut item, "q", self.sequence);
        set(&mut item, "x", self.hash.as_str());
        item
    }

    pub(crate) fn decode(item: &Item) -> Result<Self, StoreError> {
        let reader = Reader::new("customer", item);
        Ok(Self {
            customer: reader.read("j", "a customer in JSON", |json| serde_json::from_str(json).ok())?,
            sequence: reader.number("q")?,
            hash: reader.text("x")?.to_owned(),
        })
    }
}
