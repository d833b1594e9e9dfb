//! The stack on an emulator, put there by the product's own command.
//!
//! Invariant: the emulator ends with the value that started it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::aws::{Aws, REGION};
use crate::poll::{BUILD_LOOKS_MAX, LOOKS_MAX, until};

/// The stack's name.
pub(crate) const STACK: &str = "puntual";
/// The first administrator.
pub(crate) const ADMINISTRATOR: &str = "ops@lender.example";
/// What the command prints when everything stands.
const READY: &str = "the emulator answers at ";

/// A deployed stack.
#[derive(Debug)]
pub(crate) struct Deployment {
    process: Child,
    programs: PathBuf,
    log: PathBuf,
    pub(crate) aws: Aws,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

/// A test beside the programs brings the features that only tests ask for, so that what the tests have compiled is not
/// compiled anew.
const BUILD: [&str; 7] =
    ["build", "--quiet", "--workspace", "--all-features", "--bins", "--test", "emulator"];

/// Where the programs of the workspace lie, as they are now.
fn programs() -> PathBuf {
    let built = Command::new("cargo").current_dir(root()).args(BUILD).stdin(Stdio::null()).status();
    assert!(built.expect("cargo is there").success(), "the programs compile");
    let test = std::env::current_exe().expect("a test has a path");
    test.ancestors().nth(2).expect("tests lie in a folder beside the programs").to_owned()
}

/// `puntual …`, which compiles nothing: everything that it needs lies beside it.
fn puntual(programs: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(programs.join("puntual"));
    command.current_dir(root()).stdin(Stdio::null()).args(arguments).arg("--built").arg(programs);
    command
}

/// What every deployment of the test says.
fn deploy(programs: &Path, emulator: &str, more: &[&str]) -> Command {
    let mut command =
        puntual(programs, &["deploy", "--stack", STACK, "--region", REGION, "--admin-email", ADMINISTRATOR]);
    command.args([
        "--parameter",
        "EmailIdentity=lender.example",
        "--parameter",
        "EmailFrom=pagos@lender.example",
        "--parameter",
        // All functions share this machine, and the emulator is one process of it.
        "Size=small",
    ]);
    command.arg(emulator).args(more);
    command
}

impl Deployment {
    /// From nothing to a stack.
    pub(crate) fn make() -> Self {
        let programs = programs();
        let folder = root().join("target/emulator");
        std::fs::create_dir_all(&folder).expect("a folder for the log");
        let log = folder.join("test.log");
        let file = File::create(&log).expect("a log");
        let process = deploy(&programs, "--emulator", &["--enforce-roles", "--yes"])
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("cargo is there");
        // The value is made first, so that whatever goes wrong from here on ends the process.
        let mut made = Self { process, programs, log, aws: Aws::root("http://127.0.0.1:0") };
        let endpoint = until("the stack", BUILD_LOOKS_MAX, || {
            let said = made.said();
            if let Some(status) = made.process.try_wait().expect("the process is ours") {
                panic!("the deployment ended ({status}):\n{said}");
            }
            let line = said.lines().find(|line| line.starts_with(READY))?;
            Some(line.trim_start_matches(READY).split(';').next()?.to_owned())
        });
        made.aws = Aws::root(&endpoint);
        made
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log can be read")
    }

    /// An output of the stack, as the command printed it.
    pub(crate) fn output(&self, name: &str) -> String {
        let said = self.said();
        let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no output {name} was printed:\n{said}")).trim().to_owned()
    }

    /// The same command once more, to the emulator that runs; gives what it said.
    pub(crate) fn again(&self, more: &[&str]) -> (bool, String) {
        let emulator = format!("--emulator={}", self.aws.endpoint);
        said(deploy(&self.programs, &emulator, more).output().expect("cargo is there"))
    }

    /// Removes the stack; gives what the command said.
    pub(crate) fn destroy(&self, more: &[&str]) -> (bool, String) {
        let mut command =
            puntual(&self.programs, &["destroy", "--stack", STACK, "--region", REGION, "--confirm", STACK]);
        command.args(["--emulator", &self.aws.endpoint]).args(more);
        said(command.output().expect("cargo is there"))
    }

    /// What `dlq` says on standard output about the dead letters of the stack.
    pub(crate) fn dlq(&self, words: &[&str]) -> String {
        let mut command = puntual(&self.programs, &["dlq"]);
        command.args(words).args(["--stack", STACK, "--region", REGION, "--emulator", &self.aws.endpoint]);
        let output = command.output().expect("cargo is there");
        let (succeeded, error) = said(output.clone());
        assert!(succeeded, "dlq {words:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The own name of a resource.
    pub(crate) fn resource(&self, name: &str) -> String {
        let asked = [("StackName", STACK), ("LogicalResourceId", name)];
        let answer = self.aws.form("cloudformation", "2010-05-15", "DescribeStackResource", &asked);
        answer.tag("PhysicalResourceId")
    }
}

fn said(output: Output) -> (bool, String) {
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Drop for Deployment {
    fn drop(&mut self) {
        // The command line gives its place to the program, so this is the process of the emulator's
        // own parent, which ends it.
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if !std::thread::panicking() {
            let process = &mut self.process;
            until("the emulator's end", LOOKS_MAX, || process.try_wait().expect("the process is ours"));
        }
    }
}
