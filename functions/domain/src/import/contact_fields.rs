//! Contact fields: the one place where an import turns text into an address that can be written to.
//!
//! Invariant: what comes out is in one form (E.164, or a lower-case domain), so that a suppression, which is
//! kept by address, always meets its customer. No error repeats the text.

use phonenumber::country::Id;
use phonenumber::{Mode, is_valid};

use crate::contact::Address;
use crate::locale::Country;

/// A text that cannot be a telephone number or an email address. It says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot be reached")]
pub struct NotAnAddress;

/// The longest text that is looked at as a telephone number, in bytes.
const PHONE_BYTES_MAX: usize = 40;
/// The longest email address (RFC 5321 §4.5.3.1.3, without the angle brackets), in bytes.
const EMAIL_BYTES_MAX: usize = 254;
/// The longest part before the `@` (RFC 5321 §4.5.3.1.1), in bytes.
const EMAIL_LOCAL_BYTES_MAX: usize = 64;

/// A telephone number of `region`, or an international one with its `+`, as E.164.
///
/// # Errors
/// [`NotAnAddress`] when no telephone can have the number.
pub fn parse_phone(region: Country, text: &str) -> Result<Address, NotAnAddress> {
    let text = text.trim();
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b" +-.()/\t".contains(&b));
    if text.len() > PHONE_BYTES_MAX || !is_plain {
        return Err(NotAnAddress);
    }
    let region: Id = region.as_str().parse().map_err(|_| NotAnAddress)?;
    let number = phonenumber::parse(Some(region), text).map_err(|_| NotAnAddress)?;
    if !is_valid(&number) {
        return Err(NotAnAddress);
    }
    Ok(Address::new(number.format().mode(Mode::E164).to_string()))
}

/// An email address, with its domain in lower case.
///
/// # Errors
/// [`NotAnAddress`] when no mailbox that a provider accepts can have the address.
pub fn parse_email(text: &str) -> Result<Address, NotAnAddress> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@').ok_or(NotAnAddress)?;
    let is_sound = text.len() <= EMAIL_BYTES_MAX && is_local_part(local) && is_domain(domain);
    if !is_sound {
        return Err(NotAnAddress);
    }
    let mut address = String::with_capacity(text.len());
    address.push_str(local);
    address.push('@');
    address.push_str(domain);
    address[local.len()..].make_ascii_lowercase();
    Ok(Address::new(address))
}

/// A dot-atom of RFC 5322 §3.2.3; quoted local parts exist on paper only.
fn is_local_part(local: &str) -> bool {
    local.len() <= EMAIL_LOCAL_BYTES_MAX
        && local.split('.').all(|atom| {
            !atom.is_empty()
                && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b))
        })
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let top = domain.rsplit('.').next().unwrap_or_default();
    domain.contains('.')
        && domain.split('.').all(is_label)
        && top.len() >= 2
        && !top.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telephone_number_becomes_e164_or_is_refused() {
        let co = Country::new("CO").unwrap();
        for text in ["+573001234567", "3001234567", "573001234567", "(300) 123-4567", " 300 123 4567 "] {
            assert_eq!(parse_phone(co, text).unwrap().reveal(), "+573001234567", "{text:?}");
        }
        assert_eq!(parse_phone(co, "+51912345678").unwrap().reveal(), "+51912345678");
        for text in [
            "",
            "abc",
            "123",
            "+573991234567",
            "300123456",
            "30012345678901234567890",
            "llámame",
            "=3001234567",
        ] {
            assert!(parse_phone(co, text).is_err(), "{text:?}");
        }
        assert!(parse_phone(Country::new("QQ").unwrap(), "3001234567").is_err());
    }

    #[test]
    fn an_email_address_is_checked_and_its_domain_lowered() {
        assert_eq!(parse_email(" Ana.Diaz+x@Example.COM ").unwrap().reveal(), "Ana.Diaz+x@example.com");
        for text in [
            "",
            "ana",
            "@example.com",
            "ana@",
            "ana@example",
            "ana@.com",
            "ana@example..com",
            "ana..d@example.com",
            ".ana@example.com",
            "ana@@example.com",
            "a b@example.com",
            "ana@exam ple.com",
            "ana@-example.com",
            "ana@example.1",
            "ana@example.com,b@example.com",
            "ana\u{0}@example.com",
            "ana\n@example.com",
        ] {
            assert!(parse_email(text).is_err(), "{text:?}");
        }
        assert!(parse_email(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(parse_email(&format!("a@{}.com", "b".repeat(64))).is_err());
    }
}
