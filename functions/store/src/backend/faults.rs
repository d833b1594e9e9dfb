//! Faults at the boundary of the embedded database: before and after every request a simulation is asked what becomes
//! of it, and may let others run in between.
//!
//! Invariant: what is reported keeps its promise. A throttled request and one with a lost way there had no effect; one
//! whose answer is lost had its effect, and the caller learns neither.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::mirror::Mirrored;
use super::{BatchPage, Failure, Item, Metered, Query, QueryPage, Scan, Value, Write};
use crate::key::Key;

/// The kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// One item is read.
    Get,
    /// Some items are read.
    BatchGet,
    /// A range is read.
    Query,
    /// One item is written.
    Write,
    /// Several items are written, or none.
    Transact,
}

/// An item that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedItem {
    /// Its partition.
    pub pk: String,
    /// Its place there.
    pub sk: String,
    /// The state of a touch that is written; `None` for everything else.
    pub state: Option<String>,
    /// Whether a claim gets the mark of its call.
    pub is_mark: bool,
}

/// A request, as far as a simulation looks at it. Ranges name no items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCall {
    /// What is asked for.
    pub request: Request,
    /// Of which items.
    pub items: Vec<NamedItem>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// It is carried out and answered.
    Spare,
    /// It is refused for now, without an effect.
    Throttle,
    /// A transaction is refused because another one holds an item; without an effect.
    Contend,
    /// It never arrives, and the caller cannot know.
    LoseRequest,
    /// It is carried out, and the caller cannot know.
    LoseAnswer,
    /// A batch read leaves its last key out, to be asked for again.
    LeaveKey,
}

/// Waiting until the simulation goes on.
pub type Pause<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What decides about requests. Both pauses are where other work may come in between, and where the caller may die.
pub trait Weather: std::fmt::Debug + Send + Sync {
    /// Waits before a request is carried out.
    fn before<'a>(&'a self, call: &'a StoreCall) -> Pause<'a>;

    /// Decides what becomes of it, at the moment it would be carried out.
    fn strike(&self, call: &StoreCall) -> Strike;

    /// Takes notice of what was done, then waits before the caller sees the answer.
    fn after<'a>(&'a self, call: &'a StoreCall, done: bool) -> Pause<'a>;
}

/// Weather in which nothing fails and nobody waits.
#[derive(Debug)]
pub(crate) struct Calm;

impl Weather for Calm {
    fn before<'a>(&'a self, _: &'a StoreCall) -> Pause<'a> {
        Box::pin(std::future::ready(()))
    }

    fn strike(&self, _: &StoreCall) -> Strike {
        Strike::Spare
    }

    fn after<'a>(&'a self, _: &'a StoreCall, _: bool) -> Pause<'a> {
        Box::pin(std::future::ready(()))
    }
}

/// The embedded database under some weather.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) inner: Mirrored,
    pub(crate) weather: Arc<dyn Weather>,
}

impl Faulty {
    pub(crate) async fn get(&self, key: Key) -> Metered<Option<Item>> {
        let call = StoreCall { request: Request::Get, items: vec![named(&key)] };
        self.carry_out(&call, |inner| inner.get(key)).await
    }

    pub(crate) async fn batch_get(&self, mut keys: Vec<Key>) -> Metered<BatchPage> {
        let call = StoreCall { request: Request::BatchGet, items: keys.iter().map(named).collect() };
        self.weather.before(&call).await;
        let strike = self.weather.strike(&call);
        let is_left = strike == Strike::LeaveKey && !keys.is_empty();
        // One in the middle: whoever reads it again reads it later than those after it, and than those before it.
        let left = is_left.then(|| keys.remove(keys.len() / 2));
        let answer = if keys.is_empty() {
            Ok((BatchPage::default(), 0.0))
        } else {
            self.struck(strike, &call, |inner| inner.batch_get(keys)).await
        };
        answer.map(|(mut page, units)| {
            page.unprocessed.extend(left);
            (page, units)
        })
    }

    pub(crate) async fn query(&self, query: Query) -> Metered<QueryPage> {
        let call = StoreCall { request: Request::Query, items: Vec::new() };
        self.carry_out(&call, |inner| inner.query(query)).await
    }

    pub(crate) async fn scan(&self, scan: Scan) -> Metered<QueryPage> {
        let call = StoreCall { request: Request::Query, items: Vec::new() };
        self.carry_out(&call, |inner| inner.scan(scan)).await
    }

    pub(crate) async fn write(&self, write: Write) -> Metered<()> {
        let call = StoreCall { request: Request::Write, items: vec![written(&write)] };
        self.carry_out(&call, |inner| inner.write(write)).await
    }

    pub(crate) async fn transact(&self, writes: Vec<Write>) -> Metered<()> {
        let call = StoreCall { request: Request::Transact, items: writes.iter().map(written).collect() };
        self.carry_out(&call, |inner| inner.transact(writes)).await
    }

    async fn carry_out<T>(
        &self,
        call: &StoreCall,
        effect: impl FnOnce(&Mirrored) -> Metered<T>,
    ) -> Metered<T> {
        self.weather.before(call).await;
        let strike = self.weather.strike(call);
        self.struck(strike, call, effect).await
    }

    async fn struck<T>(
        &self,
        strike: Strike,
        call: &StoreCall,
        effect: impl FnOnce(&Mirrored) -> Metered<T>,
    ) -> Metered<T> {
        match strike {
            Strike::Throttle => return Err(Failure::Retryable("ThrottlingException".to_owned())),
            Strike::Contend => return Err(Failure::Retryable("TransactionConflict".to_owned())),
            Strike::LoseRequest => return Err(Failure::Unknown("the connection was lost".to_owned())),
            Strike::Spare | Strike::LoseAnswer | Strike::LeaveKey => {}
        }
        let answer = effect(&self.inner);
        self.weather.after(call, answer.is_ok()).await;
        match strike {
            Strike::LoseAnswer => Err(Failure::Unknown("no answer in time".to_owned())),
            Strike::Spare | Strike::Throttle | Strike::Contend | Strike::LoseRequest | Strike::LeaveKey => {
                answer
            }
        }
    }
}

fn named(key: &Key) -> NamedItem {
    NamedItem { pk: key.pk.clone(), sk: key.sk.clone(), state: None, is_mark: false }
}

fn written(write: &Write) -> NamedItem {
    let text = |value: Option<&Value>| match value {
        Some(Value::S(text)) => Some(text.clone()),
        Some(Value::N(_)) | None => None,
    };
    match write {
        Write::Put { item, .. } => NamedItem {
            pk: text(item.get("pk")).unwrap_or_default(),
            sk: text(item.get("sk")).unwrap_or_default(),
            state: text(item.get("st")),
            is_mark: false,
        },
        Write::Update { key, condition, .. } => {
            let value = |of| condition.values.iter().find(|(name, _)| *name == of).map(|(_, value)| value);
            NamedItem { state: text(value(":to")), is_mark: value(":pa").is_some(), ..named(key) }
        }
        Write::Delete { key } | Write::Check { key, .. } => named(key),
    }
}
