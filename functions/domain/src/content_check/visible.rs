//! The visible text of an HTML part: what a customer reads, without tags, comments, styles and attributes.
//!
//! Invariant: a tag that breaks no line leaves no space, so that a word cannot be hidden by marking half of it.

/// The longest reference to a character, such as `&#x1f600;`.
const REFERENCE_BYTES_MAX: usize = 10;

/// Elements whose content nobody reads in the message.
const UNSEEN: [&str; 5] = ["head", "style", "script", "template", "title"];
/// Elements that stand inside a line.
const INLINE: [&str; 18] = [
    "a", "abbr", "b", "big", "bdi", "bdo", "code", "em", "font", "i", "mark", "s", "small", "span", "strong",
    "sub", "sup", "u",
];

/// The text that is shown of a document.
pub(super) fn visible_text(html: &str) -> String {
    let mut shown = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        push_decoded(&mut shown, &rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let (tag, after) = rest[1..].split_once('>').unwrap_or((&rest[1..], ""));
        rest = after;
        let name: String =
            tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        let name = name.to_ascii_lowercase();
        if !INLINE.contains(&name.as_str()) {
            shown.push('\n');
        }
        if UNSEEN.contains(&name.as_str()) && !tag.starts_with('/') && !tag.ends_with('/') {
            rest = after_end_of(rest, &name);
        }
    }
    push_decoded(&mut shown, rest);
    shown
}

/// What follows the end tag of an element; nothing where it never ends.
fn after_end_of<'a>(html: &'a str, name: &str) -> &'a str {
    let mut rest = html;
    while let Some((_, after)) = rest.split_once("</") {
        if after.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name)) {
            return after.split_once('>').map_or("", |(_, after)| after);
        }
        rest = after;
    }
    ""
}

fn push_decoded(shown: &mut String, mut text: &str) {
    while let Some(at) = text.find('&') {
        shown.push_str(&text[..at]);
        text = &text[at..];
        let end = text.bytes().take(REFERENCE_BYTES_MAX).position(|b| b == b';');
        match end.and_then(|end| Some((character(&text[1..end])?, end))) {
            Some((c, end)) => {
                shown.push(c);
                text = &text[end + 1..];
            }
            None => {
                shown.push('&');
                text = &text[1..];
            }
        }
    }
    shown.push_str(text);
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => number.parse().ok(),
        };
        return code.and_then(char::from_u32);
    }
    // The accented letters all decompose to their first letter when they are folded, so only that matters.
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "shy" => '\u{AD}',
        "zwnj" | "zwj" => '\u{200D}',
        _ => {
            let accents = ["acute", "grave", "circ", "uml", "tilde", "cedil"];
            let letter = accents.iter().find_map(|accent| name.strip_suffix(accent))?;
            return letter.chars().next().filter(|c| letter.len() == 1 && c.is_ascii_alphabetic());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_is_text() {
        let html = "<html><head><title>T</title><style>p{}</style></head><body title=\"x\"><!-- no -->\
                    <p>Pa<b>g&oacute;</b> S&#x2f; 1&nbsp;&amp; m&aacute;s &c;</p><script>no</script><td>1</td><td>2</td>";
        let words: Vec<String> = visible_text(html).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words.join(" "), "Pago S/ 1 & mas &c; 1 2");
    }

    #[test]
    fn what_never_ends_hides_the_rest_and_never_fails() {
        for html in ["<", "a<b", "<!--", "<script>x", "&", "&#xffffffff;", "<\u{e9}>x"] {
            assert!(!visible_text(html).contains("<!--"), "{html}");
        }
    }
}
