//! The Lambda function `scan-due`.

// The future of an SDK call is deep, and its layout is computed for the whole of main.
#![recursion_limit = "256"]

use runtime::lambda::{aws_config, lambda_error, queue, schedules, serve, start_log, store};
use runtime::rules::RulesCache;
use scan_due::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    start_log();
    let config = aws_config().await;
    let deps = Deps {
        store: store(&config)?,
        rules: RulesCache::default(),
        plan: queue(&config, "PLAN_QUEUE_URL")?,
        email: queue(&config, "EMAIL_QUEUE_URL")?,
        sms: queue(&config, "SMS_QUEUE_URL")?,
        schedules: schedules(&config)?,
    };
    let deps = &deps;
    serve(async move |event, now| handle(deps, event, now).await.map_err(lambda_error)).await
}
