//! Made-up contacts for a demonstration: derived from the customer's id, and marked as test.
//!
//! Invariant: the same id gives the same contacts on every machine; addresses are under a domain that RFC 2606
//! keeps for examples, and every point is `test`, which no provider may be asked to reach.

use sha2::{Digest as _, Sha256};

use crate::contact::{Address, PersonName};
use crate::ids::CustomerId;
use crate::locale::Country;

/// Where made-up contacts live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeUp {
    email_domain: String,
    region: &'static Region,
}

/// Why contacts cannot be made up so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MadeUpError {
    /// A domain in which somebody could receive mail.
    #[error(
        "the email domain {0:?} may belong to somebody; expected example.com, example.org, example.net or one under .test, .example or .invalid"
    )]
    Domain(String),
    /// A country without a range of numbers here.
    #[error("no made-up telephone numbers for {0}; expected one of CO, PE, MX, CL, EC, BR")]
    Region(Country),
}

/// What an import makes up for one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeUpContact {
    /// A Spanish name.
    pub name: PersonName,
    /// An address under the example domain.
    pub email: Address,
    /// A valid mobile number of the region, as E.164.
    pub phone: Address,
}

/// The mobile numbers of a country: a prefix in which every following run of digits is a valid number.
#[derive(Debug, PartialEq, Eq)]
struct Region {
    country: &'static str,
    prefix: &'static str,
    digits: usize,
}

const REGIONS: [Region; 6] = [
    Region { country: "CO", prefix: "+57300", digits: 7 },
    Region { country: "PE", prefix: "+5199", digits: 7 },
    Region { country: "MX", prefix: "+52555", digits: 7 },
    Region { country: "CL", prefix: "+56987", digits: 6 },
    Region { country: "EC", prefix: "+59399", digits: 7 },
    Region { country: "BR", prefix: "+551199", digits: 7 },
];

const GIVEN_NAMES: [&str; 24] = [
    "Ana", "Carlos", "Lucía", "Jorge", "Marta", "Andrés", "Sofía", "Diego", "Elena", "Luis", "Paula", "Iván",
    "Rosa", "Hugo", "Clara", "Raúl", "Inés", "Óscar", "Julia", "Mario", "Nora", "Tomás", "Alba", "Simón",
];
const SURNAMES: [&str; 24] = [
    "García", "Rojas", "Torres", "Vargas", "Muñoz", "Castro", "Ortiz", "Peña", "Ríos", "Salas", "Méndez",
    "Núñez", "Acosta", "Bravo", "Duarte", "Franco", "Guzmán", "Herrera", "Ibáñez", "Lozano", "Molina",
    "Navarro", "Pardo", "Quintero",
];

/// The longest part of an id that stands in a made-up address, in characters.
const SLUG_CHARS_MAX: usize = 40;

impl MadeUp {
    /// Contacts under an example domain, with telephone numbers of a country.
    ///
    /// # Errors
    /// [`MadeUpError`] when the domain is not one of those kept for examples, or the country is not known here.
    pub fn new(email_domain: &str, phone_region: Country) -> Result<Self, MadeUpError> {
        let domain = email_domain.trim().to_ascii_lowercase();
        let is_plain = domain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        let is_sound = is_plain && domain.split('.').all(|label| !label.is_empty());
        let is_example = ["example.com", "example.org", "example.net"]
            .iter()
            .any(|kept| domain == *kept || domain.strip_suffix(kept).is_some_and(|rest| rest.ends_with('.')))
            || [".test", ".example", ".invalid"].iter().any(|top| domain.ends_with(top));
        if !is_sound || !is_example {
            return Err(MadeUpError::Domain(email_domain.chars().take(40).collect()));
        }
        let region = REGIONS.iter().find(|r| r.country == phone_region.as_str());
        Ok(Self { email_domain: domain, region: region.ok_or(MadeUpError::Region(phone_region))? })
    }

    /// The contact of a customer.
    #[must_use]
    pub fn contact(&self, id: &CustomerId) -> MadeUpContact {
        let hash: [u8; 32] = Sha256::digest(id.as_str().as_bytes()).into();
        let pick = |words: &[&'static str; 24], byte: usize| words[usize::from(hash[byte]) % words.len()];
        let (given, first, second) = (pick(&GIVEN_NAMES, 0), pick(&SURNAMES, 1), pick(&SURNAMES, 2));
        let mut phone = String::with_capacity(self.region.prefix.len() + self.region.digits);
        phone.push_str(self.region.prefix);
        let number = hash[8..16].iter().fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
        let digits = (0..self.region.digits).scan(number, |rest, _| {
            let digit = b'0' + (*rest % 10) as u8;
            *rest /= 10;
            Some(char::from(digit))
        });
        phone.extend(digits);
        MadeUpContact {
            name: PersonName::new(format!("{given} {first} {second}")),
            email: Address::new(self.email(id.as_str(), &hash)),
            phone: Address::new(phone),
        }
    }

    /// The id itself where it can stand in an address; otherwise what is left of it, and a part of its hash, so
    /// that two customers never share a mailbox.
    fn email(&self, id: &str, hash: &[u8; 32]) -> String {
        let mut email = String::with_capacity(id.len() + 10 + self.email_domain.len());
        let mut is_whole = true;
        for (i, c) in id.chars().enumerate() {
            let is_kept = i < SLUG_CHARS_MAX && (c.is_ascii_alphanumeric() || c == '-');
            // Upper case is what most references are in; a lower-case letter would meet it in one address.
            is_whole &= is_kept && !c.is_ascii_lowercase();
            if is_kept {
                email.push(c.to_ascii_lowercase());
            }
        }
        if !is_whole {
            let [a, b, c, d, e, f, ..] = hash;
            email.push_str(&format!("-{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}"));
        }
        email.push('@');
        email.push_str(&self.email_domain);
        email
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::email::parse_email;
    use crate::phone;

    fn made_up(country: &str) -> MadeUp {
        MadeUp::new("example.com", Country::new(country).unwrap()).unwrap()
    }

    fn contact(id: &str) -> MadeUpContact {
        made_up("CO").contact(&CustomerId::new(id).unwrap())
    }

    #[test]
    fn the_same_id_gives_the_same_contact() {
        let made = contact("0379-NEVHP");
        assert_eq!(made, contact("0379-NEVHP"));
        assert_eq!(made.email.reveal(), "0379-nevhp@example.com");
        assert_ne!(made.phone, contact("8976-AMJEO").phone);
    }

    #[test]
    fn made_up_contacts_are_sound_in_every_region() {
        for region in &REGIONS {
            let made_up = made_up(region.country);
            let country = Country::new(region.country).unwrap();
            for i in 0..300 {
                let made = made_up.contact(&CustomerId::new(format!("C-{i}")).unwrap());
                let number = phone::parse(country, made.phone.reveal()).unwrap();
                assert_eq!(number.e164, made.phone, "{}", region.country);
                assert!(number.kind.can_receive_sms(), "{} {:?}", region.country, number.kind);
                assert_eq!(parse_email(made.email.reveal()).unwrap(), made.email);
            }
        }
    }

    #[test]
    fn two_customers_never_share_an_address() {
        let ids = ["AB", "ab", "a b", "a.b", "A-B", "ñ", "é", "-", "日本", &"X".repeat(41), &"X".repeat(42)];
        let emails: HashSet<String> = ids.iter().map(|id| contact(id).email.reveal().to_owned()).collect();
        assert_eq!(emails.len(), ids.len());
        for id in ids {
            assert!(parse_email(contact(id).email.reveal()).is_ok(), "{id}");
        }
    }

    #[test]
    fn a_domain_of_somebody_is_refused() {
        let co = Country::new("CO").unwrap();
        for domain in ["gmail.com", "notexample.com", "example.com.co", "", ".test", "exa mple.test", "com"] {
            assert!(MadeUp::new(domain, co).is_err(), "{domain}");
        }
        for domain in ["example.com", "Mail.Example.org", "puntual.test"] {
            assert!(MadeUp::new(domain, co).is_ok(), "{domain}");
        }
        assert!(MadeUp::new("example.com", Country::new("JP").unwrap()).is_err());
    }
}
