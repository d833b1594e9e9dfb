//! Phrases: regular expressions over folded words, of which only those are compiled that a text may say.
//!
//! Invariant: a phrase is found wherever its expression matches whole words. How a phrase may begin is read from the
//! expression itself, and what begins in too many ways to list is tried on every text.

use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// How many letters tell which phrases may begin: all of a beginning, and whether its last word goes on.
const BEGINNING_LETTERS: usize = 32;
const _: () = assert!(BEGINNING_LETTERS > LEAD_LETTERS_MAX);
/// How many beginnings are remembered.
const BEGINNINGS_MAX: usize = 1 << 16;

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

/// A phrase, by its place in the list, that may begin at a byte of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) phrase: usize,
    pub(super) start: usize,
}

/// Which phrases may begin with some letters, as far as it was asked: the pieces of a text say the same words again and
/// again.
#[derive(Default)]
pub(super) struct Beginnings(HashMap<[u8; BEGINNING_LETTERS], Box<[usize]>>);

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

    /// Where phrases may begin in a folded text. What was found out about a beginning is kept in `known`.
    pub(super) fn begun_in(&self, folded: &str, known: &mut Beginnings) -> Vec<Begun> {
        let text = folded.as_bytes();
        let is_word = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let mut begun = Vec::new();
        for start in (0..text.len()).filter(|at| is_word(*at) && (*at == 0 || !is_word(*at - 1))) {
            let rest = text.get(start..).unwrap_or_default();
            let phrases = known.of(rest, |rest| self.beginning_with(rest));
            begun.extend(phrases.iter().map(|phrase| Begun { phrase: *phrase, start }));
        }
        begun
    }

    /// The places of the phrases that may begin with the first letters of a text.
    fn beginning_with(&self, rest: &[u8]) -> BTreeSet<usize> {
        let mut begun = BTreeSet::new();
        let mut leads = self.leads.as_slice();
        let mut begin = |lead: &Lead| {
            let goes_on = rest.get(lead.letters.len()).is_some_and(u8::is_ascii_alphanumeric);
            if rest.starts_with(&lead.letters) && !(lead.is_whole && goes_on) {
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
        begun
    }

    /// Where a phrase of some places is said in a folded text, of those that have begun in it.
    pub(super) fn places_of<'a>(
        &'a self,
        phrases: Range<usize>,
        begun: &'a [Begun],
        folded: &'a str,
    ) -> impl Iterator<Item = Range<usize>> + 'a {
        begun.iter().filter(move |begun| phrases.contains(&begun.phrase)).filter_map(|begun| {
            let found = self.all.get(begun.phrase)?.compiled().find(folded.get(begun.start..)?)?;
            Some(begun.start..begun.start + found.end())
        })
    }
}

impl Beginnings {
    fn of(&mut self, rest: &[u8], find: impl FnOnce(&[u8]) -> BTreeSet<usize>) -> &[usize] {
        let mut first = [0; BEGINNING_LETTERS];
        first.iter_mut().zip(rest).for_each(|(to, letter)| *to = *letter);
        if self.0.len() >= BEGINNINGS_MAX {
            self.0.clear();
        }
        self.0.entry(first).or_insert_with(|| find(rest).into_iter().collect())
    }
}

impl Phrase {
    fn compiled(&self) -> &Regex {
        self.compiled.get_or_init(|| {
            // It is asked where a word begins and nowhere else.
            let expression = format!(r"^(?:{})(?-u:\b)", self.expression);
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

    fn begun(list: &Phrases, text: &str) -> BTreeSet<usize> {
        list.begun_in(text, &mut Beginnings::default()).into_iter().map(|begun| begun.phrase).collect()
    }

    #[test]
    fn only_what_may_begin_is_tried() {
        let list = list(&LIST);
        assert_eq!(begun(&list, "la jueza"), BTreeSet::from([0, 4]));
        // A word that goes on is another word, unless the phrase lets it.
        assert_eq!(begun(&list, "juezas sujeto"), BTreeSet::from([4]));
        assert_eq!(begun(&list, "sus pagarees"), BTreeSet::from([2, 4]));
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
            let begun = list.begun_in(&text, &mut Beginnings::default());
            for (at, phrase) in LIST.iter().enumerate() {
                let whole = format!(r"\b(?:{})\b", list.all[at].expression);
                let first = Regex::new(&whole).unwrap().find(&text).map(|found| found.range());
                // What is said has begun, and is found where it is said first.
                prop_assert_eq!(list.places_of(at..at + 1, &begun, &text).next(), first, "{}", phrase);
            }
        }
    }
}
