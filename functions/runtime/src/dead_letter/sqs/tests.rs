//! The real SQS client against a small SQS on this machine, which forgets nothing by itself.

use std::sync::{Arc, Mutex};

use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A request never gets this long here; reading stops there, so that a wrong test ends.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// A message of the small SQS.
#[derive(Clone)]
struct Kept {
    id: String,
    body: String,
    receives: u32,
    is_hidden: bool,
}

/// Queues by the last part of their address.
#[derive(Default)]
struct State {
    queues: BTreeMap<String, Vec<Kept>>,
    newest: usize,
    /// Calls that are refused, by their name.
    refused: Vec<&'static str>,
    calls: Vec<String>,
}

#[derive(Clone, Default)]
struct SmallSqs(Arc<Mutex<State>>);

impl SmallSqs {
    /// Starts it with some dead letters of the email queue, and gives the dead letters of two queues.
    async fn start(dead: &[&str]) -> (Self, SqsDeadLetters) {
        let sqs = Self::default();
        for body in dead {
            sqs.keep("email-dead", body, 5);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(&endpoint)
            .build();
        let place = |name: &str, dead: &str, back: Option<&str>| SqsPlace {
            name: name.to_owned(),
            dead_url: format!("{endpoint}/1/{dead}"),
            back_url: back.map(|back| format!("{endpoint}/1/{back}")),
        };
        let places =
            vec![place("send-email", "email-dead", Some("email")), place("calls", "calls-dead", None)];
        tokio::spawn(serve(listener, sqs.clone()));
        (sqs, SqsDeadLetters::new(Client::from_conf(config), places))
    }

    fn keep(&self, queue: &str, body: &str, receives: u32) {
        let mut state = self.0.lock().unwrap();
        state.newest += 1;
        let kept =
            Kept { id: format!("id-{}", state.newest), body: body.to_owned(), receives, is_hidden: false };
        state.queues.entry(queue.to_owned()).or_default().push(kept);
    }

    fn refuse(&self, calls: &[&'static str]) {
        self.0.lock().unwrap().refused = calls.to_vec();
    }

    fn bodies(&self, queue: &str) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.queues.get(queue).into_iter().flatten().map(|kept| kept.body.clone()).collect()
    }

    /// How many messages nobody sees for now.
    fn hidden(&self) -> usize {
        self.0.lock().unwrap().queues.values().flatten().filter(|kept| kept.is_hidden).count()
    }

    fn answer(&self, call: &str, asked: &Value) -> Option<Value> {
        let state = &mut *self.0.lock().unwrap();
        state.calls.push(call.to_owned());
        if state.refused.contains(&call) {
            return None;
        }
        let queue = asked["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap();
        let entries = || asked["Entries"].as_array().unwrap().iter();
        let done = |ids: Vec<Value>| json!({"Successful": ids, "Failed": []});
        let kept = state.queues.entry(queue.to_owned()).or_default();
        match call {
            "ReceiveMessage" => {
                assert!(asked["VisibilityTimeout"].as_i64().unwrap() > 0, "what is looked at is hidden");
                let most = usize::try_from(asked["MaxNumberOfMessages"].as_u64().unwrap()).unwrap();
                let seen = kept.iter_mut().filter(|kept| !kept.is_hidden).take(most);
                let told = seen.map(|kept| {
                    (kept.is_hidden, kept.receives) = (true, kept.receives + 1);
                    json!({"MessageId": kept.id, "ReceiptHandle": kept.id, "Body": kept.body,
                           "Attributes": {"ApproximateReceiveCount": kept.receives.to_string()}})
                });
                Some(json!({"Messages": told.collect::<Vec<_>>()}))
            }
            "ChangeMessageVisibilityBatch" => {
                for entry in entries() {
                    assert_eq!(entry["VisibilityTimeout"], 0);
                    kept.iter_mut()
                        .filter(|k| entry["ReceiptHandle"] == k.id)
                        .for_each(|k| k.is_hidden = false);
                }
                Some(done(entries().map(|entry| json!({"Id": entry["Id"]})).collect()))
            }
            "DeleteMessage" => {
                kept.retain(|kept| asked["ReceiptHandle"] != kept.id);
                Some(json!({}))
            }
            "DeleteMessageBatch" => {
                kept.retain(|kept| !entries().any(|entry| entry["ReceiptHandle"] == kept.id));
                Some(done(entries().map(|entry| json!({"Id": entry["Id"]})).collect()))
            }
            "SendMessageBatch" => {
                for entry in entries() {
                    state.newest += 1;
                    let (id, body) = (format!("id-{}", state.newest), entry["MessageBody"].as_str().unwrap());
                    kept.push(Kept { id, body: body.to_owned(), receives: 0, is_hidden: false });
                }
                let told =
                    |entry: &Value| json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "0"});
                Some(done(entries().map(told).collect()))
            }
            other => panic!("{other} is no call of an operator"),
        }
    }
}

async fn serve(listener: TcpListener, sqs: SmallSqs) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some((head, body)) = read_request(&mut stream).await else { continue };
        let target =
            head.lines().find_map(|line| line.to_lowercase().find("amazonsqs.").map(|at| &line[at + 10..]));
        let asked: Value = serde_json::from_str(&body).unwrap();
        let (status, answer) = match sqs.answer(target.unwrap().trim(), &asked) {
            Some(answer) => (200, answer),
            None => (400, json!({"__type": "com.amazonaws.sqs#OverLimit", "message": "refused"})),
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} Played\r\ncontent-type: application/x-amz-json-1.0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
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
            return Some((head.to_owned(), body.to_owned()));
        }
    }
    None
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

#[tokio::test]
async fn letters_are_listed_and_shown_and_seen_again_at_once() {
    let bodies: Vec<String> = (0..25).map(|n| format!("job {n}")).collect();
    let (sqs, letters) = SmallSqs::start(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    sqs.keep("calls-dead", "a call", 3);
    let listed = letters.list(None).await.unwrap();
    assert_eq!((listed.letters.len(), listed.is_all), (26, true));
    assert_eq!(sqs.hidden(), 0);
    assert_eq!(letters.list(Some("calls")).await.unwrap().letters[0].body, "a call");

    let Found::Dead(letter) = letters.inspect(&MessageId::new("id-17")).await.unwrap() else {
        panic!("dead")
    };
    assert_eq!((letter.body.as_str(), letter.queue.as_str()), ("job 16", "send-email"));
    assert!(letter.receives > 5 && letter.reason.is_none());
    assert!(!format!("{letter:?}").contains("job 16"), "a body is shown where it is asked for");
    assert_eq!(sqs.hidden(), 0);
    assert_eq!(letters.inspect(&MessageId::new("id-99")).await.unwrap(), Found::Nothing);
}

#[tokio::test]
async fn a_letter_goes_back_once_and_a_stop_in_between_loses_nothing() {
    let (sqs, letters) = SmallSqs::start(&["one", "two", "three"]).await;
    let two = MessageId::new("id-2");
    sqs.refuse(&["SendMessageBatch"]);
    let refused = letters.redrive(&two, now()).await.unwrap_err().to_string();
    assert!(refused.contains("send-email") && refused.contains("to send back failed"), "{refused}");
    assert_eq!((sqs.bodies("email").len(), sqs.hidden()), (0, 0));

    // It is in both queues now, as if the operator's process had ended there.
    sqs.refuse(&["DeleteMessageBatch"]);
    letters.redrive(&two, now()).await.unwrap_err();
    assert_eq!(
        (sqs.bodies("email"), sqs.bodies("email-dead").len(), sqs.hidden()),
        (vec!["two".to_owned()], 3, 0)
    );
    sqs.refuse(&[]);
    assert_eq!(letters.redrive(&two, now()).await.unwrap(), Answer::Done);
    assert_eq!(sqs.bodies("email-dead"), ["one", "three"]);
    assert_eq!(letters.redrive(&two, now()).await.unwrap(), Answer::Nothing, "it is dead no more");
    assert_eq!(sqs.hidden(), 0);
}

#[tokio::test]
async fn all_letters_go_back_and_what_came_from_no_queue_stays() {
    let bodies: Vec<String> = (0..23).map(|n| format!("job {n}")).collect();
    let (sqs, letters) = SmallSqs::start(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    sqs.keep("calls-dead", "a call", 3);
    let all = letters.redrive_all(None, now()).await.unwrap();
    assert_eq!(all, Redriven { messages: 23, is_all: true });
    assert_eq!((sqs.bodies("email"), sqs.bodies("email-dead").len()), (bodies, 0));
    assert_eq!(letters.redrive_all(None, now()).await.unwrap().messages, 0);

    let stays = letters.redrive_all(Some("calls"), now()).await.unwrap_err();
    assert_eq!(stays, SqsDeadLetterError::NoWayBack { queue: "calls".to_owned() });
    assert_eq!((sqs.bodies("calls-dead").len(), sqs.hidden()), (1, 0));
}

#[tokio::test]
async fn a_letter_is_thrown_away_and_the_others_are_not() {
    let (sqs, letters) = SmallSqs::start(&["one", "two"]).await;
    let one = MessageId::new("id-1");
    sqs.refuse(&["DeleteMessage"]);
    letters.discard(&one, "a lender that left", now()).await.unwrap_err();
    assert_eq!((sqs.bodies("email-dead").len(), sqs.hidden()), (2, 0));
    sqs.refuse(&[]);
    assert_eq!(letters.discard(&one, "a lender that left", now()).await.unwrap(), Answer::Done);
    assert_eq!(letters.discard(&one, "again", now()).await.unwrap(), Answer::Nothing);
    assert_eq!((sqs.bodies("email-dead"), sqs.hidden()), (vec!["two".to_owned()], 0));
}

#[tokio::test]
async fn a_queue_that_does_not_answer_is_named() {
    let (sqs, letters) = SmallSqs::start(&["one"]).await;
    sqs.refuse(&["ReceiveMessage"]);
    let refused = letters.list(None).await.unwrap_err().to_string();
    assert!(refused.contains("the dead letters of send-email: to receive failed"), "{refused}");
}
