//! The ladder: the stages of a policy, read from its raw file without its texts and channels.
//!
//! Invariant: there is at least one stage and no id is there twice.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::InputError;

/// The purpose of everything up to and including the due date.
pub(crate) const PRE_DUE: &str = "pre_due";
/// The purpose of everything after the due date.
pub(crate) const OVERDUE: &str = "overdue";

/// The last day past due that a policy looks at, where the file does not say.
const UNTIL_DPD_DEFAULT: i64 = 90;

/// The stages of a policy.
pub(crate) struct Ladder {
    pub(crate) stages: Vec<Stage>,
    /// The last day past due on which a stage can be sent.
    pub(crate) until_dpd: i64,
    /// The trigger of the lowest stage: from that day on every day has a decision.
    pub(crate) first_dpd: i64,
}

/// One stage.
pub(crate) struct Stage {
    pub(crate) id: String,
    pub(crate) dpd: i64,
    pub(crate) tone: String,
    pub(crate) is_pre_due: bool,
    /// Whether it is only for some customers or amounts.
    pub(crate) is_conditional: bool,
}

impl Stage {
    /// Whether its text is still true: a reminder before the due date is over after it.
    pub(crate) fn fits(&self, dpd: i64) -> bool {
        !self.is_pre_due || dpd <= 0
    }
}

#[derive(Deserialize)]
struct PolicyFile {
    until_dpd: Option<i64>,
    stages: Vec<StageFile>,
}

#[derive(Deserialize)]
struct StageFile {
    id: String,
    dpd: i64,
    tone: String,
    purpose: String,
    #[serde(default)]
    when: toml::Table,
}

impl Ladder {
    pub(crate) fn parse(text: &str) -> Result<Self, InputError> {
        let file: PolicyFile = toml::from_str(text).map_err(|e| InputError::Policy(e.to_string()))?;
        let mut ids = BTreeSet::new();
        for stage in &file.stages {
            if !ids.insert(&stage.id) {
                return Err(InputError::Policy(format!("stage {:?} is there twice", stage.id)));
            }
        }
        let Some(first_dpd) = file.stages.iter().map(|s| s.dpd).min() else {
            return Err(InputError::Policy("it has no stages".into()));
        };
        let stages = file
            .stages
            .into_iter()
            .map(|s| Stage {
                id: s.id,
                dpd: s.dpd,
                tone: s.tone,
                is_pre_due: s.purpose == PRE_DUE,
                is_conditional: !s.when.is_empty(),
            })
            .collect();
        Ok(Self { stages, until_dpd: file.until_dpd.unwrap_or(UNTIL_DPD_DEFAULT), first_dpd })
    }

    pub(crate) fn stage(&self, id: &str) -> Option<&Stage> {
        self.stages.iter().find(|s| s.id == id)
    }

    /// The stages that fall due exactly on a day past due.
    pub(crate) fn triggered_on(&self, dpd: i64) -> Vec<&Stage> {
        self.stages.iter().filter(|s| s.dpd == dpd).collect()
    }

    /// A stage for everybody that is due, still fits, and stands above the given one.
    pub(crate) fn due_above(&self, stage: &Stage, dpd: i64) -> Option<&Stage> {
        self.stages.iter().find(|s| !s.is_conditional && s.dpd > stage.dpd && s.dpd <= dpd && s.fits(dpd))
    }
}
