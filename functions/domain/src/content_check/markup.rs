//! The texts of an HTML part: what a customer surely sees of it, and everything that somebody may read of it.
//!
//! Invariants: what may be hidden does not count as seen, so a doubt (a colour that is not known, an escape in a style)
//! hides; a tag that breaks no line leaves no space, so that a word cannot be hidden by marking half of it.

use std::borrow::Cow;

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::css::{Looks, Sheet};

/// How deep a comment that some mail programs show is read.
const COMMENTS_DEEP_MAX: u8 = 2;
/// What stands for a change of the direction of writing that the markup asks for.
const OVERRIDE: char = '\u{202E}';

/// Elements whose content a mail program does not show, or may not.
const UNSEEN: [&str; 19] = [
    "head", "style", "script", "template", "title", "noscript", "textarea", "select", "datalist", "audio",
    "video", "canvas", "iframe", "object", "svg", "math", "dialog", "details", "noembed",
];
/// Elements whose content is no text for anybody.
const CODE: [&str; 2] = ["style", "script"];
/// Elements without content.
const VOID: [&str; 15] = [
    "area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];
/// Elements that stand inside a line.
const INLINE: [&str; 20] = [
    "a", "abbr", "b", "big", "bdi", "bdo", "code", "em", "font", "i", "img", "mark", "s", "small", "span",
    "strong", "sub", "sup", "u", "wbr",
];
/// Attributes that are read out or shown beside the text.
const READ_ATTRIBUTES: [&str; 6] =
    ["title", "aria-label", "aria-description", "placeholder", "value", "summary"];

/// What can be read of a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Markup {
    /// What a customer surely sees.
    pub(super) shown: String,
    /// Everything that somebody may read or be read: what is shown, what is hidden, alternative texts.
    pub(super) said: String,
    /// Where the links lead that have a text which a customer surely sees.
    pub(super) links: Vec<String>,
}

impl Markup {
    /// Reads a document, or a piece of one.
    pub(super) fn of(html: &str) -> Self {
        Self::of_nested(html, 0)
    }

    fn of_nested(html: &str, depth: u8) -> Self {
        let sheet = Sheet::of(html);
        let mut reader = Reader {
            sheet,
            open: Vec::new(),
            markup: Self::default(),
            beside: String::new(),
            link: None,
            depth,
        };
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
            reader.token(token);
        }
        let Reader { mut markup, beside, .. } = reader;
        markup.said.push_str(&beside);
        markup
    }
}

/// An element that has not ended.
struct Open {
    name: String,
    is_code: bool,
    looks: Looks,
}

struct Reader {
    sheet: Sheet,
    open: Vec<Open>,
    markup: Markup,
    /// Texts of attributes, which stand beside the running text.
    beside: String,
    /// Where the link leads that has not ended, and how much was shown before it.
    link: Option<(String, usize)>,
    depth: u8,
}

impl Reader {
    fn token(&mut self, token: Token) {
        match token {
            Token::StartTag(tag) => self.start(&tag),
            Token::EndTag(tag) => self.end(&text(&tag.name)),
            Token::String(string) => self.text(&text(&string.value)),
            Token::Comment(comment) => self.comment(&text(&comment.value)),
            Token::Doctype(_) | Token::Error(_) => {}
        }
    }

    fn start(&mut self, tag: &StartTag<()>) {
        let name = text(&tag.name).into_owned();
        let attribute = |wanted: &str| {
            tag.attributes.iter().find(|(key, _)| text(key) == wanted).map(|(_, value)| text(&value.value))
        };
        // Its end tag may be left out.
        if name == "body" {
            self.open.retain(|open| open.name != "head");
        }
        if !INLINE.contains(&name.as_str()) {
            self.push_both("\n");
        }
        if name == "a" {
            self.link = attribute("href").map(|href| (href.into_owned(), self.markup.shown.len()));
        }
        for known in READ_ATTRIBUTES {
            if let Some(words) = attribute(known) {
                self.beside.push('\n');
                self.beside.push_str(&words);
            }
        }
        if let Some(words) = attribute("alt") {
            self.markup.said.push_str(&words);
        }
        let mut looks = self.open.last().map_or_else(Looks::default, |open| open.looks.clone());
        looks.turns = false;
        looks.is_hidden |= UNSEEN.contains(&name.as_str()) || attribute("hidden").is_some();
        for (key, property) in [("color", "color"), ("text", "color"), ("bgcolor", "background-color")] {
            if let Some(value) = attribute(key) {
                looks.apply(property, &value);
            }
        }
        let classes = attribute("class").unwrap_or_default();
        let id = attribute("id").unwrap_or_default();
        self.sheet.apply(&name, &classes, &id, &mut looks);
        if let Some(style) = attribute("style") {
            looks.apply_all(&style);
        }
        if name == "bdo" || looks.turns {
            self.markup.said.push(OVERRIDE);
        }
        if !VOID.contains(&name.as_str()) {
            let is_code = CODE.contains(&name.as_str());
            self.open.push(Open { name, is_code, looks });
        }
    }

    fn end(&mut self, name: &str) {
        if !INLINE.contains(&name) {
            self.push_both("\n");
        }
        if name == "a"
            && let Some((href, before)) = self.link.take()
            && self.markup.shown.get(before..).is_some_and(|words| words.contains(char::is_alphanumeric))
        {
            self.markup.links.push(href);
        }
        if let Some(at) = self.open.iter().rposition(|open| open.name == *name) {
            self.open.truncate(at);
        }
    }

    fn text(&mut self, words: &str) {
        match self.open.last() {
            Some(open) if open.is_code => {}
            Some(open) if open.looks.hides() => self.markup.said.push_str(words),
            Some(_) | None => self.push_both(words),
        }
    }

    /// A comment is for nobody, but for the conditional ones that some mail programs show.
    fn comment(&mut self, words: &str) {
        let conditional = words.trim_start().strip_prefix("[if").and_then(|rest| rest.split_once("]>"));
        if let Some((_, html)) = conditional
            && self.depth < COMMENTS_DEEP_MAX
        {
            let nested = Markup::of_nested(html, self.depth + 1);
            self.markup.said.push_str(&nested.said);
        }
    }

    fn push_both(&mut self, words: &str) {
        self.markup.shown.push_str(words);
        self.markup.said.push_str(words);
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_is_read_is_text() {
        let html = "<html><head><title>T</title><style>p{}</style></head><body title=\"x\"><!-- no -->\
                    <p>Pa<b>g&oacute;</b> S&#x2f; 1&nbsp;&amp; m&aacute;s &c;</p><script>no</script><td>1</td><td>2</td>";
        let markup = Markup::of(html);
        assert_eq!(words(&markup.shown), "Pagó S/ 1 & más &c; 1 2");
        assert_eq!(words(&markup.said), "T Pagó S/ 1 & más &c; 1 2 x");
    }

    #[test]
    fn what_is_hidden_is_said_and_not_shown() {
        for html in [
            "<p style=\"display:none\">baja</p>",
            "<p style='DISPLAY : NONE !important'>baja</p>",
            "<p style=\"d\\69splay:none\">baja</p>",
            "<p hidden>baja</p>",
            "<div hidden></p></span>baja</div>",
            "<p style=\"font-size:0\">baja</p>",
            "<p style=\"font-size:1px\">baja</p>",
            "<p style=\"font:0/0 a\">baja</p>",
            "<p style=\"visibility:hidden\">baja</p>",
            "<p style=\"opacity:.01\">baja</p>",
            "<p style=\"color:#fff\">baja</p>",
            "<p style=\"color:#FFFFFE\">baja</p>",
            "<p style=\"color:white\">baja</p>",
            "<p style=\"color:transparent\">baja</p>",
            "<p style=\"color:rgba(0,0,0,0)\">baja</p>",
            "<p style=\"color:hsl(0,0%,100%)\">baja</p>",
            "<div style=\"background:#123456\"><p style=\"color:rgb(18,52,86)\">baja</p></div>",
            "<font color=\"#ffffff\">baja</font>",
            "<td bgcolor=\"#000000\">baja</td>",
            "<p style=\"position:absolute;left:-9999px\">baja</p>",
            "<p style=\"text-indent:-999em\">baja</p>",
            "<p style=\"max-height:0;overflow:hidden\">baja</p>",
            "<p style=\"mso-hide:all\">baja</p>",
            "<p style=\"transform:scale(0)\">baja</p>",
            "<style>.x{color:red}.h, p.y{display:none}</style><p class=\"a h\">baja</p>",
            "<style>@media screen{#n{font-size:0}}</style><p id=\"n\">baja</p>",
            "<template>baja</template>",
            "<details>baja</details>",
            "<select><option>baja</option></select>",
            "<p><img alt=\"baja\"></p>",
            "<p title=\"baja\"></p>",
            "<!--[if mso]><p>baja</p><![endif]-->",
        ] {
            let markup = Markup::of(html);
            assert_eq!((words(&markup.shown).as_str(), words(&markup.said).as_str()), ("", "baja"), "{html}");
        }
        assert_eq!(Markup::of("<!-- baja --><style>baja</style><script>baja</script>").said.trim(), "");
    }

    #[test]
    fn what_only_looks_hidden_is_shown() {
        for html in [
            "<p style=\"font-size:13px;color:#52606d\">baja</p>",
            "<p style=\"margin:0;padding:0;border:0\">baja</p>",
            "<p hidden></p><p>baja</p>",
            "<div style=\"background:#0b5394;color:#ffffff\">baja</div>",
            "<style>.h{display:none}</style><p class=\"b\">baja</p>",
            "<head><meta charset=\"utf-8\"><body>baja",
            "<p style=\"color:inherit;line-height:1.5;width:100%\">baja</p>",
        ] {
            assert_eq!(words(&Markup::of(html).shown), "baja", "{html}");
        }
    }

    #[test]
    fn what_never_ends_hides_the_rest_and_never_fails() {
        for html in
            ["<", "a<b", "<!--", "<script>x", "&", "&#xffffffff;", "<\u{e9}>x", "<style>a{b", "<!--[if"]
        {
            assert!(!Markup::of(html).said.contains("<!--"), "{html}");
        }
        assert_eq!(Markup::of("<!-- baja").shown, "");
        assert_eq!(Markup::of("<p style=\"display:none\">baja").shown.trim(), "");
    }
}
