//! The Lambda function `record-delivery`: from the queue of SES events, and from the log group of SNS by a
//! subscription filter, which can start a function and cannot fill a queue.

// The future of an SDK call is deep, and its layout is computed for the whole of main.
#![recursion_limit = "256"]

use channels::tag::TagKey;
use record_delivery::{Deps, handle, handle_logs};
use runtime::lambda::{aws_config, lambda_error, queue, serve, setting, start_log, store, suppression_key};
use runtime::rules::RulesCache;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    start_log();
    let config = aws_config().await;
    let deps = Deps {
        store: store(&config)?,
        rules: RulesCache::default(),
        email: queue(&config, "EMAIL_QUEUE_URL")?,
        sms: queue(&config, "SMS_QUEUE_URL")?,
        suppression: suppression_key()?,
        tags: TagKey::new(setting("EVENT_TAG_KEY")?),
    };
    let deps = &deps;
    serve(&deps.store, async move |event: serde_json::Value, now| {
        if event.get("awslogs").is_some() {
            // Nothing stands between the log group and this call: an error makes Lambda try again, and then hands the
            // event to the function's dead-letter queue.
            handle_logs(deps, &event.to_string(), now).await.map_err(lambda_error)?;
            return Ok(serde_json::Value::Null);
        }
        let event = serde_json::from_value(event).map_err(lambda_error)?;
        serde_json::to_value(handle(deps, event, now).await).map_err(lambda_error)
    })
    .await
}
