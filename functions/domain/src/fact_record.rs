//! Facts on record: what the audit chain keeps beside decisions, because no import could tell it again.
//!
//! Invariants: a fact is on record in the same transaction that makes it true, under the version of the fence that it
//! moves on, so its place in the chain says which decisions knew it. A record holds ids, words, days, numbers and the
//! lender's references to documents, never a name, an address or a text.

use std::fmt;

use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::choice::Choice;
use crate::contact::{EvidenceRef, has_digits_in_a_row};
use crate::decision::{DecisionRecord, RECORD_VERSION};
use crate::fence::Fence;
use crate::ids::{CustomerId, ObligationId, OperatorId, TenantId, TouchId};

/// A fact about one customer, as the audit chain keeps it. The order of the fields is its canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactRecord {
    /// The form of the record: [`RECORD_VERSION`].
    pub v: u32,
    /// Whose customer.
    pub tenant: TenantId,
    /// Who.
    pub customer: CustomerId,
    /// When it was recorded, in milliseconds since 1970 in UTC.
    pub at_ms: i64,
    /// The version of the fence that it was recorded on.
    pub fence_version: u64,
    /// What was recorded.
    pub fact: RecordedFact,
    /// The hash of the entry before; `None` on the customer's first.
    pub prev: Option<String>,
}

/// What is on record beside decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RecordedFact {
    /// A contact that others made.
    Contact {
        /// When, in milliseconds since 1970 in UTC.
        at_ms: i64,
        /// How.
        channel: Channel,
        /// Whether the customer answered.
        answered: bool,
    },
    /// A choice of the customer, whole: words on consent, or other hours with their document.
    Choice(Choice),
    /// A claim that was taken back, because its message was surely not sent. The entry has the moment of the claim.
    Released {
        /// The touch.
        touch: TouchId,
        /// The moment of the claim, in milliseconds since 1970 in UTC.
        claimed_at_ms: i64,
    },
    /// A report about a claimed touch that a person made, or that ended the use of a contact point, or that let stages
    /// go another way, or took that back. The reports that change only the touch stand with it.
    Report {
        /// The touch.
        touch: TouchId,
        /// The moment of the claim, in milliseconds since 1970 in UTC.
        claimed_at_ms: i64,
        /// What was said, by the name of the report.
        report: String,
        /// By whom, by the name of the source.
        source: String,
        /// Whether the contact point must not be used from then on.
        suppressed: bool,
        /// The obligations whose stage was taken back.
        fell_back: Vec<ObligationId>,
        /// The obligations whose stage had been taken back, and counts as reached again: the message went out after all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        restored: Vec<ObligationId>,
        /// Other touches that carry a stage of this one and were called, or may have been, before this was known: the
        /// customer may have been told twice.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        told_by: Vec<TouchId>,
        /// Who it was and what the word rests on, where a person said it and said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<PersonWord>,
    },
    /// The customer's data was erased; what this chain named before is no longer kept elsewhere.
    Erased {
        /// The touches that stay, because nobody knows whether their messages went out. They name ids only.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        kept: Vec<KeptTouch>,
    },
}

/// A touch that stays after an erasure: the same contact may have been planned for other days too, and those go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptTouch {
    /// The customer's local date of the contact.
    pub on: NaiveDate,
    /// The touch.
    pub id: TouchId,
}

/// Who says something about a message, and what it rests on: the lender's own references, never a name or an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonWord {
    by: OperatorId,
    evidence: EvidenceRef,
}

/// The longest id of an operator in a word, in characters.
pub const WORD_BY_CHARS_MAX: usize = 40;
/// The longest reference of a word, in characters.
pub const WORD_EVIDENCE_CHARS_MAX: usize = 80;
/// So many digits in a row may be the number of a telephone or of a person.
const NUMBER_DIGITS: usize = 6;

/// A word that would put personal data on record, which nothing ever takes out again. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Whoever says it is named by more than an id.
    #[error(
        "whoever says it is no id; expected the lender's own id of the person: letters, digits, `-`, `_` and `.`, \
         at most {WORD_BY_CHARS_MAX}, and no {NUMBER_DIGITS} digits in a row"
    )]
    By,
    /// What it rests on may be an address or a number.
    #[error(
        "what it rests on is no reference; expected the lender's own reference to a document, at most \
         {WORD_EVIDENCE_CHARS_MAX} characters, without an address, and without {NUMBER_DIGITS} digits in a row \
         (blanks and signs between them count for nothing)"
    )]
    Evidence,
}

impl PersonWord {
    /// The word of an operator, with what it rests on. Both go into the audit chain for good, so neither may look like an
    /// address or the number of a telephone.
    ///
    /// # Errors
    /// [`WordError`] for what may be personal data.
    pub fn new(by: OperatorId, evidence: EvidenceRef) -> Result<Self, WordError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let id = by.as_str();
        if id.chars().count() > WORD_BY_CHARS_MAX || !id.chars().all(is_plain) || has_number(id) {
            return Err(WordError::By);
        }
        let text = evidence.as_str();
        if text.chars().count() > WORD_EVIDENCE_CHARS_MAX || has_number(text) {
            return Err(WordError::Evidence);
        }
        Ok(Self { by, evidence })
    }
}

/// Whether a text has as many digits in a row as a number of a person, whatever signs divide them.
fn has_number(text: &str) -> bool {
    has_digits_in_a_row(text, NUMBER_DIGITS)
}

impl fmt::Display for PersonWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.by, self.evidence.as_str())
    }
}

impl FactRecord {
    /// The record of a fact that moves the fence on.
    #[must_use]
    pub fn of(
        (tenant, customer): (&TenantId, &CustomerId),
        fence: &Fence,
        fact: RecordedFact,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            v: RECORD_VERSION,
            tenant: tenant.clone(),
            customer: customer.clone(),
            at_ms: now.trunc_subsecs(3).timestamp_millis(),
            fence_version: fence.version,
            fact,
            prev: fence.audit_head.clone(),
        }
    }

    /// When it was recorded, in whole milliseconds.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.at_ms).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

/// Any entry of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AuditRecord {
    /// What was decided.
    Decision(Box<DecisionRecord>),
    /// What became known or was done beside decisions.
    Fact(Box<FactRecord>),
}

impl AuditRecord {
    /// The hash of the entry before.
    #[must_use]
    pub fn prev(&self) -> Option<&str> {
        match self {
            Self::Decision(decision) => decision.prev.as_deref(),
            Self::Fact(fact) => fact.prev.as_deref(),
        }
    }

    /// The canonical text, over which the hash goes.
    #[must_use]
    pub fn document(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| unreachable!("no map with keys that are not text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_no_address_and_a_report_without_a_person_has_no_key_for_one() {
        let evidence = EvidenceRef::note("ticket 4411").unwrap();
        let by = |id: &str| PersonWord::new(OperatorId::new(id).unwrap(), evidence.clone());
        for person in ["ana@example.com", "Ana Rojas", "3001234567", "ops-300.123", "José"] {
            assert_eq!(by(person), Err(WordError::By), "{person}");
        }
        let resting_on =
            |text: &str| PersonWord::new(OperatorId::new("ops-7").unwrap(), EvidenceRef::note(text).unwrap());
        let long = "x".repeat(WORD_EVIDENCE_CHARS_MAX + 1);
        let hidden = "tel 3\u{200b}0\u{200b}0\u{200b}1\u{200b}2\u{200b}3";
        for text in [
            "llamar al 300 123 4567",
            "+57(300)1234567",
            "cc 1.020.304",
            "２３４５６７",
            "300*123*4567",
            hidden,
            &long,
        ] {
            assert_eq!(resting_on(text), Err(WordError::Evidence), "{text}");
        }
        assert!(resting_on("SES ticket 4411, page 12").is_ok());
        let word = by("ops-7").unwrap();
        assert_eq!(word.to_string(), "ops-7: ticket 4411");
        let report = |person| RecordedFact::Report {
            touch: TouchId::new("t").unwrap(),
            claimed_at_ms: 7,
            report: "failed".to_owned(),
            source: "person".to_owned(),
            suppressed: false,
            fell_back: Vec::new(),
            restored: Vec::new(),
            told_by: Vec::new(),
            person,
        };
        let text = |fact: &RecordedFact| serde_json::to_string(fact).unwrap();
        assert!(text(&report(None)).ends_with(r#""fell_back":[]}}"#));
        let said = report(Some(word));
        assert!(text(&said).ends_with(r#""person":{"by":"ops-7","evidence":"ticket 4411"}}}"#));
        assert_eq!(serde_json::from_str::<RecordedFact>(&text(&said)).unwrap(), said);
    }

    #[test]
    fn a_fact_reads_back_and_is_told_from_a_decision() {
        let (tenant, customer) = (TenantId::new("t").unwrap(), CustomerId::new("c").unwrap());
        let fence = Fence { version: 4, audit_head: Some("ab".repeat(32)), ..Fence::default() };
        let contact = RecordedFact::Contact { at_ms: 7, channel: Channel::Call, answered: true };
        for fact in [contact, RecordedFact::Erased { kept: Vec::new() }] {
            let record = FactRecord::of((&tenant, &customer), &fence, fact, DateTime::UNIX_EPOCH);
            assert_eq!((record.fence_version, &record.prev), (4, &fence.audit_head));
            let any = AuditRecord::Fact(Box::new(record));
            assert_eq!(serde_json::from_str::<AuditRecord>(&any.document()).unwrap(), any);
            let more = any.document().replace("\"v\":2", "\"v\":2,\"w\":1");
            assert!(serde_json::from_str::<AuditRecord>(&more).is_err(), "an unknown key is refused");
        }
    }
}
