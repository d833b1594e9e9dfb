//! Calls of AWS services, signed as AWS asks for, without a client for each.
//!
//! Invariant: an answer that is no success is a value, so that a denial can be looked for.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde_json::Value;

/// The region of the test. The emulator knows others, and nothing of the test depends on it.
pub(crate) const REGION: &str = "us-east-1";
/// The emulator's one account.
pub(crate) const ACCOUNT: &str = "000000000000";

/// What a service answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The JSON of an answer that is a success.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let text = self.ok();
        serde_json::from_str(text).unwrap_or_else(|_| panic!("the answer is no JSON: {text}"))
    }

    /// The text of an answer that is a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text);
        &self.text
    }

    /// Whether IAM denied the call; any other failure is not a denial.
    pub(crate) fn is_denied(&self) -> bool {
        let says = ["AccessDenied", "not authorized to perform"].iter().any(|word| self.text.contains(word));
        matches!(self.status, 400 | 403) && says
    }

    /// What stands between a tag of an answer in XML.
    #[track_caller]
    pub(crate) fn tag(&self, name: &str) -> String {
        let text = self.ok();
        let found = text.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once("</"));
        found.unwrap_or_else(|| panic!("the answer has no {name}: {text}")).0.to_owned()
    }
}

/// An account with somebody's keys.
#[derive(Debug, Clone)]
pub(crate) struct Aws {
    pub(crate) endpoint: String,
    credentials: Credentials,
}

impl Aws {
    /// As the root of an emulator.
    pub(crate) fn root(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            credentials: Credentials::new("test", "test", None, None, "root"),
        }
    }

    /// As a role, by the answer of `AssumeRole`.
    pub(crate) fn assumed(&self, answer: &Answer) -> Self {
        let (key, secret) = (answer.tag("AccessKeyId"), answer.tag("SecretAccessKey"));
        let token = Some(answer.tag("SessionToken"));
        Self {
            endpoint: self.endpoint.clone(),
            credentials: Credentials::new(key, secret, token, None, "role"),
        }
    }

    /// A service that takes JSON and a target, such as `DynamoDB_20120810.GetItem`.
    pub(crate) fn target(&self, service: &str, version: &str, target: &str, body: &Value) -> Answer {
        let content = format!("application/x-amz-json-{version}");
        let headers = [("content-type", content.as_str()), ("x-amz-target", target)];
        self.call(service, "POST", "/", &headers, body.to_string().as_bytes())
    }

    /// DynamoDB.
    pub(crate) fn dynamodb(&self, action: &str, body: &Value) -> Answer {
        self.target("dynamodb", "1.0", &format!("DynamoDB_20120810.{action}"), body)
    }

    /// SQS.
    pub(crate) fn sqs(&self, action: &str, body: &Value) -> Answer {
        self.target("sqs", "1.0", &format!("AmazonSQS.{action}"), body)
    }

    /// A service that takes a form, such as IAM and SNS.
    pub(crate) fn form(&self, service: &str, version: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let named = [("Action", action), ("Version", version)];
        let all = named.iter().chain(fields).map(|(name, value)| format!("{name}={}", escaped(value)));
        let body = all.collect::<Vec<_>>().join("&");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.call(service, "POST", "/", &headers, body.as_bytes())
    }

    /// Any other service.
    pub(crate) fn call(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let url = format!("{}{path}", self.endpoint);
        let host = self.endpoint.trim_start_matches("http://");
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(service)
            .time(now())
            .settings(SigningSettings::default())
            .build()
            .expect("everything is set");
        let signed_headers = headers.iter().copied().chain([("host", host)]);
        let signable = SignableRequest::new(method, &url, signed_headers, SignableBody::Bytes(body));
        let params = SigningParams::from(params);
        let signed = sign(signable.expect("the request is sound"), &params).expect("it can be signed");
        let (instructions, _) = signed.into_parts();
        let mut all: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        all.extend(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())));
        http(method, &url, &all, body)
    }
}

/// One request; whatever the status, the answer.
pub(crate) fn http(method: &str, url: &str, headers: &[(String, String)], body: &[u8]) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let sound = "the request is sound";
    // A question has no body, not even an empty one.
    let answer = match method {
        "GET" | "DELETE" => agent.run(request.body(()).expect(sound)),
        _ => agent.run(request.body(body).expect(sound)),
    };
    let mut answer = answer.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    let text = answer.body_mut().read_to_string().expect("the answer can be read");
    Answer { status: answer.status().as_u16(), text }
}

/// A text as it stands in a form.
pub(crate) fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

/// The moment. The emulator has no clock that could be set.
#[expect(clippy::disallowed_methods, reason = "the emulator's own clock is that of this machine")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
