//! What an earlier stack of the same name left behind on purpose.
//!
//! Invariant: no stack is made beside kept tables without a word. Its new key for suppressions would not fit the old
//! table, and a new table does not know who opted out.

use anyhow::bail;
use aws_sdk_cloudformation::types::{ResourceStatus, StackStatus};

use crate::cloud::{Cloud, because};
use crate::leftover::{self, Leftover};

/// The tables of a stack, as CloudFormation begins their names.
const TABLES: [&str; 2] = ["OpsTable", "AuditTable"];
/// The most pages of tables, of a hundred each, of removed stacks, and of the events of one.
const PAGES_MAX: u32 = 100;
/// The most removed stacks of one name that are looked into. CloudFormation forgets them after ninety days.
const REMOVED_MAX: usize = 50;

/// Whether CloudFormation named this table for a stack of this name.
fn is_of_stack(table: &str, stack: &str) -> bool {
    let rest = table.strip_prefix(stack).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| {
        TABLES.iter().any(|name| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')))
    })
}

/// The tables that an earlier stack of this name left, and that hold something. One that failed at once left empty ones.
pub(crate) async fn tables_with_items(cloud: &Cloud, stack: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for table in tables(cloud, stack).await? {
        if holds_items(cloud, &table).await? {
            found.push(table);
        }
    }
    Ok(found)
}

async fn tables(cloud: &Cloud, stack: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut from = None;
    for _ in 0..PAGES_MAX {
        let request = cloud.dynamodb.list_tables().set_exclusive_start_table_name(from);
        let page =
            request.send().await.map_err(|e| because("the tables of the account could not be listed", &e))?;
        found.extend(page.table_names().iter().filter(|name| is_of_stack(name, stack)).cloned());
        from = page.last_evaluated_table_name().map(str::to_owned);
        if from.is_none() {
            return Ok(found);
        }
    }
    bail!("the account has more than {PAGES_MAX} pages of tables")
}

/// Whether a table holds anything.
async fn holds_items(cloud: &Cloud, table: &str) -> anyhow::Result<bool> {
    let answer = cloud.dynamodb.scan().table_name(table).limit(1).send().await;
    let answer = answer.map_err(|e| because(&format!("table {table} could not be looked into"), &e))?;
    Ok(answer.count() > 0)
}

/// What keeps a new stack of this name back, and what can be done about it.
pub(crate) fn objection(stack: &str, tables: &[String]) -> String {
    format!(
        "an earlier stack {stack} left its tables: {}.\nA new one would not know what they hold: who was reminded of what, and who opted out.\n- To go on with them, import them with the key and the three secrets that stayed beside them: \"How to come back\" in README.md says how.\n- To begin with nothing known, say --begin-anew; they stay as they are, and are paid for.\n- To remove them for good: cargo puntual destroy --stack {stack} --region REGION --delete-data",
        tables.join(", ")
    )
}

/// What removed stacks of this name left, in the order of its removal: as CloudFormation remembers it, which it does for
/// ninety days, and the tables by their names.
pub(crate) async fn leftovers(cloud: &Cloud, stack: &str) -> anyhow::Result<Vec<Leftover>> {
    let mut removed = Vec::new();
    let mut from = None;
    for _ in 0..PAGES_MAX {
        let request = cloud.cloudformation.list_stacks().stack_status_filter(StackStatus::DeleteComplete);
        let page = request.set_next_token(from).send().await;
        let page = page.map_err(|e| because("the removed stacks could not be listed", &e))?;
        let ours = page.stack_summaries().iter().filter(|s| s.stack_name() == Some(stack));
        removed.extend(ours.filter_map(|s| s.stack_id().map(str::to_owned)));
        from = page.next_token().map(str::to_owned);
        if from.is_none() {
            break;
        }
    }
    let mut found: Vec<Leftover> = Vec::new();
    for id in removed.iter().take(REMOVED_MAX) {
        for leftover in skipped(cloud, id).await? {
            if !found.contains(&leftover) {
                found.push(leftover);
            }
        }
    }
    // What CloudFormation has forgotten is still known by its name.
    for table in tables(cloud, stack).await? {
        let table = Leftover::table(table);
        if !found.contains(&table) {
            found.push(table);
        }
    }
    leftover::in_order(&mut found);
    Ok(found)
}

/// What the removal of a stack passed over, as its events say. A removed stack has no list of resources everywhere.
async fn skipped(cloud: &Cloud, stack_id: &str) -> anyhow::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    let mut from = None;
    for _ in 0..PAGES_MAX {
        let request = cloud.cloudformation.describe_stack_events().stack_name(stack_id).set_next_token(from);
        let page = request.send().await;
        let page = page.map_err(|e| because(&format!("the events of {stack_id} could not be read"), &e))?;
        for event in page.stack_events() {
            if event.resource_status() == Some(&ResourceStatus::DeleteSkipped) {
                let kind = event.resource_type().unwrap_or_default();
                found.extend(event.physical_resource_id().and_then(|id| Leftover::known(kind, id)));
            }
        }
        from = page.next_token().map(str::to_owned);
        if from.is_none() {
            return Ok(found);
        }
    }
    bail!("removed stack {stack_id} has more than {PAGES_MAX} pages of events")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_told_from_those_of_stacks_with_a_longer_name() {
        assert!(is_of_stack("puntual-OpsTable-1ABC", "puntual"));
        assert!(is_of_stack("puntual-prod-AuditTable-1ABC", "puntual-prod"));
        for other in ["puntual-prod-OpsTable-1ABC", "puntualOpsTable-1", "puntual-OpsTables", "OpsTable-1"] {
            assert!(!is_of_stack(other, "puntual"), "{other}");
        }
    }

    #[test]
    fn whoever_meets_kept_tables_is_told_three_ways_on() {
        let said = objection("puntual", &["puntual-OpsTable-1ABC".to_owned()]);
        for part in ["puntual-OpsTable-1ABC", "import them", "--begin-anew", "--delete-data"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
