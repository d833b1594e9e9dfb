//! Questions to the person at the terminal.
//!
//! Invariant: silence, the end of input, and anything but the expected word are a no.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::bail;

/// Whether the answer to `question` is yes.
///
/// # Errors
///
/// Where nobody is there to answer: a script has to say so by its option `instead`.
pub(crate) fn agreed(question: &str, instead: &str) -> anyhow::Result<bool> {
    ask(question, instead).map(|answer| is_yes(&answer))
}

/// Whether the person types exactly `word`.
///
/// # Errors
///
/// As for [`agreed`].
pub(crate) fn typed(question: &str, word: &str, instead: &str) -> anyhow::Result<bool> {
    ask(question, instead).map(|answer| answer.trim() == word)
}

fn ask(question: &str, instead: &str) -> anyhow::Result<String> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("nobody is there to answer \"{question}\"; expected a terminal, or {instead}");
    }
    eprint!("{question} ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(answer)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "s" | "si" | "sí")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["y\n", "Yes\n", " sí \n", "S"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "no\n", "yeah\n", "y y\n"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}
