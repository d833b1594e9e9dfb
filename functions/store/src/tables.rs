//! The two tables and their index: the definition that the local database is created from, and that the
//! deployment template is compared with.
//!
//! Invariant: an index projects only what its readers need, so that a scan stays cheap; of the contacts only the
//! moment of the latest is in one, for the sweep of claims.

use serde_json::{Value as Json, json};

use crate::TableNames;

/// The index of open obligations, and of fences with a reached stage.
pub const OPEN_INDEX: &str = "open";
/// What the open index projects besides keys: holds of an obligation; reached stages and the latest contact of a fence.
pub const OPEN_PROJECTION: &[&str] = &["h", "r", "lc"];

/// The `CreateTable` requests of both tables, in DynamoDB's own JSON.
#[must_use]
pub fn definitions(names: &TableNames) -> [Json; 2] {
    let attributes = |names: &[&str]| -> Json {
        names.iter().map(|name| json!({"AttributeName": name, "AttributeType": "S"})).collect()
    };
    let keys = |pk: &str, sk: &str| {
        json!([
            {"AttributeName": pk, "KeyType": "HASH"},
            {"AttributeName": sk, "KeyType": "RANGE"},
        ])
    };
    let ops = json!({
        "TableName": names.ops,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes(&["pk", "sk", "op", "os"]),
        "KeySchema": keys("pk", "sk"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": OPEN_INDEX,
                "KeySchema": keys("op", "os"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": OPEN_PROJECTION},
            },
        ],
    });
    let audit = json!({
        "TableName": names.audit,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes(&["pk", "sk"]),
        "KeySchema": keys("pk", "sk"),
    });
    [ops, audit]
}

#[cfg(feature = "embedded")]
mod local {
    use dynoxide::errors::DynoxideError;

    use super::definitions;
    use crate::backend::Backend;
    use crate::{Store, StoreError};

    impl Store {
        /// Creates the tables of an embedded store where they are not there yet.
        ///
        /// # Errors
        /// [`StoreError::Permanent`] when the database refuses, or when the store is not an embedded one: the
        /// tables of AWS come from the deployment template.
        pub async fn create_tables(&self) -> Result<(), StoreError> {
            let embedded = self.local("create_tables")?;
            for definition in definitions(&embedded.names) {
                let request = serde_json::from_value(definition).map_err(|_| refused("create_tables"))?;
                match embedded.database.create_table(request) {
                    Ok(_) | Err(DynoxideError::ResourceInUseException(_)) => {}
                    Err(_) => return Err(refused("create_tables")),
                }
            }
            Ok(())
        }

        /// Writes a consistent copy of an embedded store into a new file.
        ///
        /// # Errors
        /// [`StoreError::Permanent`] when the path is there already or cannot be written, or when the store is
        /// not an embedded one.
        pub async fn snapshot_into(&self, path: &std::path::Path) -> Result<(), StoreError> {
            let embedded = self.local("snapshot_into")?;
            let path = path.to_str().ok_or_else(|| refused("snapshot_into"))?;
            embedded.database.vacuum_into(path).map_err(|_| refused("snapshot_into"))
        }

        fn local(&self, operation: &'static str) -> Result<&crate::backend::embedded::Embedded, StoreError> {
            match &self.backend {
                Backend::Embedded(embedded) => Ok(embedded),
                #[cfg(feature = "faults")]
                Backend::Faulty(faulty) => Ok(&faulty.inner.database),
                #[cfg(feature = "aws")]
                Backend::Aws(_) => {
                    Err(StoreError::Permanent { operation, reason: "only for an embedded store".to_owned() })
                }
                #[cfg(not(feature = "aws"))]
                #[expect(
                    unreachable_patterns,
                    reason = "names the operation where there is one backend only"
                )]
                _ => Err(refused(operation)),
            }
        }
    }

    fn refused(operation: &'static str) -> StoreError {
        StoreError::Permanent { operation, reason: "refused by the embedded database".to_owned() }
    }
}
