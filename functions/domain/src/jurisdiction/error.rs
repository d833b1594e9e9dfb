//! What can be wrong with a profile, and where.

use std::fmt;

/// A profile that cannot be used: what is wrong, under which key, and on which line where that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ProfileError {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

/// A place in a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The dotted key, such as `rules[0].caps[1].max`; `.` for the whole file.
    pub key: String,
    /// The line, counted from one.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}, {}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

/// What is wrong at a place of a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not TOML, an unknown key or word, a missing key, or a value of the wrong type.
    #[error("{0}")]
    Format(String),
    /// Another schema.
    #[error("schema {0} is unknown; expected 1")]
    Schema(u32),
    /// A holiday table that is not compiled in.
    #[error("there is no holiday table {found:?}; expected \"none\" or one of {expected}")]
    NoTable {
        /// What was named.
        found: String,
        /// What could be named.
        expected: String,
    },
    /// A variant of something else than a full built-in profile.
    #[error("there is no full profile {0:?} to extend; expected a built-in one that extends none")]
    NoBase(String),
    /// A window that the profile does not define.
    #[error("there is no window {found:?}; expected one of {expected}")]
    NoWindow {
        /// What was named.
        found: String,
        /// What could be named.
        expected: String,
    },
    /// An interval that ends before or when it starts.
    #[error("the interval does not end after it starts; expected [from, to) with from before to")]
    Inverted,
    /// An interval that starts before the one above it ends.
    #[error("the interval starts before the one above it ends; expected intervals in order and apart")]
    Overlap,
    /// A key that must be there.
    #[error("is missing; expected {0}")]
    Missing(&'static str),
    /// A key that does not go with its neighbours.
    #[error("does not belong here: {0}")]
    Misplaced(&'static str),
    /// A list or number outside its bounds.
    #[error("is {found}; expected {min} to {max}")]
    OutOfRange {
        /// What it is.
        found: u64,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A channel that the profile does not list.
    #[error("{0} is not among the profile's channels")]
    NotAChannel(&'static str),
    /// A gate that nothing can evaluate.
    #[error(
        "unknown requirement {0:?}; expected opt_in, opt_in_by_own_initiative, or not_in_ and the registry of consent.dnc_registry in lower case"
    )]
    Requirement(String),
}

/// An id that no built-in profile has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuiltInError {
    /// No profile of that id.
    #[error("unknown jurisdiction {found:?}; expected one of {expected}")]
    Unknown {
        /// What was asked for.
        found: String,
        /// What there is.
        expected: String,
    },
    /// The profile is compiled in and broken; a test reads them all.
    #[error("the built-in profile {id} is broken: {error}")]
    Broken {
        /// Which.
        id: &'static str,
        /// Why.
        error: ProfileError,
    },
}
