//! What `cfn-lint` and `checkov` say of the deployment template.
//!
//! Invariant: every finding is listed with its reason in `infra/template-exceptions.toml`, and nothing is listed there
//! that is no finding any more. Both tools, in the versions of `infra/template-checks.txt`, live in an environment of
//! their own under `target`; they ask nobody.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;

const TEMPLATE: &str = "infra/template.yaml";
const EXCEPTIONS: &str = "infra/template-exceptions.toml";
const TOOLS: &str = "infra/template-checks.txt";
/// Where the tools are installed, and beside them the list that they were installed from.
const ENVIRONMENT: &str = "target/template-checks";
const INSTALLED: &str = "installed.txt";

/// A rule that a part of the template does not follow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    tool: String,
    rule: String,
    resource: String,
}

#[derive(Deserialize)]
struct Exceptions {
    #[serde(default)]
    finding: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    tool: String,
    rule: String,
    resources: Vec<String>,
    reason: String,
}

/// Checks the template of a workspace.
pub(crate) fn check_template(root: &Path) -> anyhow::Result<()> {
    tell!("== deployment template");
    let programs = install(root)?;
    let mut found = cfn_lint_findings(&output(
        Command::new(programs.join("cfn-lint")).current_dir(root).args(["--format", "json", "--", TEMPLATE]),
    )?)?;
    found.extend(checkov_findings(&output(Command::new(programs.join("checkov")).current_dir(root).args(
        ["--file", TEMPLATE, "--framework", "cloudformation", "--skip-download", "--output", "json"],
    ))?)?);
    let text = fs::read_to_string(root.join(EXCEPTIONS)).with_context(|| EXCEPTIONS.to_owned())?;
    let problems = compare(&found, toml::from_str(&text).with_context(|| EXCEPTIONS.to_owned())?);
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{TEMPLATE}:\n{}", problems.join("\n"));
}

/// Installs both tools where they are not there in the listed versions; gives the folder of their programs.
fn install(root: &Path) -> anyhow::Result<PathBuf> {
    let wanted = fs::read_to_string(root.join(TOOLS)).with_context(|| TOOLS.to_owned())?;
    let environment = root.join(ENVIRONMENT);
    let stamp = environment.join(INSTALLED);
    let programs = environment.join("bin");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    tell!("== installing cfn-lint and checkov from PyPI into {ENVIRONMENT}");
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment).status();
    if !made.is_ok_and(|status| status.success()) {
        bail!("{ENVIRONMENT} could not be made; expected python3 with its module venv");
    }
    let installed = Command::new(programs.join("python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        // Most modules are never asked for, so none is compiled ahead.
        .args(["--no-compile", "--requirement"])
        .arg(root.join(TOOLS))
        .stdin(Stdio::null())
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        bail!(
            "cfn-lint and checkov could not be installed; expected PyPI to be reachable, or --skip-template"
        );
    }
    // Last, so that an installation that was cut off is begun anew.
    fs::write(&stamp, wanted).with_context(|| stamp.display().to_string())?;
    Ok(programs)
}

/// What a tool printed. Its exit code only says whether it found something.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{tool} could not be started"))?;
    let text = String::from_utf8(output.stdout).with_context(|| format!("the output of {tool}"))?;
    if text.trim().is_empty() {
        bail!("{tool} printed nothing; it said: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

fn cfn_lint_findings(text: &str) -> anyhow::Result<BTreeSet<Finding>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Match {
        rule: Rule,
        location: Location,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Rule {
        id: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Location {
        #[serde(default)]
        path: Option<Vec<serde_json::Value>>,
    }
    let matches: Vec<Match> = serde_json::from_str(text).context("what cfn-lint printed")?;
    let finding = |found: Match| {
        // A path begins with the section and the name in it; a template that cannot be read has none.
        let name = found.location.path.as_ref().and_then(|path| path.get(1)?.as_str());
        let resource = name.unwrap_or("the template").to_owned();
        Finding { tool: "cfn-lint".to_owned(), rule: found.rule.id, resource }
    };
    Ok(matches.into_iter().map(finding).collect())
}

fn checkov_findings(text: &str) -> anyhow::Result<BTreeSet<Finding>> {
    #[derive(Deserialize)]
    struct Report {
        results: Results,
        summary: Summary,
    }
    #[derive(Deserialize)]
    struct Results {
        failed_checks: Vec<Check>,
    }
    #[derive(Deserialize)]
    struct Check {
        check_id: String,
        resource: String,
    }
    #[derive(Deserialize)]
    struct Summary {
        passed: u32,
        parsing_errors: u32,
    }
    let report: Report = serde_json::from_str(text).context("what checkov printed")?;
    if report.summary.parsing_errors > 0 || report.summary.passed == 0 {
        bail!("checkov could not read {TEMPLATE}");
    }
    let finding = |check: Check| {
        let resource = check.resource.rsplit('.').next().unwrap_or_default().to_owned();
        Finding { tool: "checkov".to_owned(), rule: check.check_id, resource }
    };
    Ok(report.results.failed_checks.into_iter().map(finding).collect())
}

/// What is found and not listed, and what is listed and not found, as sentences.
fn compare(found: &BTreeSet<Finding>, exceptions: Exceptions) -> Vec<String> {
    let mut problems = Vec::new();
    let mut listed = BTreeSet::new();
    for Exception { tool, rule, resources, reason } in exceptions.finding {
        if reason.trim().is_empty() {
            problems.push(format!("{tool} {rule} is listed without a reason"));
        }
        let one = |resource| Finding { tool: tool.clone(), rule: rule.clone(), resource };
        listed.extend(resources.into_iter().map(one));
    }
    let say = |f: &Finding, what: &str| format!("{} {} at {}: {what}", f.tool, f.rule, f.resource);
    problems
        .extend(found.difference(&listed).map(|f| say(f, "a finding; mend it, or list it with a reason")));
    problems.extend(listed.difference(found).map(|f| say(f, "listed, and no finding any more")));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exceptions(text: &str) -> Exceptions {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_finding_is_mended_or_listed_and_a_list_grows_no_older_than_its_findings() {
        let cfn_lint =
            r#"[{"Rule": {"Id": "W1030"}, "Location": {"Path": ["Resources", "Queue", "Properties", 0]}}]"#;
        let checkov = r#"{"results": {"failed_checks": [{"check_id": "CKV_AWS_117", "resource": "AWS::Lambda::Function.Scan"}]},
            "summary": {"passed": 9, "parsing_errors": 0}}"#;
        let mut found = cfn_lint_findings(cfn_lint).unwrap();
        found.extend(checkov_findings(checkov).unwrap());
        let listed = |resources: &str| {
            exceptions(&format!(
                "[[finding]]\ntool = 'checkov'\nrule = 'CKV_AWS_117'\nresources = {resources}\nreason = 'No network.'"
            ))
        };
        assert_eq!(
            compare(&found, listed("['Scan', 'Plan']")),
            [
                "cfn-lint W1030 at Queue: a finding; mend it, or list it with a reason",
                "checkov CKV_AWS_117 at Plan: listed, and no finding any more",
            ]
        );
        found.retain(|f| f.tool == "checkov");
        assert_eq!(compare(&found, listed("['Scan']")), Vec::<String>::new());
    }

    #[test]
    fn a_list_without_reasons_is_no_list() {
        let silent = "[[finding]]\ntool = 'checkov'\nrule = 'CKV_AWS_18'\nresources = ['Logs']\nreason = ' '";
        let found = BTreeSet::from([Finding {
            tool: "checkov".to_owned(),
            rule: "CKV_AWS_18".to_owned(),
            resource: "Logs".to_owned(),
        }]);
        assert_eq!(compare(&found, exceptions(silent)), ["checkov CKV_AWS_18 is listed without a reason"]);
    }

    #[test]
    fn a_template_that_nobody_could_read_is_not_clean() {
        let blind = r#"{"results": {"failed_checks": []}, "summary": {"passed": 0, "parsing_errors": 1}}"#;
        assert!(checkov_findings(blind).is_err());
        let unreadable = r#"[{"Rule": {"Id": "E0000"}, "Location": {"Path": null}}]"#;
        let found = cfn_lint_findings(unreadable).unwrap();
        assert_eq!(found.first().map(|f| f.resource.as_str()), Some("the template"));
        // No findings at all is a list too; anything else is not what the tool prints.
        assert!(cfn_lint_findings("[]").unwrap().is_empty());
        assert!(cfn_lint_findings("").is_err() && checkov_findings("[]").is_err());
    }
}
