//! The check of an evidence file: is the chain of decisions whole, and does it fit what was sent and the law that is in
//! the file?
//!
//! Invariant: nothing here comes from the code that writes evidence. The file is read again by types of its own, within
//! limits, and without a database, a clock or a network. What is not understood is not verified.

mod chain;
mod file;
mod rules;
#[cfg(test)]
mod tests;
mod touches;

use std::fmt;

use file::{EvidenceFile, FORMAT, FORMAT_VERSION, Opening};
use rules::RuleTexts;

/// The largest file that is read, in bytes.
pub const BYTES_MAX: u64 = 256 << 20;
/// The most entries of a file.
pub const ENTRIES_MAX: usize = 100_000;
/// How much earlier than the entry before it an entry may be, in milliseconds: two writers have two clocks.
pub const CLOCK_SKEW_MILLIS_MAX: i64 = 60_000;

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
    /// Touches in the file.
    pub touches: usize,
    /// The instant of the first entry, in UTC.
    pub first_at: Option<String>,
    /// The instant of the last entry, in UTC.
    pub last_at: Option<String>,
    /// The hash of the last entry. Whoever has kept it from elsewhere compares it.
    pub head: Option<String>,
}

/// The first broken link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The entry, counted from one; absent where no entry is to blame.
    pub entry: Option<usize>,
    /// When it was decided or claimed, where that can be read.
    pub at: Option<String>,
    /// What was found and what was expected.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            Some(number) => write!(f, "entry {number}")?,
            None => f.write_str("the file")?,
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
    let rules = RuleTexts::read(&file)
        .map_err(|what| VerifyError::Broken(Problem { entry: None, at: None, what }))?;
    let links = chain::check(&file, &rules).map_err(VerifyError::Broken)?;
    let claims = touches::check(&file, &links).map_err(VerifyError::Broken)?;
    let at = |link: Option<&chain::Link<'_>>| link.and_then(|l| chain::instant(l.document.at_ms));
    Ok(Verified {
        entries: links.len(),
        claims,
        touches: file.touches.len(),
        first_at: at(links.first()),
        last_at: at(links.last()),
        head: file.head.clone(),
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
    let file: EvidenceFile = serde_json::from_slice(text).map_err(|e| not(e.to_string()))?;
    if file.entries.len() > ENTRIES_MAX {
        return Err(not(format!("it has {} entries; expected at most {ENTRIES_MAX}", file.entries.len())));
    }
    Ok(file)
}
