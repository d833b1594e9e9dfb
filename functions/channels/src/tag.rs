//! The text of a message tag: ids as SES carries them through a message and back in its events.
//!
//! Invariant: [`decode`] gives back what [`encode`] took, and two ids never share a tag. SES allows ASCII letters,
//! digits, `_` and `-`, at most 256 of them (MessageTag of the SES v2 API), and ids are the lender's own text: every
//! other byte, and `_` itself, is written as `_` and two hexadecimal digits.
//!
//! The tags of a touch ([`TouchTags`]) are signed. An event that says it belongs to a touch is believed only where the
//! signature fits, so that nobody who can write to a queue or a topic settles touches or suppresses addresses.

use chrono::NaiveDate;
use domain::ids::{CustomerId, ID_CHARS_MAX, TenantId, TouchId};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The longest tag value that SES takes, in characters.
pub const TAG_CHARS_MAX: usize = 256;

/// The tag of the touch id.
pub const TOUCH: &str = "touch";
/// The tag of the tenant id.
pub const TENANT: &str = "tenant";
/// The tag of the customer id.
pub const CUSTOMER: &str = "customer";
/// The tag of the customer's local date of the touch.
pub const ON: &str = "on";
/// The tag of the signature over the others.
pub const SIGNATURE: &str = "sig";

/// How many tags an id is spread over at most: 100 characters of four bytes, each written in three characters.
const PARTS_MAX: usize = (4 * 3 * ID_CHARS_MAX).div_ceil(TAG_CHARS_MAX);
/// The signature's length, in hexadecimal digits: half of a SHA-256, which nobody guesses.
const SIGNATURE_DIGITS: usize = 32;

/// The key that signs tags, so that an event with tags of somebody else's making is refused.
#[derive(Clone)]
pub struct TagKey(Vec<u8>);

impl std::fmt::Debug for TagKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TagKey(***)")
    }
}

impl TagKey {
    /// Takes secret bytes of any length; 32 random ones are right.
    #[must_use]
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    fn mac(&self, tags: &TouchTags) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        let on = tags.on.to_string();
        for part in [tags.tenant.as_str(), tags.customer.as_str(), &on, tags.touch.as_str()] {
            // No id has a control character, so no two sets of ids are signed alike.
            mac.update(part.as_bytes());
            mac.update(&[0x1e]);
        }
        mac
    }
}

/// Which touch a message belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchTags {
    /// The tenant.
    pub tenant: TenantId,
    /// The customer.
    pub customer: CustomerId,
    /// The customer's local date of the touch.
    pub on: NaiveDate,
    /// The touch.
    pub touch: TouchId,
}

/// Why the tags of an event do not name a touch of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// A tag is not there.
    #[error("the event has no tag {0}; expected the tags that Puntual sets")]
    Missing(&'static str),
    /// A tag cannot have been written here.
    #[error("the event has an unreadable tag {0}; expected it as Puntual writes it")]
    Unreadable(&'static str),
    /// The signature does not fit the others.
    #[error("the tags of the event are not signed with this deployment's key")]
    Forged,
}

impl TouchTags {
    /// Names and values, signed. An id that is too long for one tag goes on in `customer-1` and so on, so that no id
    /// is ever refused.
    #[must_use]
    pub fn write(&self, key: &TagKey) -> Vec<(String, String)> {
        let mut tags = Vec::new();
        let ids = [
            (TOUCH, self.touch.as_str()),
            (TENANT, self.tenant.as_str()),
            (CUSTOMER, self.customer.as_str()),
        ];
        for (name, id) in ids {
            let text = escaped(id);
            for (part, from) in (0..text.len()).step_by(TAG_CHARS_MAX).enumerate() {
                // What is escaped is ASCII.
                let to = text.len().min(from + TAG_CHARS_MAX);
                tags.push((part_name(name, part), text[from..to].to_owned()));
            }
        }
        tags.push((ON.to_owned(), self.on.to_string()));
        let signature = hex(&key.mac(self).finalize().into_bytes());
        tags.push((SIGNATURE.to_owned(), signature[..SIGNATURE_DIGITS].to_owned()));
        tags
    }

    /// Reads the tags of an event and checks their signature.
    ///
    /// # Errors
    /// [`TagError`] when a tag is missing, or was not written with this key.
    pub fn read<'t>(tag: impl Fn(&str) -> Option<&'t str>, key: &TagKey) -> Result<Self, TagError> {
        let id = |name: &'static str| {
            let first = tag(name).ok_or(TagError::Missing(name))?.to_owned();
            let more = (1..PARTS_MAX).map_while(|part| tag(&part_name(name, part)));
            let text = more.fold(first, |text, part| text + part);
            unescaped(&text).ok_or(TagError::Unreadable(name))
        };
        let on = tag(ON).ok_or(TagError::Missing(ON))?;
        let tags = Self {
            tenant: TenantId::new(id(TENANT)?).map_err(|_| TagError::Unreadable(TENANT))?,
            customer: CustomerId::new(id(CUSTOMER)?).map_err(|_| TagError::Unreadable(CUSTOMER))?,
            on: on.parse().map_err(|_| TagError::Unreadable(ON))?,
            touch: TouchId::new(id(TOUCH)?).map_err(|_| TagError::Unreadable(TOUCH))?,
        };
        let signature = tag(SIGNATURE).ok_or(TagError::Missing(SIGNATURE))?;
        let bytes = bytes_of_hex(signature).ok_or(TagError::Unreadable(SIGNATURE))?;
        // Compared in constant time.
        key.mac(&tags).verify_truncated_left(&bytes).map_err(|_| TagError::Forged)?;
        Ok(tags)
    }
}

fn part_name(name: &str, part: usize) -> String {
    if part == 0 { name.to_owned() } else { format!("{name}-{part}") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a signature; `None` where it has another length, since a shorter one would be easier to guess.
fn bytes_of_hex(digits: &str) -> Option<Vec<u8>> {
    if digits.len() != SIGNATURE_DIGITS {
        return None;
    }
    (0..SIGNATURE_DIGITS).step_by(2).map(|i| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok()).collect()
}

/// An id as a tag value; `None` when it would be longer than [`TAG_CHARS_MAX`].
#[must_use]
pub fn encode(id: &str) -> Option<String> {
    Some(escaped(id)).filter(|tag| tag.len() <= TAG_CHARS_MAX)
}

fn escaped(id: &str) -> String {
    use std::fmt::Write as _;

    let mut tag = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            tag.push(char::from(byte));
        } else {
            write!(tag, "_{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    tag
}

/// The id in a tag value; `None` when [`encode`] cannot have written it.
#[must_use]
pub fn decode(tag: &str) -> Option<String> {
    unescaped(tag).filter(|_| tag.len() <= TAG_CHARS_MAX)
}

fn unescaped(tag: &str) -> Option<String> {
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
    (escaped(&id) == tag).then_some(id)
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

    fn tags(tenant: &str, customer: &str) -> TouchTags {
        TouchTags {
            tenant: TenantId::new(tenant).unwrap(),
            customer: CustomerId::new(customer).unwrap(),
            on: NaiveDate::from_ymd_opt(2026, 11, 23).unwrap(),
            touch: TouchId::new("0f3a9c5e7b1d2f4a6c8e0b1d3f5a7c9e").unwrap(),
        }
    }

    fn read(tags: &[(String, String)], key: &TagKey) -> Result<TouchTags, TagError> {
        TouchTags::read(|name| tags.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()), key)
    }

    #[test]
    fn a_tag_that_was_changed_taken_away_or_signed_by_another_is_refused() {
        let key = TagKey::new(*b"a key of the tests");
        let written = tags("demo", "7590-VHVEG").write(&key);
        assert_eq!(read(&written, &TagKey::new(*b"another key")), Err(TagError::Forged));
        for at in 0..written.len() {
            let mut without = written.clone();
            let (name, _) = without.remove(at);
            assert!(matches!(read(&without, &key), Err(TagError::Missing(_))), "{name}");
            let mut changed = written.clone();
            changed[at].1 = changed[at].1.replace(['0', '7', 'd'], "1");
            assert!(read(&changed, &key).is_err(), "{name}");
        }
        let mut short = written;
        let signature = &mut short.last_mut().unwrap().1;
        signature.truncate(2);
        assert_eq!(read(&short, &key), Err(TagError::Unreadable(SIGNATURE)));
    }

    proptest! {
        #[test]
        fn every_touch_comes_back_from_its_tags(
            tenant in "[^\\p{C}\\s]{1,100}",
            customer in "[^\\p{C}\\s]{1,100}",
        ) {
            let (key, wanted) = (TagKey::new(*b"a key of the tests"), tags(&tenant, &customer));
            let written = wanted.write(&key);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            for (name, value) in &written {
                prop_assert!(value.len() <= TAG_CHARS_MAX && value.chars().all(plain) && name.chars().all(plain));
            }
            prop_assert_eq!(read(&written, &key), Ok(wanted));
        }

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
