//! Styles: how far a declaration keeps a text from being seen.
//!
//! Invariant: a declaration only ever hides more. What cannot be judged (an escape, a colour in a notation that is not
//! known) hides, since a text that must be said has no need of it.

use html5gum::{DefaultEmitter, Token, Tokenizer};

/// The smallest letters that a person reads, in CSS pixels.
const FONT_PX_MIN: f64 = 7.0;
/// CSS pixels of one em, of one point, and of one percent of the usual size.
const EM_PX: f64 = 16.0;
const PT_PX: f64 = 4.0 / 3.0;
const PERCENT_PX: f64 = 0.16;
/// The least opacity that is seen.
const OPACITY_MIN: f64 = 0.3;
/// How far off the page a text is moved that is meant not to be seen, in CSS pixels.
const OFF_PAGE_PX: f64 = 100.0;
/// The least sum of the differences of red, green and blue between a text and what it stands on.
const CONTRAST_MIN: i32 = 90;

/// A colour without its transparency.
type Rgb = [u8; 3];

const WHITE: Rgb = [255, 255, 255];
const BLACK: Rgb = [0, 0, 0];

/// The names of colours that are known.
const NAMED: [(&str, Rgb); 20] = [
    ("black", BLACK),
    ("white", WHITE),
    ("red", [255, 0, 0]),
    ("green", [0, 128, 0]),
    ("blue", [0, 0, 255]),
    ("navy", [0, 0, 128]),
    ("gray", [128, 128, 128]),
    ("grey", [128, 128, 128]),
    ("silver", [192, 192, 192]),
    ("maroon", [128, 0, 0]),
    ("purple", [128, 0, 128]),
    ("teal", [0, 128, 128]),
    ("olive", [128, 128, 0]),
    ("lime", [0, 255, 0]),
    ("aqua", [0, 255, 255]),
    ("yellow", [255, 255, 0]),
    ("orange", [255, 165, 0]),
    ("darkgray", [169, 169, 169]),
    ("dimgray", [105, 105, 105]),
    ("whitesmoke", [245, 245, 245]),
];

/// What the declarations up to an element make of its text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Looks {
    /// Something hides it.
    pub(super) is_hidden: bool,
    /// The direction of writing is turned.
    pub(super) turns: bool,
    color: Option<Rgb>,
    background: Option<Rgb>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { is_hidden: false, turns: false, color: Some(BLACK), background: Some(WHITE) }
    }
}

impl Looks {
    /// Whether the text cannot be seen, or may not be.
    pub(super) fn hides(&self) -> bool {
        let contrast = match (self.color, self.background) {
            (Some(a), Some(b)) => a.iter().zip(b).map(|(a, b)| (i32::from(*a) - i32::from(b)).abs()).sum(),
            (None, _) | (_, None) => 0,
        };
        self.is_hidden || contrast < CONTRAST_MIN
    }

    /// Applies the declarations of a `style` attribute or of a rule.
    pub(super) fn apply_all(&mut self, declarations: &str) {
        if declarations.contains('\\') {
            self.is_hidden = true;
        }
        for declaration in without_comments(declarations).split(';') {
            if let Some((property, value)) = declaration.split_once(':') {
                self.apply(property, value);
            }
        }
    }

    /// Applies one declaration.
    pub(super) fn apply(&mut self, property: &str, value: &str) {
        let value = value.to_ascii_lowercase();
        let value = value.split('!').next().unwrap_or_default().trim();
        let first = value.split_whitespace().next().unwrap_or_default();
        let is_zero = || px(first).is_some_and(|px| px <= 0.0);
        let hides = match property.trim().to_ascii_lowercase().as_str() {
            "display" => value == "none",
            "visibility" => value == "hidden" || value == "collapse",
            "content-visibility" => value == "hidden",
            "mso-hide" => value == "all",
            "opacity" => px(first).is_some_and(|part| part < OPACITY_MIN),
            "font-size" => px(first).is_some_and(|px| px < FONT_PX_MIN),
            "font" => value
                .split_whitespace()
                .filter_map(|word| px(word.split('/').next().unwrap_or_default()))
                .next()
                .is_some_and(|px| px < FONT_PX_MIN),
            "width" | "height" | "max-width" | "max-height" | "line-height" | "zoom" => is_zero(),
            "left" | "right" | "top" | "bottom" | "text-indent" | "margin-left" | "margin-top" => {
                px(first).is_some_and(|px| !(-OFF_PAGE_PX..10.0 * OFF_PAGE_PX).contains(&px))
            }
            "clip" | "clip-path" | "mask" | "filter" | "transform" => value != "none",
            "-webkit-text-fill-color" | "color" => {
                self.set_color(value);
                false
            }
            "background" | "background-color" => {
                self.set_background(value);
                false
            }
            "unicode-bidi" => {
                self.turns |= value != "normal";
                false
            }
            _ => false,
        };
        self.is_hidden |= hides;
    }

    fn set_color(&mut self, value: &str) {
        if !matches!(value, "inherit" | "currentcolor" | "unset") {
            self.color = color(value);
        }
    }

    fn set_background(&mut self, value: &str) {
        if let Some(known) = color(value).or_else(|| value.split_whitespace().find_map(color)) {
            self.background = Some(known);
        } else if !matches!(value, "inherit" | "transparent" | "none" | "unset") {
            self.background = None;
        }
    }
}

/// The rules of the style sheets of a document.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    rules: Vec<(Selector, String)>,
}

/// The last part of a selector; what stands before it is not asked, so that a rule meets rather too much.
#[derive(Debug, Default)]
struct Selector {
    tag: Option<String>,
    classes: Vec<String>,
    id: Option<String>,
}

impl Sheet {
    /// Reads every style sheet of a document.
    pub(super) fn of(html: &str) -> Self {
        let mut rules = Vec::new();
        if !html.as_bytes().windows(6).any(|tag| tag.eq_ignore_ascii_case(b"<style")) {
            return Self { rules };
        }
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut is_style = false;
        for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
            match token {
                Token::StartTag(tag) => is_style = *tag.name == b"style",
                Token::EndTag(_) => is_style = false,
                Token::String(text) if is_style => {
                    add_rules(&String::from_utf8_lossy(&text.value), &mut rules);
                }
                Token::String(_) | Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
            }
        }
        Self { rules }
    }

    /// Applies what the rules say of an element.
    pub(super) fn apply(&self, tag: &str, classes: &str, id: &str, looks: &mut Looks) {
        for (selector, declarations) in &self.rules {
            if selector.meets(tag, classes, id) {
                looks.apply_all(declarations);
            }
        }
    }
}

impl Selector {
    fn of(text: &str) -> Self {
        let last = text.split([' ', '>', '+', '~', '\n', '\t', '\r']).rfind(|part| !part.is_empty());
        let last = last.unwrap_or_default().split([':', '[']).next().unwrap_or_default();
        let mut selector = Self::default();
        let mut rest = last;
        while !rest.is_empty() {
            let sign = rest.chars().next().unwrap_or_default();
            let name = rest.trim_start_matches(['.', '#']);
            let end = name.find(['.', '#']).unwrap_or(name.len());
            let (word, after) = name.split_at(end);
            match sign {
                '.' => selector.classes.push(word.to_owned()),
                '#' => selector.id = Some(word.to_owned()),
                '*' => {}
                _ => selector.tag = Some(word.to_ascii_lowercase()),
            }
            rest = after;
        }
        selector
    }

    fn meets(&self, tag: &str, classes: &str, id: &str) -> bool {
        self.tag.as_ref().is_none_or(|t| t == tag)
            && self.id.as_ref().is_none_or(|i| i == id)
            && self.classes.iter().all(|class| classes.split_whitespace().any(|c| c == class))
    }
}

/// Reads the rules of one sheet; those inside a condition on the medium hold always.
fn add_rules(sheet: &str, rules: &mut Vec<(Selector, String)>) {
    for rule in without_comments(sheet).split('}') {
        let Some((before, declarations)) = rule.rsplit_once('{') else { continue };
        let selectors = before.rsplit_once('{').map_or(before, |(_, inner)| inner);
        for selector in selectors.split(',') {
            rules.push((Selector::of(selector), declarations.to_owned()));
        }
    }
}

fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

/// A length in CSS pixels, as far as it does not depend on anything else; a plain number is itself.
fn px(text: &str) -> Option<f64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic() || c == '%').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    Some(match unit {
        "em" | "rem" | "ex" | "ch" => number * EM_PX,
        "pt" => number * PT_PX,
        "%" => number * PERCENT_PX,
        "vw" | "vh" => number * OFF_PAGE_PX / 10.0,
        _ => number,
    })
}

/// A colour that is seen; `None` where it is transparent, or in a notation that is not known.
fn color(text: &str) -> Option<Rgb> {
    if let Some(hex) = text.strip_prefix('#') {
        let digit = |at: usize| hex.get(at..=at).and_then(|d| u8::from_str_radix(d, 16).ok());
        return match hex.len() {
            3 => Some([digit(0)? * 17, digit(1)? * 17, digit(2)? * 17]),
            6 => Some([digit(0)? * 16 + digit(1)?, digit(2)? * 16 + digit(3)?, digit(4)? * 16 + digit(5)?]),
            _ => None,
        };
    }
    if let Some(parts) = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')) {
        let mut parts = parts.split([',', ' ']).filter(|part| !part.is_empty()).map(|p| p.parse::<u8>().ok());
        let rgb = [parts.next()??, parts.next()??, parts.next()??];
        return parts.next().is_none().then_some(rgb);
    }
    NAMED.iter().find(|(name, _)| *name == text).map(|(_, rgb)| *rgb)
}
