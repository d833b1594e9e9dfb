//! The real SNS client against a provider on this machine: what it sends, and how every answer is classed.

use super::*;
use crate::loopback::{self, PATIENT, Play, SHORT};
use crate::sample::Sample;
use crate::{Outcome, Sender};

fn sender(config: &SdkConfig, timeouts: CallTimeouts) -> Sender {
    Sender::Sns(SnsSender::with_timeouts(config, timeouts, Some("CAJASUR".to_owned())))
}

async fn call(play: Play) -> (Outcome, Vec<String>) {
    loopback::call(sender, &Sample::sms(), PATIENT, play).await
}

fn success() -> Play {
    let body = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
                <MessageId>sns-id</MessageId></PublishResult><ResponseMetadata><RequestId>req-1</RequestId>\
                </ResponseMetadata></PublishResponse>";
    Play::Answer(200, "content-type: text/xml\r\n", body.into())
}

fn error(status: u16, code: &str) -> Play {
    let body = format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>Invalid: +573000000000</Message></Error><RequestId>req-1</RequestId>\
         </ErrorResponse>"
    );
    Play::Answer(status, "x-amzn-requestid: req-1\r\n", body)
}

#[tokio::test]
async fn an_accepted_message_gives_the_providers_id_and_was_published_as_transactional() {
    let (outcome, requests) = call(success()).await;
    assert_eq!(outcome, Outcome::Accepted { provider_id: "sns-id".into() });
    assert_eq!(requests.len(), 1);
    let (_, body) = requests[0].split_once("\r\n\r\n").unwrap();
    for part in [
        "Action=Publish",
        "PhoneNumber=%2B573000000000",
        "Message=Hola%2C%20su%20cuota",
        "AWS.SNS.SMS.SMSType",
        "StringValue=Transactional",
        "AWS.SNS.SMS.SenderID",
        "StringValue=CAJASUR",
    ] {
        assert!(body.contains(part), "{part} is missing in {body}");
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_its_reason_has_the_code_and_no_number() {
    let (outcome, requests) = call(error(400, "InvalidParameter")).await;
    let reason = "sns InvalidParameter (HTTP 400, request req-1)".to_owned();
    assert_eq!(outcome, Outcome::NotSent { reason, retry: false });
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_the_account_is_known_not_sent_and_no_fault_of_the_message() {
    for code in ["AuthorizationError", "InvalidClientTokenId", "ExpiredToken", "KMSDisabled", "OptInRequired"]
    {
        let (outcome, requests) = call(error(403, code)).await;
        assert_eq!(outcome, Outcome::Blocked { reason: format!("sns {code} (HTTP 403, request req-1)") });
        assert_eq!(requests.len(), 1);
    }
}

#[tokio::test]
async fn a_throttle_is_known_not_sent_and_left_to_the_queue_to_repeat() {
    for (status, code) in [(400, "Throttling"), (429, "Throttled"), (503, "Throttling")] {
        let (outcome, requests) = call(error(status, code)).await;
        assert!(matches!(outcome, Outcome::Throttled { .. }), "{outcome:?}");
        assert_eq!(requests.len(), 1, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_server_error_and_every_unreadable_answer_are_unknown_and_not_repeated() {
    let plays = [
        error(500, "InternalError"),
        error(503, "ServiceUnavailable"),
        Play::Answer(403, "", "blocked by a proxy".into()),
        Play::Answer(200, "", "not xml".into()),
        Play::Truncate,
        Play::HangUp,
        Play::Reset,
    ];
    for (i, play) in plays.into_iter().enumerate() {
        let (outcome, requests) = call(play).await;
        let Outcome::Unknown { reason } = &outcome else { panic!("play {i}: {outcome:?}") };
        assert!(!reason.contains("57300"), "play {i}: {reason}");
        assert_eq!(requests.len(), 1, "play {i}: {reason}");
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_is_unknown_after_one_request() {
    let cases = [
        (CallTimeouts { read: SHORT, ..PATIENT }, "sns did not answer in time"),
        (CallTimeouts { attempt: SHORT, ..PATIENT }, "sns did not finish in time"),
    ];
    for (timeouts, reason) in cases {
        let (outcome, requests) = loopback::call(sender, &Sample::sms(), timeouts, Play::Silence).await;
        assert_eq!(outcome, Outcome::Unknown { reason: reason.into() });
        assert_eq!(requests.len(), 1, "{timeouts:?}");
    }
}

#[tokio::test]
async fn no_connection_is_known_not_sent() {
    let sample = Sample::sms();
    let not_connected = Outcome::NotSent { reason: "sns not connected".into(), retry: true };
    assert_eq!(loopback::call_closed_port(sender, &sample).await, not_connected);
    assert_eq!(loopback::call_unknown_name(sender, &sample).await, not_connected);
    assert_eq!(loopback::call_stalled_tls(sender, &sample).await, not_connected);
}

#[tokio::test]
async fn missing_credentials_are_known_not_sent() {
    let (outcome, requests) = loopback::call_without_credentials(sender, &Sample::sms(), success()).await;
    assert_eq!(outcome, Outcome::NotSent { reason: "sns request not begun".into(), retry: true });
    assert_eq!(requests.len(), 0);
}

#[tokio::test]
async fn what_must_not_reach_the_provider_is_refused_before_the_call() {
    let mut test_point = Sample::sms();
    test_point.to.test = true;
    for sample in [test_point, Sample::email()] {
        let (outcome, requests) = loopback::call(sender, &sample, PATIENT, success()).await;
        assert!(matches!(outcome, Outcome::NotSent { retry: false, .. }), "{outcome:?}");
        assert_eq!(requests.len(), 0, "{outcome:?}");
    }
}
