//! `cargo puntual bench`: the benchmarks, with one command.

use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::Args;

use super::test::workspace_root;

/// Runs the benchmarks.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Only the benchmarks whose name has this text.
    filter: Option<String>,
}

pub(crate) fn bench(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    let mut command = Command::new("cargo");
    command.current_dir(workspace_root()?).args(["bench", "--package", "bench", "--profile", "local", "--"]);
    command.args(&arguments.filter);
    let status = command.status().context("cargo could not be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
