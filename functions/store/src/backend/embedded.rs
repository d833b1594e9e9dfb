//! The embedded database: DynamoDB's own answers, in this process, on a SQLite file or in memory.
//!
//! Invariant: a call never waits for another process, so its results are certain: there is no unknown outcome.

use std::collections::HashMap;

use dynoxide::actions::{
    batch_get_item::{BatchGetItemRequest, KeysAndAttributes},
    delete_item::DeleteItemRequest,
    get_item::GetItemRequest,
    put_item::PutItemRequest,
    query::QueryRequest,
    scan::ScanRequest,
    transact_write_items::{
        TransactConditionCheck, TransactDelete, TransactPut, TransactUpdate, TransactWriteItem,
        TransactWriteItemsRequest,
    },
    update_item::UpdateItemRequest,
};
use dynoxide::errors::DynoxideError;
use dynoxide::types::{AttributeValue, ConsumedCapacity};

use super::{
    BatchPage, Cancelled, Expression, Failure, Item, Metered, Query, QueryPage, Scan, TableNames, Value,
    Write,
};
use crate::key::Key;

type Attributes = HashMap<String, AttributeValue>;

/// An open database and the names of its tables.
#[derive(Clone)]
pub(crate) struct Embedded {
    pub(crate) database: dynoxide::Database,
    pub(crate) names: TableNames,
}

impl Embedded {
    pub(crate) fn get(&self, key: Key) -> Metered<Option<Item>> {
        let answer = self
            .database
            .get_item(GetItemRequest {
                table_name: self.names.ops.clone(),
                key: key_attributes(key),
                consistent_read: Some(true),
                return_consumed_capacity: total(),
                ..Default::default()
            })
            .map_err(failure)?;
        Ok((answer.item.map(neutral), units(answer.consumed_capacity.as_slice())))
    }

    pub(crate) fn batch_get(&self, keys: Vec<Key>) -> Metered<BatchPage> {
        let wanted = KeysAndAttributes {
            keys: keys.into_iter().map(key_attributes).collect(),
            consistent_read: Some(true),
            ..Default::default()
        };
        let answer = self
            .database
            .batch_get_item(BatchGetItemRequest {
                request_items: HashMap::from([(self.names.ops.clone(), wanted)]),
                return_consumed_capacity: total(),
            })
            .map_err(failure)?;
        let mut page = BatchPage {
            items: answer.responses.into_values().flatten().map(neutral).collect(),
            unprocessed: Vec::new(),
        };
        for rest in answer.unprocessed_keys.into_values() {
            let rest: KeysAndAttributes = serde_json::from_value(rest)
                .map_err(|_| Failure::Permanent("unreadable unprocessed keys".to_owned()))?;
            page.unprocessed.extend(rest.keys.into_iter().filter_map(|key| Key::of_item(&neutral(key))));
        }
        Ok((page, units(answer.consumed_capacity.as_deref().unwrap_or_default())))
    }

    pub(crate) fn query(&self, query: Query) -> Metered<QueryPage> {
        let (names, values) = maps(&query.condition);
        let answer = self
            .database
            .query(QueryRequest {
                table_name: self.names.of(query.table).to_owned(),
                index_name: query.index.map(str::to_owned),
                key_condition_expression: Some(query.condition.text.to_owned()),
                expression_attribute_names: names,
                expression_attribute_values: values,
                scan_index_forward: true,
                limit: query.limit.map(|limit| limit as usize),
                exclusive_start_key: query.start.map(attributes),
                consistent_read: Some(query.consistent),
                return_consumed_capacity: total(),
                ..Default::default()
            })
            .map_err(failure)?;
        let page = QueryPage {
            items: answer.items.unwrap_or_default().into_iter().map(neutral).collect(),
            next: answer.last_evaluated_key.map(neutral),
        };
        Ok((page, units(answer.consumed_capacity.as_slice())))
    }

    pub(crate) fn scan(&self, scan: Scan) -> Metered<QueryPage> {
        let (names, values) = maps(&scan.filter);
        let answer = self
            .database
            .scan(ScanRequest {
                table_name: self.names.ops.clone(),
                filter_expression: Some(scan.filter.text.to_owned()),
                projection_expression: Some(scan.projection.to_owned()),
                expression_attribute_names: names,
                expression_attribute_values: values,
                limit: Some(scan.limit as usize),
                exclusive_start_key: scan.start.map(attributes),
                return_consumed_capacity: total(),
                ..Default::default()
            })
            .map_err(failure)?;
        let page = QueryPage {
            items: answer.items.unwrap_or_default().into_iter().map(neutral).collect(),
            next: answer.last_evaluated_key.map(neutral),
        };
        Ok((page, units(answer.consumed_capacity.as_slice())))
    }

    pub(crate) fn write(&self, write: Write) -> Metered<()> {
        let consumed = match write {
            Write::Put { table, item, condition } => {
                let (names, values) = condition.as_ref().map_or((None, None), maps);
                let request = PutItemRequest {
                    table_name: self.names.of(table).to_owned(),
                    item: attributes(item),
                    condition_expression: condition.map(|c| c.text.to_owned()),
                    expression_attribute_names: names,
                    expression_attribute_values: values,
                    return_consumed_capacity: total(),
                    return_values_on_condition_check_failure: old(),
                    ..Default::default()
                };
                self.database.put_item(request).map_err(failure)?.consumed_capacity
            }
            Write::Update { key, update, condition } => {
                let (names, values) = maps(&condition);
                let request = UpdateItemRequest {
                    table_name: self.names.ops.clone(),
                    key: key_attributes(key),
                    update_expression: Some(update.to_owned()),
                    condition_expression: Some(condition.text.to_owned()),
                    expression_attribute_names: names,
                    expression_attribute_values: values,
                    return_consumed_capacity: total(),
                    return_values_on_condition_check_failure: old(),
                    ..Default::default()
                };
                self.database.update_item(request).map_err(failure)?.consumed_capacity
            }
            Write::Delete { key } => {
                let request = DeleteItemRequest {
                    table_name: self.names.ops.clone(),
                    key: key_attributes(key),
                    return_consumed_capacity: total(),
                    ..Default::default()
                };
                self.database.delete_item(request).map_err(failure)?.consumed_capacity
            }
            check @ Write::Check { .. } => return self.transact(vec![check]),
        };
        Ok(((), units(consumed.as_slice())))
    }

    pub(crate) fn transact(&self, writes: Vec<Write>) -> Metered<()> {
        let answer = self
            .database
            .transact_write_items(TransactWriteItemsRequest {
                transact_items: writes.into_iter().map(|write| self.action(write)).collect(),
                return_consumed_capacity: total(),
                ..Default::default()
            })
            .map_err(failure)?;
        Ok(((), units(answer.consumed_capacity.as_deref().unwrap_or_default())))
    }

    fn action(&self, write: Write) -> TransactWriteItem {
        let mut action = TransactWriteItem::default();
        match write {
            Write::Put { table, item, condition } => {
                let (names, values) = condition.as_ref().map_or((None, None), maps);
                action.put = Some(TransactPut {
                    table_name: self.names.of(table).to_owned(),
                    item: attributes(item),
                    condition_expression: condition.map(|c| c.text.to_owned()),
                    expression_attribute_names: names,
                    expression_attribute_values: values,
                    return_values_on_condition_check_failure: old(),
                });
            }
            Write::Update { key, update, condition } => {
                let (names, values) = maps(&condition);
                action.update = Some(TransactUpdate {
                    table_name: self.names.ops.clone(),
                    key: key_attributes(key),
                    update_expression: update.to_owned(),
                    condition_expression: Some(condition.text.to_owned()),
                    expression_attribute_names: names,
                    expression_attribute_values: values,
                    return_values_on_condition_check_failure: old(),
                });
            }
            Write::Delete { key } => {
                action.delete = Some(TransactDelete {
                    table_name: self.names.ops.clone(),
                    key: key_attributes(key),
                    condition_expression: None,
                    expression_attribute_names: None,
                    expression_attribute_values: None,
                    return_values_on_condition_check_failure: None,
                });
            }
            Write::Check { key, condition } => {
                let (names, values) = maps(&condition);
                action.condition_check = Some(TransactConditionCheck {
                    table_name: self.names.ops.clone(),
                    key: key_attributes(key),
                    condition_expression: condition.text.to_owned(),
                    expression_attribute_names: names,
                    expression_attribute_values: values,
                    return_values_on_condition_check_failure: None,
                });
            }
        }
        action
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the fields of the requests are optional")]
fn total() -> Option<String> {
    Some("TOTAL".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the fields of the requests are optional")]
fn old() -> Option<String> {
    Some("ALL_OLD".to_owned())
}

fn units(consumed: &[ConsumedCapacity]) -> f64 {
    consumed.iter().map(|c| c.capacity_units).sum()
}

fn maps(expression: &Expression) -> (Option<HashMap<String, String>>, Option<Attributes>) {
    let names = expression.names.iter().map(|n| (format!("#{n}"), (*n).to_owned())).collect();
    let values: Attributes = expression
        .values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), attribute(value.clone())))
        .collect();
    (Some(names), (!values.is_empty()).then_some(values))
}

fn key_attributes(key: Key) -> Attributes {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(key.pk)),
        ("sk".to_owned(), AttributeValue::S(key.sk)),
    ])
}

fn attribute(value: Value) -> AttributeValue {
    match value {
        Value::S(text) => AttributeValue::S(text),
        Value::N(number) => AttributeValue::N(number),
    }
}

fn attributes(item: Item) -> Attributes {
    item.into_iter().map(|(name, value)| (name, attribute(value))).collect()
}

/// The item as this crate reads it. It writes text and numbers only, so nothing else is understood.
fn neutral(item: Attributes) -> Item {
    let value = |value| match value {
        AttributeValue::S(text) => Some(Value::S(text)),
        AttributeValue::N(number) => Some(Value::N(number)),
        AttributeValue::B(_)
        | AttributeValue::BOOL(_)
        | AttributeValue::NULL(_)
        | AttributeValue::SS(_)
        | AttributeValue::NS(_)
        | AttributeValue::BS(_)
        | AttributeValue::L(_)
        | AttributeValue::M(_) => None,
    };
    item.into_iter().filter_map(|(name, v)| Some((name, value(v)?))).collect()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the error type of the engine is non-exhaustive")]
fn failure(error: DynoxideError) -> Failure {
    match error {
        DynoxideError::ConditionalCheckFailedException(_, found) => {
            Failure::Condition(found.map(|item| Box::new(neutral(item))))
        }
        DynoxideError::TransactionCanceledException(_, reasons) => {
            if let Some(other) =
                reasons.iter().find(|r| !matches!(r.code.as_str(), "None" | "ConditionalCheckFailed"))
            {
                return Failure::Permanent(other.code.clone());
            }
            Failure::Transaction(
                reasons
                    .into_iter()
                    .map(|r| Cancelled {
                        condition: r.code == "ConditionalCheckFailed",
                        found: r.item.map(neutral),
                    })
                    .collect(),
            )
        }
        // A locked or full disk; the engine has rolled back.
        other if other.status_code() == 500 => Failure::Retryable("InternalServerError".to_owned()),
        // A message of the engine may quote a value, so only its code goes further.
        other => Failure::Permanent(other.error_type().rsplit('#').next().unwrap_or("error").to_owned()),
    }
}
