//! What every call to a provider shares: one attempt, explicit timeouts, and the class of its failure.
//!
//! Invariant: a failure is `NotSent` only on proof: the call ended before the request was handed to the connection,
//! no connection came about, or the provider itself refused with an error code. All else is `Unknown`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use domain::channel::Channel;
use hyper_util::client::legacy::Error as HttpClientError;

use crate::{Outcome, Outgoing};

/// How long name, connection and TLS may take together. Giving up here is known not to have sent anything.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the answer may take to begin, from the start of the request. Giving up here leaves an unknown outcome,
/// which a person has to settle, so it is generous: providers answer in well under a second.
pub const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the whole call may take. Longer than [`READ_TIMEOUT`], so that it only ends a stalled answer.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(25);

/// The longest code or id of a provider that is put in a reason, in characters.
const WORD_CHARS_MAX: usize = 80;

/// The answer to more requests than a provider takes (RFC 6585 §4).
const HTTP_TOO_MANY_REQUESTS: u16 = 429;

/// Somebody on the way gave up waiting for the request (RFC 9110 §15.5.9), and cannot say what came of it.
const HTTP_REQUEST_TIMEOUT: u16 = 408;

/// The codes by which AWS says "later": the request was refused for its rate or a quota, not for what it says.
const THROTTLE_CODES: &[&str] = &[
    "BandwidthLimitExceeded",
    "KMSThrottling",
    "LimitExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttled",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// The codes, without the word `Exception` at their end, by which a provider refuses whoever calls and not what it is
/// asked to send: credentials, permissions, a suspended or paused account, a sender that is not verified, a
/// configuration set or key that is not there. Another address or another channel is no answer to any of them.
const ACCOUNT_CODES: &[&str] = &[
    "AccessDenied",
    "AccountSuspended",
    "AuthFailure",
    "AuthorizationError",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignature",
    "KMSAccessDenied",
    "KMSDisabled",
    "KMSInvalidState",
    "KMSNotFound",
    "KMSOptInRequired",
    "MailFromDomainNotVerified",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "NotFound",
    "OptInRequired",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SendingPaused",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
];

/// What SES calls a message whose sender is not verified, and a message whose content it refuses.
const REJECTED_CODE: &str = "MessageRejected";
/// How it says that it is the sender.
const NOT_VERIFIED: &str = "not verified";

/// The timeouts of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTimeouts {
    /// See [`CONNECT_TIMEOUT`].
    pub connect: Duration,
    /// See [`READ_TIMEOUT`].
    pub read: Duration,
    /// See [`ATTEMPT_TIMEOUT`].
    pub attempt: Duration,
}

impl Default for CallTimeouts {
    fn default() -> Self {
        Self { connect: CONNECT_TIMEOUT, read: READ_TIMEOUT, attempt: ATTEMPT_TIMEOUT }
    }
}

impl CallTimeouts {
    /// The timeouts for a client. The operation is its one attempt, so both have the same limit.
    pub(crate) fn config(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .read_timeout(self.read)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.attempt)
            .build()
    }
}

/// One attempt: neither SES nor SNS has an idempotency token, so a retry could send twice.
pub(crate) fn one_attempt() -> RetryConfig {
    RetryConfig::disabled()
}

/// Refuses, before any call, what must never reach a provider.
pub(crate) fn refusal(provider: &str, channel: Channel, outgoing: &Outgoing<'_>) -> Option<Outcome> {
    let to = outgoing.to;
    if to.test {
        return Some(refused(format!("{provider} not called: the contact point is marked as test")));
    }
    (to.channel != channel).then(|| {
        refused(format!("{provider} not called: the contact point is for {}; expected {channel}", to.channel))
    })
}

/// A refusal that no repetition changes.
pub(crate) fn refused(reason: String) -> Outcome {
    Outcome::NotSent { reason, retry: false }
}

/// The outcome of a call that the provider answered with success.
pub(crate) fn accepted(provider: &str, provider_id: Option<&str>) -> Outcome {
    match provider_id {
        Some(id) if !id.is_empty() => Outcome::Accepted { provider_id: id.to_owned() },
        // Without an id no event can be matched to the touch, so it cannot count as settled.
        _ => Outcome::Unknown { reason: format!("{provider} accepted without an id") },
    }
}

/// Remembers whether a call came as far as handing its request to the connection. Whatever fails before that, such as
/// credentials that cannot be had, is known not to be sent, also when the SDK calls it a dispatch failure or a
/// timeout.
#[derive(Debug, Clone, Default)]
pub(crate) struct TransmitMark(Arc<AtomicBool>);

impl TransmitMark {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[dyn_dispatch_hint]
impl Intercept for TransmitMark {
    fn name(&self) -> &'static str {
        "TransmitMark"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.store(true, Ordering::Release);
        Ok(())
    }
}

/// The class of a failed call.
pub(crate) fn failed<E>(provider: &str, error: &SdkError<E, HttpResponse>, mark: &TransmitMark) -> Outcome
where
    E: ProvideErrorMetadata,
{
    if !mark.is_set() {
        return Outcome::NotSent { reason: format!("{provider} request not begun"), retry: true };
    }
    match error {
        SdkError::ConstructionFailure(_) => {
            Outcome::NotSent { reason: format!("{provider} request not built"), retry: true }
        }
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) if never_connected(error) => {
                Outcome::NotSent { reason: format!("{provider} not connected"), retry: true }
            }
            Some(error) if error.is_timeout() => {
                Outcome::Unknown { reason: format!("{provider} did not answer in time") }
            }
            Some(_) | None => Outcome::Unknown { reason: format!("{provider} connection lost") },
        },
        SdkError::ServiceError(refusal) => {
            let said = refusal.err().meta();
            answered(provider, (said.code(), said.message()), refusal.raw())
        }
        SdkError::ResponseError(unreadable) => Outcome::Unknown {
            reason: format!("{provider} answer unreadable ({})", trace_of(unreadable.raw())),
        },
        SdkError::TimeoutError(_) | _ => {
            Outcome::Unknown { reason: format!("{provider} did not finish in time") }
        }
    }
}

/// The class of an error that was answered. Only a status of 4xx with an error code is the provider's own word that
/// the message was not taken; a server error may come after it was.
fn answered(
    provider: &str,
    (code, message): (Option<&str>, Option<&str>),
    response: &HttpResponse,
) -> Outcome {
    let status = response.status().as_u16();
    let reason = format!("{provider} {} ({})", word(code.unwrap_or("no-code")), trace_of(response));
    match code {
        Some(code) if THROTTLE_CODES.contains(&code) => Outcome::Throttled { reason },
        _ if status == HTTP_TOO_MANY_REQUESTS => Outcome::Throttled { reason },
        Some(code) if response.status().is_client_error() && status != HTTP_REQUEST_TIMEOUT => {
            if is_about_the_account(code, message) {
                Outcome::Blocked { reason }
            } else {
                refused(reason)
            }
        }
        Some(_) | None => Outcome::Unknown { reason },
    }
}

/// Whether a refusal is about whoever calls. The text of the message is looked at, and never kept: it names addresses.
fn is_about_the_account(code: &str, message: Option<&str>) -> bool {
    ACCOUNT_CODES.contains(&code.trim_end_matches("Exception"))
        || code == REJECTED_CODE && message.is_some_and(|text| text.contains(NOT_VERIFIED))
}

/// Whether no connection came about: the name, the connection or its TLS failed, so no byte of the request left.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source())
        .filter_map(|error| error.downcast_ref::<HttpClientError>())
        .any(HttpClientError::is_connect)
}

/// Status and request id of an answer: what the provider's support asks for.
fn trace_of(response: &HttpResponse) -> String {
    let status = response.status().as_u16();
    match response.headers().get("x-amzn-requestid") {
        Some(id) => format!("HTTP {status}, request {}", word(id)),
        None => format!("HTTP {status}"),
    }
}

/// A code or an id, with nothing in it that could be an address: what a provider sends is not trusted.
fn word(text: &str) -> String {
    text.chars()
        .take(WORD_CHARS_MAX)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '?' })
        .collect()
}
