//! The text of a message tag: ids as SES carries them through a message and back in its events.
//!
//! Invariant: [`decode`] gives back what [`encode`] took, and two ids never share a tag. SES allows ASCII letters,
//! digits, `_` and `-`, at most 256 of them (MessageTag of the SES v2 API), and ids are the lender's own text: every
//! other byte, and `_` itself, is written as `_` and two hexadecimal digits.

/// The longest tag value that SES takes, in characters.
pub const TAG_CHARS_MAX: usize = 256;

/// The tag that carries the touch id.
pub const TOUCH: &str = "touch";

/// The tag that carries the tenant id.
pub const TENANT: &str = "tenant";

/// An id as a tag value; `None` when it would be longer than [`TAG_CHARS_MAX`].
#[must_use]
pub fn encode(id: &str) -> Option<String> {
    use std::fmt::Write as _;

    let mut tag = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            tag.push(char::from(byte));
        } else {
            write!(tag, "_{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    (tag.len() <= TAG_CHARS_MAX).then_some(tag)
}

/// The id in a tag value; `None` when [`encode`] cannot have written it.
#[must_use]
pub fn decode(tag: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(tag.len());
    let mut rest = tag;
    while let Some((at, _)) = rest.char_indices().find(|(_, c)| *c == '_') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let digits = rest.get(at + 1..at + 3)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[at + 3..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    let id = String::from_utf8(bytes).ok()?;
    // A second spelling of the same id (lower-case digits, a plain letter escaped) was not written by `encode`.
    (encode(&id).as_deref() == Some(tag)).then_some(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_derived_id_is_written_as_it_is_and_a_free_text_is_escaped() {
        let id = "0f3a9c5e7b1d2f4a6c8e0b1d3f5a7c9e";
        assert_eq!(encode(id).as_deref(), Some(id));
        assert_eq!(encode("caja_sur 1").as_deref(), Some("caja_5Fsur_201"));
        assert_eq!(encode(&"ñ".repeat(100)), None);
    }

    #[test]
    fn a_tag_of_somebody_else_is_refused() {
        for tag in ["a_", "a_2", "a_zz", "_ff", "a b", "_61", "ñ", "_é1", "_+1"] {
            assert_eq!(decode(tag), None, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn every_id_comes_back_from_its_tag(id in "\\PC{0,80}") {
            if let Some(tag) = encode(&id) {
                prop_assert!(tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
                prop_assert_eq!(decode(&tag), Some(id));
            } else {
                prop_assert!(id.len() * 3 > TAG_CHARS_MAX);
            }
        }
    }
}
