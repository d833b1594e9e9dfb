//! Forbidden content: phrases by code, from `content/forbidden.toml`.
//!
//! Invariant: a code that is asked for and has neither phrases nor a process is unknown, and never passes silently.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use chrono::NaiveDate;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::fold::{Folded, Reading};

/// How much memory the search for the phrases of one code may take. With less it forgets what it has learnt of them,
/// and is many times slower.
const DFA_BYTES_MAX: usize = 32 << 20;

/// The codes and phrases that are compiled in.
pub(super) static FORBIDDEN: LazyLock<Forbidden> = LazyLock::new(|| {
    let parsed = Forbidden::parse(include_str!("../../content/forbidden.toml"));
    parsed.expect("the file is compiled in, and a test reads it")
});

/// Every code of forbidden content.
pub(super) struct Forbidden {
    /// When a person last read the phrases.
    pub(super) reviewed_on: NaiveDate,
    /// The codes that hold in every place.
    pub(super) everywhere: Vec<String>,
    codes: BTreeMap<String, ForbiddenCode>,
}

/// What a code of forbidden content means.
pub(super) struct ForbiddenCode {
    /// In words that follow "the text".
    pub(super) means: String,
    /// Where the rule comes from in general.
    pub(super) cite: String,
    /// What no text says; `None` for a code that is about how a contact is made.
    phrases: Option<Phrases>,
}

struct Phrases {
    forbidden: Regex,
    allowed: Option<Regex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    reviewed: NaiveDate,
    everywhere: Vec<String>,
    codes: Vec<CodeFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeFile {
    code: String,
    means: String,
    cite: String,
    #[serde(default)]
    allowed: Vec<String>,
    #[serde(default)]
    phrases: Vec<String>,
    process: Option<String>,
}

impl Forbidden {
    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.schema != 1 {
            return Err(format!("schema {} is unknown; expected 1", file.schema));
        }
        let mut codes = BTreeMap::new();
        for code in file.codes {
            if code.phrases.is_empty() == code.process.is_none() {
                return Err(format!("{}: expected either phrases or a process", code.code));
            }
            let regex = |list: &[String]| {
                let all = list.join("|");
                RegexBuilder::new(&format!(r"(?-u:\b)(?:{all})(?-u:\b)"))
                    .dfa_size_limit(DFA_BYTES_MAX)
                    .build()
                    .map_err(|error| format!("{}: {error}", code.code))
            };
            let phrases = match code.phrases.as_slice() {
                [] => None,
                list => Some(Phrases {
                    forbidden: regex(list)?,
                    allowed: if code.allowed.is_empty() { None } else { Some(regex(&code.allowed)?) },
                }),
            };
            let known = ForbiddenCode { means: code.means, cite: code.cite, phrases };
            if codes.insert(code.code.clone(), known).is_some() {
                return Err(format!("{} is defined twice", code.code));
            }
        }
        match file.everywhere.iter().find(|code| !codes.contains_key(*code)) {
            Some(code) => Err(format!("everywhere: unknown code {code:?}")),
            None => Ok(Self { reviewed_on: file.reviewed, everywhere: file.everywhere, codes }),
        }
    }

    pub(super) fn code(&self, code: &str) -> Option<&ForbiddenCode> {
        self.codes.get(code)
    }
}

impl ForbiddenCode {
    /// The first place in a text that says what is forbidden, in bytes.
    pub(super) fn find(&self, text: &str) -> Option<Range<usize>> {
        self.find_in(&Readings::of(text))
    }

    /// As [`ForbiddenCode::find`], for a text that is held against several codes.
    pub(super) fn find_in(&self, readings: &Readings) -> Option<Range<usize>> {
        let phrases = self.phrases.as_ref()?;
        readings.0.iter().find_map(|folded| Some(folded.origin(phrases.find(folded.text())?)))
    }
}

/// A text in every way in which it can be read.
pub(super) struct Readings(Vec<Folded>);

impl Readings {
    pub(super) fn of(text: &str) -> Self {
        let mut readings: Vec<Folded> = Vec::with_capacity(Reading::ALL.len());
        for folded in Reading::ALL.into_iter().map(|reading| Folded::of(text, reading)) {
            if readings.iter().all(|r| r.text() != folded.text()) {
                readings.push(folded);
            }
        }
        Self(readings)
    }
}

impl Phrases {
    fn find(&self, folded: &str) -> Option<Range<usize>> {
        let allowed: Vec<Range<usize>> =
            self.allowed.iter().flat_map(|a| a.find_iter(folded)).map(|m| m.range()).collect();
        let only_looks =
            |found: &Range<usize>| allowed.iter().any(|a| a.start <= found.start && found.end <= a.end);
        self.forbidden.find_iter(folded).map(|m| m.range()).find(|found| !only_looks(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jurisdiction::Jurisdiction;

    /// Sentences as they are written in the countries: what is forbidden, and what only looks so.
    const SENTENCES: &str = include_str!("sentences.csv");
    /// Many more, each only good or bad under a profile.
    const CORPUS: &str = include_str!("corpus.csv");

    #[test]
    fn every_sentence_is_judged_as_a_person_would() {
        let mut reader = csv::Reader::from_reader(SENTENCES.as_bytes());
        let (mut forbidden, mut allowed, mut wrong) = (0, 0, Vec::new());
        for row in reader.records() {
            let row = row.unwrap();
            let [country, expected, text] = [0, 1, 2].map(|column| row.get(column).unwrap());
            let mut found: Vec<&str> = Vec::new();
            for (code, known) in &FORBIDDEN.codes {
                if let Some(place) = known.find(text) {
                    assert!(!text[place].trim().is_empty(), "{text}");
                    found.push(code);
                }
            }
            if found.join(" ") != expected {
                wrong.push(format!("{country}: {text}: found {found:?}"));
            }
            *if expected.is_empty() { &mut allowed } else { &mut forbidden } += 1;
        }
        assert_eq!(wrong, Vec::<String>::new());
        assert!(forbidden >= 40 && allowed >= 40, "{forbidden} forbidden and {allowed} allowed sentences");
    }

    /// The rates of what is caught and of what is objected to wrongly. Whoever adds a sentence that is judged wrongly adds
    /// the words, and lowers nothing here.
    #[test]
    fn the_corpus_is_judged_under_each_profile_as_a_lawyer_would() {
        let mut reader =
            csv::ReaderBuilder::new().delimiter(b'|').quoting(false).from_reader(CORPUS.as_bytes());
        let mut counts: BTreeMap<(String, bool), (u32, Vec<String>)> = BTreeMap::new();
        for row in reader.records() {
            let row = row.unwrap();
            let [profile, verdict, sentence] = [0, 1, 2].map(|column| row.get(column).unwrap().to_owned());
            assert!(["good", "bad"].contains(&verdict.as_str()), "{sentence}");
            let must_not = &Jurisdiction::built_in(&profile).unwrap().duties().content.must_not;
            let mut codes = FORBIDDEN.everywhere.iter().chain(must_not).filter_map(|c| FORBIDDEN.code(c));
            let is_bad = verdict == "bad";
            let (count, wrong) = counts.entry((profile, is_bad)).or_default();
            *count += 1;
            if codes.any(|code| code.find(&sentence).is_some()) != is_bad {
                wrong.push(sentence);
            }
        }
        for ((profile, is_bad), (count, wrong)) in counts {
            let expected = if ["CO", "PE"].contains(&profile.as_str()) { 150 } else { 50 };
            assert!(count >= expected, "{profile}: {count} sentences");
            assert_eq!(wrong, Vec::<String>::new(), "{profile}: expected bad = {is_bad}, of {count}");
        }
    }

    #[test]
    fn every_code_of_every_profile_is_known_and_every_code_is_used() {
        let mut used: Vec<&str> = FORBIDDEN.everywhere.iter().map(String::as_str).collect();
        for id in Jurisdiction::built_in_ids() {
            for code in &Jurisdiction::built_in(id).unwrap().duties().content.must_not {
                assert!(FORBIDDEN.code(code).is_some(), "{id}: {code}");
                used.push(code);
            }
        }
        for (code, known) in &FORBIDDEN.codes {
            assert!(used.contains(&code.as_str()), "{code} is used nowhere");
            assert!(!known.cite.is_empty() && !known.means.is_empty(), "{code}");
        }
        assert!(FORBIDDEN.reviewed_on >= NaiveDate::from_ymd_opt(2026, 11, 22).unwrap());
    }

    #[test]
    fn a_file_that_says_nothing_about_a_code_is_refused() {
        let of = |codes: &str| {
            let text = format!("schema = 1\nreviewed = \"2026-11-22\"\neverywhere = [\"a\"]\n{codes}");
            Forbidden::parse(&text).err().unwrap_or_default()
        };
        let code = "[[codes]]\ncode = \"a\"\nmeans = \"m\"\ncite = \"c\"\n";
        assert_eq!(of(&format!("{code}phrases = [\"x\"]")), "");
        assert_eq!(of(code), "a: expected either phrases or a process");
        assert!(of(&format!("{code}phrases = [\"(\"]")).starts_with("a: regex parse error"));
        assert!(
            of(&code.replace("\"a\"", "\"b\"").replace("cite", "process = \"p\"\ncite"))
                .contains("unknown code \"a\"")
        );
    }
}
