//! Tools that come from PyPI: `cargo-lambda`, which carries its linker, and the emulator.
//!
//! Invariant: they lie in an environment of their own below `target/`, at versions that are written here, and what is
//! installed is said.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::function::cargo;

/// `cargo-lambda`; it brings the linker that it was tried with.
const CARGO_LAMBDA: &[&str] = &["cargo-lambda==1.9.2"];
/// The emulator, and what it needs to read a template with SAM's short forms and to verify tokens. Without the last it
/// refuses every token and does not say why.
const EMULATOR: &[&str] = &["ministack==1.5.33", "aws-sam-translator==1.115.0", "cryptography==50.0.2"];

/// `cargo lambda`, wherever it lies.
#[derive(Debug)]
pub(crate) struct CargoLambda {
    /// Goes before the path of the process, so that cargo finds its subcommand, and that finds its linker.
    folder: Option<PathBuf>,
}

impl CargoLambda {
    /// The one on the path, else the one of the environment, which is made where it is missing.
    pub(crate) fn find(root: &Path) -> anyhow::Result<Self> {
        if answers(Command::new(cargo()).args(["lambda", "--version"])) {
            return Ok(Self { folder: None });
        }
        let folder = environment(root, "cargo-lambda", CARGO_LAMBDA)?;
        Ok(Self { folder: Some(folder) })
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(cargo());
        if let Some(folder) = &self.folder {
            let mut path = folder.clone().into_os_string();
            path.push(":");
            path.push(std::env::var_os("PATH").unwrap_or_default());
            command.env("PATH", path);
        }
        command
    }
}

/// The folder of the emulator's programs, made where it is missing.
pub(crate) fn emulator(root: &Path) -> anyhow::Result<PathBuf> {
    environment(root, "emulator", EMULATOR)
}

/// An environment of Python with these packages; gives the folder of its programs.
fn environment(root: &Path, name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/tools").join(name);
    let programs = folder.join("bin");
    // The list of what was installed is written last, so an interrupted installation is begun again.
    let mark = folder.join("installed");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    eprintln!("installing {} from PyPI into {}", packages.join(", "), folder.display());
    if !answers(Command::new("python3").arg("--version")) {
        bail!(
            "python3 is not there, and {name} is installed with it; expected Python 3.9 or newer on the path"
        );
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(programs.join("python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(packages))?;
    std::fs::write(&mark, wanted).with_context(|| format!("{} could not be written", mark.display()))?;
    Ok(programs)
}

fn answers(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let what = format!("{command:?}");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    if !status.with_context(|| format!("{what} could not be started"))?.success() {
        bail!(
            "{what} failed; what it said stands above. Expected python3 with its module venv, and PyPI within reach"
        );
    }
    Ok(())
}
