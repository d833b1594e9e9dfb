//! A file of questions, answered as CSV.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use domain::csv_text::neutralise_csv_id;

use super::{Asked, Profiles, Question};
use crate::cases::{Case, Cases, UnreadableRow};

const COLUMNS: [&str; 7] = ["id", "jurisdiction", "timezone", "purpose", "channel", "at", "prior"];

/// Answers every question of a file. One that cannot be understood is refused in its line and said on standard error.
pub(super) fn check_file(path: &Path, profiles: &Profiles) -> anyhow::Result<ExitCode> {
    let place = || format!("{}", path.display());
    let mut cases = Cases::open(path, COLUMNS)?;
    let mut writer = csv::Writer::from_writer(crate::output::stdout());
    writer.write_record(["id", "allowed", "reason", "next_allowed"])?;
    let mut bad = 0_usize;
    while let Some(Case { line, fields }) = cases.next().with_context(place)? {
        let (id, question) = match fields {
            Ok([id, jurisdiction, timezone, purpose, channel, at, prior]) => {
                // An empty field is no zone: whose clock is meant must be said.
                let is_whole = named("id", &id, "a name to tell the row by")
                    .and_then(|()| named("timezone", &timezone, "an IANA name such as America/Bogota"));
                let asked = Asked { jurisdiction, timezone: Some(timezone), purpose, channel, at, prior };
                (id, is_whole.and_then(|()| Question::of(&asked, profiles)))
            }
            Err(UnreadableRow { there: [id, ..], problem }) => (id, Err(anyhow::Error::msg(problem))),
        };
        let written = neutralise_csv_id(&id);
        match question {
            Ok(question) => {
                let answer = question.answer();
                let next = question.next_allowed_at().map_or(String::new(), |at| at.to_rfc3339());
                let allowed = if answer.is_allowed() { "true" } else { "false" };
                writer.write_record([&*written, allowed, answer.reason(), &next])?;
            }
            Err(problem) => {
                bad += 1;
                tell!("line {line}, id {id:?}: {problem:#}");
                writer.write_record([&*written, "false", "error", ""])?;
            }
        }
    }
    writer.flush()?;
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A field of a row that must say something: what is left out of a file is more likely forgotten than meant.
fn named(column: &str, field: &str, expected: &str) -> anyhow::Result<()> {
    ensure!(!field.trim().is_empty(), "{column} is empty; expected {expected}");
    Ok(())
}
