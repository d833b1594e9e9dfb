//! Rules: the texts of policies and profiles that the entries were decided by.
//!
//! Invariant: a text counts only under the version that follows from it.

use std::collections::BTreeSet;

use checker::ContactHours;
use serde::Deserialize;

use crate::chain::hex_of;
use crate::file::{Document, EvidenceFile, PolicyText, ProfileText};

/// How many bytes of the hash of a profile are its version.
const PROFILE_VERSION_BYTES: usize = 8;

/// The rules of a file, by id and version.
pub(crate) struct RuleTexts<'a> {
    policies: BTreeSet<(&'a str, u32)>,
    profiles: Vec<((&'a str, &'a str), ContactHours)>,
}

impl<'a> RuleTexts<'a> {
    /// Reads every text; what is wrong with one is a sentence.
    pub(crate) fn read(file: &'a EvidenceFile) -> Result<Self, String> {
        let policies = file.policies.iter().map(policy).collect::<Result<_, _>>()?;
        let profiles = file.profiles.iter().map(profile).collect::<Result<_, _>>()?;
        Ok(Self { policies, profiles })
    }

    /// The contact hours that a document was decided by, where the texts of all of its rules are there.
    pub(crate) fn of(&self, document: &Document) -> Result<&ContactHours, String> {
        let (policy, version) = (document.policy.as_str(), document.policy_version);
        if !self.policies.contains(&(policy, version)) {
            return Err(format!(
                "it was decided by policy {policy} version {version}; expected its text in the file"
            ));
        }
        let key = (document.profile.as_str(), document.profile_version.as_str());
        let found = self.profiles.iter().find(|(known, _)| *known == key);
        found.map(|(_, hours)| hours).ok_or_else(|| {
            format!("it was decided by profile {} version {}; expected its text in the file", key.0, key.1)
        })
    }
}

fn policy(text: &PolicyText) -> Result<(&str, u32), String> {
    #[derive(Deserialize)]
    struct Head {
        id: String,
        version: u32,
    }
    let PolicyText { id, version, text } = text;
    let head: Head = toml::from_str(text).map_err(|_| format!("the text of policy {id} cannot be read"))?;
    if head.id != *id || head.version != *version {
        let (id_found, version_found) = (head.id, head.version);
        return Err(format!(
            "the text of policy {id} version {version} is that of {id_found} version {version_found}"
        ));
    }
    Ok((id, *version))
}

fn profile(texts: &ProfileText) -> Result<((&str, &str), ContactHours), String> {
    let ProfileText { id, version, texts, holidays } = texts;
    let found = hex_of(&texts.concat())[..PROFILE_VERSION_BYTES * 2].to_owned();
    if found != *version {
        return Err(format!("the text of profile {id} has version {found}; expected {version}"));
    }
    let unreadable = |problem: String| format!("the text of profile {id} cannot be read: {problem}");
    let mut whole = toml::Table::new();
    for text in texts {
        let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| unreadable(e.to_string()))?;
        // What it is laid over is the text before it.
        table.remove("extends");
        whole.extend(table);
    }
    if whole.get("id").and_then(toml::Value::as_str) != Some(id) {
        return Err(unreadable("it is the text of another profile".to_owned()));
    }
    let hours = ContactHours::parse(&whole.to_string(), holidays.as_deref().unwrap_or_default());
    Ok(((id, version), hours.map_err(|e| unreadable(e.to_string()))?))
}
