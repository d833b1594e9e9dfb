//! What speaks against a policy in a jurisdiction, before anything is sent by it.
//!
//! Invariant: every list of objections is asked here, so that `check-policy`, `run` and `replay` refuse the same.

use anyhow::bail;
use chrono::NaiveDate;
use domain::content_check::{ContentObjection, Finding, Place, TemplateLines, check_texts};
use domain::jurisdiction::{Basis, Jurisdiction};
use domain::policy::Policy;
use domain::policy_reach::{self, ReachObjection, UnreachableReason};
use domain::tenant::Lender;
use serde::Serialize;

/// One objection, as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct PolicyObjection {
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
    fn of_text(objection: &ContentObjection, lines: &TemplateLines<'_>) -> Self {
        let (stage, template, channel, part) = match &objection.place {
            Place::Text { stage, template, channel, part } => (
                Some(stage.to_string()),
                Some(template.to_string()),
                Some(channel.as_str()),
                part.map(|part| part.as_str()),
            ),
            Place::Lender { .. } | Place::Profile { .. } => (None, None, None, None),
        };
        let words = match &objection.finding {
            Finding::Forbidden { words, .. } | Finding::Disguised { words, .. } => Some(words.clone()),
            Finding::Missing { .. }
            | Finding::UnknownWord { .. }
            | Finding::TooManyBranches
            | Finding::NotRendered { .. } => None,
        };
        Self {
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

    fn of_reach(objection: &ReachObjection) -> Self {
        Self {
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

/// Everything that speaks against a policy, which is also given as its text, in a jurisdiction: what its texts say, and
/// what of it can never be sent lawfully in the year from a day on.
pub(crate) fn objections(
    text: &str,
    policy: &Policy,
    jurisdiction: &Jurisdiction,
    lender: Option<&Lender>,
    from: NaiveDate,
) -> Vec<PolicyObjection> {
    let lines = TemplateLines::of(text);
    let mut all = Vec::new();
    all.extend(check_texts(policy, jurisdiction, lender).iter().map(|o| PolicyObjection::of_text(o, &lines)));
    all.extend(policy_reach::objections(policy, jurisdiction, from).iter().map(PolicyObjection::of_reach));
    all
}

/// Refuses a policy that could not be followed lawfully.
pub(crate) fn refuse(
    text: &str,
    policy: &Policy,
    jurisdiction: &Jurisdiction,
    lender: &Lender,
    from: NaiveDate,
) -> anyhow::Result<()> {
    let objections = objections(text, policy, jurisdiction, Some(lender), from);
    if objections.is_empty() {
        return Ok(());
    }
    let told: String = objections.iter().map(|o| format!("\n  {}", o.told())).collect();
    bail!("the policy {} cannot be used under {}:{told}", policy.id, jurisdiction.id());
}
