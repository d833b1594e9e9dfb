//! Policies: whether a decision follows the ladder that it names.
//!
//! Invariant: what a decision says about a stage is compared with the text of the policy. For whom a stage is
//! (`when`) is not: the facts of that day are not in the file.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Deserialize;

use crate::chain::{clipped, hex_of};
use crate::document::{Decided, Decision, Verdict};
use crate::file::PolicyText;

/// How many hexadecimal digits of the hash of a policy's text a decision names.
const HASH_DIGITS: usize = 32;
/// The last day past due that a policy looks at, where its text does not say.
const UNTIL_DPD_DEFAULT: i64 = 90;

/// A version of a policy, as far as decisions are compared with it.
pub(crate) struct Ladder {
    pub(crate) id: String,
    pub(crate) version: u32,
    pub(crate) hash: String,
    until_dpd: i64,
    stages: BTreeMap<String, Stage>,
    /// The channels for which each template has a text.
    templates: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
pub(crate) struct Stage {
    id: String,
    pub(crate) dpd: i32,
    pub(crate) tone: String,
    purpose: String,
    pub(crate) template: String,
}

#[derive(Deserialize)]
struct PolicyFile {
    id: String,
    version: u32,
    until_dpd: Option<i64>,
    #[serde(default)]
    stages: Vec<Stage>,
    #[serde(default)]
    templates: Vec<toml::Table>,
}

impl Ladder {
    /// Reads a policy; what is wrong with it is a sentence.
    pub(crate) fn read(text: &PolicyText) -> Result<Self, String> {
        let PolicyText { id, version, hash, text } = text;
        let found = hex_of(text)[..HASH_DIGITS].to_owned();
        if found != *hash {
            return Err(format!("the text of policy {id} has the hash {found}; expected {}", clipped(hash)));
        }
        let file: PolicyFile =
            toml::from_str(text).map_err(|_| format!("the text of policy {id} cannot be read"))?;
        if file.id != *id || file.version != *version {
            let (id_found, version_found) = (file.id, file.version);
            return Err(format!(
                "the text of policy {id} version {version} is that of {id_found} version {version_found}"
            ));
        }
        let channels = |template: &toml::Table| {
            let id = template.get("id").and_then(toml::Value::as_str)?.to_owned();
            Some((id, template.keys().filter(|key| *key != "id").cloned().collect()))
        };
        Ok(Self {
            id: id.clone(),
            version: *version,
            hash: found,
            until_dpd: file.until_dpd.unwrap_or(UNTIL_DPD_DEFAULT),
            stages: file.stages.into_iter().map(|stage| (stage.id.clone(), stage)).collect(),
            templates: file.templates.iter().filter_map(channels).collect(),
        })
    }

    pub(crate) fn stage(&self, id: &str) -> Option<&Stage> {
        self.stages.get(id)
    }

    /// What a decision of a local day says against the policy.
    pub(crate) fn objection(&self, decision: &Decision, on: NaiveDate) -> Option<String> {
        decision.verdicts.iter().find_map(|v| self.verdict(v, on)).or_else(|| self.touch(decision, on))
    }

    fn verdict(&self, verdict: &Verdict, on: NaiveDate) -> Option<String> {
        let Verdict { obligation, due_on, stage, decision, reasons } = verdict;
        let Some(id) = stage else {
            // Only what closed before it was sent names no stage.
            let closed = *decision == Decided::Skip && reasons.iter().any(|r| r.code == "closed");
            return (!closed).then(|| format!("its verdict about {obligation} names no stage"));
        };
        let Some(stage) = self.stage(id) else {
            return Some(format!(
                "its verdict about {obligation} names the stage {id}, which the policy lacks"
            ));
        };
        let dpd = (on - *due_on).num_days();
        if dpd < i64::from(stage.dpd) || dpd > self.until_dpd {
            return Some(format!(
                "its verdict about {obligation} names the stage {id} at {dpd} days past due; expected {} to {}",
                stage.dpd, self.until_dpd
            ));
        }
        let over = *decision == Decided::Send && stage.purpose == "pre_due" && dpd > 0;
        over.then(|| {
            format!("it sends the stage {id} about {obligation} at {dpd} days past due; expected 0 at most")
        })
    }

    fn touch(&self, decision: &Decision, on: NaiveDate) -> Option<String> {
        let touch = decision.touch.as_ref()?;
        for (obligation, _, id, dpd) in &touch.items {
            let expected = self.stage(id).map(|s| s.dpd);
            if expected != Some(*dpd) {
                let text = "and the policy has another one";
                return Some(format!(
                    "its touch is about {obligation} at a trigger of {dpd} days, {text} for {id}"
                ));
            }
        }
        // The most overdue obligation speaks for all.
        let (_, due_on, id, _) = touch.items.first()?;
        let lead = self.stage(id)?;
        let purpose = if *due_on >= on { "pre_due" } else { "overdue" };
        let said = [&touch.stage, &touch.template, &touch.purpose];
        let expected = [id.as_str(), lead.template.as_str(), purpose];
        if said.iter().zip(expected).any(|(said, expected)| *said != expected) {
            let said = said.map(|s| clipped(s)).join(", ");
            return Some(format!("its touch says {said}; expected {}", expected.join(", ")));
        }
        let has_text = self.templates.get(&lead.template).is_some_and(|c| c.contains(&touch.channel));
        (!has_text)
            .then(|| format!("the template {} has no text for {}", lead.template, clipped(&touch.channel)))
    }
}
