//! What speaks against a policy in a jurisdiction, before anything is sent by it.
//!
//! Invariant: all of it comes from `domain::policy_check`, which the API asks too, so that `check-policy`, `run`, `replay` and
//! the API refuse the same.

use anyhow::bail;
use chrono::NaiveDate;
use domain::content_check::{ContentObjection, Finding, Place, TemplateLines, TextException};
use domain::jurisdiction::{Basis, Jurisdiction};
use domain::policy::Policy;
use domain::policy_check::{self, check_policy};
use domain::policy_links::LinkObjection;
use domain::policy_reach::{ReachObjection, UnreachableReason};
use domain::tenant::Tenant;
use serde::Serialize;

/// One objection, as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct PolicyObjection {
    /// The profile under which it is one.
    pub(crate) jurisdiction: String,
    /// What kind of objection it is, such as `missing` or `forbidden`.
    pub(crate) kind: &'static str,
    /// The code of the rule, such as `simulated_court_document`.
    pub(crate) code: String,
    /// The line in the policy file, where it is about one.
    pub(crate) line: Option<usize>,
    pub(crate) stage: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) channel: Option<&'static str>,
    pub(crate) part: Option<&'static str>,
    /// The forbidden words, as they are written.
    pub(crate) words: Option<String>,
    /// The article; `None` where the rule is our own.
    pub(crate) cite: Option<String>,
    pub(crate) basis: &'static str,
    /// All of it in words.
    pub(crate) message: String,
}

impl PolicyObjection {
    fn of(
        objection: &policy_check::PolicyObjection,
        jurisdiction: &Jurisdiction,
        lines: &TemplateLines<'_>,
    ) -> Self {
        match objection {
            policy_check::PolicyObjection::Text(objection) => Self::of_text(objection, jurisdiction, lines),
            policy_check::PolicyObjection::Link(objection) => Self::of_link(objection, jurisdiction),
            policy_check::PolicyObjection::Reach(objection) => Self::of_reach(objection, jurisdiction),
        }
    }

    fn of_text(objection: &ContentObjection, jurisdiction: &Jurisdiction, lines: &TemplateLines<'_>) -> Self {
        let (stage, template, channel, part) = match &objection.place {
            Place::Text { stage, template, channel, part } => (
                Some(stage.to_string()),
                Some(template.to_string()),
                Some(channel.as_str()),
                part.map(|part| part.as_str()),
            ),
            Place::Lender { .. } | Place::Profile { .. } | Place::Exception { .. } => {
                (None, None, None, None)
            }
        };
        let words = match &objection.finding {
            Finding::Forbidden { words, .. } | Finding::Disguised { words, .. } => Some(words.clone()),
            Finding::Missing { .. }
            | Finding::UnknownWord { .. }
            | Finding::TooManyBranches
            | Finding::Hollow { .. }
            | Finding::NotRendered { .. } => None,
        };
        Self {
            jurisdiction: jurisdiction.id().to_owned(),
            kind: objection.finding.kind(),
            code: objection.finding.code().to_owned(),
            line: lines.line_of(objection),
            stage,
            template,
            channel,
            part,
            words,
            cite: objection.grounds.cite.clone(),
            basis: objection.grounds.basis.as_str(),
            message: objection.to_string(),
        }
    }

    fn of_link(objection: &LinkObjection, jurisdiction: &Jurisdiction) -> Self {
        Self {
            jurisdiction: jurisdiction.id().to_owned(),
            kind: "missing",
            code: "opt_out_url".to_owned(),
            line: None,
            stage: Some(objection.stage.to_string()),
            template: Some(objection.template.to_string()),
            channel: Some(objection.channel.as_str()),
            part: None,
            words: None,
            cite: None,
            basis: Basis::Policy.as_str(),
            message: objection.to_string(),
        }
    }

    fn of_reach(objection: &ReachObjection, jurisdiction: &Jurisdiction) -> Self {
        Self {
            jurisdiction: jurisdiction.id().to_owned(),
            kind: "never_sent",
            code: "never_lawful".to_owned(),
            line: None,
            stage: Some(objection.stage.to_string()),
            template: None,
            channel: None,
            part: None,
            words: None,
            cite: None,
            // The message names the article of every channel; what the tenant closes itself is its own choice.
            basis: if by_tenant(objection) { Basis::Policy } else { Basis::Law }.as_str(),
            message: objection.to_string(),
        }
    }

    /// The objection with its place in the file.
    pub(crate) fn told(&self) -> String {
        match self.line {
            Some(line) => format!("line {line}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

fn by_tenant(objection: &ReachObjection) -> bool {
    objection.channels.iter().any(|closed| match &closed.reason {
        UnreachableReason::NoHours { adjustments, .. } => !adjustments.is_empty(),
        UnreachableReason::NoRule | UnreachableReason::Gate { .. } | UnreachableReason::NoDay { .. } => false,
    })
}

/// What is found about a policy: what speaks against it, and which exceptions keep more from doing so.
#[derive(Debug, Default)]
pub(crate) struct PolicyFindings {
    pub(crate) objections: Vec<PolicyObjection>,
    pub(crate) excepted: Vec<TextException>,
}

/// Everything that speaks against a policy, which is also given as its text, in some jurisdictions: what its texts say,
/// and what of it can never be sent lawfully in the year from a day on.
pub(crate) fn findings(
    text: &str,
    policy: &Policy,
    jurisdictions: &[&Jurisdiction],
    tenant: Option<&Tenant>,
    from: NaiveDate,
) -> PolicyFindings {
    let lines = TemplateLines::of(text);
    let mut found = PolicyFindings::default();
    for jurisdiction in jurisdictions {
        let check = check_policy(policy, jurisdiction, tenant, from);
        found
            .objections
            .extend(check.objections.iter().map(|o| PolicyObjection::of(o, jurisdiction, &lines)));
        for exception in check.excepted {
            if !found.excepted.contains(&exception) {
                found.excepted.push(exception);
            }
        }
    }
    found
}

/// Refuses a policy that could not be followed lawfully under each of some jurisdictions.
pub(crate) fn refuse(
    text: &str,
    policy: &Policy,
    jurisdictions: &[&Jurisdiction],
    tenant: &Tenant,
    from: NaiveDate,
) -> anyhow::Result<()> {
    let objections = findings(text, policy, jurisdictions, Some(tenant), from).objections;
    let Some(first) = objections.first() else { return Ok(()) };
    let of_first = objections.iter().filter(|o| o.jurisdiction == first.jurisdiction);
    let told: String = of_first.map(|o| format!("\n  {}", o.told())).collect();
    bail!("the policy {} cannot be used under {}:{told}", policy.id, first.jurisdiction);
}
