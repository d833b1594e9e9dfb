//! The functions of the stack, and how they are built.
//!
//! Invariant: the list is that of the workspace and of the template; tests compare all three.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::archive::{self, Archive, Effort};
use crate::tool::CargoLambda;

/// The package of each function, which is also its binary and the folder below `functions/`.
pub(crate) const FUNCTIONS: [&str; 8] = [
    "import-accounts",
    "scan-due",
    "plan-shard",
    "send-email",
    "send-sms",
    "record-delivery",
    "record-choice",
    "http-api",
];
/// The feature that makes the binary of a function.
const FEATURE: &str = "lambda";

/// What the functions run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    /// Graviton: a fifth cheaper, and the default.
    Arm64,
    /// What most machines of developers are.
    X86_64,
}

impl Architecture {
    /// The word of Lambda and of the template.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Architecture::Arm64 => "arm64",
            Architecture::X86_64 => "x86_64",
        }
    }
}

/// The parameter of the template that names a function's zip: `send-email` has `SendEmailCode`.
pub(crate) fn code_parameter(function: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    function.split('-').map(capital).chain(["Code".to_owned()]).collect()
}

/// Who compiles.
#[derive(Debug)]
pub(crate) enum Compiler {
    /// `cargo lambda`, which links against the glibc of Amazon Linux 2023.
    ForLambda(CargoLambda, Architecture),
    /// `cargo` alone, for an emulator that runs the functions on this machine: soon done, and not optimised.
    ForThisMachine,
    /// Nobody: the binaries for this machine lie in a folder.
    Done(PathBuf),
}

impl Compiler {
    /// What the binaries run on.
    pub(crate) fn architecture(&self) -> Architecture {
        match self {
            Compiler::ForLambda(_, architecture) => *architecture,
            Compiler::ForThisMachine | Compiler::Done(_) if cfg!(target_arch = "aarch64") => {
                Architecture::Arm64
            }
            Compiler::ForThisMachine | Compiler::Done(_) => Architecture::X86_64,
        }
    }

    /// Builds all functions and gives their zips.
    pub(crate) async fn archives(&self, root: &Path) -> anyhow::Result<Vec<(&'static str, Archive)>> {
        if let Some(command) = self.command(root) {
            eprintln!("building the functions");
            // Whoever ends this program ends the compiler with it.
            let mut command = tokio::process::Command::from(command);
            let status = command.stdin(Stdio::null()).kill_on_drop(true).status().await;
            if !status.context("the compiler could not be started")?.success() {
                bail!("the functions could not be built; what the compiler said stands above");
            }
        }
        let zipped = |function: &'static str| {
            let path = self.binary(root, function)?;
            let binary =
                std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            Ok((function, archive::function(function, &binary, self.effort())?))
        };
        FUNCTIONS.into_iter().map(zipped).collect()
    }

    fn effort(&self) -> Effort {
        match self {
            Compiler::ForLambda(..) => Effort::Small,
            Compiler::ForThisMachine | Compiler::Done(_) => Effort::Fast,
        }
    }

    /// What compiles, where anything is to be compiled.
    fn command(&self, root: &Path) -> Option<Command> {
        let mut command = match self {
            Compiler::Done(_) => return None,
            Compiler::ForLambda(tool, architecture) => {
                let mut command = tool.command();
                command.args(["lambda", "build", "--release"]);
                if *architecture == Architecture::Arm64 {
                    command.arg("--arm64");
                }
                command
            }
            Compiler::ForThisMachine => {
                let mut command = Command::new(cargo());
                // With this program among the packages, cargo compiles what both need only once.
                command.args(["build", "--quiet", "--bins", "--package", env!("CARGO_PKG_NAME")]);
                command
            }
        };
        for function in FUNCTIONS {
            command.args(["--package", function]);
        }
        let features: Vec<String> = FUNCTIONS.iter().map(|f| format!("{f}/{FEATURE}")).collect();
        command.args(["--features", &features.join(",")]);
        // The toolchain of the workspace is chosen anew: what `cargo run` passed on would override the file.
        command.current_dir(root).env_remove("RUSTUP_TOOLCHAIN");
        Some(command)
    }

    fn binary(&self, root: &Path, function: &str) -> anyhow::Result<PathBuf> {
        let target = root.join("target");
        let path = match self {
            Compiler::ForLambda(..) => target.join("lambda").join(function).join("bootstrap"),
            Compiler::ForThisMachine => target.join("debug").join(function),
            Compiler::Done(folder) => folder.join(function),
        };
        if !path.is_file() {
            bail!("{} is not there; expected the binary of {function}", path.display());
        }
        Ok(match self {
            Compiler::ForLambda(..) => path,
            Compiler::ForThisMachine | Compiler::Done(_) => {
                stripped(&path, &target.join("emulator/functions").join(function))?
            }
        })
    }
}

/// The same binary without its symbols, a third as large; the binary itself where there is no `strip`.
fn stripped(binary: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
    let done = Command::new("strip").arg("-o").arg(to).arg(binary).stdin(Stdio::null()).status();
    Ok(if done.is_ok_and(|status| status.success()) { to.to_owned() } else { binary.to_owned() })
}

/// The cargo that started this program, or the one on the path.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_named_as_in_the_template() {
        assert_eq!(code_parameter("send-email"), "SendEmailCode");
        assert_eq!(code_parameter("http-api"), "HttpApiCode");
        let template =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml"))
                .expect("the template is in the repository");
        for function in FUNCTIONS {
            assert!(template.contains(&format!("\n  {}: ", code_parameter(function))), "{function}");
        }
        assert_eq!(template.matches("Code: { Type: String }").count(), FUNCTIONS.len());
    }

    #[test]
    fn every_crate_with_a_binary_for_lambda_is_deployed() {
        let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions");
        let mut found: Vec<String> = std::fs::read_dir(functions)
            .expect("the functions are in the repository")
            .map(|entry| entry.expect("an entry can be read").path())
            .filter(|path| path.join("src/main.rs").is_file())
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        found.sort();
        let mut listed = FUNCTIONS.map(str::to_owned).to_vec();
        listed.sort();
        assert_eq!(found, listed);
    }
}
