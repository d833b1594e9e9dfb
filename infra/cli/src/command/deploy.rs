//! `cargo puntual deploy` and `cargo puntual destroy`: they start the package that links the clients of AWS.
//!
//! Invariant: this program links none of them, so no local command waits for their compilation.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::Args;

use super::test::workspace_root;

/// The program's own options; `--help` after the command shows them.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct DeployArguments {
    /// What is passed on.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    passed_on: Vec<OsString>,
}

pub(crate) fn deploy(command: &str, arguments: &DeployArguments) -> anyhow::Result<ExitCode> {
    let status = Command::new("cargo")
        .current_dir(workspace_root()?)
        // The toolchain of the workspace is chosen anew: what `cargo run` passed on would override the file.
        .env_remove("RUSTUP_TOOLCHAIN")
        .args(["run", "--quiet", "--profile", "local", "--package", "puntual-deploy", "--", command])
        .args(&arguments.passed_on)
        .status()
        .context("cargo could not be started")?;
    // The code of the program is the code of the command; without one it was ended by a signal.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
