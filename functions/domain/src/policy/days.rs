//! The days of a policy's stages, read from its text alone.
//!
//! Invariant: a text is read whatever else it says, so that one that an older program took and this one refuses can still
//! be compared. One of which the stages cannot be read is nobody's to guess.

use serde::Deserialize;

use super::Policy;
use crate::ids::StageId;

/// The stages of a policy, each with its day past due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageDays(Vec<(StageId, i32)>);

/// What of a policy's file says its days.
#[derive(Deserialize)]
struct DaysFile {
    stages: Vec<DayFile>,
}

#[derive(Deserialize)]
struct DayFile {
    id: StageId,
    dpd: i32,
}

impl StageDays {
    /// Those of a policy.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        Self(policy.stages.iter().map(|stage| (stage.id.clone(), stage.dpd)).collect())
    }

    /// Those of a policy's text; `None` where its stages cannot be read.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let file: DaysFile = toml::from_str(text).ok()?;
        Some(Self(file.stages.into_iter().map(|stage| (stage.id, stage.dpd)).collect()))
    }

    /// The first stage that has another day than in an `earlier` policy, with both days, its own first: what was sent under
    /// its id then would be sent again.
    #[must_use]
    pub fn moved_since(&self, earlier: &Self) -> Option<(&StageId, i32, i32)> {
        self.0.iter().find_map(|(stage, is)| {
            let (_, was) = earlier.0.iter().find(|(id, was)| id == stage && was != is)?;
            Some((stage, *is, *was))
        })
    }

    /// The first stage whose id an `unreadable` text may have: what stands in it as it is, or might behind an escape.
    #[must_use]
    pub fn first_that_may_be_in(&self, unreadable: &str) -> Option<&StageId> {
        let may_be = |id: &StageId| unreadable.contains('\\') || unreadable.contains(id.as_str());
        self.0.iter().map(|(id, _)| id).find(|id| may_be(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(text: &str) -> StageDays {
        StageDays::read(text).expect("stages")
    }

    #[test]
    fn stages_are_compared_whatever_else_a_text_says() {
        let old = days(
            "steps = 3\n[[stages]]\nid = \"a\"\ndpd = 3\nvoice = \"x\"\n[[stages]]\nid = \"b\"\ndpd = 5\n",
        );
        let new = days("[[stages]]\nid = \"a\"\ndpd = 3\n[[stages]]\nid = \"b\"\ndpd = 9\n");
        assert_eq!(new.moved_since(&old), Some((&StageId::new("b").unwrap(), 9, 5)));
        assert_eq!(old.moved_since(&old), None);
    }

    #[test]
    fn an_unreadable_text_may_have_every_stage_that_it_names() {
        for text in
            ["", "[[stages]]\nid = \"a\"\n", "[[stages]]\nid = \"a\"\ndpd = \"three\"\n", "stages = a"]
        {
            assert_eq!(StageDays::read(text), None, "{text}");
        }
        let new = days("[[stages]]\nid = \"a7\"\ndpd = 3\n[[stages]]\nid = \"b7\"\ndpd = 5\n");
        let named = |text| new.first_that_may_be_in(text).map(StageId::as_str);
        assert_eq!((named("steps = [\"b7\"]"), named("steps = [\"c7\"]")), (Some("b7"), None));
        assert_eq!(named("steps = [\"\\u00627\"]"), Some("a7"), "an escape may hide anything");
    }
}
