//! The Lambda function `record-choice`: called with an event, or by the SNS topic of the lender's number.

// The future of an SDK call is deep, and its layout is computed for the whole of main.
#![recursion_limit = "256"]

use anyhow::Context;
use domain::choice::OptOutKey;
use domain::ids::TenantId;
use record_choice::{Deps, events_of, handle};
use runtime::lambda::{aws_config, lambda_error, serve, setting, start_log, store, suppression_key};
use runtime::rules::RulesCache;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    start_log();
    let config = aws_config().await;
    let deps = &Deps {
        store: store(&config)?,
        rules: RulesCache::default(),
        suppression: suppression_key()?,
        links: OptOutKey::new(setting("OPT_OUT_KEY")?),
    };
    let replies_to = &TenantId::new(setting("REPLY_TENANT")?).context("REPLY_TENANT")?;
    serve(&deps.store, async move |event: serde_json::Value, now| {
        let mut outcomes = Vec::new();
        for event in events_of(event, replies_to).map_err(lambda_error)? {
            outcomes.push(handle(deps, event, now).await.map_err(lambda_error)?);
        }
        Ok(outcomes)
    })
    .await
}
