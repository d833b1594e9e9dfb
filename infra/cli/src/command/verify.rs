//! `cargo puntual verify`: whether an evidence file is whole. It needs nothing but the file.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use verifier::{BYTES_MAX, VerifyError, verify};

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

#[expect(clippy::print_stdout, reason = "the finding is what the command is for")]
pub(crate) fn verify_file(arguments: &VerifyArguments) -> anyhow::Result<ExitCode> {
    let VerifyArguments { file, json } = arguments;
    let unreadable = || format!("the file {} cannot be read", file.display());
    let mut text = Vec::new();
    // One byte more than is allowed shows that there is more.
    let opened = File::open(file).with_context(unreadable)?;
    opened.take(BYTES_MAX + 1).read_to_end(&mut text).with_context(unreadable)?;
    match verify(&text) {
        Ok(found) if *json => {
            let (first_at, last_at) = (&found.first_at, &found.last_at);
            println!(
                "{}",
                json!({
                    "verified": true, "tenant": found.tenant, "customer": found.customer,
                    "entries": found.entries, "claims": found.claims, "touches": found.touches,
                    "first_at": first_at, "last_at": last_at, "head": found.head,
                })
            );
            Ok(ExitCode::SUCCESS)
        }
        Ok(found) => {
            let period = match (&found.first_at, &found.last_at) {
                (Some(first), Some(last)) => format!(" from {first} to {last}"),
                _ => String::new(),
            };
            println!(
                "Verified: {} decisions about customer {} of {}{period}; {} of them sent, {} touches.\nHead: {}",
                found.entries,
                found.customer,
                found.tenant,
                found.claims,
                found.touches,
                found.head.as_deref().unwrap_or("none"),
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if *json {
                let (entry, at) = match &error {
                    VerifyError::Broken(problem) => (problem.entry, problem.at.clone()),
                    VerifyError::NotEvidence(_) => (None, None),
                };
                println!(
                    "{}",
                    json!({"verified": false, "entry": entry, "at": at, "problem": error.to_string()})
                );
            }
            eprintln!("error: {}: {error}", file.display());
            Ok(ExitCode::from(match error {
                VerifyError::Broken(_) => BROKEN,
                VerifyError::NotEvidence(_) => WRONG_USAGE,
            }))
        }
    }
}
