//! The real clients against a small AWS on this machine: one stack in two pages, and its queues.

use std::sync::{Arc, Mutex};

use clap::Parser;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A request never gets this long here; reading stops there, so that a wrong test ends.
const REQUEST_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    dlq: DlqArguments,
}

/// A message of the small AWS.
#[derive(Clone)]
struct Kept {
    id: String,
    body: String,
    attributes: Value,
    is_hidden: bool,
}

/// Its queues, by the last part of their address.
#[derive(Clone, Default)]
struct SmallAws(Arc<Mutex<BTreeMap<String, Vec<Kept>>>>);

impl SmallAws {
    /// Starts it; gives the address, too.
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let aws = Self::default();
        tokio::spawn(serve(listener, aws.clone(), endpoint.clone()));
        (aws, endpoint)
    }

    fn keep(&self, queue: &str, body: &str, attributes: Value) {
        let mut queues = self.0.lock().unwrap();
        let id = format!("id-{}", queues.values().map(Vec::len).sum::<usize>() + 1);
        let kept = Kept { id, body: body.to_owned(), attributes, is_hidden: false };
        queues.entry(queue.to_owned()).or_default().push(kept);
    }

    fn bodies(&self, queue: &str) -> Vec<String> {
        self.0.lock().unwrap().get(queue).into_iter().flatten().map(|kept| kept.body.clone()).collect()
    }

    fn sqs(&self, call: &str, asked: &Value) -> Value {
        let mut queues = self.0.lock().unwrap();
        let next = queues.values().map(Vec::len).sum::<usize>() + 100;
        let queue = asked["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap();
        let kept = queues.entry(queue.to_owned()).or_default();
        let entries = asked["Entries"].as_array().cloned().unwrap_or_default();
        let is_meant = |kept: &Kept| entries.iter().any(|entry| entry["ReceiptHandle"] == kept.id);
        let ids = || entries.iter().map(|entry| json!({"Id": entry["Id"]})).collect::<Vec<_>>();
        match call {
            "ReceiveMessage" => {
                let seen = kept.iter_mut().filter(|kept| !kept.is_hidden).take(10);
                let told = seen.map(|kept| {
                    kept.is_hidden = true;
                    json!({"MessageId": kept.id, "ReceiptHandle": kept.id, "Body": kept.body,
                           "Attributes": {"ApproximateReceiveCount": "6"}, "MessageAttributes": kept.attributes})
                });
                json!({"Messages": told.collect::<Vec<_>>()})
            }
            "ChangeMessageVisibilityBatch" => {
                kept.iter_mut().filter(|kept| is_meant(kept)).for_each(|kept| kept.is_hidden = false);
                json!({"Successful": ids(), "Failed": []})
            }
            "DeleteMessage" => {
                kept.retain(|kept| asked["ReceiptHandle"] != kept.id);
                json!({})
            }
            "DeleteMessageBatch" => {
                kept.retain(|kept| !is_meant(kept));
                json!({"Successful": ids(), "Failed": []})
            }
            "SendMessageBatch" => {
                for (n, entry) in entries.iter().enumerate() {
                    let body = entry["MessageBody"].as_str().unwrap().to_owned();
                    let id = format!("id-{}", next + n);
                    kept.push(Kept { id, body, attributes: json!({}), is_hidden: false });
                }
                let told =
                    |entry: &Value| json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "0"});
                json!({"Successful": entries.iter().map(told).collect::<Vec<_>>(), "Failed": []})
            }
            other => panic!("{other} is no call of an operator"),
        }
    }
}

/// The resources of a stack, in two pages. The one called `other` is not ours.
fn stack_page(form: &str, endpoint: &str) -> Result<String, String> {
    let member = |name: &str, id: &str| {
        format!(
            "<member><LogicalResourceId>{name}</LogicalResourceId><PhysicalResourceId>{id}</PhysicalResourceId>\
             <ResourceType>AWS::SQS::Queue</ResourceType><ResourceStatus>CREATE_COMPLETE</ResourceStatus>\
             <LastUpdatedTimestamp>2026-11-23T00:00:00Z</LastUpdatedTimestamp></member>"
        )
    };
    let page = |members: String, next: &str| {
        format!(
            "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries>{members}\
             </StackResourceSummaries>{next}</ListStackResourcesResult></ListStackResourcesResponse>"
        )
    };
    let is_of = |stack: &str| form.contains(&format!("StackName={stack}"));
    if is_of("other") {
        return Ok(page(member("PlanQueue", "x"), ""));
    }
    if !is_of("puntual") {
        return Err(
            "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id \
                    it does not exist</Message></Error><RequestId>r</RequestId></ErrorResponse>"
                .to_owned(),
        );
    }
    let names = QUEUES.iter().flat_map(|(_, dead, back)| [Some(*dead), *back]).flatten();
    let (first, second): (Vec<&str>, Vec<&str>) = names.partition(|name| name.ends_with("Letters"));
    let all = |names: Vec<&str>| -> String {
        names.iter().map(|name| member(name, &format!("{endpoint}/123456789012/{name}"))).collect()
    };
    Ok(if form.contains("NextToken=second") {
        page(all(second), "")
    } else {
        page(all(first), "<NextToken>second</NextToken>")
    })
}

async fn serve(listener: TcpListener, aws: SmallAws, endpoint: String) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some((head, body)) = read_request(&mut stream).await else { continue };
        let target = head.lines().find_map(|line| line.split_once("AmazonSQS.").map(|(_, call)| call.trim()));
        let (status, answer) = match target {
            Some(call) => (200, aws.sqs(call, &serde_json::from_str(&body).unwrap()).to_string()),
            None if body.contains("Action=GetCallerIdentity") => (
                200,
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
                 </GetCallerIdentityResult></GetCallerIdentityResponse>"
                    .to_owned(),
            ),
            None => stack_page(&body, &endpoint).map_or_else(|said| (400, said), |page| (200, page)),
        };
        let kind = if target.is_some() { "application/x-amz-json-1.0" } else { "text/xml" };
        let head = format!(
            "HTTP/1.1 {status} Played\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
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

/// What the command says: standard output, standard error, exit code.
async fn said(endpoint: &str, words: &[&str]) -> Result<(String, String, u8), String> {
    let place = ["--region", "us-east-1", "--emulator", endpoint];
    let all = ["dlq"].iter().chain(words).chain(&place);
    let arguments = Program::try_parse_from(all).map_err(|error| error.to_string())?.dlq;
    let Ok(dead_letters::Place::Stack(place)) = arguments.place() else { panic!("a stack was named") };
    let reply = answer(place, arguments).await.map_err(|error| format!("{error:#}"))?;
    let (mut out, mut error) = (String::new(), String::new());
    for line in reply.lines {
        match line {
            Line::Out(text) => out += &format!("{text}\n"),
            Line::Error(text) => error += &format!("{text}\n"),
        }
    }
    Ok((out, error, reply.code))
}

#[tokio::test]
async fn the_dead_letters_of_a_stack_are_listed_shown_sent_back_and_thrown_away() {
    let (aws, endpoint) = SmallAws::start().await;
    let dlq = async |words: &[&str]| {
        said(&endpoint, &[words, &["--stack", "puntual"]].concat()).await.expect("the stack answers")
    };
    aws.keep("EmailDeadLetters", r#"{"v":9,"customer":"C-1","name":"Ana Rojas"}"#, json!({}));
    aws.keep("EventsDeadLetters", "ana@lender.example", json!({}));
    let of_lambda = json!({
        "RequestID": {"DataType": "String", "StringValue": "f-1"},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": "ana@lender.example"},
    });
    aws.keep("CallsDeadLetters", "{}", of_lambda);

    let (listed, _, code) = dlq(&["list"]).await;
    assert_eq!((listed.lines().count(), code), (4, 0), "{listed}");
    assert!(listed.contains("send-email") && listed.contains("the log of its function"), "{listed}");
    assert!(listed.contains("failed with 200") && listed.contains("request f-1"), "{listed}");
    assert!(listed.ends_with("3 dead letters\n") && !listed.contains("ana"), "{listed}");
    let (listed, ..) = dlq(&["list", "--queue", "send-email", "--json"]).await;
    let letters: Value = serde_json::from_str(&listed).unwrap();
    let expected =
        json!([{"id": "id-1", "queue": "send-email", "reason": null, "receives": 6, "dead_at": null}]);
    assert_eq!(letters, expected);
    let (shown, ..) = dlq(&["inspect", "id-1"]).await;
    assert!(shown.contains("C-1") && shown.contains("9 characters") && !shown.contains("Ana"), "{shown}");
    assert!(!dlq(&["inspect", "id-2"]).await.0.contains("ana"));

    assert!(dlq(&["redrive", "id-1"]).await.0.contains("id-1 waits in its queue again"));
    let (out, error, code) = dlq(&["redrive", "id-1"]).await;
    assert_eq!((out.as_str(), code), ("", dead_letters::UNKNOWN_LETTER));
    assert!(error.contains("id-1 is no dead letter") && error.contains("Nothing was done"), "{error}");
    assert_eq!((aws.bodies("EmailQueue").len(), aws.bodies("EmailDeadLetters").len()), (1, 0));

    let (out, error, _) = dlq(&["redrive", "--all"]).await;
    assert!(out.starts_with("1 messages wait") && error.contains("1 calls stay"), "{out}{error}");
    assert_eq!((aws.bodies("EventsQueue").len(), aws.bodies("CallsDeadLetters").len()), (1, 1));
    let of_calls = ["--stack", "puntual", "redrive", "id-3"];
    let stays = said(&endpoint, &of_calls).await.expect_err("it came from no queue");
    assert!(stays.contains("calls came from no queue; expected"), "{stays}");
    let (out, error, _) = dlq(&["discard", "id-3", "--reason", "the file came again"]).await;
    assert!(out.contains("was thrown away: the file came again") && error.contains("keep this line"));
    assert_eq!(dlq(&["list"]).await.0, "0 dead letters\n");
}

#[tokio::test]
async fn what_is_no_stack_of_ours_is_told() {
    let (_, endpoint) = SmallAws::start().await;
    let refused = async |words: &[&str]| said(&endpoint, words).await.expect_err("nothing is there");
    let missing = refused(&["list", "--stack", "nowhere"]).await;
    let expected = "account 123456789012 has no stack nowhere in region us-east-1; expected";
    assert!(missing.contains(expected), "{missing}");
    let other = refused(&["list", "--stack", "other"]).await;
    assert!(other.contains("stack other has no queue PlanDeadLetters; expected"), "{other}");
    let empty = refused(&["discard", "id-1", "--reason", " ", "--stack", "puntual"]).await;
    assert!(empty.contains("--reason is empty"), "{empty}");
    let unknown = refused(&["list", "--queue", "send-fax", "--stack", "puntual"]).await;
    assert!(unknown.contains("expected plan-shard"), "{unknown}");
}

#[test]
fn the_template_has_these_queues_and_they_are_each_others() {
    let template = include_str!("../../../template.yaml");
    for (_, dead, back) in QUEUES {
        assert!(template.contains(&format!("\n  {dead}:\n    Type: AWS::SQS::Queue")), "{dead}");
        let Some(back) = back else { continue };
        let (_, queue) = template.split_once(&format!("\n  {back}:\n    Type: AWS::SQS::Queue")).expect(back);
        let policy = queue.lines().find(|line| line.contains("RedrivePolicy")).expect(back);
        assert!(policy.contains(&format!("!GetAtt {dead}.Arn")), "{back}: {policy}");
    }
}
