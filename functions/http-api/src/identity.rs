//! Who calls, and what that one may do: roles, and the tenants within reach.
//!
//! Invariant: claims come from a verifier and from nowhere else. Two questions are asked of every call about a tenant:
//! is it within reach (else it is not found), and may this role do it (else it is forbidden).

#[cfg(feature = "aws")]
mod gateway;
#[cfg(feature = "local")]
pub mod local;

use std::collections::BTreeSet;

use axum::http::{Extensions, HeaderMap};
use chrono::{DateTime, Utc};
use domain::tenant::TenantSlug;
use serde::Deserialize;
use serde_json::Value;

use crate::refusal::Refusal;

/// What the scopes of a partner begin with: the identifier of the resource server, and the word.
pub const TENANT_SCOPE: &str = "puntual/tenant.";
/// The most tenants that claims may name.
pub const TENANTS_MAX: usize = 200;

/// A role. One caller may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Makes and deletes tenants, and does everything else.
    Administrator,
    /// Runs collections: settings, pauses, scans, imports.
    Manager,
    /// Reads.
    Auditor,
    /// A program of the lender's: brings files.
    Partner,
}

/// Something that not every role may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Permission {
    /// Make and delete tenants.
    ManageTenants,
    /// Change settings, bring policies, pause and resume.
    ChangeSettings,
    /// See tenants, settings and policies.
    ReadSettings,
    /// Start a scan.
    RunScan,
    /// Ask for an address to upload to.
    Import,
    /// See imports.
    ReadImports,
}

impl Role {
    const fn may(self, permission: Permission) -> bool {
        match (self, permission) {
            (Self::Administrator, _) => true,
            (Self::Manager, permission) => !matches!(permission, Permission::ManageTenants),
            (Self::Auditor, permission) => {
                matches!(permission, Permission::ReadSettings | Permission::ReadImports)
            }
            (Self::Partner, permission) => matches!(permission, Permission::Import | Permission::ReadImports),
        }
    }

    fn of_group(group: &str) -> Option<Self> {
        match group {
            "administrator" => Some(Self::Administrator),
            "manager" => Some(Self::Manager),
            "auditor" => Some(Self::Auditor),
            _ => None,
        }
    }
}

/// The claims of a token that was verified, as a Cognito user pool writes them. API Gateway hands all of them on as
/// text, lists as `[a b]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// Who: the id of a person, or of a program's client.
    pub sub: String,
    /// The program that asked for the token, in access tokens.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The groups of a person.
    #[serde(default, rename = "cognito:groups")]
    pub groups: Option<Value>,
    /// The tenants of a person, with a blank between; `*` for all of them. In identity tokens only.
    #[serde(default, rename = "custom:tenants")]
    pub tenants: Option<String>,
    /// What a program may do, with a blank between.
    #[serde(default)]
    pub scope: Option<String>,
}

/// The tenants that a caller may know of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    All,
    Some(BTreeSet<TenantSlug>),
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    subject: String,
    roles: BTreeSet<Role>,
    reach: Reach,
}

impl Principal {
    /// The caller that claims speak of; `None` where they name nobody.
    ///
    /// A person has the roles of its groups on the tenants of `custom:tenants`. A program, which is its own subject, is
    /// a partner on the tenants of its scopes; a person's scopes count for nothing.
    #[must_use]
    pub fn of(claims: &Claims) -> Option<Self> {
        if claims.sub.is_empty() {
            return None;
        }
        let subject = claims.sub.clone();
        if claims.client_id.as_ref() == Some(&claims.sub) {
            let scopes = claims.scope.as_deref().unwrap_or_default().split_whitespace();
            let tenants = scopes.filter_map(|scope| TenantSlug::new(scope.strip_prefix(TENANT_SCOPE)?).ok());
            let reach = Reach::Some(tenants.take(TENANTS_MAX).collect());
            return Some(Self { subject, roles: BTreeSet::from([Role::Partner]), reach });
        }
        let roles = groups(claims.groups.as_ref()).iter().filter_map(|group| Role::of_group(group)).collect();
        let named = claims.tenants.as_deref().unwrap_or_default();
        let reach = if named.trim() == "*" {
            Reach::All
        } else {
            let tenants = named.split_whitespace().filter_map(|name| TenantSlug::new(name).ok());
            Reach::Some(tenants.take(TENANTS_MAX).collect())
        };
        Some(Self { subject, roles, reach })
    }

    /// The caller's id at the identity provider.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether the caller may know of a tenant.
    pub(crate) fn reaches(&self, tenant: &TenantSlug) -> bool {
        match &self.reach {
            Reach::All => true,
            Reach::Some(tenants) => tenants.contains(tenant),
        }
    }

    /// The tenants within reach, where they are named one by one.
    pub(crate) fn named_tenants(&self) -> Option<&BTreeSet<TenantSlug>> {
        match &self.reach {
            Reach::All => None,
            Reach::Some(tenants) => Some(tenants),
        }
    }

    /// Lets on who may do this somewhere.
    pub(crate) fn may(&self, permission: Permission) -> Result<(), Refusal> {
        if self.roles.iter().any(|role| role.may(permission)) { Ok(()) } else { Err(Refusal::forbidden()) }
    }

    /// The tenant of a path, for who reaches it and may do this there. A tenant out of reach is not found, whether it is
    /// there or not.
    pub(crate) fn on(&self, tenant: &str, permission: Permission) -> Result<TenantSlug, Refusal> {
        let slug = TenantSlug::new(tenant).map_err(|_| Refusal::not_found())?;
        if !self.reaches(&slug) {
            return Err(Refusal::not_found());
        }
        self.may(permission)?;
        Ok(slug)
    }
}

fn groups(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => {
            let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
            inner.split([' ', ',']).filter(|group| !group.is_empty()).map(str::to_owned).collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
    }
}

/// How a caller shows who it is.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// API Gateway verified the token, and hands its claims on with the request.
    #[cfg(feature = "aws")]
    Gateway,
    /// A token of this machine's own issuer.
    #[cfg(feature = "local")]
    Local(local::LocalTokens),
    /// Nobody is let in.
    Closed,
}

impl Authentication {
    /// Who calls; `None` where nobody is known.
    #[cfg_attr(
        not(all(feature = "aws", feature = "local")),
        expect(unused_variables, reason = "each way of showing it needs other parts of the request")
    )]
    pub(crate) fn principal(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        now: DateTime<Utc>,
    ) -> Option<Principal> {
        match self {
            #[cfg(feature = "aws")]
            Self::Gateway => Principal::of(&gateway::claims(extensions)?),
            #[cfg(feature = "local")]
            Self::Local(tokens) => Principal::of(&tokens.verify(bearer(headers)?, now)?),
            Self::Closed => None,
        }
    }
}

/// The token of an `Authorization` header.
#[cfg(feature = "local")]
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(axum::http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests;
