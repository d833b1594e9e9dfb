//! The real DynamoDB.
//!
//! Invariant: an answer that never came is told apart from a refusal. A read without an answer may be tried again;
//! a write without one is unknown. The SDK gives every transaction an idempotency token of its own, so its retries
//! cannot carry one out twice.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, ConsumedCapacity, Delete, KeysAndAttributes, Put, ReturnConsumedCapacity,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::{
    BatchPage, Cancelled, Expression, Failure, Item, Metered, Query, QueryPage, Scan, Table, TableNames,
    Value, Write,
};
use crate::key::Key;

type Attributes = HashMap<String, AttributeValue>;

/// A client and the names of the tables.
#[derive(Clone)]
pub(crate) struct Aws {
    pub(crate) client: Client,
    pub(crate) names: TableNames,
}

impl Aws {
    pub(crate) async fn get(&self, key: Key) -> Metered<Option<Item>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.names.ops)
            .set_key(Some(key_attributes(key)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure(&error, false))?;
        Ok((answer.item.map(neutral), units(answer.consumed_capacity.as_slice())))
    }

    pub(crate) async fn batch_get(&self, keys: Vec<Key>) -> Metered<BatchPage> {
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys.into_iter().map(key_attributes).collect()))
            .consistent_read(true)
            .build()
            .map_err(|_| incomplete())?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.names.ops, wanted)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure(&error, false))?;
        let units = units(answer.consumed_capacity());
        let items = answer.responses.unwrap_or_default().into_values().flatten().map(neutral).collect();
        let rest = answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|k| k.keys);
        let unprocessed = rest.filter_map(|key| Key::of_item(&neutral(key))).collect();
        Ok((BatchPage { items, unprocessed }, units))
    }

    pub(crate) async fn query(&self, query: Query) -> Metered<QueryPage> {
        let (names, values) = maps(&query.condition);
        let answer = self
            .client
            .query()
            .table_name(self.names.of(query.table))
            .set_index_name(query.index.map(str::to_owned))
            .key_condition_expression(query.condition.text)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .set_limit(query.limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)))
            .set_exclusive_start_key(query.start.map(attributes))
            .consistent_read(query.consistent)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure(&error, false))?;
        let units = units(answer.consumed_capacity.as_slice());
        let items = answer.items.unwrap_or_default().into_iter().map(neutral).collect();
        // The service may name an empty key where there is nothing more.
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty()).map(neutral);
        Ok((QueryPage { items, next }, units))
    }

    pub(crate) async fn scan(&self, scan: Scan) -> Metered<QueryPage> {
        let (names, values) = maps(&scan.filter);
        let answer = self
            .client
            .scan()
            .table_name(&self.names.ops)
            .filter_expression(scan.filter.text)
            .projection_expression(scan.projection)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .limit(i32::try_from(scan.limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(scan.start.map(attributes))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure(&error, false))?;
        let units = units(answer.consumed_capacity.as_slice());
        let items = answer.items.unwrap_or_default().into_iter().map(neutral).collect();
        // The service may name an empty key where there is nothing more.
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty()).map(neutral);
        Ok((QueryPage { items, next }, units))
    }

    pub(crate) async fn write(&self, write: Write) -> Metered<()> {
        match write {
            Write::Put { table, item, condition } => self.put(table, item, condition).await,
            Write::Update { key, update, condition } => self.update(key, update, condition).await,
            Write::Delete { key } => self.delete(key).await,
            check @ Write::Check { .. } => self.transact(vec![check]).await,
        }
    }

    async fn delete(&self, key: Key) -> Metered<()> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.names.ops)
            .set_key(Some(key_attributes(key)))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure(&error, true))?;
        Ok(((), units(answer.consumed_capacity.as_slice())))
    }

    async fn put(&self, table: Table, item: Item, condition: Option<Expression>) -> Metered<()> {
        let (names, values) = condition.as_ref().map_or((None, None), maps);
        let answer = self
            .client
            .put_item()
            .table_name(self.names.of(table))
            .set_item(Some(attributes(item)))
            .set_condition_expression(condition.map(|c| c.text.to_owned()))
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(((), units(answer.consumed_capacity.as_slice()))),
            Err(error) => Err(match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(e)) => Failure::Condition(found(e.item())),
                _ => failure(&error, true),
            }),
        }
    }

    async fn update(&self, key: Key, update: &'static str, condition: Expression) -> Metered<()> {
        let (names, values) = maps(&condition);
        let answer = self
            .client
            .update_item()
            .table_name(&self.names.ops)
            .set_key(Some(key_attributes(key)))
            .update_expression(update)
            .condition_expression(condition.text)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(((), units(answer.consumed_capacity.as_slice()))),
            Err(error) => Err(match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(e)) => {
                    Failure::Condition(found(e.item()))
                }
                _ => failure(&error, true),
            }),
        }
    }

    pub(crate) async fn transact(&self, writes: Vec<Write>) -> Metered<()> {
        let actions = writes.into_iter().map(|write| self.action(write)).collect::<Result<_, _>>()?;
        let answer = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(((), units(answer.consumed_capacity()))),
            Err(error) => Err(match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(e)) => {
                    cancelled(e.cancellation_reasons())
                }
                _ => failure(&error, true),
            }),
        }
    }

    fn action(&self, write: Write) -> Result<TransactWriteItem, Failure> {
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let action = TransactWriteItem::builder();
        let action = match write {
            Write::Put { table, item, condition } => {
                let (names, values) = condition.as_ref().map_or((None, None), maps);
                let put = Put::builder()
                    .table_name(self.names.of(table))
                    .set_item(Some(attributes(item)))
                    .set_condition_expression(condition.map(|c| c.text.to_owned()))
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old);
                action.put(put.build().map_err(|_| incomplete())?)
            }
            Write::Update { key, update, condition } => {
                let (names, values) = maps(&condition);
                let update = Update::builder()
                    .table_name(&self.names.ops)
                    .set_key(Some(key_attributes(key)))
                    .update_expression(update)
                    .condition_expression(condition.text)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old);
                action.update(update.build().map_err(|_| incomplete())?)
            }
            Write::Delete { key } => {
                let delete = Delete::builder().table_name(&self.names.ops).set_key(Some(key_attributes(key)));
                action.delete(delete.build().map_err(|_| incomplete())?)
            }
            Write::Check { key, condition } => {
                let (names, values) = maps(&condition);
                let check = ConditionCheck::builder()
                    .table_name(&self.names.ops)
                    .set_key(Some(key_attributes(key)))
                    .condition_expression(condition.text)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values);
                action.condition_check(check.build().map_err(|_| incomplete())?)
            }
        };
        Ok(action.build())
    }
}

fn incomplete() -> Failure {
    Failure::Permanent("the request could not be built".to_owned())
}

fn units<'a>(consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) -> f64 {
    consumed.into_iter().filter_map(|c| c.capacity_units).sum()
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
#[expect(clippy::wildcard_enum_match_arm, reason = "the value type of the SDK is non-exhaustive")]
fn neutral(item: Attributes) -> Item {
    let value = |value| match value {
        AttributeValue::S(text) => Some(Value::S(text)),
        AttributeValue::N(number) => Some(Value::N(number)),
        _ => None,
    };
    item.into_iter().filter_map(|(name, v)| Some((name, value(v)?))).collect()
}

fn found(item: Option<&Attributes>) -> Option<Box<Item>> {
    item.filter(|item| !item.is_empty()).map(|item| Box::new(neutral(item.clone())))
}

fn cancelled(reasons: &[aws_sdk_dynamodb::types::CancellationReason]) -> Failure {
    let codes = || reasons.iter().filter_map(|r| r.code());
    if let Some(other) = codes().find(|code| !matches!(*code, "None" | "ConditionalCheckFailed")) {
        return refused(other, true);
    }
    let one = |r: &aws_sdk_dynamodb::types::CancellationReason| Cancelled {
        condition: r.code() == Some("ConditionalCheckFailed"),
        found: found(r.item()).map(|item| *item),
    };
    Failure::Transaction(reasons.iter().map(one).collect())
}

/// What an error code of the service means.
fn refused(code: &str, writes: bool) -> Failure {
    match code {
        "ProvisionedThroughputExceededException"
        | "ProvisionedThroughputExceeded"
        | "RequestLimitExceeded"
        | "ThrottlingException"
        | "ThrottlingError"
        | "TransactionConflict"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "LimitExceededException" => Failure::Retryable(code.to_owned()),
        "InternalServerError" | "ServiceUnavailable" | "InternalFailure" => lost(code, writes),
        _ => Failure::Permanent(code.to_owned()),
    }
}

/// A request whose answer was lost.
fn lost(how: &str, writes: bool) -> Failure {
    if writes { Failure::Unknown(how.to_owned()) } else { Failure::Retryable(how.to_owned()) }
}

fn failure<E: ProvideErrorMetadata>(error: &SdkError<E>, writes: bool) -> Failure {
    match error {
        // A message of the service may quote a value, so only its code goes further.
        SdkError::ServiceError(service) => match service.err().code() {
            Some(code) => refused(code, writes),
            None => lost("no error code", writes),
        },
        SdkError::ConstructionFailure(_) => incomplete(),
        SdkError::TimeoutError(_) => lost("timeout", writes),
        SdkError::ResponseError(_) => lost("unreadable answer", writes),
        SdkError::DispatchFailure(dispatch) if dispatch.is_user() => {
            Failure::Permanent("bad request".to_owned())
        }
        SdkError::DispatchFailure(_) => lost("connection", writes),
        _ => lost("no answer", writes),
    }
}
