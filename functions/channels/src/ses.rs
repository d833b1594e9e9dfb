//! Email through Amazon SES v2.
//!
//! Invariant: one `SendEmail` a call, never repeated; the signed tags say which touch it is, and the events of SES echo
//! them, so that an answer that was lost is settled by its event.

use aws_config::SdkConfig;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::Builder;
use aws_sdk_sesv2::error::BuildError;
use aws_sdk_sesv2::operation::send_email::builders::SendEmailFluentBuilder;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, MessageHeader, MessageTag};
use domain::channel::Channel;

use crate::provider::{self, CallTimeouts, TransmitMark};
use crate::tag::{TagKey, TouchTags};
use crate::{Outcome, Outgoing, mailbox};

const PROVIDER: &str = "ses";

const UTF_8: &str = "UTF-8";

/// Sends email through one SES identity.
pub struct SesSender {
    client: Client,
    from: String,
    configuration_set: Option<String>,
    tag_key: TagKey,
}

impl SesSender {
    /// A sender with the usual timeouts.
    ///
    /// `from` is an address of a verified identity, to which the lender's name is added unless it has one
    /// (`Name <address>`); `configuration_set` is the one whose events settle the touches; `tag_key` signs the tags
    /// that those events echo.
    #[must_use]
    pub fn new(
        config: &SdkConfig,
        from: impl Into<String>,
        configuration_set: Option<String>,
        tag_key: TagKey,
    ) -> Self {
        Self::with_timeouts(config, CallTimeouts::default(), from, configuration_set, tag_key)
    }

    /// A sender with other timeouts. Retries and timeouts of `config` are not used: they are set here.
    #[must_use]
    pub fn with_timeouts(
        config: &SdkConfig,
        timeouts: CallTimeouts,
        from: impl Into<String>,
        configuration_set: Option<String>,
        tag_key: TagKey,
    ) -> Self {
        let config = Builder::from(config)
            .retry_config(provider::one_attempt())
            .timeout_config(timeouts.config())
            .build();
        Self { client: Client::from_conf(config), from: from.into(), configuration_set, tag_key }
    }

    pub(crate) async fn send(&self, outgoing: &Outgoing<'_>) -> Outcome {
        if let Some(refusal) = provider::refusal(PROVIDER, Channel::Email, outgoing) {
            return refusal;
        }
        let Some(subject) = outgoing.message.subject.as_deref() else {
            return provider::refused("ses not called: the message has no subject".into());
        };
        let Ok(request) = self.request(outgoing, subject) else {
            // Every required field is set in `request`, so this says that the SDK has a new one.
            return provider::refused("ses not called: the request lacks a field".into());
        };
        let mark = TransmitMark::default();
        match request.customize().interceptor(mark.clone()).send().await {
            Ok(answer) => provider::accepted(PROVIDER, answer.message_id()),
            Err(error) => provider::failed(PROVIDER, &error, &mark),
        }
    }

    fn request(&self, outgoing: &Outgoing<'_>, subject: &str) -> Result<SendEmailFluentBuilder, BuildError> {
        let Outgoing { touch, to, lender, message, opt_out_link, .. } = *outgoing;
        let content = |text: &str| Content::builder().data(text).charset(UTF_8).build();
        let mut body = Body::builder().text(content(&message.text)?);
        if let Some(html) = &message.html {
            body = body.html(content(html)?);
        }
        let headers = mailbox::unsubscribe(opt_out_link, &lender.email, touch.id.as_str());
        let headers =
            headers.into_iter().map(|(name, value)| MessageHeader::builder().name(name).value(value).build());
        let simple = Message::builder()
            .subject(content(subject)?)
            .body(body.build())
            .set_headers(Some(headers.collect::<Result<_, _>>()?))
            .build();
        Ok(self
            .client
            .send_email()
            .from_email_address(mailbox::from(&lender.name, &self.from))
            .destination(Destination::builder().to_addresses(to.address.reveal()).build())
            .reply_to_addresses(&lender.email)
            .content(EmailContent::builder().simple(simple).build())
            .set_email_tags(Some(self.tags(outgoing)?))
            .set_configuration_set_name(self.configuration_set.clone()))
    }

    fn tags(&self, outgoing: &Outgoing<'_>) -> Result<Vec<MessageTag>, BuildError> {
        let touch = outgoing.touch;
        let tags = TouchTags {
            tenant: outgoing.tenant.clone(),
            customer: touch.customer.clone(),
            on: touch.on,
            touch: touch.id.clone(),
        };
        let tags = tags.write(&self.tag_key);
        tags.into_iter().map(|(name, value)| MessageTag::builder().name(name).value(value).build()).collect()
    }
}

#[cfg(test)]
mod tests;
