//! The mail headers that carry the lender: the sender's mailbox, and where to unsubscribe.
//!
//! Invariant: whatever the lender's name or address holds, the header is printable ASCII and stays one header.

use aws_smithy_types::base64;
use domain::choice::SignedLink;

/// The longest mailbox that SES takes, in characters (FromEmailAddress of the SES v2 API).
const MAILBOX_CHARS_MAX: usize = 320;

/// The longest name and value of a header together, in characters (MessageHeader of the SES v2 API; a value alone may have
/// 995, which a name of this length keeps).
const HEADER_CHARS_MAX: usize = 996;

const LIST_UNSUBSCRIBE: &str = "List-Unsubscribe";
/// What a mailbox posts to the link, in the words of RFC 8058.
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

/// The most bytes of text in one encoded word, so that it stays under 75 characters (RFC 2047 §2).
const ENCODED_WORD_BYTES_MAX: usize = 45;

/// `name <address>`, or the address alone when it has a name already, when the name is empty, or when both together
/// are too long for SES.
pub(crate) fn from(name: &str, address: &str) -> String {
    let name = name.trim();
    if name.is_empty() || address.contains('<') {
        return address.to_owned();
    }
    let mailbox = format!("{} <{address}>", display_name(name));
    if mailbox.len() <= MAILBOX_CHARS_MAX { mailbox } else { address.to_owned() }
}

/// The headers that say how to unsubscribe: by writing to the lender, with the touch named (RFC 2369 §3.2), and first by
/// one click on the customer's own link, where there is one and it fits (RFC 8058 §3.1).
pub(crate) fn unsubscribe(
    link: Option<&SignedLink>,
    address: &str,
    touch: &str,
) -> Vec<(&'static str, String)> {
    let written = format!("<mailto:{}?subject=unsubscribe%20{}>", percent(address), percent(touch));
    let clicked = link.map(|link| format!("<{}>, {written}", link.reveal()));
    match clicked.filter(|value| LIST_UNSUBSCRIBE.len() + value.len() <= HEADER_CHARS_MAX) {
        Some(value) => vec![(LIST_UNSUBSCRIBE, value), ("List-Unsubscribe-Post", ONE_CLICK.to_owned())],
        None => vec![(LIST_UNSUBSCRIBE, written)],
    }
}

/// A name as a quoted string when it is plain, else as encoded words (RFC 2047 §5).
fn display_name(name: &str) -> String {
    if name.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    }
    let mut words = Vec::new();
    let mut chunk = String::new();
    for c in name.chars() {
        if chunk.len() + c.len_utf8() > ENCODED_WORD_BYTES_MAX {
            words.push(encoded_word(&chunk));
            chunk.clear();
        }
        chunk.push(c);
    }
    words.push(encoded_word(&chunk));
    words.join(" ")
}

fn encoded_word(text: &str) -> String {
    format!("=?UTF-8?B?{}?=", base64::encode(text))
}

/// Percent-encoding for a mailto address or one of its fields (RFC 6068 §2).
fn percent(text: &str) -> String {
    use std::fmt::Write as _;

    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'@' | b'+') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use domain::choice::OptOutUrl;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_name_is_quoted_and_any_other_is_encoded() {
        assert_eq!(from("Caja \"Sur\"", "a@x.org"), "\"Caja \\\"Sur\\\"\" <a@x.org>");
        assert_eq!(from("Caja Sureña", "a@x.org"), "=?UTF-8?B?Q2FqYSBTdXJlw7Fh?= <a@x.org>");
        assert_eq!(from(" ", "a@x.org"), "a@x.org");
        assert_eq!(from("Otro", "Caja <a@x.org>"), "Caja <a@x.org>");
        assert_eq!(from(&"ñ".repeat(200), "a@x.org"), "a@x.org");
    }

    #[test]
    fn an_address_with_a_query_stays_one_address() {
        let mailto = "<mailto:cobros@x.org%3Fbcc%3Dy@z.org?subject=unsubscribe%20t%201>";
        let headers = unsubscribe(None, "cobros@x.org?bcc=y@z.org", "t 1");
        assert_eq!(headers, [(LIST_UNSUBSCRIBE, mailto.to_owned())]);
    }

    #[test]
    fn one_click_is_offered_where_the_link_fits() {
        let url = OptOutUrl::try_from("https://x.org/baja".to_owned()).unwrap();
        let headers = unsubscribe(Some(&url.link("t.k")), "a@x.org", "t1");
        let value = "<https://x.org/baja/t.k>, <mailto:a@x.org?subject=unsubscribe%20t1>".to_owned();
        let post = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned());
        assert_eq!(headers, [(LIST_UNSUBSCRIBE, value), post]);
        for chars in 800..1_100 {
            let headers = unsubscribe(Some(&url.link(&"k".repeat(chars))), "a@x.org", "t1");
            assert!(
                headers.iter().all(|(name, value)| name.len() + value.len() <= HEADER_CHARS_MAX),
                "{chars}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_name_can_break_the_header(name in any::<String>()) {
            let mailbox = from(&name, "a@x.org");
            prop_assert!(mailbox.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{:?}", mailbox);
            prop_assert!(mailbox.len() <= MAILBOX_CHARS_MAX);
            prop_assert!(mailbox.split(' ').all(|w| !w.starts_with("=?") || w.len() <= 75));
            prop_assert!(mailbox.ends_with("a@x.org") || mailbox.ends_with("<a@x.org>"));
        }
    }
}
