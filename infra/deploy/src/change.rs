//! The changes of a change set: which are refused, and how they read.
//!
//! Invariant: nothing that holds data, people or the key to the data is removed or replaced by a deployment, whatever
//! the template says.

use std::fmt;

/// Kinds of resources of which the content cannot be made again.
const KEPT: [&str; 5] = [
    "AWS::DynamoDB::Table",
    "AWS::DynamoDB::GlobalTable",
    "AWS::Cognito::UserPool",
    "AWS::KMS::Key",
    "AWS::SecretsManager::Secret",
];

/// What happens to one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// It is made.
    Add,
    /// It is changed where it stands.
    Modify,
    /// Another takes its place; what it holds is lost.
    Replace,
    /// It may be changed or replaced; CloudFormation only knows while it works.
    MayReplace,
    /// It is removed.
    Remove,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Add => "add",
            Action::Modify => "change",
            Action::Replace => "replace",
            Action::MayReplace => "may replace",
            Action::Remove => "remove",
        })
    }
}

/// One change of a change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The name of the resource in the template.
    pub(crate) resource: String,
    /// What kind of resource it is, such as `AWS::SQS::Queue`.
    pub(crate) kind: String,
    /// What happens to it.
    pub(crate) action: Action,
}

/// The action, by the words of CloudFormation: its `Action` and its `Replacement`.
pub(crate) fn action(word: &str, replacement: Option<&str>) -> Action {
    match (word, replacement) {
        ("Add" | "Import", _) => Action::Add,
        ("Remove", _) => Action::Remove,
        ("Modify", None | Some("False")) => Action::Modify,
        ("Modify", Some("True")) => Action::Replace,
        // `Conditional` and `Dynamic`, and whatever comes to be said: the careful reading.
        _ => Action::MayReplace,
    }
}

/// Who worked the changes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkedOutBy {
    /// CloudFormation: what it is not sure of may happen.
    Aws,
    /// An emulator: it is never sure, also of what changes where it stands.
    Emulator,
}

/// The changes that would lose data. They are refused, all of them named.
pub(crate) fn losing(changes: &[Change], by: WorkedOutBy) -> Vec<&Change> {
    let loses = |change: &&Change| match (change.action, by) {
        (Action::Add | Action::Modify, _) | (Action::MayReplace, WorkedOutBy::Emulator) => false,
        (Action::Replace | Action::Remove, _) | (Action::MayReplace, WorkedOutBy::Aws) => {
            KEPT.contains(&change.kind.as_str())
        }
    };
    changes.iter().filter(loses).collect()
}

/// What a person reads before saying yes: what is lost or replaced comes last, where the eye is when the question comes.
pub(crate) fn listed(changes: &[Change]) -> String {
    let mut sorted: Vec<&Change> = changes.iter().collect();
    sorted.sort_by(|a, b| (a.action, &a.kind, &a.resource).cmp(&(b.action, &b.kind, &b.resource)));
    let longest = sorted.iter().map(|c| c.resource.len()).max().unwrap_or(0);
    let line = |c: &&Change| format!("  {:<11} {:<longest$}  {}\n", c.action.to_string(), c.resource, c.kind);
    sorted.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(resource: &str, kind: &str, action: Action) -> Change {
        Change { resource: resource.to_owned(), kind: kind.to_owned(), action }
    }

    #[test]
    fn a_table_is_never_replaced_nor_removed() {
        let changes = [
            change("OpsTable", "AWS::DynamoDB::Table", Action::Modify),
            change("AuditTable", "AWS::DynamoDB::Table", Action::Replace),
            change("OldTable", "AWS::DynamoDB::Table", Action::Remove),
            change("DataKey", "AWS::KMS::Key", Action::MayReplace),
            change("UserPool", "AWS::Cognito::UserPool", Action::Replace),
            change("SendEmail", "AWS::Lambda::Function", Action::Replace),
            change("NewTable", "AWS::DynamoDB::Table", Action::Add),
        ];
        let lost = |by| losing(&changes, by).iter().map(|c| c.resource.as_str()).collect::<Vec<_>>();
        assert_eq!(lost(WorkedOutBy::Aws), ["AuditTable", "OldTable", "DataKey", "UserPool"]);
        // What may be replaced is taken for a change in place where it is said of everything.
        assert_eq!(lost(WorkedOutBy::Emulator), ["AuditTable", "OldTable", "UserPool"]);
    }

    #[test]
    fn a_word_nobody_knows_is_read_with_care() {
        assert_eq!(action("Modify", Some("False")), Action::Modify);
        assert_eq!(action("Modify", Some("True")), Action::Replace);
        assert_eq!(action("Modify", Some("Conditional")), Action::MayReplace);
        assert_eq!(action("Dynamic", None), Action::MayReplace);
        assert_eq!(action("Add", None), Action::Add);
        assert_eq!(action("Remove", Some("True")), Action::Remove);
    }

    #[test]
    fn what_is_removed_is_read_last() {
        let changes = [
            change("Old", "AWS::SQS::Queue", Action::Remove),
            change("SendEmail", "AWS::Lambda::Function", Action::Modify),
            change("New", "AWS::SQS::Queue", Action::Add),
        ];
        assert_eq!(
            listed(&changes),
            "  add         New        AWS::SQS::Queue\n  change      SendEmail  AWS::Lambda::Function\n  remove      Old        AWS::SQS::Queue\n"
        );
    }
}
