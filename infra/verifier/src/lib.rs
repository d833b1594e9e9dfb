//! The check of an evidence file: is the chain of decisions whole, and does it fit what was sent and the law that is in
//! the file?
//!
//! Invariant: nothing here comes from the code that writes evidence. The file is read again by types of its own, within
//! limits, and without a database, a clock or a network. What is not understood is not verified.

mod chain;
mod document;
mod fence;
mod file;
mod law;
#[cfg(test)]
mod made_up;
#[cfg(test)]
mod mutation_tests;
mod policy;
mod rules;
mod seal;
#[cfg(test)]
mod tests;
mod touches;
mod words;
#[cfg(test)]
mod words_tests;

use std::panic::resume_unwind;
use std::{fmt, thread};

use document::{Document, Fact};
use file::{EvidenceFile, FORMAT, FORMAT_VERSION, Opening};
use rules::RuleTexts;

/// The largest file that is read, in bytes.
pub const BYTES_MAX: u64 = 256 << 20;
/// The most entries of a file.
pub const ENTRIES_MAX: usize = 100_000;
/// How much earlier than the decision before it a decision may be, in milliseconds: two writers have two clocks, each of
/// which may be five minutes off.
pub const CLOCK_SKEW_MILLIS_MAX: i64 = 600_000;

/// What was verified, so that nothing broken among nothing does not look like proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The tenant.
    pub tenant: String,
    /// The customer.
    pub customer: String,
    /// Entries of the chain.
    pub entries: usize,
    /// Those of them that claim a touch.
    pub claims: usize,
    /// Claims that were taken back, because their message was surely not sent.
    pub released: usize,
    /// Contacts of others, choices and reports that the chain has.
    pub facts: usize,
    /// Touches in the file.
    pub touches: usize,
    /// When the customer's data was erased, in UTC. Of what was before, only the chain is left.
    pub erased_at: Option<String>,
    /// The instant of the first entry, in UTC.
    pub first_at: Option<String>,
    /// The instant of the last entry, in UTC.
    pub last_at: Option<String>,
    /// The hash of the last entry. Whoever has kept it from elsewhere compares it.
    pub head: Option<String>,
    /// The seal of the whole file, for the same use.
    pub seal: String,
}

/// What a verified file proves, in plain words.
pub const COVERED: [&str; 5] = [
    "No entry was changed, removed, added, repeated or moved since it was written, up to the head.",
    "Every message that was sent has the decision that sent it, and every such decision its message.",
    "Every decision follows the policy in the file, and every message lies in the hours of the law and of the lender.",
    "Contacts, stages that were reached, choices of the customer and a person's word on a message are those of the entries.",
    "What is told about a message is what its history of reports says.",
];
/// What a verified file does not prove, in plain words.
pub const NOT_COVERED: [&str; 8] = [
    "That the chain was not written anew as a whole, or cut at its end with all that follows from it: compare the head with one that was kept elsewhere.",
    "That no customer was left out as a whole: a file is about one.",
    "That obligations, payments, addresses and the consents of the lender's files are true: they are as the imports say. The entries hold a hash of what was decided on.",
    "That the customer's kind, role, country, time zone, language and segment are true: time zone and role are held to the last decision where nothing became known since, and all of them to the words that there are.",
    "The moments of contacts, choices, reports and erasures: they are those of whoever recorded them. Their order among the entries is shown, and so is the order in time of the decisions.",
    "That the reports of providers are true and complete: they stand with the message, and the chain has those that changed more than it.",
    "Touches that wait or were never sent, beside what they are about.",
    "The caps: how many contacts were allowed is not counted again here.",
];

/// The first broken link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The entry, counted from one; absent where no entry is to blame.
    pub entry: Option<usize>,
    /// The place in the file where no entry is to blame, such as `touches[2]`.
    pub place: Option<String>,
    /// When it was decided or claimed, where that can be read.
    pub at: Option<String>,
    /// What was found and what was expected.
    pub what: String,
}

impl Problem {
    pub(crate) fn at(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { entry: None, place: Some(place.into()), at: None, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.entry, &self.place) {
            (Some(number), _) => write!(f, "entry {number}")?,
            (None, Some(place)) => f.write_str(place)?,
            (None, None) => f.write_str("the file")?,
        }
        if let Some(at) = &self.at {
            write!(f, " of {at}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why a file is not verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is no evidence, or of a version that is not understood.
    #[error("this is no evidence file: {0}")]
    NotEvidence(String),
    /// It is evidence, and broken.
    #[error("the evidence is broken at {0}")]
    Broken(Problem),
}

/// Verifies an evidence file.
///
/// # Errors
/// [`VerifyError::NotEvidence`] where the text is something else, [`VerifyError::Broken`] with the first broken link.
pub fn verify(text: &[u8]) -> Result<Verified, VerifyError> {
    let file = read(text)?;
    check(text, &file).map_err(VerifyError::Broken)
}

fn check(text: &[u8], file: &EvidenceFile) -> Result<Verified, Problem> {
    // The seals are over the whole text again, so they are made beside the rest.
    thread::scope(|scope| {
        let seal = scope.spawn(|| seal::check(text, &file.seals));
        let found = check_sections(file);
        let seal = seal.join().unwrap_or_else(|panic| resume_unwind(panic));
        // What is wrong with a section is told before its seal.
        let found = found?;
        Ok(Verified { seal: seal?, ..found })
    })
}

/// Everything but the seals; the seal that it gives is empty.
fn check_sections(file: &EvidenceFile) -> Result<Verified, Problem> {
    let rules = RuleTexts::read(file)?;
    let links = chain::check(file, &rules)?;
    rules.all_named(links.iter().map(|link| &link.document))?;
    let claims = touches::claims(&links)?;
    words::check(file, &links, &rules)?;
    touches::check(file, &links, &claims, &rules)?;
    fence::check(file, &links, &claims)?;
    fence::facts(file)?;
    let claimed =
        |link: &&chain::Link<'_>| matches!(&link.document, Document::Decision(d) if d.touch.is_some());
    let fact = |link: &chain::Link<'_>| match &link.document {
        Document::Decision(_) => (0, 0),
        Document::Fact(fact) => match fact.fact {
            Fact::Released { .. } => (0, 1),
            Fact::Contact { .. } | Fact::Choice(_) | Fact::Report(_) | Fact::Erased { .. } => (1, 0),
        },
    };
    let at = |link: Option<&chain::Link<'_>>| link.and_then(|link| chain::instant(link.at_ms()));
    Ok(Verified {
        entries: links.len(),
        claims: links.iter().filter(claimed).count(),
        released: links.iter().map(|link| fact(link).1).sum(),
        facts: links.iter().map(|link| fact(link).0).sum(),
        touches: file.touches.len(),
        erased_at: file.erased_at_ms.and_then(chain::instant),
        first_at: at(links.first()),
        last_at: at(links.last()),
        head: file.head.clone(),
        seal: String::new(),
        tenant: file.tenant.clone(),
        customer: file.customer.clone(),
    })
}

fn read(text: &[u8]) -> Result<EvidenceFile, VerifyError> {
    let not = VerifyError::NotEvidence;
    if text.len() as u64 > BYTES_MAX {
        return Err(not(format!("it has {} bytes; expected at most {BYTES_MAX}", text.len())));
    }
    let opening: Opening = serde_json::from_slice(text).map_err(|e| not(e.to_string()))?;
    if opening.format != FORMAT || opening.version != FORMAT_VERSION {
        let format = chain::clipped(&opening.format);
        let found = format!("it is {format} version {}", opening.version);
        return Err(not(format!("{found}; expected {FORMAT} version {FORMAT_VERSION}")));
    }
    // A key that is missing, unknown or there twice: the message names it with its line and column.
    let broken = |e: serde_json::Error| {
        VerifyError::Broken(Problem { entry: None, place: None, at: None, what: e.to_string() })
    };
    let file: EvidenceFile = serde_json::from_slice(text).map_err(broken)?;
    if file.entries.len() > ENTRIES_MAX {
        return Err(not(format!("it has {} entries; expected at most {ENTRIES_MAX}", file.entries.len())));
    }
    Ok(file)
}
