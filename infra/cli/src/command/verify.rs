//! `cargo puntual verify`: whether an evidence file is whole. It needs nothing but the file.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use verifier::{BYTES_MAX, COVERED, NOT_COVERED, Verified, VerifyError, verify};

use crate::WRONG_USAGE;

/// The exit code of evidence that is broken.
const BROKEN: u8 = 2;

/// Checks an evidence file, without access to the database, and names the first broken link.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The file that `evidence` wrote.
    file: PathBuf,
    /// Prints the finding as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn verify_file(arguments: &VerifyArguments) -> anyhow::Result<ExitCode> {
    let VerifyArguments { file, json } = arguments;
    let unreadable = || format!("the file {} cannot be read", file.display());
    let mut text = Vec::new();
    // One byte more than is allowed shows that there is more.
    let opened = File::open(file).with_context(unreadable)?;
    opened.take(BYTES_MAX + 1).read_to_end(&mut text).with_context(unreadable)?;
    match verify(&text) {
        Ok(found) => {
            say!("{}", if *json { as_json(&found).to_string() } else { in_words(&found) });
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if *json {
                let (entry, place, at) = match &error {
                    VerifyError::Broken(problem) => {
                        (problem.entry, problem.place.clone(), problem.at.clone())
                    }
                    VerifyError::NotEvidence(_) => (None, None, None),
                };
                let problem = error.to_string();
                say!(
                    "{}",
                    json!({"verified": false, "entry": entry, "place": place, "at": at, "problem": problem})
                );
            }
            tell!("error: {}: {error}", file.display());
            Ok(ExitCode::from(match error {
                VerifyError::Broken(_) => BROKEN,
                VerifyError::NotEvidence(_) => WRONG_USAGE,
            }))
        }
    }
}

fn as_json(found: &Verified) -> Value {
    json!({
        "verified": true, "tenant": found.tenant, "customer": found.customer,
        "entries": found.entries, "claims": found.claims, "released": found.released, "facts": found.facts,
        "touches": found.touches, "erased_at": found.erased_at,
        "first_at": found.first_at, "last_at": found.last_at, "head": found.head, "seal": found.seal,
        "covered": COVERED, "not_covered": NOT_COVERED,
    })
}

fn in_words(found: &Verified) -> String {
    let period = match (&found.first_at, &found.last_at) {
        (Some(first), Some(last)) => format!(" from {first} to {last}"),
        _ => String::new(),
    };
    let released = match found.released {
        0 => String::new(),
        released => format!(", {released} of those taken back before anything went out"),
    };
    let erased = match &found.erased_at {
        Some(at) => format!(
            "\nThe customer's data was erased at {at}: of what was before, only the entries are left."
        ),
        None => String::new(),
    };
    let list = |lines: &[&str]| lines.iter().map(|line| format!("\n- {line}")).collect::<String>();
    format!(
        "Verified: {} entries about customer {} of {}{period}; {} claims{released}, {} facts, {} touches.{erased}\nHead: {}\nSeal: {}\nWhat this shows:{}\nWhat it does not show:{}",
        found.entries,
        found.customer,
        found.tenant,
        found.claims,
        found.facts,
        found.touches,
        found.head.as_deref().unwrap_or("none"),
        found.seal,
        list(&COVERED),
        list(&NOT_COVERED),
    )
}
