//! The metrics that the template reads, held to those that the functions write.

use std::collections::BTreeSet;

use runtime::metric::{Count, LATENCY};
use serde_json::{Value, json};

use super::document::{Template, list, target};
use super::functions;

/// An alarm on a metric that nobody writes never rings.
#[test]
fn alarms_and_the_dashboard_read_metrics_that_functions_write() {
    let template = Template::load();
    let written: BTreeSet<&str> = Count::ALL.iter().map(|c| c.name()).chain([LATENCY]).collect();
    let ours = json!({ "Fn::Sub": "Puntual/${AWS::StackName}" });
    let mut read_by_alarms = 0;
    for (name, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
        if alarm["Namespace"] != ours {
            continue;
        }
        read_by_alarms += 1;
        assert!(alarm["MetricName"].as_str().is_some_and(|m| written.contains(m)), "{name}");
        assert_eq!(alarm["Dimensions"][0]["Name"], "FunctionName", "{name}");
        let function = target(&alarm["Dimensions"][0]["Value"]).unwrap_or_default();
        assert!(functions(&template).iter().any(|(name, _)| *name == function), "{name}: {function}");
    }
    assert!(read_by_alarms > 0, "no alarm reads what functions write");
    let body = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"].as_str().unwrap_or_default();
    let body: Value = serde_json::from_str(body).expect("the dashboard is JSON");
    let mut shown = 0;
    for widget in list(&body["widgets"]) {
        let mut is_ours = false;
        for line in list(&widget["properties"]["metrics"]) {
            // "." and "..." stand for what the line above said.
            is_ours = match line[0].as_str() {
                Some("Puntual/${AWS::StackName}") => true,
                Some("." | "...") => is_ours,
                Some(_) | None => false,
            };
            if let (true, Some(metric)) = (is_ours && line[0] != "...", line[1].as_str()) {
                assert!(written.contains(metric), "the dashboard shows {metric}");
                shown += 1;
            }
        }
    }
    assert!(shown > 0, "the dashboard shows nothing of ours");
}
