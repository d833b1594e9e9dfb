//! Rules: the texts of policies and profiles that the entries were decided by.
//!
//! Invariant: a text counts only under the hash that follows from it, and every text is that of an entry.

use std::collections::BTreeSet;

use crate::Problem;
use crate::chain::{clipped, hex_of};
use crate::document::{Decision, Document};
use crate::file::{EvidenceFile, ProfileText};
use crate::law::Law;
use crate::policy::Ladder;

/// How many hexadecimal digits of the hash of a profile are its version.
const PROFILE_VERSION_DIGITS: usize = 16;

/// The rules of a file, by id and version.
pub(crate) struct RuleTexts<'a> {
    policies: Vec<Ladder>,
    profiles: Vec<((&'a str, &'a str), Law)>,
}

/// The rules that one decision names.
pub(crate) struct Rules<'a> {
    pub(crate) policy: &'a Ladder,
    pub(crate) law: &'a Law,
}

impl<'a> RuleTexts<'a> {
    /// Reads every text.
    pub(crate) fn read(file: &'a EvidenceFile) -> Result<Self, Problem> {
        let mut rules = Self { policies: Vec::new(), profiles: Vec::new() };
        for (i, text) in file.policies.iter().enumerate() {
            let broken = |what| Problem::at(format!("policies[{i}]"), what);
            let ladder = Ladder::read(text).map_err(broken)?;
            if rules.policies.iter().any(|p| p.hash == ladder.hash) {
                return Err(broken(format!(
                    "policy {} version {} is there twice",
                    ladder.id, ladder.version
                )));
            }
            rules.policies.push(ladder);
        }
        for (i, texts) in file.profiles.iter().enumerate() {
            let broken = |what| Problem::at(format!("profiles[{i}]"), what);
            let key = (texts.id.as_str(), texts.version.as_str());
            if rules.profiles.iter().any(|(known, _)| *known == key) {
                return Err(broken(format!("profile {} version {} is there twice", key.0, clipped(key.1))));
            }
            rules.profiles.push((key, profile(texts).map_err(broken)?));
        }
        Ok(rules)
    }

    /// The rules that a decision was made by, where the texts of all of them are there.
    pub(crate) fn of(&self, decision: &Decision) -> Result<Rules<'_>, String> {
        let (id, version, hash) = (&decision.policy, decision.policy_version, &decision.policy_hash);
        let is_it = |p: &&Ladder| p.id == *id && p.version == version && p.hash == *hash;
        let policy = self.policies.iter().find(is_it).ok_or_else(|| {
            format!("it was decided by policy {id} version {version} with the hash {hash}; expected its text in the file")
        })?;
        let key = (decision.profile.as_str(), decision.profile_version.as_str());
        let law = self.profiles.iter().find(|(known, _)| *known == key).ok_or_else(|| {
            format!("it was decided by profile {} version {}; expected its text in the file", key.0, key.1)
        })?;
        Ok(Rules { policy, law: &law.1 })
    }

    /// The policy of an id and version, for what names no hash.
    pub(crate) fn policy(&self, id: &str, version: u32) -> Option<&Ladder> {
        self.policies.iter().find(|p| p.id == id && p.version == version)
    }

    /// A text that no entry names says nothing, and was put there by nobody who had a reason to.
    pub(crate) fn all_named<'d>(&self, documents: impl Iterator<Item = &'d Document>) -> Result<(), Problem> {
        let (mut policies, mut profiles) = (BTreeSet::new(), BTreeSet::new());
        for document in documents {
            let Document::Decision(d) = document else { continue };
            policies.insert(d.policy_hash.as_str());
            profiles.insert((d.profile.as_str(), d.profile_version.as_str()));
        }
        let what =
            || "no entry was decided by it; expected the texts of the rules that entries name".to_owned();
        let policy = self.policies.iter().position(|p| !policies.contains(p.hash.as_str()));
        if let Some(i) = policy {
            return Err(Problem::at(format!("policies[{i}]"), what()));
        }
        let profile = self.profiles.iter().position(|(key, _)| !profiles.contains(key));
        profile.map_or(Ok(()), |i| Err(Problem::at(format!("profiles[{i}]"), what())))
    }
}

fn profile(texts: &ProfileText) -> Result<Law, String> {
    let ProfileText { id, version, texts, holidays } = texts;
    let found = hex_of(texts.concat() + holidays)[..PROFILE_VERSION_DIGITS].to_owned();
    if found != *version {
        return Err(format!("the text of profile {id} has version {found}; expected {}", clipped(version)));
    }
    Law::read(id, texts, holidays).map_err(|what| format!("the text of profile {id} cannot be read: {what}"))
}
