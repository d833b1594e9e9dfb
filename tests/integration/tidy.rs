//! Tidiness: the rules of the repository that a compiler does not check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The longest source file, in lines.
const FILE_LINES_MAX: usize = 500;

/// Which crates of the workspace each crate may use, outside its tests.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("checker", &[]),
    ("verifier", &["checker"]),
    ("api-types", &["domain"]),
    ("store", &["domain"]),
    ("channels", &["domain"]),
    ("runtime", &["domain", "store"]),
    ("delivery", &["domain", "store", "channels", "runtime"]),
    ("http-api", &["domain", "api-types", "store", "runtime"]),
    ("import-accounts", &["domain", "store", "runtime"]),
    ("record-choice", &["domain", "store", "runtime"]),
    ("scan-due", &["domain", "store", "runtime"]),
    ("plan-shard", &["domain", "store", "runtime"]),
    ("record-delivery", &["domain", "store", "channels", "runtime"]),
    ("send-email", &["domain", "store", "channels", "runtime", "delivery"]),
    ("send-sms", &["domain", "store", "channels", "runtime", "delivery"]),
    (
        "puntual",
        &[
            "domain",
            "checker",
            "verifier",
            "store",
            "channels",
            "runtime",
            "delivery",
            "http-api",
            "import-accounts",
            "record-choice",
            "scan-due",
            "plan-shard",
            "simulation",
            "dead-letters",
        ],
    ),
    ("dead-letters", &["domain", "runtime"]),
    ("puntual-deploy", &["dead-letters", "runtime"]),
    ("emulator", &[]),
    ("integration", &[]),
    (
        "simulation",
        &[
            "verifier",
            "domain",
            "store",
            "channels",
            "runtime",
            "delivery",
            "plan-shard",
            "record-delivery",
            "scan-due",
        ],
    ),
    ("bench", &["domain"]),
];

/// Where each client of an AWS service may be used.
const AWS_CLIENTS: &[(&str, &str)] = &[
    ("aws-sdk-dynamodb", "store"),
    ("aws-sdk-sesv2", "channels"),
    ("aws-sdk-sns", "channels"),
    ("aws-sdk-sqs", "runtime"),
    ("aws-sdk-scheduler", "runtime"),
    ("aws-sdk-s3", "import-accounts"),
    ("aws-sdk-s3", "http-api"),
];

/// The one package that may use any client: it puts the product into an account, and no other depends on it.
const DEPLOYS: &str = "puntual-deploy";

/// What may lie at the top of the repository; ARCHITECTURE.md says why.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "admin-web",
    "clippy.toml",
    "deny.toml",
    "functions",
    "infra",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

/// Files under the folders that hold source, with one of the endings; build output aside.
fn sources(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["functions", "infra", "tests"].iter().map(|f| root().join(f)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace can be read") {
            let path = entry.expect("an entry can be read").path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if path.is_dir() && !matches!(name, "target" | "node_modules" | "dist") {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no file ends with {ending}");
    found
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a manifest can be read");
        let table: toml::Table = text.parse().expect("a manifest is TOML");
        (table["package"]["name"].as_str().expect("a package has a name").to_owned(), table)
    };
    sources("Cargo.toml").into_iter().map(read).collect()
}

fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let tables = ["dependencies", "build-dependencies"].iter().filter_map(|t| manifest.get(*t)?.as_table());
    tables.flat_map(|t| t.keys().cloned()).collect()
}

#[test]
fn dependencies_point_one_way() {
    let manifests = manifests();
    let ours: BTreeSet<&str> = manifests.keys().map(String::as_str).collect();
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    for (name, manifest) in &manifests {
        let allowed = rules.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no line in MAY_USE"));
        for dependency in dependencies(manifest).iter().filter(|d| ours.contains(d.as_str())) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} uses {dependency}, which points the wrong way"
            );
        }
    }
}

#[test]
fn clients_of_aws_are_used_where_they_belong() {
    for (name, manifest) in manifests().into_iter().filter(|(name, _)| name != DEPLOYS) {
        for dependency in dependencies(&manifest).iter().filter(|d| d.starts_with("aws-sdk-")) {
            assert!(AWS_CLIENTS.contains(&(dependency.as_str(), name.as_str())), "{name} uses {dependency}");
        }
    }
}

#[test]
fn every_crate_takes_the_lints_and_versions_of_the_workspace() {
    for (name, manifest) in manifests() {
        let lints = manifest.get("lints").and_then(|l| l.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(lints, Some(true), "{name} lacks `[lints] workspace = true`");
        for key in ["version", "edition", "rust-version", "license"] {
            let shared = manifest["package"].get(key).and_then(|v| v.get("workspace"));
            assert!(shared.is_some(), "{name} sets its own {key}");
        }
        for (dependency, value) in
            manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten()
        {
            let shared = value.get("workspace").and_then(toml::Value::as_bool);
            assert_eq!(shared, Some(true), "{name} sets its own version of {dependency}");
        }
    }
}

#[test]
fn source_files_are_short_and_say_what_they_are_for() {
    for path in sources(".rs") {
        let text = fs::read_to_string(&path).expect("a source file can be read");
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines; split it by its nouns", path.display());
        assert!(text.starts_with("//!"), "{} does not open with its purpose", path.display());
    }
}

#[test]
fn nothing_lies_at_the_top_without_a_reason() {
    let tracked = std::process::Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output();
    let Some(tracked) = tracked.ok().filter(|out| out.status.success()) else {
        println!("skipped: this is no git checkout");
        return;
    };
    let listed = String::from_utf8(tracked.stdout).expect("git lists paths in UTF-8 here");
    for path in listed.split('\0').filter(|p| !p.is_empty()) {
        let top = path.split('/').next().unwrap_or_default();
        assert!(TOP.contains(&top), "{top} lies at the top; expected one of {TOP:?}");
    }
}

#[test]
fn the_list_of_reasons_in_the_readme_is_that_of_the_code() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a file of the repository");
    let mut codes = BTreeSet::new();
    for (file, from) in REASONS {
        let text = read(file);
        let begin = text.find(from).unwrap_or_else(|| panic!("{file} has no {from}"));
        let block = text[begin..].split("\n}\n").next().unwrap_or_default();
        let arms = block.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
        codes.extend(arms.map(str::to_owned));
    }
    assert!(codes.len() > 30, "{codes:?}");
    let readme = read("README.md");
    let list = readme.lines().find(|line| line.starts_with("The codes of reasons are a closed list"));
    // What stands in parentheses explains the code before it.
    let list = list.expect("the list of reasons");
    let told: BTreeSet<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(told, codes);
}

/// Where the codes of reasons stand in the code.
const REASONS: [(&str, &str); 3] = [
    ("functions/domain/src/verdict.rs", "impl ReasonCode {"),
    ("functions/domain/src/obligation.rs", "impl HoldReason {"),
    ("functions/domain/src/contact_check.rs", "impl ReasonCode {"),
];

#[test]
fn no_rule_of_a_country_is_in_the_code() {
    // The decisions are made from profiles; a country's code in these files would be a rule outside them.
    let files = [
        "planner.rs",
        "ladder.rs",
        "policy.rs",
        "policy_reach.rs",
        "caps.rs",
        "contact_check.rs",
        "jurisdiction/adjust.rs",
        "jurisdiction/change.rs",
        "jurisdiction/question.rs",
        "fence.rs",
        "touch.rs",
    ];
    for file in files {
        let path = root().join("functions/domain/src").join(file);
        let text = fs::read_to_string(&path).expect("a source file can be read");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for country in ["CO", "PE", "CL", "MX", "EC", "AR", "BR", "US", "CO-DIRECT", "BR-SP"] {
            assert!(!code.contains(&format!("\"{country}\"")), "{file} names the country {country}");
        }
    }
}
