//! A provider on 127.0.0.1 that plays one part to the real SDK clients, and notes every request that it got.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
#[cfg(feature = "ses")]
use aws_sdk_sesv2::config::{Credentials, SharedCredentialsProvider};
#[cfg(not(feature = "ses"))]
use aws_sdk_sns::config::{Credentials, SharedCredentialsProvider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::sample::Sample;
use crate::{CallTimeouts, Outcome, Sender};

/// A request never gets this long here; reading stops there, so that a wrong test ends.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// What the provider does once it has read a whole request.
#[derive(Clone)]
pub(crate) enum Play {
    /// It answers: status, headers, body.
    Answer(u16, &'static str, String),
    /// It announces a longer body than it sends.
    Truncate,
    /// It closes the connection.
    HangUp,
    /// It resets the connection.
    Reset,
    /// It never answers.
    Silence,
}

/// Long enough that no test waits for it.
pub(crate) const PATIENT: CallTimeouts = CallTimeouts {
    connect: Duration::from_secs(10),
    read: Duration::from_secs(20),
    attempt: Duration::from_secs(30),
};

/// What the tests of timeouts wait for: long enough that a busy machine still gets its request out before.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// Sends the sample once to a provider that plays its part; gives the outcome and every request it got.
pub(crate) async fn call(
    build: impl Fn(&SdkConfig, CallTimeouts) -> Sender,
    sample: &Sample,
    timeouts: CallTimeouts,
    play: Play,
) -> (Outcome, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let server = tokio::spawn(serve(listener, play, Arc::clone(&requests)));
    let outcome = build(&config(&endpoint), timeouts).send(&sample.outgoing()).await;
    server.abort();
    let requests = requests.lock().unwrap().clone();
    (outcome, requests)
}

/// Sends the sample once to a port that nobody listens on.
pub(crate) async fn call_closed_port(
    build: impl Fn(&SdkConfig, CallTimeouts) -> Sender,
    sample: &Sample,
) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    build(&config(&endpoint), PATIENT).send(&sample.outgoing()).await
}

/// Sends the sample once to a name that cannot exist: a label of 64 characters (RFC 1035 §2.3.4), which the resolver
/// refuses without asking anyone.
pub(crate) async fn call_unknown_name(
    build: impl Fn(&SdkConfig, CallTimeouts) -> Sender,
    sample: &Sample,
) -> Outcome {
    build(&config(&format!("http://{}.invalid", "x".repeat(64))), PATIENT).send(&sample.outgoing()).await
}

/// Sends the sample once over TLS to a server that accepts the connection and then says nothing.
pub(crate) async fn call_stalled_tls(
    build: impl Fn(&SdkConfig, CallTimeouts) -> Sender,
    sample: &Sample,
) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let timeouts = CallTimeouts { connect: SHORT, ..PATIENT };
    build(&config(&endpoint), timeouts).send(&sample.outgoing()).await
}

/// Sends the sample once without credentials, to a provider that would accept it.
pub(crate) async fn call_without_credentials(
    build: impl Fn(&SdkConfig, CallTimeouts) -> Sender,
    sample: &Sample,
    play: Play,
) -> (Outcome, Vec<String>) {
    let without = |config: &SdkConfig, timeouts: CallTimeouts| {
        let bare = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(config.region().cloned())
            .endpoint_url(config.endpoint_url().unwrap())
            .build();
        build(&bare, timeouts)
    };
    call(without, sample, PATIENT, play).await
}

fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

async fn serve(listener: TcpListener, play: Play, requests: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some(request) = read_request(&mut stream).await else { continue };
        requests.lock().unwrap().push(request);
        match &play {
            Play::Answer(status, headers, body) => {
                let head = format!(
                    "HTTP/1.1 {status} Played\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
            Play::Truncate => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"Mess").await.unwrap();
            }
            Play::HangUp => {}
            Play::Reset => stream.set_zero_linger().unwrap(),
            Play::Silence => {
                // Ends when the client gives up and closes the connection.
                let _closed = stream.read(&mut [0; 1]).await;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while bytes.len() < REQUEST_BYTES_MAX {
        let read = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(text.into_owned());
        }
    }
    None
}
