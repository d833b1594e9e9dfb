//! The Lambda function `plan-shard`.

// The future of an SDK call is deep, and its layout is computed for the whole of main.
#![recursion_limit = "256"]

use plan_shard::{Deps, handle};
use runtime::decision_log::DecisionLog;
use runtime::lambda::{aws_config, queue, schedules, serve, start_log, store, suppression_key};
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
        decisions: DecisionLog::Off,
        schedules: schedules(&config)?,
    };
    let deps = &deps;
    serve(async move |event, now| Ok(handle(deps, event, now).await)).await
}
