//! Grounds: where a rule stands and how well that is known.
//!
//! Invariant: every rule, window and cap that decides has a [`Basis`]; a decision can always say why.

use serde::{Deserialize, Serialize};

/// What a rule rests on. A lender may tighten any rule, and loosen only [`Basis::Policy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// A statute or a binding regulation.
    Law,
    /// A supervisor's opinion.
    Guidance,
    /// Our own choice, where the law is silent.
    Policy,
}

impl Basis {
    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Law => "law",
            Self::Guidance => "guidance",
            Self::Policy => "policy",
        }
    }
}

/// How well a rule is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The operative words were read, possibly in a source that quotes them.
    Text,
    /// Several secondary sources agree.
    Report,
    /// From memory; not found again.
    Memory,
    /// Nothing to know: we chose it.
    Choice,
}

impl Confidence {
    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Report => "report",
            Self::Memory => "memory",
            Self::Choice => "choice",
        }
    }
}

/// Where a rule stands and how well that is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grounds {
    /// The article; absent where the rule is our own.
    pub cite: Option<String>,
    /// What it rests on.
    pub basis: Basis,
    /// How well it is known.
    pub confidence: Option<Confidence>,
    /// Where it was read.
    pub source: Option<String>,
}
