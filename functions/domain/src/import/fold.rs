//! Folding: the one spelling under which column names and value words are compared.
//!
//! Invariant: case, accents, and the kind and number of spaces, `_` and `-` make no difference, so that
//! `Fecha_de-Vencimiento` and ` FECHA DE  VENCIMIENTO` are one name, composed or decomposed.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The folded spelling of a text.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    if text.is_ascii() {
        // Nothing to decompose: most words of most files, and they are folded row by row.
        push_folded(&mut folded, text.chars());
    } else {
        push_folded(&mut folded, text.nfd().filter(|c| !is_combining_mark(*c) && *c != '\u{feff}'));
    }
    folded
}

fn push_folded(folded: &mut String, letters: impl Iterator<Item = char>) {
    let mut gap = false;
    for c in letters {
        if c.is_whitespace() || c == '_' || c == '-' {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) && !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(c.to_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_separators_make_no_difference() {
        for text in [
            "Fecha de Emisión",
            " FECHA_DE_EMISIÓN ",
            "fecha--de  emision",
            "Fecha de Emisio\u{301}n",
            "\u{feff}fecha\u{a0}de emisión",
        ] {
            assert_eq!(fold(text), "fecha de emision", "{text:?}");
        }
        assert_eq!(fold("Año"), "ano");
        assert_eq!(fold(" _- "), "");
        assert_ne!(fold("DueDate"), fold("Due Date"));
    }
}
