//! Email addresses: what can be delivered, and nothing else that the grammar of mail allows.
//!
//! Invariant: an accepted address is printable ASCII with exactly one `@`, its domain has a dot and is lower case.

use email_address::EmailAddress;

use crate::contact::Address;

/// The longest address that mail servers take, in bytes (RFC 5321, errata 1690).
pub const EMAIL_BYTES_MAX: usize = 254;
/// The longest part before the `@`, in bytes (RFC 5321, 4.5.3.1.1).
pub const LOCAL_BYTES_MAX: usize = 64;

/// Why a text is not a deliverable address. The text itself is never in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Nothing but white space.
    #[error("is empty; expected an email address")]
    Empty,
    /// Longer than [`EMAIL_BYTES_MAX`], or its local part than [`LOCAL_BYTES_MAX`].
    #[error(
        "is too long; expected at most {LOCAL_BYTES_MAX} bytes before the @ and {EMAIL_BYTES_MAX} in all"
    )]
    TooLong,
    /// Letters that need an extension which mail providers do not offer.
    #[error("has letters outside ASCII; expected unaccented letters, and an international domain as xn--…")]
    NotAscii,
    /// White space, a control character, or a quoted part.
    #[error("has spaces, quotes or control characters; expected one plain address")]
    NotPlain,
    /// Not one `@` between two non-empty parts.
    #[error("is not of the form name@domain")]
    Form,
    /// The part before the `@` breaks the rules.
    #[error("has a part before the @ that is not allowed; check for dots at its ends or in a row")]
    Local,
    /// The part after the `@` is no public domain.
    #[error("has a domain that cannot exist; expected labels with a dot between them, such as example.com")]
    Domain,
}

/// Reads a deliverable address, without the white space around it, its domain in lower case.
///
/// # Errors
/// [`EmailError`] when no mail provider would take it.
pub fn parse_email(text: &str) -> Result<Address, EmailError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(EmailError::Empty);
    }
    if !text.is_ascii() {
        return Err(EmailError::NotAscii);
    }
    if text.bytes().any(|b| b <= b' ' || b == 0x7F || matches!(b, b'"' | b'(' | b')' | b'<' | b'>' | b'\\')) {
        return Err(EmailError::NotPlain);
    }
    let (local, domain) = text.split_once('@').ok_or(EmailError::Form)?;
    if local.is_empty() || domain.is_empty() || domain.contains('@') {
        return Err(EmailError::Form);
    }
    if text.len() > EMAIL_BYTES_MAX || local.len() > LOCAL_BYTES_MAX {
        return Err(EmailError::TooLong);
    }
    if !EmailAddress::is_valid_local_part(local) {
        return Err(EmailError::Local);
    }
    if !is_public_domain(domain) {
        return Err(EmailError::Domain);
    }
    Ok(Address::new(format!("{local}@{}", domain.to_ascii_lowercase())))
}

/// Letters, digits and inner hyphens, at most 63 to a label; the last label is not a number (RFC 1123, 2.1).
fn is_public_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    domain.split('.').all(is_label)
        && domain
            .rsplit_once('.')
            .is_some_and(|(_, top)| top.len() >= 2 && !top.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deliverable_address_keeps_its_local_part_and_lowers_its_domain() {
        let read = |text: &str| parse_email(text).unwrap().reveal().to_owned();
        assert_eq!(read(" Ana.Maria+cuota@Correo.Example.COM "), "Ana.Maria+cuota@correo.example.com");
        assert_eq!(read("o'neil_1@a-b.co"), "o'neil_1@a-b.co");
        assert_eq!(read("x@xn--and-6ma2c.example"), "x@xn--and-6ma2c.example");
        assert_eq!(read(&format!("{}@example.com", "a".repeat(64))).len(), 76);
    }

    #[test]
    fn what_cannot_be_delivered_is_refused_with_its_reason() {
        let long_domain = format!("a@{}com", "abcdefgh.".repeat(30));
        let long_label = format!("a@{}.com", "b".repeat(64));
        let long_local = format!("{}@example.com", "a".repeat(65));
        for (text, error) in [
            ("  ", EmailError::Empty),
            ("ana", EmailError::Form),
            ("@example.com", EmailError::Form),
            ("ana@", EmailError::Form),
            ("ana@b@example.com", EmailError::Form),
            ("ana maria@example.com", EmailError::NotPlain),
            ("ana@exam\u{0}ple.com", EmailError::NotPlain),
            ("Ana <ana@example.com>", EmailError::NotPlain),
            ("\"ana\"@example.com", EmailError::NotPlain),
            ("ana@example.com\nbcc:x@example.com", EmailError::NotPlain),
            ("josé@example.com", EmailError::NotAscii),
            ("ana@ñandú.example", EmailError::NotAscii),
            (".ana@example.com", EmailError::Local),
            ("ana.@example.com", EmailError::Local),
            ("ana..b@example.com", EmailError::Local),
            ("a,b@example.com", EmailError::Local),
            ("ana@localhost", EmailError::Domain),
            ("ana@example.", EmailError::Domain),
            ("ana@.com", EmailError::Domain),
            ("ana@example..com", EmailError::Domain),
            ("ana@-example.com", EmailError::Domain),
            ("ana@example-.com", EmailError::Domain),
            ("ana@exa_mple.com", EmailError::Domain),
            ("ana@127.0.0.1", EmailError::Domain),
            ("ana@[127.0.0.1]", EmailError::Domain),
            ("ana@example.c", EmailError::Domain),
            (&long_domain, EmailError::TooLong),
            (&long_label, EmailError::Domain),
            (&long_local, EmailError::TooLong),
        ] {
            assert_eq!(parse_email(text), Err(error), "{text:?}");
            assert!(!error.to_string().contains("ana"), "{error}");
        }
    }
}
