//! `cargo puntual deploy` and `destroy`, and `dlq` of a stack: they start the package that links the clients of AWS.
//!
//! Invariant: this program links none of them, so no local command waits for their compilation, and a signal reaches the
//! program that it is meant for, because that takes the place of this one.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::Args;

use super::test::workspace_root;

/// The package, and its program.
const PACKAGE: &str = "puntual-deploy";
/// The option of that program by which it builds the functions for this machine.
const EMULATOR: &str = "--emulator";
/// The package that has the features of the tests of the workspace; its manifest says why it is built along.
const FEATURES_OF_TESTS: &str = "emulator";

/// The program's own options; `--help` after the command shows them.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct DeployArguments {
    /// What is passed on.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) passed_on: Vec<OsString>,
}

pub(crate) fn deploy(command: &str, arguments: &DeployArguments) -> anyhow::Result<ExitCode> {
    let root = workspace_root()?;
    // Also to take down what is there: with other packages beside it, its own clients would be compiled anew.
    let along = match names_emulator(&arguments.passed_on) {
        true => functions(&root)?,
        false => Vec::new(),
    };
    let built = build(&root, &along)
        .stdin(std::process::Stdio::null())
        .status()
        .context("cargo could not be started")?;
    if !built.success() {
        bail!("{PACKAGE} could not be built; what the compiler said stands above");
    }
    let program = root.join("target/debug").join(PACKAGE);
    let error = Command::new(&program).arg(command).args(&arguments.passed_on).exec();
    Err(error).with_context(|| format!("{} could not be started", program.display()))
}

/// The program is built as quickly as it goes: it waits for AWS and for compilers, and computes little. For an emulator
/// the functions are built along, so that what both need is compiled once.
fn build(root: &Path, functions: &[String]) -> Command {
    let mut command = Command::new("cargo");
    // The toolchain of the workspace is chosen anew: what `cargo run` passed on would override the file.
    command.current_dir(root).env_remove("RUSTUP_TOOLCHAIN");
    command.args(["build", "--quiet", "--bins", "--package", PACKAGE]);
    if !functions.is_empty() {
        command.args(["--package", FEATURES_OF_TESTS]);
    }
    command.args(functions.iter().flat_map(|function| ["--package", function]));
    let features: Vec<String> = functions.iter().map(|function| format!("{function}/lambda")).collect();
    command.args(["--features", &features.join(",")]);
    command
}

/// The functions of the workspace: whatever has a program.
pub(crate) fn functions(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join("functions");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.join("src/main.rs").is_file()
            && let Some(name) = path.file_name().and_then(OsStr::to_str)
        {
            found.push(name.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

fn names_emulator(arguments: &[OsString]) -> bool {
    let is_it = |argument: &OsString| {
        let text = argument.to_string_lossy();
        argument == OsStr::new(EMULATOR)
            || text.strip_prefix(EMULATOR).is_some_and(|rest| rest.starts_with('='))
    };
    arguments.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_built_along_only_for_an_emulator() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(names_emulator(&words(&["--region", "us-east-1", "--emulator"])));
        assert!(names_emulator(&words(&["--emulator=http://127.0.0.1:4566"])));
        assert!(!names_emulator(&words(&["--stack", "emulator", "--emulators"])));
    }
}
