//! The Lambda function `send-email`.

// The future of an SDK call is deep, and its layout is computed for the whole of main.
#![recursion_limit = "256"]

use channels::tag::TagKey;
use channels::{Sender, SesSender};
use domain::channel::Channel;
use domain::choice::OptOutKey;
use runtime::decision_log::DecisionLog;
use runtime::lambda::{aws_config, queue, serve, setting, start_log, store, suppression_key};
use runtime::rules::RulesCache;
use send_email::{Deps, Pace, Turns, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    start_log();
    let config = aws_config().await;
    let deps = Deps {
        store: store(&config)?,
        rules: RulesCache::default(),
        sender: Sender::Ses(SesSender::new(
            &config,
            setting("SES_FROM")?,
            setting("SES_CONFIGURATION_SET").ok(),
            TagKey::new(setting("EVENT_TAG_KEY")?),
        )),
        channel: Channel::Email,
        email: queue(&config, "EMAIL_QUEUE_URL")?,
        sms: queue(&config, "SMS_QUEUE_URL")?,
        suppression: suppression_key()?,
        links: OptOutKey::new(setting("OPT_OUT_KEY")?),
        decisions: DecisionLog::Off,
        pace: Pace::Running(Turns::default()),
    };
    let deps = &deps;
    serve(async move |event, now| Ok(handle(deps, event, now).await)).await
}
