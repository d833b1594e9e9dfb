//! The Lambda function `http-api`.

// The future of an SDK call is deep, and its layout is computed for the whole of main.
#![recursion_limit = "256"]

use std::sync::Arc;

use http_api::identity::Authentication;
use http_api::uploads::Uploads;
use http_api::{Deps, router};
use runtime::lambda::{aws_config, now, schedules, setting, start_log, store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    start_log();
    let config = aws_config().await;
    let deps = Deps {
        store: store(&config)?,
        schedules: schedules(&config)?,
        uploads: Uploads::S3 { client: aws_sdk_s3::Client::new(&config), bucket: setting("UPLOAD_BUCKET")? },
        authentication: Authentication::Gateway,
        clock: Arc::new(now),
    };
    lambda_http::run(router(deps))
        .await
        .map_err(|error| anyhow::anyhow!("the Lambda runtime stopped: {error}"))
}
