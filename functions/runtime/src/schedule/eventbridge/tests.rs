//! The real client of EventBridge Scheduler against a scheduler on this machine: what it asks, and what it makes of the
//! answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_scheduler::config::{Credentials, SharedCredentialsProvider};
use domain::ids::TenantId;
use domain::tenant::Tenant;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::schedule::Schedules;

/// A request never gets this long here.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// What the scheduler holds: the body of the last create or update, by name; and what it was asked.
#[derive(Clone, Default)]
struct Stub {
    schedules: Arc<Mutex<BTreeMap<String, Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
    broken: Arc<Mutex<bool>>,
}

impl Stub {
    fn get(&self, name: &str) -> Value {
        self.schedules.lock().unwrap()[name].clone()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn answer(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let name = path
            .trim_start_matches("/schedules")
            .trim_start_matches('/')
            .split('?')
            .next()
            .unwrap_or_default();
        self.asked.lock().unwrap().push(format!("{method} {name}").trim_end().to_owned());
        if *self.broken.lock().unwrap() {
            return (400, json!({"__type": "ValidationException", "Message": "no"}));
        }
        let mut held = self.schedules.lock().unwrap();
        let missing = (404, json!({"__type": "ResourceNotFoundException", "Message": "none"}));
        match (method, name) {
            ("GET", "") => {
                let prefix =
                    path.split("NamePrefix=").nth(1).and_then(|p| p.split('&').next()).unwrap_or_default();
                let all: Vec<Value> =
                    held.keys().filter(|n| n.starts_with(prefix)).map(|n| json!({"Name": n})).collect();
                (200, json!({"Schedules": all}))
            }
            ("GET", name) => held.get(name).map_or(missing, |found| (200, found.clone())),
            ("POST", name) if held.contains_key(name) => {
                (409, json!({"__type": "ConflictException", "Message": "there"}))
            }
            ("DELETE", name) => held.remove(name).map_or(missing, |_| (200, json!({}))),
            (_, name) => {
                let mut body: Value = serde_json::from_str(body).unwrap();
                body.as_object_mut().unwrap().remove("ClientToken");
                held.insert(name.to_owned(), body);
                (200, json!({"ScheduleArn": "arn:aws:scheduler:us-east-1:1:schedule/g/x"}))
            }
        }
    }
}

async fn serve(listener: TcpListener, stub: Stub) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some(request) = read_request(&mut stream).await else { continue };
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (status, answer) = stub.answer(method, path, body);
        let kind =
            answer["__type"].as_str().map_or_else(String::new, |k| format!("x-amzn-errortype: {k}\r\n"));
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} Played\r\ncontent-type: application/json\r\n{kind}connection: close\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
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

async fn scheduler() -> (Schedules, Stub) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let stub = Stub::default();
    tokio::spawn(serve(listener, stub.clone()));
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let target = ScheduleTarget {
        group: "puntual".to_owned(),
        function_arn: "arn:aws:lambda:us-east-1:1:function:scan-due".to_owned(),
        role_arn: "arn:aws:iam::1:role/scheduler".to_owned(),
        dead_letter_arn: "arn:aws:sqs:us-east-1:1:schedules-dead".to_owned(),
    };
    (Schedules::EventBridge(EventBridge::new(&config, target)), stub)
}

fn settings() -> Tenant {
    let demo: Tenant = toml::from_str(include_str!("../../../../../infra/demo/tenant.toml")).unwrap();
    Tenant { id: TenantId::new("andino").unwrap(), ..demo }
}

#[tokio::test]
async fn a_tenants_schedules_are_made_changed_and_removed() {
    let (schedules, stub) = scheduler().await;
    schedules.follow(&settings()).await.unwrap();
    let scan = stub.get("scan-andino");
    assert_eq!(scan["GroupName"], "puntual");
    assert_eq!(scan["ScheduleExpression"], "cron(0 8 * * ? *)");
    assert_eq!(scan["ScheduleExpressionTimezone"], "America/Bogota");
    assert_eq!(scan["FlexibleTimeWindow"], json!({"Mode": "OFF"}));
    assert_eq!(scan["State"], "ENABLED");
    assert_eq!(scan["Target"]["Input"], r#"{"kind":"scan","tenant":"andino"}"#);
    assert_eq!(scan["Target"]["DeadLetterConfig"]["Arn"], "arn:aws:sqs:us-east-1:1:schedules-dead");
    assert_eq!(scan["Target"]["Arn"], "arn:aws:lambda:us-east-1:1:function:scan-due");
    let first: Vec<String> = ["scan", "waves", "sweep"]
        .iter()
        .flat_map(|kind| [format!("GET {kind}-andino"), format!("POST {kind}-andino")])
        .collect();
    assert_eq!(stub.asked(), first);

    schedules.follow(&settings()).await.unwrap();
    assert_eq!(stub.asked(), ["GET scan-andino", "GET waves-andino", "GET sweep-andino"]);

    let moved = Tenant { scan_at: chrono::NaiveTime::from_hms_opt(6, 45, 0).unwrap(), ..settings() };
    schedules.follow(&moved).await.unwrap();
    assert_eq!(stub.get("scan-andino")["ScheduleExpression"], "cron(45 6 * * ? *)");
    assert_eq!(stub.asked(), ["GET scan-andino", "PUT scan-andino", "GET waves-andino", "GET sweep-andino"]);

    let slug = domain::tenant::TenantSlug::new("andino").unwrap();
    schedules.forget(&slug).await.unwrap();
    schedules.forget(&slug).await.unwrap();
    assert!(stub.schedules.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_was_changed_by_hand_is_found_and_put_right() {
    let (schedules, stub) = scheduler().await;
    schedules.follow(&settings()).await.unwrap();
    let right = stub.get("scan-andino");
    let by_hand = [
        ("/ScheduleExpression", json!("cron(0 3 * * ? *)")),
        ("/ScheduleExpressionTimezone", json!("UTC")),
        ("/State", json!("DISABLED")),
        ("/FlexibleTimeWindow/Mode", json!("FLEXIBLE")),
        ("/Target/Input", json!("{}")),
        ("/Target/Arn", json!("arn:aws:lambda:us-east-1:1:function:other")),
        ("/Target/DeadLetterConfig/Arn", json!("arn:aws:sqs:us-east-1:1:other")),
    ];
    for (pointer, value) in by_hand {
        let mut changed = right.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        stub.schedules.lock().unwrap().insert("scan-andino".to_owned(), changed);
        schedules.follow(&settings()).await.unwrap();
        assert_eq!(stub.get("scan-andino"), right, "{pointer}");
    }
}

#[tokio::test]
async fn a_wave_is_made_once_and_removes_itself() {
    let (schedules, stub) = scheduler().await;
    let tenant = TenantId::new("andino").unwrap();
    let (now, at) = ("2026-11-20T10:00:00Z".parse().unwrap(), "2026-11-23T12:07:00Z".parse().unwrap());
    schedules.wave(&tenant, at, now).await.unwrap();
    schedules.wave(&tenant, at, now).await.unwrap();
    let wave = stub.get("wave-andino-20261123T1207Z");
    assert_eq!(wave["ScheduleExpression"], "at(2026-11-23T12:07:00)");
    assert_eq!(wave["ActionAfterCompletion"], "DELETE");
    assert_eq!(stub.asked().len(), 2);
}

#[tokio::test]
async fn schedules_are_listed_by_what_their_names_begin_with() {
    let (schedules, _stub) = scheduler().await;
    schedules.follow(&settings()).await.unwrap();
    assert_eq!(schedules.names("waves-").await.unwrap(), ["waves-andino"]);
}

#[tokio::test]
async fn a_refusal_names_the_schedule_and_the_reason() {
    let (schedules, stub) = scheduler().await;
    *stub.broken.lock().unwrap() = true;
    let error = schedules.follow(&settings()).await.unwrap_err().to_string();
    assert!(error.contains("scan-andino") && error.contains("ValidationException"), "{error}");
}
