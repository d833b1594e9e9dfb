//! What only Lambda needs: the environment, the clients, JSON logs, and the moment.
//!
//! Invariant: the environment is read once, at the start; a setting that is missing stops the function there, by name.

use std::fmt::Display;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use chrono::{DateTime, Utc};
use lambda_runtime::{LambdaEvent, service_fn};
use store::{Store, SuppressionKey, TableNames};

use crate::queue::Queue;

/// How long a connection to an AWS service may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one attempt of a call may take.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// A setting that is not in the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set; the template sets it")]
pub struct MissingSetting(&'static str);

/// A setting from the environment.
///
/// # Errors
/// [`MissingSetting`] names the variable.
#[expect(clippy::disallowed_methods, reason = "configuration is read here, once, by main")]
pub fn setting(name: &'static str) -> Result<String, MissingSetting> {
    std::env::var(name).map_err(|_| MissingSetting(name))
}

/// The configuration that every client is built from: pinned behaviour, explicit timeouts.
pub async fn aws_config() -> aws_config::SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::v2026_01_12()).timeout_config(timeouts).load().await
}

/// This moment: the one place where a function reads the clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "`now` comes in here, once a call, and is passed on as a value"
)]
pub fn now() -> DateTime<Utc> {
    DateTime::<Utc>::from(std::time::SystemTime::now())
}

/// JSON logs on standard output, with ids only; `PUNTUAL_LOG` sets the level.
pub fn start_log() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::INFO.into())
        .with_env_var("PUNTUAL_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt().json().with_env_filter(filter).without_time().with_target(false).init();
}

/// An error as Lambda takes it.
pub fn lambda_error(error: impl Display) -> lambda_runtime::Error {
    error.to_string().into()
}

/// The queue whose address is in an environment variable.
///
/// # Errors
/// [`MissingSetting`] names the variable.
pub fn queue(config: &aws_config::SdkConfig, variable: &'static str) -> Result<Queue, MissingSetting> {
    Ok(Queue::Sqs { client: aws_sdk_sqs::Client::new(config), url: setting(variable)? })
}

/// The schedules of this stage: the group, and what its schedules call, as the environment names them.
///
/// # Errors
/// [`MissingSetting`] names the variable.
#[cfg(feature = "scheduler")]
pub fn schedules(config: &aws_config::SdkConfig) -> Result<crate::schedule::Schedules, MissingSetting> {
    use crate::schedule::{EventBridge, ScheduleTarget, Schedules};
    let target = ScheduleTarget {
        group: setting("SCHEDULE_GROUP")?,
        function_arn: setting("SCAN_FUNCTION_ARN")?,
        role_arn: setting("SCHEDULE_ROLE_ARN")?,
        dead_letter_arn: setting("SCHEDULE_DEAD_LETTER_ARN")?,
    };
    Ok(Schedules::EventBridge(EventBridge::new(config, target)))
}

/// The store over the tables that the environment names.
///
/// # Errors
/// [`MissingSetting`] names the variable.
pub fn store(config: &aws_config::SdkConfig) -> Result<Store, MissingSetting> {
    let names = TableNames { ops: setting("OPS_TABLE")?, audit: setting("AUDIT_TABLE")? };
    Ok(Store::from_config(config, names))
}

/// Serves a handler until the Lambda runtime stops it.
///
/// # Errors
/// What the Lambda runtime could not go on from.
pub async fn serve<E, R, H, F>(handle: H) -> anyhow::Result<()>
where
    E: for<'de> serde::Deserialize<'de>,
    R: serde::Serialize,
    H: Fn(E, DateTime<Utc>) -> F,
    F: Future<Output = Result<R, lambda_runtime::Error>>,
{
    let handle = &handle;
    let service = service_fn(move |event: LambdaEvent<E>| handle(event.payload, now()));
    lambda_runtime::run(service).await.map_err(|e| anyhow::anyhow!("the Lambda runtime stopped: {e}"))
}

/// The key that hides suppressed addresses.
///
/// # Errors
/// [`MissingSetting`] names the variable.
pub fn suppression_key() -> Result<SuppressionKey, MissingSetting> {
    setting("SUPPRESSION_KEY").map(SuppressionKey::new)
}
