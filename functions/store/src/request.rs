//! Requests that may come twice: what was answered to the first is answered to the second.
//!
//! Invariant: a request with a key is carried out by one caller at a time. Its answer is kept [`ANSWER_HOURS_KEPT`]
//! hours; one that was begun and never answered may be tried again after [`REQUEST_LEASE_SECONDS`].

use chrono::{DateTime, Duration, Utc};

use crate::backend::{Expression, Failure, Item, Table, Write};
use crate::item::{Reader, keyed, set};
use crate::{Store, StoreError, failed, key};

/// For how many hours an answer is kept.
pub const ANSWER_HOURS_KEPT: i64 = 24;
/// How long a request is at work at most, in seconds: longer than any server lets one be.
pub const REQUEST_LEASE_SECONDS: i64 = 60;
/// The longest answer that is kept, in bytes.
pub const ANSWER_BYTES_MAX: usize = 300 * 1024;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, as text.
    pub body: String,
    /// The headers that belong to it, in JSON.
    pub headers: String,
}

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing, or it was left unanswered: carry it out.
    First,
    /// It was answered.
    Answered(Answer),
    /// Another caller is at work on it.
    AtWork,
    /// Another request has the key.
    Other,
}

impl Store {
    /// Begins a request under a key. `digest` tells requests with the same key apart. Counted as `request`.
    ///
    /// # Errors
    /// [`StoreError`] when a request to the database fails.
    pub async fn begin_request(
        &self,
        request_key: &str,
        digest: &str,
        now: DateTime<Utc>,
    ) -> Result<Begun, StoreError> {
        let mut item = keyed(key::request(request_key));
        set(&mut item, "x", digest);
        set(&mut item, "at", now.timestamp_millis());
        set(&mut item, "ex", (now + Duration::hours(ANSWER_HOURS_KEPT)).timestamp());
        // What the table's time to live has not removed yet counts as gone.
        let condition = Expression::of(
            "attribute_not_exists(#pk) OR #ex < :now OR (attribute_not_exists(#st) AND #x = :x AND #at < :stale)",
            &["pk", "ex", "st", "x", "at"],
            vec![
                (":now", now.timestamp().into()),
                (":x", digest.into()),
                (":stale", (now - Duration::seconds(REQUEST_LEASE_SECONDS)).timestamp_millis().into()),
            ],
        );
        let put = Write::Put { table: Table::Ops, item, condition: Some(condition) };
        match self.write("request", put).await {
            Ok(()) => Ok(Begun::First),
            Err(Failure::Condition(Some(found))) => known(&found, digest),
            Err(failure) => Err(failed("request", failure)),
        }
    }

    /// Keeps the answer to a request that was begun. Counted as `request`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails, or another request has the key by now.
    pub async fn answer_request(
        &self,
        request_key: &str,
        digest: &str,
        answer: &Answer,
    ) -> Result<(), StoreError> {
        if answer.body.len() + answer.headers.len() > ANSWER_BYTES_MAX {
            let reason = format!("an answer of more than {ANSWER_BYTES_MAX} bytes");
            return Err(StoreError::Permanent { operation: "request", reason });
        }
        let write = Write::Update {
            key: key::request(request_key),
            update: "SET #st = :st, #j = :j, #h = :h",
            condition: Expression::of(
                "#x = :x",
                &["x", "st", "j", "h"],
                vec![
                    (":x", digest.into()),
                    (":st", u64::from(answer.status).into()),
                    (":j", answer.body.as_str().into()),
                    (":h", answer.headers.as_str().into()),
                ],
            ),
        };
        self.write("request", write).await.map_err(|failure| failed("request", failure))
    }

    /// Forgets a request that failed, so that it can be tried again at once. Counted as `request`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn forget_request(&self, request_key: &str) -> Result<(), StoreError> {
        let delete = Write::Delete { key: key::request(request_key) };
        self.write("request", delete).await.map_err(|failure| failed("request", failure))
    }
}

fn known(item: &Item, digest: &str) -> Result<Begun, StoreError> {
    let r = Reader::new("request", item);
    if r.text("x")? != digest {
        return Ok(Begun::Other);
    }
    let Some(status) = r.number_or::<u16>("st")? else { return Ok(Begun::AtWork) };
    let answer = Answer { status, body: r.text("j")?.to_owned(), headers: r.text("h")?.to_owned() };
    Ok(Begun::Answered(answer))
}
