//! Folding: the spelling under which a text is held against phrases and values.
//!
//! Invariant: case, accents, look-alike letters, invisible characters, punctuation and the kind and number of spaces
//! make no difference, and every byte of the folded text knows where it stood in the original.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// How many single letters in a row are read as one word that was spelled out: `J U Z G A D O`.
const SPELLED_LETTERS_MIN: usize = 4;
/// The longest word that is looked for among letters written one by one.
const SPELLED_WORD_MAX: usize = 16;

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Punctuation parts words.
    Plain,
    /// Punctuation inside a word is dropped, and single letters in a row are one word.
    Joined,
    /// As [`Reading::Joined`], and digits and signs beside letters are the letters that they look like. A one looks
    /// like two letters, so the letter is said. An x after a consonant at the end of a word (`deudorxs`) stands for any
    /// vowel, and is read as an o.
    Disguised {
        /// What a one stands for.
        one: char,
    },
}

impl Reading {
    /// Every way in which a forbidden phrase may be hidden.
    pub(super) const ALL: [Self; 4] =
        [Self::Plain, Self::Joined, Self::Disguised { one: 'i' }, Self::Disguised { one: 'l' }];
}

/// A folded text.
pub(super) struct Folded {
    text: String,
    /// For each byte of the text, the bytes of the original character that it comes from.
    origins: Vec<(usize, usize)>,
}

impl Folded {
    pub(super) fn of(original: &str, reading: Reading) -> Self {
        let mut letters = letters(original);
        if let Reading::Disguised { one } = reading {
            undisguise(&mut letters, one);
        }
        Self::read(&letters, reading)
    }

    /// A text in every way in which it can be read, each once.
    pub(super) fn all(original: &str) -> Vec<Self> {
        let plain = letters(original);
        let is_disguised = may_be_disguised(&plain);
        let mut all: Vec<Self> = Vec::with_capacity(Reading::ALL.len());
        for reading in Reading::ALL {
            let folded = match reading {
                Reading::Plain | Reading::Joined => Self::read(&plain, reading),
                Reading::Disguised { .. } if !is_disguised => continue,
                Reading::Disguised { one } => {
                    let mut letters = plain.clone();
                    if !undisguise(&mut letters, one) {
                        continue;
                    }
                    Self::read(&letters, reading)
                }
            };
            if all.iter().all(|known| known.text != folded.text) {
                all.push(folded);
            }
        }
        all.extend(Self::spelled_out(&plain));
        all
    }

    /// Every word that may stand among letters that are written one by one, where nothing says which of them begins one:
    /// `y e m b a r g o`. `None` where no letters are.
    fn spelled_out(letters: &[Letter]) -> Option<Self> {
        let (kept, ends) = words(letters, Reading::Joined);
        let single: Vec<Range<usize>> = ranges(&ends).collect();
        let mut all = Self { text: String::new(), origins: Vec::new() };
        for run in single.chunk_by(|a, b| a.len() == 1 && b.len() == 1) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let run = kept.get(first.start..last.end).filter(|_| run.len() >= SPELLED_LETTERS_MIN);
            for from in 0..run.map_or(0, <[Letter]>::len) {
                let rest = run.and_then(|run| run.get(from..)).unwrap_or_default();
                for length in SPELLED_LETTERS_MIN..=rest.len().min(SPELLED_WORD_MAX) {
                    all.push_word(&rest[..length]);
                }
            }
        }
        (!all.text.is_empty()).then_some(all)
    }

    fn read(letters: &[Letter], reading: Reading) -> Self {
        let (kept, mut ends) = words(letters, reading);
        if reading != Reading::Plain {
            ends = join_spelled(&ends);
        }
        let mut folded =
            Self { text: String::with_capacity(letters.len()), origins: Vec::with_capacity(letters.len()) };
        for word in ranges(&ends).filter_map(|range| kept.get(range)) {
            folded.push_word(word);
        }
        folded
    }

    fn push_word(&mut self, word: &[Letter]) {
        if !self.text.is_empty() {
            self.push(' ', word.first().map_or((0, 0), |l| (l.from, l.from)));
        }
        for letter in word {
            self.push(letter.c, (letter.from, letter.to));
        }
    }

    fn push(&mut self, c: char, origin: (usize, usize)) {
        self.text.push(c);
        self.origins.resize(self.text.len(), origin);
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where a part of the folded text stood in the original.
    pub(super) fn origin(&self, part: Range<usize>) -> Range<usize> {
        let parts = self.origins.get(part).unwrap_or_default();
        match (parts.first(), parts.last()) {
            (Some((from, _)), Some((_, to))) => *from..(*to).max(*from),
            _ => 0..0,
        }
    }

    /// Whether the text has these words, as whole words. Nothing is in every text but nowhere to be seen.
    pub(super) fn has_words(&self, words: &Folded) -> bool {
        let needle = words.text.as_str();
        if needle.is_empty() {
            return false;
        }
        self.text.match_indices(needle).any(|(at, _)| {
            let end = at + needle.len();
            (at == 0 || self.text[..at].ends_with(' '))
                && (end == self.text.len() || self.text[end..].starts_with(' '))
        })
    }
}

/// A letter or a digit of the original (`c`), or a sign or a space, with its place in bytes.
#[derive(Clone, Copy)]
struct Letter {
    c: char,
    from: usize,
    to: usize,
}

fn letters(original: &str) -> Vec<Letter> {
    let mut letters: Vec<Letter> = Vec::with_capacity(original.len());
    for (from, whole) in original.char_indices() {
        let to = from + whole.len_utf8();
        // Most letters are these, and none of them is made of others.
        if whole.is_ascii() {
            letters.push(Letter { c: whole.to_ascii_lowercase(), from, to });
            continue;
        }
        if is_invisible(whole) {
            continue;
        }
        for c in std::iter::once(whole).nfkd().filter(|c| !is_combining_mark(*c)) {
            letters.extend(c.to_lowercase().map(|c| Letter { c: latin(c), from, to }));
        }
    }
    letters
}

/// Whether anything in a text could be read as another letter: most texts have nothing of the kind.
fn may_be_disguised(letters: &[Letter]) -> bool {
    let is_sign = |c: char| c.is_ascii_digit() || matches!(c, '!' | '|' | '@' | '$' | 'x');
    letters.windows(2).any(|two| match two {
        [a, b] => (is_sign(a.c) && b.c.is_alphabetic()) || (a.c.is_alphabetic() && is_sign(b.c)),
        _ => false,
    })
}

/// Reads digits and signs beside letters as letters; whether there were any.
fn undisguise(letters: &mut [Letter], one: char) -> bool {
    let is_letter: Vec<bool> = letters.iter().map(|l| l.c.is_alphabetic()).collect();
    let mut changed = false;
    for (i, letter) in letters.iter_mut().enumerate() {
        let before = i.checked_sub(1).and_then(|i| is_letter.get(i)).copied().unwrap_or(false);
        let after = is_letter.get(i + 1).copied().unwrap_or(false);
        if before || after {
            let read = match letter.c {
                '0' => 'o',
                '1' | '!' | '|' => one,
                '2' => 'z',
                '3' => 'e',
                '4' | '@' => 'a',
                '5' | '$' => 's',
                '6' => 'g',
                '7' => 't',
                '8' => 'b',
                other => other,
            };
            changed |= read != letter.c;
            letter.c = read;
        }
    }
    changed | name_everybody(letters)
}

/// Reads the x of inclusive endings as an o; whether there was one.
fn name_everybody(letters: &mut [Letter]) -> bool {
    let at = |letters: &[Letter], i: usize| letters.get(i).map(|l| l.c).filter(|c| c.is_alphanumeric());
    let mut changed = false;
    for i in 1..letters.len() {
        let ends = |from: usize| at(letters, from).is_none();
        let is_ending = ends(i + 1) || (at(letters, i + 1) == Some('s') && ends(i + 2));
        let before = at(letters, i - 1);
        let is_consonant =
            before.is_some_and(|c| c.is_alphabetic() && !matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'x'));
        if at(letters, i) == Some('x')
            && is_ending
            && is_consonant
            && let Some(letter) = letters.get_mut(i)
        {
            letter.c = 'o';
            changed = true;
        }
    }
    changed
}

/// The letters of all words, and where each word ends among them.
fn words(letters: &[Letter], reading: Reading) -> (Vec<Letter>, Vec<usize>) {
    let mut kept: Vec<Letter> = Vec::with_capacity(letters.len());
    let mut ends: Vec<usize> = Vec::new();
    let mut end_word = |end: usize| {
        if end > ends.last().copied().unwrap_or(0) {
            ends.push(end);
        }
    };
    for letter in letters {
        if letter.c.is_alphanumeric() {
            kept.push(*letter);
        } else if reading == Reading::Plain || letter.c.is_whitespace() {
            end_word(kept.len());
        }
    }
    end_word(kept.len());
    (kept, ends)
}

/// The words between ends.
fn ranges(ends: &[usize]) -> impl Iterator<Item = Range<usize>> + '_ {
    std::iter::once(0).chain(ends.iter().copied()).zip(ends).map(|(from, to)| from..*to)
}

/// The ends of the words where single letters in a row are one word.
fn join_spelled(ends: &[usize]) -> Vec<usize> {
    let words: Vec<Range<usize>> = ranges(ends).collect();
    let mut joined: Vec<usize> = Vec::with_capacity(ends.len());
    for run in words.chunk_by(|a, b| a.len() == 1 && b.len() == 1) {
        let kept = if run.len() >= SPELLED_LETTERS_MIN { run.len() - 1 } else { 0 };
        joined.extend(run.iter().skip(kept).map(|word| word.end));
    }
    joined
}

/// The first word that mixes letters of several alphabets, or a sign that turns the direction of writing, with what it
/// does. A text in one alphabet has no need of either.
pub(super) fn disguise(text: &str) -> Option<(&'static str, String)> {
    if let Some(sign) = text.chars().find(|c| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'))
    {
        return Some(("turns the direction of writing", sign.to_string()));
    }
    if text.is_ascii() {
        return None;
    }
    let word = text.split(|c: char| !c.is_alphanumeric() && !is_invisible(c)).find(|word| {
        word.contains(|c: char| c.is_ascii_alphabetic())
            && word.contains(|c: char| c.is_alphabetic() && !is_latin(c))
    })?;
    Some(("mixes letters of several alphabets", word.to_owned()))
}

/// Letters of the Latin alphabet, with accents and in the widths and signs that are made of it.
fn is_latin(c: char) -> bool {
    matches!(c,
        'A'..='Z' | 'a'..='z' | '\u{AA}' | '\u{B5}' | '\u{BA}' | '\u{C0}'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}')
        || is_invisible(c)
}

/// Characters that nobody sees: zero-width ones, soft hyphens, marks of the direction of writing, tags.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{3164}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
}

/// The Latin letter that a letter of another alphabet, or a sign, looks like.
fn latin(c: char) -> char {
    match c {
        '\u{1F150}'..='\u{1F169}' => nth_letter(c, '\u{1F150}'),
        '\u{1F170}'..='\u{1F189}' => nth_letter(c, '\u{1F170}'),
        '\u{1F1E6}'..='\u{1F1FF}' => nth_letter(c, '\u{1F1E6}'),
        'а' | 'α' | 'ɑ' | 'ᴀ' => 'a',
        'в' | 'β' | 'ь' | 'ʙ' | 'ß' => 'b',
        'с' | 'ϲ' | 'ᴄ' => 'c',
        'ԁ' | 'ɗ' | 'đ' | 'ᴅ' => 'd',
        'е' | 'ε' | 'є' | 'ɛ' | 'ᴇ' => 'e',
        'ɡ' | 'ց' | 'ɢ' => 'g',
        'н' | 'һ' | 'ʜ' => 'h',
        'і' | 'ι' | 'ı' | 'ɪ' => 'i',
        'ј' | 'ʝ' | 'ᴊ' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' => 'l',
        'м' | 'ᴍ' => 'm',
        'ո' | 'п' | 'η' | 'ɴ' => 'n',
        'о' | 'ο' | 'ø' | 'σ' | 'ᴏ' | 'օ' => 'o',
        'р' | 'ρ' | 'ᴘ' => 'p',
        'г' | 'ʀ' => 'r',
        'ѕ' | 'ꜱ' => 's',
        'т' | 'τ' | 'ᴛ' => 't',
        'υ' | 'ս' | 'ᴜ' => 'u',
        'х' | 'χ' => 'x',
        'у' => 'y',
        'ᴢ' => 'z',
        other => other,
    }
}

/// The letter at the place of a sign in its block, which runs from A to Z.
fn nth_letter(c: char, first: char) -> char {
    let nth = (u32::from(c) - u32::from(first)).min(25);
    u8::try_from(nth).map_or(c, |nth| char::from(b'a' + nth))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_word_is_the_same_however_it_is_written() {
        for text in [
            "JUZGADO",
            "juz\u{200b}gado",
            "J-U-Z-G-A-D-O",
            "J . U . Z . G . A . D . O",
            "j u z g a d o",
            "juz.gado",
            "júzgàdo",
            "juz\u{ad}gado",
            "ｊｕｚｇａｄｏ",
            "jυzgаdо",
            "JU2G4D0",
            "juzgadx",
        ] {
            let found = Reading::ALL.iter().any(|r| Folded::of(text, *r).text() == "juzgado");
            assert!(found, "{text:?}");
        }
        assert_eq!(Folded::of("¿Por  qué\n no, pagó?", Reading::Plain).text(), "por que no pago");
        // Amounts and dates stay what they are.
        assert_eq!(
            Folded::of("$ 120.500 al 03/02", Reading::Disguised { one: 'i' }).text(),
            "120500 al 0302"
        );
    }

    #[test]
    fn a_place_is_found_again_in_the_original() {
        let original = "Señor: ¡EL JUZGÁDO! llama";
        let folded = Folded::of(original, Reading::Plain);
        let at = folded.text().find("juzgado").unwrap();
        assert_eq!(&original[folded.origin(at..at + 7)], "JUZGÁDO");
    }

    #[test]
    fn only_whole_words_are_there() {
        let text = Folded::of("Debe $ 120.500 hoy", Reading::Plain);
        assert!(text.has_words(&Folded::of("120.500", Reading::Plain)));
        assert!(!text.has_words(&Folded::of("20.500", Reading::Plain)));
        assert!(!text.has_words(&Folded::of(" - ", Reading::Plain)));
    }

    proptest! {
        #[test]
        fn every_place_is_a_place_of_the_original(text in "\\PC{0,60}", one in 0_usize..4) {
            let folded = Folded::of(&text, Reading::ALL[one]);
            prop_assert_eq!(folded.origins.len(), folded.text.len());
            for at in 0..folded.text.len() {
                prop_assert!(text.get(folded.origin(at..at + 1)).is_some());
            }
        }
    }
}
