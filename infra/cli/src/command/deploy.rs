//! `cargo puntual deploy` and `destroy`, and `dlq` of a stack: they start the package that links the clients of AWS.
//!
//! Invariant: this program links none of them, so no local command waits for their compilation, and a signal reaches the
//! program that it is meant for, because that takes the place of this one.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::Args;

use super::test::workspace_root;

/// The package, and its program.
const PACKAGE: &str = "puntual-deploy";
/// The option of that program by which it builds the functions for this machine.
const EMULATOR: &str = "--emulator";
/// The option that names the folder in which that program and the functions lie already.
const BUILT: &str = "--built";

/// The program's own options; `--help` after the command shows them.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct DeployArguments {
    /// What is passed on.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) passed_on: Vec<OsString>,
}

pub(crate) fn deploy(command: &str, arguments: &DeployArguments) -> anyhow::Result<ExitCode> {
    if let Some(folder) = built(&arguments.passed_on)? {
        return become_program(&folder.join(PACKAGE), command, arguments);
    }
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
    become_program(&root.join("target/debug").join(PACKAGE), command, arguments)
}

fn become_program(program: &Path, command: &str, arguments: &DeployArguments) -> anyhow::Result<ExitCode> {
    let error = Command::new(program).arg(command).args(&arguments.passed_on).exec();
    Err(error).with_context(|| format!("{} could not be started", program.display()))
}

/// The program is built as quickly as it goes: it waits for AWS and for compilers, and computes little. For an emulator
/// the functions are built along, so that what both need is compiled once.
fn build(root: &Path, functions: &[String]) -> Command {
    let mut command = Command::new("cargo");
    // The toolchain of the workspace is chosen anew: what `cargo run` passed on would override the file.
    command.current_dir(root).env_remove("RUSTUP_TOOLCHAIN");
    command.args(["build", "--quiet", "--bins", "--package", PACKAGE]);
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

/// The folder in which everything lies that would be compiled otherwise, where the person names one.
fn built(arguments: &[OsString]) -> anyhow::Result<Option<PathBuf>> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == OsStr::new(BUILT) {
            let folder =
                arguments.next().with_context(|| format!("{BUILT} has no value; expected a folder"))?;
            return Ok(Some(PathBuf::from(folder)));
        }
        if let Some(folder) = argument.to_string_lossy().strip_prefix(BUILT).and_then(|r| r.strip_prefix('='))
        {
            return Ok(Some(PathBuf::from(folder)));
        }
    }
    Ok(None)
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
    fn nothing_is_compiled_where_a_folder_has_it_already() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let folder = |of: &[&str]| built(&words(of)).expect("a folder or none");
        assert_eq!(folder(&["--region", "us-east-1", "--built", "out"]), Some("out".into()));
        assert_eq!(folder(&["--built=out", "--emulator"]), Some("out".into()));
        assert_eq!(folder(&["--stack", "built", "--buildings"]), None);
        assert!(built(&words(&["--emulator", "--built"])).is_err());
    }

    #[test]
    fn functions_are_built_along_only_for_an_emulator() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(names_emulator(&words(&["--region", "us-east-1", "--emulator"])));
        assert!(names_emulator(&words(&["--emulator=http://127.0.0.1:4566"])));
        assert!(!names_emulator(&words(&["--stack", "emulator", "--emulators"])));
    }
}
