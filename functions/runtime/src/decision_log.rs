//! The decision log: every verdict, in the form of `decisions.jsonl`, for whoever wants to read it.
//!
//! Invariant: a line names ids only.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, FixedOffset, NaiveDate, Offset, Utc};
use domain::ids::{CustomerId, ObligationId, StageId};
use domain::verdict::{Decision, ReasonCode, Verdict};
use serde::Serialize;

/// One verdict as a line of `decisions.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionLine {
    /// The customer's local date.
    pub on: NaiveDate,
    /// The customer.
    pub customer: CustomerId,
    /// The obligation.
    pub obligation: ObligationId,
    /// The stage it is about.
    pub stage: Option<StageId>,
    /// The decision.
    pub verdict: Decision,
    /// Why.
    pub reasons: Vec<ReasonLine>,
    /// Who decided: of two lines about one obligation and day, the later stage of the work counts.
    #[serde(skip)]
    pub source: DecisionSource,
}

/// Which step of the work took a decision; a later one counts more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DecisionSource {
    /// The plan of the scan.
    Plan,
    /// The decision at the moment of sending, where it left nothing to send.
    Revision,
    /// The decision that a claim carried out.
    Claim,
}

impl DecisionLine {
    /// Whether this line counts more than an earlier one about the same obligation and day.
    #[must_use]
    pub fn outweighs(&self, earlier: &Self) -> bool {
        (self.source, self.verdict) >= (earlier.source, earlier.verdict)
    }
}

/// One reason of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReasonLine {
    /// The code.
    pub code: ReasonCode,
    /// What it refers to.
    pub detail: String,
    /// When it ends, with the customer's own offset.
    pub until: Option<DateTime<FixedOffset>>,
}

impl DecisionLine {
    /// The line of a verdict.
    #[must_use]
    pub fn new(on: NaiveDate, customer: &CustomerId, zone: chrono_tz::Tz, verdict: Verdict) -> Self {
        let reasons = verdict
            .reasons
            .into_iter()
            .map(|r| ReasonLine {
                code: r.code,
                detail: r.detail.into_owned(),
                until: r.until.map(|at| local(at, zone)),
            })
            .collect();
        Self {
            on,
            customer: customer.clone(),
            obligation: verdict.obligation,
            stage: verdict.stage,
            verdict: verdict.decision,
            reasons,
            source: DecisionSource::Plan,
        }
    }
}

/// An instant with the offset of a zone.
#[must_use]
pub fn local(at: DateTime<Utc>, zone: chrono_tz::Tz) -> DateTime<FixedOffset> {
    let local = at.with_timezone(&zone);
    at.with_timezone(&local.offset().fix())
}

/// Where verdicts go.
#[derive(Debug, Clone, Default)]
pub enum DecisionLog {
    /// Nowhere: on Lambda the audit table and the metrics say what is needed.
    #[default]
    Off,
    /// Into memory, for a run of the local stack that will write or count them.
    Memory(Arc<Mutex<Vec<DecisionLine>>>),
    /// Into memory, and why something is sent into a file too, before it is sent: a process that is killed loses no
    /// reason of a message.
    Journal(Arc<Mutex<Vec<DecisionLine>>>, Arc<Mutex<File>>),
}

impl DecisionLog {
    /// A log in memory.
    #[must_use]
    pub fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// A log in memory with a journal, which is added to where it is there already.
    ///
    /// # Errors
    /// When the file cannot be opened for writing.
    pub fn journal(path: &Path) -> std::io::Result<Self> {
        let mut file = File::options().create(true).append(true).open(path)?;
        if file.metadata()?.len() > 0 {
            // The last line may have been torn; an empty one says nothing.
            file.write_all(b"\n")?;
        }
        Ok(Self::Journal(Arc::default(), Arc::new(Mutex::new(file))))
    }

    /// Whether anybody reads it.
    #[must_use]
    pub fn is_on(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Memory(_) | Self::Journal(..) => true,
        }
    }

    /// Adds lines; they are only made where somebody reads them.
    pub fn record(&self, lines: impl FnOnce() -> Vec<DecisionLine>) {
        match self {
            Self::Off => {}
            Self::Memory(kept) => kept.lock().unwrap_or_else(PoisonError::into_inner).extend(lines()),
            Self::Journal(kept, file) => {
                let lines = lines();
                let carried_out =
                    lines.iter().filter(|l| l.source == DecisionSource::Claim && l.verdict == Decision::Send);
                let text: String = carried_out
                    .filter_map(|line| serde_json::to_string(line).ok())
                    .flat_map(|line| [line, "\n".to_owned()])
                    .collect();
                if let Err(error) =
                    file.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes())
                {
                    tracing::warn!(%error, "the journal of decisions cannot be written");
                }
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend(lines);
            }
        }
    }

    /// Takes what was recorded.
    #[must_use]
    pub fn take(&self) -> Vec<DecisionLine> {
        match self {
            Self::Off => Vec::new(),
            Self::Memory(kept) | Self::Journal(kept, _) => {
                std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}
