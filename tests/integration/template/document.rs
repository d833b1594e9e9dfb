//! The template as data: its short tags (`!Sub`, `!GetAtt`) in their long form, so that one way of reading serves both.
//!
//! Invariant: nothing of the text is lost; whatever YAML it uses that CloudFormation does not know ends the test.

use std::fs;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::tidy::root;

/// The deployment template.
pub(super) struct Template(Value);

impl Template {
    pub(super) fn load() -> Self {
        let text =
            fs::read_to_string(root().join("infra/template.yaml")).expect("infra/template.yaml can be read");
        Self::parse(&text)
    }

    pub(super) fn parse(text: &str) -> Self {
        let documents = Yaml::load_from_str(text).expect("infra/template.yaml is YAML");
        let [document] = documents.as_slice() else { panic!("expected one document") };
        Self(plain(document))
    }

    /// Names and properties of the resources of a type, in the order of the template.
    pub(super) fn of_type(&self, kind: &str) -> Vec<(&str, &Value)> {
        let found: Vec<_> = self
            .resources()
            .filter(|(_, resource)| resource["Type"] == kind)
            .map(|(name, resource)| (name, &resource["Properties"]))
            .collect();
        assert!(!found.is_empty(), "the template has no {kind}");
        found
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0["Resources"].as_object().expect("resources").iter().map(|(name, r)| (name.as_str(), r))
    }

    pub(super) fn resource(&self, name: &str) -> &Value {
        let found = &self.0["Resources"][name];
        assert!(found.is_object(), "there is no resource {name}");
        found
    }

    pub(super) fn properties(&self, name: &str) -> &Value {
        &self.resource(name)["Properties"]
    }

    /// What all functions share.
    pub(super) fn function_globals(&self) -> &Value {
        &self.0["Globals"]["Function"]
    }

    /// The resource in whose properties each policy statement stands, with the statement; both branches of a choice.
    pub(super) fn statements(&self) -> Vec<(&str, &Value)> {
        let mut found = Vec::new();
        for (name, resource) in self.resources() {
            let mut statements = Vec::new();
            statements_in(resource, &mut statements);
            found.extend(statements.into_iter().map(|statement| (name, statement)));
        }
        found
    }
}

fn statements_in<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    if let Some(statement) = value.get("Statement") {
        for one in list(statement) {
            match one.get("Fn::If").and_then(Value::as_array) {
                Some(branches) => found.extend(branches.iter().filter(|b| b.get("Effect").is_some())),
                None => found.push(one),
            }
        }
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|field| statements_in(field, found)),
        Value::Array(items) => items.iter().for_each(|item| statements_in(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// One value, or each of several.
pub(super) fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

/// Every text in a value, however deep.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// The resource that a `Ref` or a `GetAtt` names.
pub(super) fn target(value: &Value) -> Option<&str> {
    value.get("Ref").or_else(|| value.get("Fn::GetAtt")?.get(0))?.as_str()
}

fn plain(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(items) => items.iter().map(plain).collect(),
        Yaml::Mapping(fields) => fields.iter().map(|(key, value)| (key_of(key), plain(value))).collect(),
        Yaml::Tagged(tag, inner) => tagged(&tag.suffix, plain(inner)),
        Yaml::Alias(_) | Yaml::BadValue | Yaml::Representation(..) => {
            panic!("CloudFormation does not know {yaml:?}")
        }
    }
}

fn key_of(key: &Yaml<'_>) -> String {
    let key = plain(key);
    key.as_str().unwrap_or_else(|| panic!("expected a text as key, not {key}")).to_owned()
}

/// A short tag in its long form.
fn tagged(tag: &str, inner: Value) -> Value {
    let (name, inner) = match (tag, &inner) {
        ("Ref" | "Condition", _) => (tag.to_owned(), inner),
        ("GetAtt", Value::String(path)) => {
            let (resource, attribute) =
                path.split_once('.').expect("GetAtt names a resource and an attribute");
            ("Fn::GetAtt".to_owned(), json!([resource, attribute]))
        }
        _ => (format!("Fn::{tag}"), inner),
    };
    Value::Object(Map::from_iter([(name, inner)]))
}
