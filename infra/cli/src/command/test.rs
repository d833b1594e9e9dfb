//! `cargo puntual test`: every check that a change must pass, in the order in which they fail fastest.
//!
//! Invariant: what a check needs is installed here and said so; nothing depends on what somebody installed by hand.
//! This is the one place that knows how the standard library for the browser is had.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use clap::Args;

use super::simulate::pass_every_world;
use super::template_check::check_template;
use crate::clock;

/// Debian's packages for the browser build where rustup may not download.
const DEBIAN_PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];
/// Every test but the one of the emulator, which its package leaves out unless it is named.
const TESTS: [&str; 3] = ["test", "--workspace", "--all-features"];
/// The test that deploys the whole product to an emulator and uses it there.
const EMULATOR_TEST: &str = "emulator";
const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Runs every check.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Leaves the build for the browser out.
    #[arg(long)]
    skip_wasm: bool,
    /// Leaves the checks of the deployment template out, which need Python and PyPI.
    #[arg(long)]
    skip_template: bool,
    /// Leaves the deployment to an emulator out, which needs Python and PyPI, too, and a machine that does little else.
    #[arg(long)]
    skip_emulator: bool,
}

pub(crate) fn test(arguments: &TestArguments) -> anyhow::Result<ExitCode> {
    let root = workspace_root()?;
    step("format", cargo(&root).args(["fmt", "--all", "--check"]))?;
    step(
        "lints",
        cargo(&root).args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    step("tests", cargo(&root).args(TESTS).arg("--no-fail-fast"))?;
    tell!("== worlds of the simulator");
    pass_every_world()?;
    // The deployment waits for schedules most of the time; the steps after it have nothing to do with it.
    std::thread::scope(|scope| {
        let deployed = (!arguments.skip_emulator).then(|| scope.spawn(|| deploy_to_emulator(&root)));
        let rest = template_and_browser(arguments, &root);
        match deployed.map(std::thread::ScopedJoinHandle::join) {
            Some(Ok(deployed)) => rest.and(deployed),
            None => rest,
            Some(Err(_)) => bail!("the deployment to an emulator broke off"),
        }
    })?;
    if installed("cargo-deny") {
        step("licences and sources", cargo(&root).args(["deny", "check"]))?;
    } else {
        tell!("== licences and sources: left out, cargo-deny is not installed");
    }
    tell!("== every check passed");
    Ok(ExitCode::SUCCESS)
}

fn template_and_browser(arguments: &TestArguments, root: &Path) -> anyhow::Result<()> {
    if !arguments.skip_template {
        check_template(root)?;
    }
    if !arguments.skip_wasm {
        browser_build(root)?;
    }
    Ok(())
}

/// With the features of the tests before, so that little but the test itself is compiled for it.
fn deploy_to_emulator(root: &Path) -> anyhow::Result<()> {
    step("deployment to an emulator", cargo(root).args(TESTS).args(["--test", EMULATOR_TEST]))
}

/// The folder of the workspace that this binary was built from.
pub(crate) fn workspace_root() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().context("the workspace is not where this binary was built; expected a checkout")
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    // The toolchain of the workspace is chosen anew: what `cargo run` passed on would override the file.
    command.current_dir(root).env_remove("RUSTUP_TOOLCHAIN");
    command
}

fn step(what: &str, command: &mut Command) -> anyhow::Result<()> {
    tell!("== {what}");
    let started = clock::stopwatch();
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("{what} could not be started"))?;
    if !status.success() {
        bail!("{what} failed");
    }
    tell!("== {what}: passed after {} s", started.elapsed().as_secs());
    Ok(())
}

fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// Builds the domain and the types of the API for the browser, with rustup's standard library where rustup may
/// download, else with Debian's.
fn browser_build(root: &Path) -> anyhow::Result<()> {
    // What is built here is never run: to optimise it would take minutes and check nothing more.
    let plain = "profile.dev.package.domain.opt-level=0";
    let packages = ["--package", "domain", "--package", "api-types"];
    let build = ["build", "--config", plain, "--target", WASM_TARGET].into_iter().chain(packages);
    if rustup_has_wasm(root) || rustup_adds_wasm(root) {
        return step("build for the browser", cargo(root).args(build));
    }
    install_debian_toolchain()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut first = std::ffi::OsString::from("/usr/bin:");
    first.push(path);
    step(
        "build for the browser, with Debian's compiler",
        Command::new("/usr/bin/cargo")
            .current_dir(root)
            .args(build)
            .args(["--target-dir", "target/debian"])
            .env("PATH", first)
            .env("RUSTC", "/usr/bin/rustc")
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort"),
    )
}

fn rustup_has_wasm(root: &Path) -> bool {
    let listed = Command::new("rustup").current_dir(root).args(["target", "list", "--installed"]).output();
    listed
        .is_ok_and(|out| String::from_utf8_lossy(&out.stdout).lines().any(|line| line.trim() == WASM_TARGET))
}

fn rustup_adds_wasm(root: &Path) -> bool {
    if std::env::var_os("RUSTUP_AUTO_INSTALL").is_some_and(|v| v == "0") {
        return false;
    }
    tell!("== installing the standard library for {WASM_TARGET} with rustup");
    let mut command = Command::new("rustup");
    command.current_dir(root).args(["target", "add", WASM_TARGET]);
    command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn install_debian_toolchain() -> anyhow::Result<()> {
    if Path::new("/usr/bin/cargo").exists() && Path::new("/usr/bin/rustc").exists() && debian_has_sources() {
        return Ok(());
    }
    tell!("== installing Debian's packages {}", DEBIAN_PACKAGES.join(" "));
    step("package lists", Command::new("apt-get").args(["update", "-qq"]))?;
    step(
        "packages",
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(DEBIAN_PACKAGES)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn debian_has_sources() -> bool {
    let mut asked = Command::new("dpkg");
    asked.args(["-s", "rust-web-src"]).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}
