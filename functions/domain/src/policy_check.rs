//! What speaks against a policy before anything is sent by it.
//!
//! Invariant: every kind of objection is asked here, so that whoever takes a policy refuses the same.

use std::fmt;

use chrono::NaiveDate;

use crate::content_check::{ContentObjection, TextException, check_texts};
use crate::jurisdiction::Jurisdiction;
use crate::policy::Policy;
use crate::policy_links::{self, LinkObjection};
use crate::policy_reach::{self, ReachObjection};
use crate::tenant::Tenant;

/// Something that speaks against a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyObjection {
    /// A text says what it may not, or does not say what it must.
    Text(ContentObjection),
    /// A text needs a link that the tenant's settings do not give.
    Link(LinkObjection),
    /// A stage could never be sent lawfully.
    Reach(ReachObjection),
}

impl fmt::Display for PolicyObjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(objection) => objection.fmt(f),
            Self::Link(objection) => objection.fmt(f),
            Self::Reach(objection) => objection.fmt(f),
        }
    }
}

/// What is found about a policy under one profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyCheck {
    /// What speaks against it; nothing where it may be used.
    pub objections: Vec<PolicyObjection>,
    /// The exceptions of the tenant without which there would be more objections.
    pub excepted: Vec<TextException>,
}

/// Everything that speaks against a policy under a profile: what its texts say, what they link to, and what of it can
/// never be sent lawfully in the year from a day on. Without a tenant the links are not looked at.
#[must_use]
pub fn check_policy(
    policy: &Policy,
    jurisdiction: &Jurisdiction,
    tenant: Option<&Tenant>,
    from: NaiveDate,
) -> PolicyCheck {
    let texts = check_texts(policy, jurisdiction, tenant);
    let links = tenant.map(|tenant| policy_links::objections(policy, tenant)).unwrap_or_default();
    let reach = policy_reach::objections(policy, jurisdiction, from);
    let objections = (texts.objections.into_iter().map(PolicyObjection::Text))
        .chain(links.into_iter().map(PolicyObjection::Link))
        .chain(reach.into_iter().map(PolicyObjection::Reach))
        .collect();
    PolicyCheck { objections, excepted: texts.excepted }
}
