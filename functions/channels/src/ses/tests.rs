//! The real SES client against a provider on this machine: what it sends, and how every answer is classed.

use domain::choice::OptOutUrl;

use super::*;
use crate::loopback::{self, PATIENT, Play, SHORT};
use crate::sample::Sample;
use crate::{Outcome, Sender};

fn key() -> TagKey {
    TagKey::new(*b"a key of the tests")
}

fn sender(config: &SdkConfig, timeouts: CallTimeouts) -> Sender {
    let set = Some("reminders".to_owned());
    Sender::Ses(SesSender::with_timeouts(config, timeouts, "avisos@example.org", set, key()))
}

async fn call(play: Play) -> (Outcome, Vec<String>) {
    loopback::call(sender, &Sample::email(), PATIENT, play).await
}

fn success() -> Play {
    Play::Answer(200, "", r#"{"MessageId":"0100-ses-id"}"#.into())
}

fn error(status: u16, code: &str) -> Play {
    let headers = match code {
        "MessageRejected" => "x-amzn-errortype: MessageRejected\r\nx-amzn-requestid: req-1\r\n",
        "TooManyRequestsException" => "x-amzn-errortype: TooManyRequestsException\r\n",
        "InternalFailure" => "x-amzn-errortype: InternalFailure\r\n",
        "SendingPausedException" => "x-amzn-errortype: SendingPausedException\r\n",
        "AccountSuspendedException" => "x-amzn-errortype: AccountSuspendedException\r\n",
        "MailFromDomainNotVerifiedException" => "x-amzn-errortype: MailFromDomainNotVerifiedException\r\n",
        "ExpiredTokenException" => "x-amzn-errortype: ExpiredTokenException\r\n",
        "AccessDeniedException" => "x-amzn-errortype: AccessDeniedException\r\n",
        "UnrecognizedClientException" => "x-amzn-errortype: UnrecognizedClientException\r\n",
        "NotFoundException" => "x-amzn-errortype: NotFoundException\r\n",
        _ => "",
    };
    Play::Answer(status, headers, r#"{"message":"Not verified: ana@example.com"}"#.into())
}

#[tokio::test]
async fn an_accepted_message_gives_the_providers_id_and_carries_all_that_its_event_needs() {
    let (outcome, requests) = call(success()).await;
    assert_eq!(outcome, Outcome::Accepted { provider_id: "0100-ses-id".into() });
    assert_eq!(requests.len(), 1);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v2/email/outbound-emails "), "{head}");
    let sent: serde_json::Value = serde_json::from_str(body).unwrap();
    let message = &sent["Content"]["Simple"];
    assert_eq!(sent["FromEmailAddress"], "=?UTF-8?B?Q2FqYSBTdXJlw7Fh?= <avisos@example.org>");
    assert_eq!(sent["Destination"]["ToAddresses"][0], "ana@example.com");
    assert_eq!(sent["ReplyToAddresses"][0], "cobros@example.org");
    assert_eq!(sent["ConfigurationSetName"], "reminders");
    assert_eq!(message["Subject"]["Data"], "Su cuota vence el lunes");
    assert_eq!(message["Body"]["Text"]["Data"], "Hola, su cuota de $ 150.000 vence mañana.");
    assert_eq!(message["Body"]["Html"]["Charset"], "UTF-8");
    assert_eq!(message["Headers"][0]["Name"], "List-Unsubscribe");
    assert_eq!(
        message["Headers"][0]["Value"],
        "<mailto:cobros@example.org?subject=unsubscribe%200f3a9c5e7b1d2f4a>"
    );
    let tags = sent["EmailTags"].as_array().unwrap();
    let tag = |name: &str| tags.iter().find(|t| t["Name"] == name).and_then(|t| t["Value"].as_str());
    assert_eq!((tag("touch"), tag("tenant")), (Some("0f3a9c5e7b1d2f4a"), Some("caja_5Fsur")));
    let read = TouchTags::read(tag, &key()).unwrap();
    assert_eq!((read.customer.as_str(), read.on.to_string().as_str()), ("7590-VHVEG", "2025-02-28"));
}

#[tokio::test]
async fn a_customer_with_a_link_can_unsubscribe_by_one_click() {
    let url = OptOutUrl::try_from("https://example.org/baja".to_owned()).unwrap();
    let mut sample = Sample::email();
    sample.opt_out_link = Some(url.link("WyJhIl0.c2ln"));
    let (_, requests) = loopback::call(sender, &sample, PATIENT, success()).await;
    let (_, body) = requests[0].split_once("\r\n\r\n").unwrap();
    let sent: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = serde_json::json!([
        {
            "Name": "List-Unsubscribe",
            "Value": "<https://example.org/baja/WyJhIl0.c2ln>, \
                      <mailto:cobros@example.org?subject=unsubscribe%200f3a9c5e7b1d2f4a>",
        },
        {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
    ]);
    assert_eq!(sent["Content"]["Simple"]["Headers"], expected);
}

#[tokio::test]
async fn a_refusal_is_final_and_its_reason_has_the_code_and_no_address() {
    let (outcome, requests) = call(error(400, "MessageRejected")).await;
    let reason = "ses MessageRejected (HTTP 400, request req-1)".to_owned();
    assert_eq!(outcome, Outcome::NotSent { reason, retry: false });
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_the_account_is_known_not_sent_and_no_fault_of_the_message() {
    for code in [
        "SendingPausedException",
        "AccountSuspendedException",
        "MailFromDomainNotVerifiedException",
        "ExpiredTokenException",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "NotFoundException",
    ] {
        let (outcome, requests) = call(error(403, code)).await;
        assert_eq!(outcome, Outcome::Blocked { reason: format!("ses {code} (HTTP 403)") });
        assert_eq!(requests.len(), 1);
    }
    let text = r#"{"message":"Email address is not verified. These identities failed: avisos@example.org"}"#;
    let (outcome, _) =
        call(Play::Answer(400, "x-amzn-errortype: MessageRejected\r\n", text.to_owned())).await;
    assert_eq!(outcome, Outcome::Blocked { reason: "ses MessageRejected (HTTP 400)".into() });
}

#[tokio::test]
async fn a_throttle_is_known_not_sent_and_left_to_the_queue_to_repeat() {
    let (outcome, requests) = call(error(429, "TooManyRequestsException")).await;
    let reason = "ses TooManyRequestsException (HTTP 429)".to_owned();
    assert_eq!(outcome, Outcome::Throttled { reason });
    assert_eq!(requests.len(), 1);
    // The status alone says as much.
    let (outcome, _) = call(error(429, "")).await;
    assert_eq!(outcome, Outcome::Throttled { reason: "ses no-code (HTTP 429)".into() });
}

#[tokio::test]
async fn a_server_error_and_every_unreadable_answer_are_unknown_and_not_repeated() {
    let plays = [
        error(500, "InternalFailure"),
        error(503, ""),
        // A status without a code is not the provider's own word; 408 says that somebody did not wait.
        error(403, ""),
        error(408, "MessageRejected"),
        Play::Answer(200, "", "<html>proxy</html>".into()),
        Play::Answer(200, "", "{}".into()),
        Play::Truncate,
        Play::HangUp,
        Play::Reset,
    ];
    for (i, play) in plays.into_iter().enumerate() {
        let (outcome, requests) = call(play).await;
        let Outcome::Unknown { reason } = &outcome else { panic!("play {i}: {outcome:?}") };
        assert!(!reason.contains("ana"), "play {i}: {reason}");
        assert_eq!(requests.len(), 1, "play {i}: {reason}");
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_is_unknown_after_one_request() {
    let cases = [
        (CallTimeouts { read: SHORT, ..PATIENT }, "ses did not answer in time"),
        (CallTimeouts { attempt: SHORT, ..PATIENT }, "ses did not finish in time"),
    ];
    for (timeouts, reason) in cases {
        let (outcome, requests) = loopback::call(sender, &Sample::email(), timeouts, Play::Silence).await;
        assert_eq!(outcome, Outcome::Unknown { reason: reason.into() });
        assert_eq!(requests.len(), 1, "{timeouts:?}");
    }
}

#[tokio::test]
async fn no_connection_is_known_not_sent() {
    let sample = Sample::email();
    let not_connected = Outcome::NotSent { reason: "ses not connected".into(), retry: true };
    assert_eq!(loopback::call_closed_port(sender, &sample).await, not_connected);
    assert_eq!(loopback::call_unknown_name(sender, &sample).await, not_connected);
    assert_eq!(loopback::call_stalled_tls(sender, &sample).await, not_connected);
}

#[tokio::test]
async fn missing_credentials_are_known_not_sent() {
    let (outcome, requests) = loopback::call_without_credentials(sender, &Sample::email(), success()).await;
    assert_eq!(outcome, Outcome::NotSent { reason: "ses request not begun".into(), retry: true });
    assert_eq!(requests.len(), 0);
}

#[tokio::test]
async fn what_must_not_reach_the_provider_is_refused_before_the_call() {
    let mut test_point = Sample::email();
    test_point.to.test = true;
    let mut phone = Sample::email();
    phone.to.channel = Channel::Sms;
    let mut bare = Sample::email();
    bare.message.subject = None;
    for sample in [test_point, phone, bare] {
        let (outcome, requests) = loopback::call(sender, &sample, PATIENT, success()).await;
        assert!(matches!(outcome, Outcome::NotSent { retry: false, .. }), "{outcome:?}");
        assert_eq!(requests.len(), 0, "{outcome:?}");
    }
}
