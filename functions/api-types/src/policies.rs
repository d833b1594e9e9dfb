//! Policies: the ladder of a tenant and its texts, as the API takes and shows them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// `PUT /v1/tenants/{tenant}/policies/{policy}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPolicy {
    /// The policy as it is written, in TOML. Its `id` is that of the path.
    pub text: String,
}

/// The version of a policy that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// The policy.
    pub id: String,
    /// Which version of it.
    pub version: u32,
    /// The short hash of its text, as decisions name it.
    pub hash: String,
    /// Whether the tenant's settings name this policy, so that its customers are reminded by it.
    pub is_followed: bool,
    /// The text; absent in the answer to who brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Who brought which version, the latest first; absent in the answer to who brought it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<PolicyChangeView>,
}

/// A version that was brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChangeView {
    /// Which version.
    pub version: u32,
    /// Who brought it, by the id of the identity provider.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}
