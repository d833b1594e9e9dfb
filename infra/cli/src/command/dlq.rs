//! `cargo puntual dlq`: the messages that no function could handle, of a folder; a stack's are for the package that links
//! the clients of AWS.
//!
//! Invariant: one process at a time changes the queues of a folder.

use std::process::ExitCode;

use anyhow::bail;
use dead_letters::{Ask, DlqArguments, Home, Line, Place, Reply, operate};

use super::deploy::{DeployArguments, deploy};
use crate::{WRONG_USAGE, clock, folder};

pub(crate) async fn dlq(arguments: DlqArguments) -> anyhow::Result<ExitCode> {
    let out = match arguments.place() {
        Ok(Place::Folder(out)) => out,
        // It reads the same words, which stand after the name of this command.
        Ok(Place::Stack(_)) => {
            return deploy("dlq", &DeployArguments { passed_on: std::env::args_os().skip(2).collect() });
        }
        Err(wrong) => {
            tell!("error: {wrong}");
            return Ok(ExitCode::from(WRONG_USAGE));
        }
    };
    if !out.is_dir() {
        bail!("{} is no folder; expected the folder of a run", out.display());
    }
    let now = clock::now();
    let ask = arguments.ask;
    let reply = match ask {
        Ask::List { .. } | Ask::Inspect { .. } => {
            operate(&folder::queues_as_they_are(&out)?, Home::Folder, ask, now).await?
        }
        Ask::Redrive { .. } | Ask::Discard { .. } => {
            let _lock = folder::lock(&out)?;
            operate(&folder::queues(&out, now)?, Home::Folder, ask, now).await?
        }
    };
    Ok(said(&reply))
}

fn said(Reply { lines, code }: &Reply) -> ExitCode {
    for line in lines {
        match line {
            Line::Out(text) => say!("{text}"),
            Line::Error(text) => tell!("{text}"),
        }
    }
    ExitCode::from(*code)
}
