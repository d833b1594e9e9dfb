//! Health: whether the API answers, and its store.

use serde::{Deserialize, Serialize};

/// What `GET /v1/health` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The version of the server.
    pub version: String,
    /// Whether the store answered.
    pub store_reachable: bool,
}
