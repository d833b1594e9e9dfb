//! SMS through Amazon SNS.
//!
//! Invariant: one `Publish` a call, never repeated. SNS has no tags for SMS, so the provider's id is the only way back
//! from a delivery report to the touch.

use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Builder;
use aws_sdk_sns::error::BuildError;
use aws_sdk_sns::operation::publish::builders::PublishFluentBuilder;
use aws_sdk_sns::types::MessageAttributeValue;
use domain::channel::Channel;

use crate::provider::{self, CallTimeouts, TransmitMark};
use crate::{Outcome, Outgoing};

const PROVIDER: &str = crate::SNS;

/// Reminders are not promotional: SNS then prefers reliability over cost.
const SMS_TYPE: (&str, &str) = ("AWS.SNS.SMS.SMSType", "Transactional");

const SENDER_ID: &str = "AWS.SNS.SMS.SenderID";

/// Sends SMS from one AWS account.
pub struct SnsSender {
    client: Client,
    sender_id: Option<String>,
}

impl SnsSender {
    /// A sender with the usual timeouts. `sender_id` is shown instead of a number in the countries that allow it.
    #[must_use]
    pub fn new(config: &SdkConfig, sender_id: Option<String>) -> Self {
        Self::with_timeouts(config, CallTimeouts::default(), sender_id)
    }

    /// A sender with other timeouts. Retries and timeouts of `config` are not used: they are set here.
    #[must_use]
    pub fn with_timeouts(config: &SdkConfig, timeouts: CallTimeouts, sender_id: Option<String>) -> Self {
        let config = Builder::from(config)
            .retry_config(provider::one_attempt())
            .timeout_config(timeouts.config())
            .build();
        Self { client: Client::from_conf(config), sender_id }
    }

    pub(crate) async fn send(&self, outgoing: &Outgoing<'_>) -> Outcome {
        if let Some(refusal) = provider::refusal(PROVIDER, Channel::Sms, outgoing) {
            return refusal;
        }
        let Ok(request) = self.request(outgoing) else {
            // Every required field is set in `request`, so this says that the SDK has a new one.
            return provider::refused("sns not called: the request lacks a field".into());
        };
        let mark = TransmitMark::default();
        match request.customize().interceptor(mark.clone()).send().await {
            Ok(answer) => provider::accepted(PROVIDER, answer.message_id()),
            Err(error) => provider::failed(PROVIDER, &error, &mark),
        }
    }

    fn request(&self, outgoing: &Outgoing<'_>) -> Result<PublishFluentBuilder, BuildError> {
        let mut request = self
            .client
            .publish()
            .phone_number(outgoing.to.address.reveal())
            .message(&outgoing.message.text)
            .message_attributes(SMS_TYPE.0, text(SMS_TYPE.1)?);
        if let Some(sender_id) = &self.sender_id {
            request = request.message_attributes(SENDER_ID, text(sender_id)?);
        }
        Ok(request)
    }
}

fn text(value: &str) -> Result<MessageAttributeValue, BuildError> {
    MessageAttributeValue::builder().data_type("String").string_value(value).build()
}

#[cfg(test)]
mod tests;
