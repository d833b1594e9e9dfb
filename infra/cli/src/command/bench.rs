//! `cargo puntual bench`: the benchmarks, with one command.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::Args;

use super::deploy::functions;
use super::test::workspace_root;

/// Runs the benchmarks.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Only the benchmarks whose name has this text; with --cold-start, only the functions.
    filter: Option<String>,
    /// Measures how soon each function asks for work after its start, and how large it is. Builds them as for AWS Lambda,
    /// which takes many minutes.
    #[arg(long)]
    cold_start: bool,
}

pub(crate) fn bench(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    let root = workspace_root()?;
    if arguments.cold_start {
        return cold_start(&root, arguments.filter.as_deref().unwrap_or_default());
    }
    let mut command = Command::new("cargo");
    command.current_dir(root).args(["bench", "--package", "bench", "--profile", "local", "--"]);
    command.args(&arguments.filter);
    carried_out(&mut command).map(code)
}

/// Builds the functions together, with the features of all of them, as `deploy` does: what is measured is what Lambda gets.
fn cold_start(root: &Path, filter: &str) -> anyhow::Result<ExitCode> {
    let all = functions(root)?;
    let wanted: Vec<&String> = all.iter().filter(|name| name.contains(filter)).collect();
    if wanted.is_empty() {
        bail!("no function has {filter} in its name; expected one such as send-email");
    }
    tell!("== building the functions");
    let mut build = Command::new("cargo");
    build.current_dir(root).args(["build", "--quiet", "--release", "--bins"]);
    build.args(all.iter().flat_map(|function| ["--package", function]));
    let features: Vec<String> = all.iter().map(|function| format!("{function}/lambda")).collect();
    build.args(["--features", &features.join(",")]);
    if !carried_out(&mut build)? {
        return Ok(ExitCode::FAILURE);
    }
    let mut measure = Command::new("cargo");
    measure.current_dir(root).args(["run", "--quiet", "--profile", "local", "--package", "bench"]);
    measure.args(["--example", "cold_start", "--"]);
    measure.args(wanted.iter().map(|function| root.join("target/release").join(function)));
    carried_out(&mut measure).map(code)
}

fn code(done: bool) -> ExitCode {
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn carried_out(command: &mut Command) -> anyhow::Result<bool> {
    // The toolchain of the workspace is chosen anew: what `cargo run` passed on would override the file.
    let status = command.env_remove("RUSTUP_TOOLCHAIN").status().context("cargo could not be started")?;
    Ok(status.success())
}
