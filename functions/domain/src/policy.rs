//! Policies: a versioned ladder of stages, and the channels of each.
//!
//! Invariant: a [`Policy`] that exists can be followed. Stages stand in the order of their triggers, each has a text
//! for each of its channels, and every text has been rendered once; what is wrong is refused by [`Policy::parse`]
//! with its place in the file.

mod days;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

use crate::channel::{Channel, Purpose, Tone};
use crate::customer::{Customer, CustomerKind};
use crate::decision::hex;
use crate::ids::{PolicyId, SegmentId, StageId, TemplateId};
use crate::template::{TemplateSet, TemplateSource};

pub use days::StageDays;

/// The most stages of a ladder.
pub const STAGES_MAX: usize = 40;
/// The last day past due that a policy looks at, where the file does not say.
pub const UNTIL_DPD_DEFAULT: i32 = 90;
/// The furthest day from the due date that a stage can be triggered on.
pub const DPD_MAX: i32 = 3_650;
/// How many bytes of the hash of a policy's text are kept: enough that nobody finds another text with the same ones.
const HASH_BYTES: usize = 16;

/// A ladder of stages that can be followed.
#[derive(Debug)]
pub struct Policy {
    /// The policy.
    pub id: PolicyId,
    /// Its version.
    pub version: u32,
    /// The first bytes of the SHA-256 of its text, in hexadecimal digits: which words decided and spoke.
    pub hash: String,
    /// The last day past due on which a stage can still be sent.
    pub until_dpd: i32,
    /// The stages, in the order of their triggers.
    pub stages: Vec<Stage>,
    /// Which channels go first for some customers.
    pub channel_rules: Vec<ChannelRule>,
    /// The compiled texts.
    pub templates: TemplateSet,
    pub(crate) window_text: Cow<'static, str>,
    pub(crate) first_stage_text: Cow<'static, str>,
}

/// One step of the ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The stage.
    pub id: StageId,
    /// The day past due that triggers it; negative before the due date.
    pub dpd: i32,
    /// How it speaks.
    pub tone: Tone,
    /// What it is for.
    pub purpose: Purpose,
    /// The channels, in order.
    pub channels: Vec<Channel>,
    /// The text.
    pub template: TemplateId,
    /// For whom it is.
    pub when: Conditions,
    /// The notice of the law that it gives, where it gives one.
    pub notice: Option<StatutoryNotice>,
    pub(crate) sent_text: Cow<'static, str>,
}

impl Stage {
    /// Whether the stage still says something true on a day: a reminder before the due date is over after it.
    #[must_use]
    pub fn serves(&self, dpd: i32) -> bool {
        match self.purpose {
            Purpose::PreDue => dpd <= 0,
            Purpose::Overdue | Purpose::Transactional | Purpose::Requested | Purpose::Marketing => true,
        }
    }
}

/// A notice that the law asks for before something is done to the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatutoryNotice {
    /// Before a negative report to a credit bureau.
    CreditBureau,
}

/// For whom a stage is; empty means for everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// Only these kinds of customers.
    pub kinds: Vec<CustomerKind>,
    /// Only these segments.
    pub segments: Vec<SegmentId>,
    /// Only from this outstanding amount on, in minor units.
    pub min_outstanding_minor: Option<i64>,
    /// Only up to this outstanding amount, in minor units.
    pub max_outstanding_minor: Option<i64>,
}

impl Conditions {
    /// Whether the stage is for this customer and amount. What is not known does not match.
    #[must_use]
    pub fn applies_to(&self, customer: &Customer, outstanding_minor: i64) -> bool {
        (self.kinds.is_empty() || customer.kind.is_some_and(|k| self.kinds.contains(&k)))
            && (self.segments.is_empty()
                || customer.segment.as_ref().is_some_and(|s| self.segments.contains(s)))
            && self.min_outstanding_minor.is_none_or(|min| outstanding_minor >= min)
            && self.max_outstanding_minor.is_none_or(|max| outstanding_minor <= max)
    }
}

/// Which channels go first for some customers, before their own preference.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRule {
    /// Only this kind of customer.
    #[serde(default)]
    pub kind: Option<CustomerKind>,
    /// Only this segment.
    #[serde(default)]
    pub segment: Option<SegmentId>,
    /// The channels, in order.
    pub channels: Vec<Channel>,
}

impl ChannelRule {
    fn matches(&self, customer: &Customer) -> bool {
        self.kind.is_none_or(|kind| customer.kind == Some(kind))
            && self.segment.as_ref().is_none_or(|segment| customer.segment.as_ref() == Some(segment))
    }
}

/// Something wrong in a policy file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProblem {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub problem: String,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.problem)
    }
}

/// A policy file that cannot be followed, with everything that is wrong in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy cannot be used:{}", .0.iter().map(|p| format!("\n  {p}")).collect::<String>())]
pub struct PolicyError(pub Vec<PolicyProblem>);

impl Policy {
    /// Reads a policy from its TOML file.
    ///
    /// # Errors
    /// [`PolicyError`] with every problem found: wrong TOML, a duplicate stage, stages out of order, a purpose that
    /// does not fit its day, a channel without a template, a template that cannot be rendered.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let file: PolicyFile = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            PolicyError(vec![problem_at(text, at, e.message().to_owned())])
        })?;
        let mut problems = Vec::new();
        let templates = compile_templates(text, &file, &mut problems);
        check_stages(text, &file, templates.as_ref(), &mut problems);
        let (Some(templates), true) = (templates, problems.is_empty()) else {
            problems.sort_by_key(|p| (p.line, p.column));
            return Err(PolicyError(problems));
        };
        let stages: Vec<Stage> = file.stages.into_iter().map(StageFile::into_stage).collect();
        let first = stages.first().map_or(0, |s| s.dpd);
        let until_dpd = file.until_dpd.into_inner();
        Ok(Self {
            id: file.id,
            version: file.version,
            hash: hex(&Sha256::digest(text)[..HASH_BYTES]),
            until_dpd,
            window_text: format!("the policy looks up to {until_dpd} days past due").into(),
            first_stage_text: format!("the first stage falls due at {first} days past due").into(),
            stages,
            channel_rules: file.channel_rules,
            templates,
        })
    }

    /// The first day past due that the policy looks at: the trigger of its first stage.
    #[must_use]
    pub fn from_dpd(&self) -> i32 {
        self.stages.first().map_or(0, |s| s.dpd)
    }

    /// The stage with an id.
    #[must_use]
    pub fn stage(&self, id: &StageId) -> Option<&Stage> {
        self.stages.iter().find(|s| s.id == *id)
    }

    /// The channels to try for a customer at a stage, in order: those of the first rule that is for the customer,
    /// else the customer's own preference; then the stage's.
    #[must_use]
    pub fn channels_for(&self, stage: &Stage, customer: &Customer) -> Vec<Channel> {
        let rule = self.channel_rules.iter().find(|r| r.matches(customer));
        let first = match rule {
            Some(rule) => rule.channels.clone(),
            None => customer.preferred_channel.into_iter().collect(),
        };
        let mut channels = first;
        for channel in &stage.channels {
            if !channels.contains(channel) {
                channels.push(*channel);
            }
        }
        channels
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    id: PolicyId,
    version: u32,
    #[serde(default = "until_dpd_default")]
    until_dpd: Spanned<i32>,
    #[serde(default)]
    channel_rules: Vec<ChannelRule>,
    stages: Vec<StageFile>,
    #[serde(default)]
    templates: Vec<Spanned<TemplateSource>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StageFile {
    id: Spanned<StageId>,
    dpd: Spanned<i32>,
    tone: Tone,
    purpose: Spanned<Purpose>,
    channels: Spanned<Vec<Channel>>,
    template: Spanned<TemplateId>,
    #[serde(default)]
    when: Conditions,
    #[serde(default)]
    notice: Option<StatutoryNotice>,
}

impl StageFile {
    fn into_stage(self) -> Stage {
        let id = self.id.into_inner();
        Stage {
            sent_text: format!("{id} was already sent for this due date").into(),
            id,
            dpd: self.dpd.into_inner(),
            tone: self.tone,
            purpose: self.purpose.into_inner(),
            channels: self.channels.into_inner(),
            template: self.template.into_inner(),
            when: self.when,
            notice: self.notice,
        }
    }
}

fn until_dpd_default() -> Spanned<i32> {
    Spanned::new(0..0, UNTIL_DPD_DEFAULT)
}

/// A problem at a byte of the file.
fn problem_at(text: &str, byte: usize, problem: String) -> PolicyProblem {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    PolicyProblem { line, column, problem }
}

fn compile_templates(
    text: &str,
    file: &PolicyFile,
    problems: &mut Vec<PolicyProblem>,
) -> Option<TemplateSet> {
    let sources = file.templates.iter().map(|t| t.get_ref().clone()).collect();
    match TemplateSet::compile(sources) {
        Ok(templates) => Some(templates),
        Err(errors) => {
            for error in errors {
                let place = file.templates.iter().find(|t| t.get_ref().id == *error.template());
                let byte = place.map_or(0, |t| t.span().start);
                problems.push(problem_at(text, byte, error.to_string()));
            }
            None
        }
    }
}

fn check_stages(
    text: &str,
    file: &PolicyFile,
    templates: Option<&TemplateSet>,
    problems: &mut Vec<PolicyProblem>,
) {
    let mut report = |byte: usize, problem: String| problems.push(problem_at(text, byte, problem));
    if file.stages.is_empty() || file.stages.len() > STAGES_MAX {
        report(0, format!("the policy has {} stages; expected 1 to {STAGES_MAX}", file.stages.len()));
    }
    for (i, stage) in file.stages.iter().enumerate() {
        let (id, dpd) = (stage.id.get_ref(), *stage.dpd.get_ref());
        if let Some(first) = file.stages[..i].iter().find(|s| s.id.get_ref() == id) {
            let line = problem_at(text, first.id.span().start, String::new()).line;
            report(stage.id.span().start, format!("stage {id} is already defined in line {line}"));
        }
        if let Some(previous) = i.checked_sub(1).map(|p| &file.stages[p])
            && *previous.dpd.get_ref() >= dpd
        {
            let expected =
                format!("expected more than {}, as of {}", previous.dpd.get_ref(), previous.id.get_ref());
            report(stage.dpd.span().start, format!("stage {id} is out of order: dpd {dpd}; {expected}"));
        }
        if dpd.abs() > DPD_MAX {
            report(
                stage.dpd.span().start,
                format!("dpd {dpd} of stage {id} is out of range; expected ±{DPD_MAX}"),
            );
        }
        let purpose = *stage.purpose.get_ref();
        let expected = Purpose::of_dpd(dpd);
        if purpose != expected {
            let problem = format!("stage {id} at dpd {dpd} has the purpose {purpose}; expected {expected}");
            report(stage.purpose.span().start, problem);
        }
        if stage.channels.get_ref().is_empty() {
            report(stage.channels.span().start, format!("stage {id} has no channel; expected at least one"));
        }
        let Some(templates) = templates else { continue };
        for channel in stage.channels.get_ref() {
            if !templates.has(stage.template.get_ref(), *channel) {
                let template = stage.template.get_ref();
                let problem =
                    format!("stage {id} uses {channel}, for which the template {template} has no text");
                report(stage.template.span().start, problem);
            }
        }
    }
    let last = file.stages.iter().map(|s| *s.dpd.get_ref()).max().unwrap_or(0);
    let until = *file.until_dpd.get_ref();
    if until < last || until > DPD_MAX {
        let expected = format!("expected {last} (the last stage) to {DPD_MAX}");
        report(file.until_dpd.span().start, format!("until_dpd is {until}; {expected}"));
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
pub(crate) mod tests;
