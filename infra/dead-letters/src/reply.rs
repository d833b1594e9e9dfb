//! What an operator is told.
//!
//! Invariant: nothing here writes; each program has its own way to its standard output.

/// A line, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// To standard output: what was asked for.
    Out(String),
    /// To standard error: what a person should know besides.
    Error(String),
}

/// Everything that is said, and the exit code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The lines, in order, without their ends.
    pub lines: Vec<Line>,
    /// The exit code.
    pub code: u8,
}

impl Reply {
    pub(crate) fn say(&mut self, text: String) {
        self.lines.push(Line::Out(text));
    }

    pub(crate) fn tell(&mut self, text: String) {
        self.lines.push(Line::Error(text));
    }
}
