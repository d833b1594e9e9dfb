//! The Lambda function `http-api`.

// The future of an SDK call is deep, and its layout is computed for the whole of main.
#![recursion_limit = "256"]

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use http_api::identity::Authentication;
use http_api::uploads::Uploads;
use http_api::{Deps, router};
use runtime::lambda::{aws_config, now, schedules, setting, start_log, store, tell_metrics};

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
    let store = deps.store.clone();
    let told = move |request: Request, next: Next| {
        let store = store.clone();
        async move {
            let answer = next.run(request).await;
            tell_metrics(&store);
            answer
        }
    };
    lambda_http::run(router(deps).layer(from_fn(told)))
        .await
        .map_err(|error| anyhow::anyhow!("the Lambda runtime stopped: {error}"))
}
