//! Phrases: regular expressions over folded words, of which only those are compiled that a text may say.
//!
//! Invariant: a phrase is found wherever its expression matches whole words. How a phrase may begin is read from the
//! expression itself, and what begins in too many ways to list is tried on every text.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::literal::{ExtractKind, Extractor};

/// How many beginnings are listed of a phrase at most; with more, they are listed shorter.
const LEADS_MAX: usize = 200;
/// How many letters of a beginning are listed at most.
const LEAD_LETTERS_MAX: usize = 24;
/// With so few beginnings left, each is looked at.
const LEADS_LOOKED_AT_MAX: usize = 12;
/// How deep the words of the lists may stand for one another.
const WORDS_DEEP_MAX: usize = 4;
/// How much memory the search for one phrase may take. With less it forgets what it has learnt, and is many times
/// slower.
const DFA_BYTES_MAX: usize = 16 << 20;

/// Words that stand for several, by their name.
pub(super) type Words = BTreeMap<String, Vec<String>>;

/// A list of phrases.
#[derive(Default)]
pub(super) struct Phrases {
    all: Vec<Phrase>,
    /// In the order of their letters.
    leads: Vec<Lead>,
}

struct Phrase {
    expression: String,
    compiled: OnceLock<Regex>,
}

/// A way in which a phrase may begin.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lead {
    letters: Vec<u8>,
    /// The letters are all that the phrase says.
    is_whole: bool,
    /// The place of the phrase in its list.
    phrase: usize,
}

impl Phrases {
    /// Adds phrases, and says at which places they stand in the list.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be read.
    pub(super) fn add(&mut self, phrases: &[String], words: &Words) -> Result<Range<usize>, String> {
        let first = self.all.len();
        for phrase in phrases {
            let expression = spelled_out(phrase, words, 0)?;
            let parsed = regex_syntax::parse(&expression).map_err(|error| error.to_string())?;
            let mut extractor = Extractor::new();
            extractor.kind(ExtractKind::Prefix).limit_total(LEADS_MAX).limit_literal_len(LEAD_LETTERS_MAX);
            let at = self.all.len();
            let lead = |letters: &[u8], is_whole| Lead { letters: letters.to_vec(), is_whole, phrase: at };
            match extractor.extract(&parsed).literals() {
                Some(found) => {
                    self.leads.extend(found.iter().map(|l| lead(l.as_bytes(), l.is_exact())));
                }
                None => self.leads.push(lead(&[], false)),
            }
            self.all.push(Phrase { expression, compiled: OnceLock::new() });
        }
        self.leads.sort();
        Ok(first..self.all.len())
    }

    /// The places of the phrases that may begin in a folded text.
    pub(super) fn begun_in(&self, folded: &str) -> BTreeSet<usize> {
        let text = folded.as_bytes();
        let is_word = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let mut begun = BTreeSet::new();
        for start in (0..text.len()).filter(|at| is_word(*at) && (*at == 0 || !is_word(*at - 1))) {
            let rest = text.get(start..).unwrap_or_default();
            let mut leads = self.leads.as_slice();
            let mut begin = |lead: &Lead| {
                if rest.starts_with(&lead.letters) && !(lead.is_whole && is_word(start + lead.letters.len()))
                {
                    begun.insert(lead.phrase);
                }
            };
            for (depth, letter) in rest.iter().enumerate() {
                if leads.len() <= LEADS_LOOKED_AT_MAX {
                    break;
                }
                // All that are left begin as the text does, and the shortest come first.
                let ended = leads.partition_point(|lead| lead.letters.len() == depth);
                let (here, longer) = leads.split_at(ended);
                here.iter().for_each(&mut begin);
                let from = longer.partition_point(|lead| lead.letters.get(depth) < Some(letter));
                let to = longer.partition_point(|lead| lead.letters.get(depth) <= Some(letter));
                leads = longer.get(from..to).unwrap_or_default();
            }
            leads.iter().for_each(&mut begin);
        }
        begun
    }

    /// Where a phrase of some places is said in a folded text.
    pub(super) fn places_of<'a>(
        &'a self,
        phrases: impl Iterator<Item = usize> + 'a,
        folded: &'a str,
    ) -> impl Iterator<Item = Range<usize>> + 'a {
        let phrases = phrases.filter_map(|at| self.all.get(at));
        phrases.flat_map(|phrase| phrase.compiled().find_iter(folded).map(|found| found.range()))
    }
}

impl Phrase {
    fn compiled(&self) -> &Regex {
        self.compiled.get_or_init(|| {
            let expression = format!(r"(?-u:\b)(?:{})(?-u:\b)", self.expression);
            let built = RegexBuilder::new(&expression).dfa_size_limit(DFA_BYTES_MAX).build();
            built.expect("the lists are compiled in, and a test compiles every phrase")
        })
    }
}

/// A phrase in which every `<name>` is replaced by the words of that name.
fn spelled_out(phrase: &str, words: &Words, depth: usize) -> Result<String, String> {
    let mut whole = String::with_capacity(phrase.len());
    let mut rest = phrase;
    while let Some((before, after)) = rest.split_once('<') {
        let (name, after) = after.split_once('>').ok_or_else(|| format!("{phrase:?}: expected a >"))?;
        let known = words.get(name).ok_or_else(|| format!("{phrase:?}: unknown word <{name}>"))?;
        if depth >= WORDS_DEEP_MAX {
            return Err(format!("<{name}> stands for words that stand for words; expected fewer levels"));
        }
        let spelled: Result<Vec<String>, String> =
            known.iter().map(|word| spelled_out(word, words, depth + 1)).collect();
        whole.push_str(before);
        whole.push_str(&format!("(?:{})", spelled?.join("|")));
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(phrases: &[&str]) -> Phrases {
        let words = Words::from([
            ("your".to_owned(), vec!["su".to_owned(), "sus".to_owned()]),
            ("few".to_owned(), vec!["(?: [a-z]+){0,2}".to_owned()]),
        ]);
        let mut list = Phrases::default();
        let phrases: Vec<String> = phrases.iter().map(|p| (*p).to_owned()).collect();
        list.add(&phrases, &words).unwrap();
        list
    }

    const LIST: [&str; 7] = [
        "juez(?:a|es)?",
        "<your> jefe",
        "(?:no )?paga[a-z]*",
        "va<few> a juicio",
        "[a-z]+ o nada",
        "su",
        "a<few> su",
    ];

    #[test]
    fn only_what_may_begin_is_tried() {
        let list = list(&LIST);
        assert_eq!(list.begun_in("la jueza"), BTreeSet::from([0, 4]));
        // A word that goes on is another word, unless the phrase lets it.
        assert_eq!(list.begun_in("juezas sujeto"), BTreeSet::from([4]));
        assert_eq!(list.begun_in("sus pagarees"), BTreeSet::from([2, 4]));
    }

    #[test]
    fn a_word_that_is_not_known_or_never_ends_is_refused() {
        let refused = |phrase: &str, words: &[(&str, &str)]| {
            let words = words.iter().map(|(n, w)| ((*n).to_owned(), vec![(*w).to_owned()])).collect();
            Phrases::default().add(&[phrase.to_owned()], &words).unwrap_err()
        };
        assert!(refused("a <b>", &[]).ends_with("unknown word <b>"));
        assert!(refused("a <b", &[]).ends_with("expected a >"));
        assert!(refused("<a>", &[("a", "<a>")]).ends_with("expected fewer levels"));
    }

    proptest! {
        #[test]
        fn what_is_said_has_begun(text in "(?:(?:su|sus|jefe|juez|jueza|no|paga|pagare|va|a|juicio|o|nada|x) ?){1,8}") {
            let list = list(&LIST);
            let begun = list.begun_in(&text);
            for (at, phrase) in LIST.iter().enumerate() {
                if list.places_of(std::iter::once(at), &text).next().is_some() {
                    prop_assert!(begun.contains(&at), "{phrase}: {begun:?}");
                }
            }
        }
    }
}
