//! What a million reminders cost: the table of README.md is that of `infra/costs.toml`.
//!
//! Invariant: no figure of the table was written by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde::Deserialize;

use crate::tidy::root;

/// The units that only a reminder by email uses, and that no other part of the table is about.
const BY_EMAIL: &str = "emails";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Costs {
    region: String,
    written_on: chrono::NaiveDate,
    currency: String,
    prices: BTreeMap<String, Price>,
    units: Vec<Units>,
    still: Vec<Still>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    what: String,
    per_million: f64,
    source: String,
    confidence: Confidence,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Confidence {
    List,
    Unchecked,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Units {
    of: String,
    per_reminder: f64,
    from: From,
    how: String,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum From {
    Measured,
    Counted,
    Assumed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Still {
    what: String,
    count: u32,
    per_month: f64,
}

fn costs() -> Costs {
    let text = fs::read_to_string(root().join("infra/costs.toml")).expect("the prices are in the repository");
    toml::from_str(&text).expect("the prices can be read")
}

impl Units {
    fn cost(&self, costs: &Costs) -> f64 {
        // A million reminders use a million times the units, and a price is for a million of them.
        self.per_reminder * costs.prices[&self.of].per_million
    }

    fn row(&self, costs: &Costs) -> String {
        let Price { what, per_million, .. } = &costs.prices[&self.of];
        let from = match self.from {
            From::Measured => "measured",
            From::Counted => "counted",
            From::Assumed => "assumed",
        };
        format!("| {what} | {} {from} | {per_million} | {:.2} |\n", self.per_reminder, self.cost(costs))
    }
}

/// The table as README.md has it.
fn table(costs: &Costs) -> String {
    let (email, ours): (Vec<&Units>, Vec<&Units>) = costs.units.iter().partition(|u| u.of == BY_EMAIL);
    let sum = |units: &[&Units]| units.iter().map(|units| units.cost(costs)).sum::<f64>();
    let rows = |units: &[&Units]| units.iter().map(|units| units.row(costs)).collect::<String>();
    let still: f64 = costs.still.iter().map(|s| f64::from(s.count) * s.per_month).sum();
    let names: Vec<String> = costs.still.iter().map(|s| format!("{} {}", s.count, s.what)).collect();
    let mut text = format!(
        "| for a million reminders, {}, {} | units each | {} a million units | {} |\n|---|---|---|---|\n",
        costs.region, costs.written_on, costs.currency, costs.currency
    );
    text.push_str(&rows(&ours));
    // Writing to a text cannot fail.
    let _ = writeln!(text, "| **all but the provider** | | | **{:.2}** |", sum(&ours));
    text.push_str(&rows(&email));
    let _ = writeln!(text, "| **by email** | | | **{:.2}** |", sum(&ours) + sum(&email));
    let _ = writeln!(text, "| each month besides: {} | | | {still:.2} |", names.join(", "));
    text
}

#[test]
fn the_readme_says_what_a_million_reminders_cost() {
    let costs = costs();
    let wanted = table(&costs);
    let readme = fs::read_to_string(root().join("README.md")).expect("the README can be read");
    assert!(readme.contains(&wanted), "README.md has another table than infra/costs.toml makes:\n{wanted}");
    for price in costs.prices.values() {
        assert!(price.source.starts_with("https://"), "{} has no source", price.what);
    }
    assert!(costs.units.iter().all(|units| !units.how.is_empty()), "a number says where it comes from");
    let is_unchecked = costs.prices.values().any(|price| price.confidence == Confidence::Unchecked);
    assert!(
        !is_unchecked || readme.contains("not compared with"),
        "the README says that not every price was read"
    );
}

#[test]
fn what_stands_still_is_what_the_template_makes() {
    let template = fs::read_to_string(root().join("infra/template.yaml")).expect("the template can be read");
    let kinds = [
        ("key", "AWS::KMS::Key"),
        ("secrets", "AWS::SecretsManager::Secret"),
        ("alarms", "AWS::CloudWatch::Alarm"),
        ("dashboard", "AWS::CloudWatch::Dashboard"),
    ];
    for still in costs().still {
        let kind = kinds.iter().find(|(what, _)| *what == still.what);
        let (_, kind) = kind.unwrap_or_else(|| panic!("{} is nothing of the template", still.what));
        let made = template.lines().filter(|line| line.trim() == format!("Type: {kind}")).count();
        assert_eq!(made, still.count as usize, "{}", still.what);
    }
}
