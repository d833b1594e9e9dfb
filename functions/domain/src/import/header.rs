//! The header: where the mapping's columns stand in one file.
//!
//! Invariant: a column that the mapping names stands in the header exactly once.

use super::fold::fold;
use super::mapping::ColumnName;
use super::row_error::quoted;

/// The most headers that an error lists.
const LISTED_MAX: usize = 50;

/// Columns of the mapping that are not in the header, or more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderError {
    /// Columns that the mapping names and the file lacks.
    pub missing: Vec<String>,
    /// Columns that the mapping names and the file has more than once.
    pub repeated: Vec<String>,
    /// What the header has instead, shortened; what looks like a person's data is masked, since a file without
    /// a header line shows its first row here.
    pub found: Vec<String>,
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |names: &[String]| names.iter().map(|n| quoted(n)).collect::<Vec<_>>().join(", ");
        f.write_str("the header does not fit the mapping: ")?;
        if !self.missing.is_empty() {
            write!(f, "missing {}; ", list(&self.missing))?;
        }
        if !self.repeated.is_empty() {
            write!(f, "more than once {}; ", list(&self.repeated))?;
        }
        write!(f, "the file has {}", list(&self.found))
    }
}

impl std::error::Error for HeaderError {}

/// The header of a file, while the mapping's columns are looked up in it.
pub(super) struct Header {
    names: Vec<Box<str>>,
    folded: Vec<String>,
    error: HeaderError,
}

impl Header {
    pub(super) fn new(names: &[&str]) -> Self {
        let found = names.iter().take(LISTED_MAX).map(|name| shown(name)).collect();
        Self {
            names: names.iter().map(|name| Box::from(name.trim())).collect(),
            folded: names.iter().map(|name| fold(name)).collect(),
            error: HeaderError { missing: vec![], repeated: vec![], found },
        }
    }

    /// Where a column stands. One that cannot be found is noted, and reported by [`Self::finish`].
    pub(super) fn find(&mut self, name: &ColumnName) -> usize {
        let folded = fold(name.as_str());
        let mut places = self.folded.iter().enumerate().filter(|(_, f)| **f == folded).map(|(i, _)| i);
        let (first, second) = (places.next(), places.next());
        let list = if first.is_none() { &mut self.error.missing } else { &mut self.error.repeated };
        if (first.is_none() || second.is_some()) && !list.iter().any(|n| n == name.as_str()) {
            list.push(name.as_str().to_owned());
        }
        first.unwrap_or(0)
    }

    pub(super) fn find_any(&mut self, name: Option<&ColumnName>) -> Option<usize> {
        name.map(|name| self.find(name))
    }

    pub(super) fn finish(self) -> Result<Vec<Box<str>>, HeaderError> {
        if self.error.missing.is_empty() && self.error.repeated.is_empty() {
            Ok(self.names)
        } else {
            Err(self.error)
        }
    }
}

fn shown(name: &str) -> String {
    let is_personal = name.contains('@') || name.chars().filter(char::is_ascii_digit).count() > 5;
    if is_personal { "***".to_owned() } else { name.trim().chars().take(60).collect() }
}
