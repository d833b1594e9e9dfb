//! `cargo puntual up`, driven as its users do: a process of its own, over HTTP, ended by a signal.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command_line::{path, portfolio, row};
use crate::fixture::{TENANT, puntual, run_to};
use crate::tidy::root;

/// How often the test asks for something that is under way.
const ASKED_MAX: u32 = 2_000;
/// How long it waits from one question to the next.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// A product that runs; killed with the test at the latest.
struct Up {
    child: Child,
    address: String,
    token: String,
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Up {
    fn start(folder: &Path, clock: Option<&str>) -> Self {
        Self::with(folder, &clock.map_or_else(Vec::new, |clock| vec!["--clock", clock]))
    }

    fn with(folder: &Path, options: &[&str]) -> Self {
        let mut command = puntual();
        command.args(["up", "--folder", &path(folder), "--port", "0"]).args(options);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("puntual starts");
        let mut said = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit_once("http://").expect("an address").1.to_owned();
        let mut up = Self { child, address, token: String::new() };
        let wanted = json!({"groups": ["administrator"], "tenants": "*"});
        let (status, issued) = up.ask("POST", "/local/token", Some(&wanted));
        assert_eq!(status, 200, "{issued}");
        up.token = issued["token"].as_str().expect("a token").to_owned();
        up
    }

    /// One request; the status and the JSON of the answer.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(&self.address, method, path, body.as_bytes())
    }

    fn send(&self, host: &str, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("the head can be sent");
        stream.write_all(body).expect("the body can be sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer is text");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn post(&self, path: &str, body: &Value, expected: u16) -> Value {
        let (status, answer) = self.ask("POST", path, Some(body));
        assert_eq!(status, expected, "{path}: {answer}");
        answer
    }

    /// Brings a file to the address that an import is given, and waits until it is imported.
    fn import(&self, file: &str) -> Value {
        let asked = json!({"bytes": file.len(), "sequence": 1});
        let address = self.post("/v1/tenants/demo/imports", &asked, 201);
        let url = address["url"].as_str().expect("an address");
        let place = url.split_once(&self.address).expect("an address of this product").1;
        assert_eq!(self.send(&self.address, "PUT", place, file.as_bytes()).0, 204);
        let import = format!("/v1/tenants/demo/imports/{}", address["id"].as_str().expect("an id"));
        for _ in 0..ASKED_MAX {
            let (_, found) = self.ask("GET", &import, None);
            if !matches!(found["state"].as_str(), Some("waiting" | "reading")) {
                return found;
            }
            thread::park_timeout(ASK_EVERY);
        }
        panic!("the import did not end");
    }

    fn advance(&self, folder: &Path, by: &str) {
        run_to(0, &["up", "--folder", &path(folder), "--advance", by]);
        let (_, status) = self.ask("GET", "/local/status", None);
        assert_eq!((&status["problems"], &status["dead_letters"]), (&json!([]), &json!(0)), "{status}");
    }

    fn end(mut self) -> ExitStatus {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.expect("kill is there").success());
        self.child.wait().expect("it ends")
    }
}

fn new_tenant() -> Value {
    let text = fs::read_to_string(root().join("infra/demo/new-tenant.json")).expect("the demo has a tenant");
    serde_json::from_str(&text).expect("the tenant is JSON")
}

/// The obligations that were written about, in order.
fn sent(folder: &Path) -> Vec<String> {
    let messages = fs::read_to_string(folder.join("messages.jsonl")).unwrap_or_default();
    let items = messages.lines().flat_map(|line| {
        let message: Value = serde_json::from_str(line).expect("a message is a line of JSON");
        message["obligations"].as_array().cloned().unwrap_or_default()
    });
    items.map(|item| item["id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Ana's installment is three days late on the 17th, Berta's on the 18th.
fn file() -> String {
    let ana = row("A", &[("Vence", "14/11/2026")]);
    let berta = row(
        "B",
        &[("Cliente", "C-2"), ("Crédito", "CR-2"), ("Vence", "15/11/2026"), ("Correo", "berta@example.com")],
    );
    portfolio(&[ana, berta])
}

#[test]
fn a_tenant_is_made_its_file_imported_and_its_day_started_by_the_clock() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    let up = Up::start(folder, Some("2026-11-17T06:00"));
    assert_eq!(up.ask("GET", "/v1/health", None).0, 200);
    up.post("/v1/tenants", &new_tenant(), 201);
    let imported = up.import(&file());
    assert_eq!(
        (&imported["state"], &imported["rows"], &imported["bad"]),
        (&json!("done"), &json!(2), &json!(0))
    );

    up.advance(folder, "1h");
    assert_eq!(sent(folder), Vec::<String>::new(), "it is seven o'clock");
    up.advance(folder, "2h");
    assert_eq!(sent(folder), ["A"], "the scan was at eight");

    up.post("/v1/tenants/demo/pause", &json!({"reason": "audit"}), 200);
    up.advance(folder, "1d");
    assert_eq!(sent(folder), ["A"], "nothing goes out while the tenant is paused");
    up.post("/v1/tenants/demo/resume", &json!({"reason": "done"}), 200);
    up.post("/v1/tenants/demo/scan", &json!({}), 202);
    up.advance(folder, "30m");
    assert_eq!(sent(folder), ["A", "B"], "the scan that was asked for finds what was missed");

    assert!(up.end().success(), "it ends cleanly");
    assert!(!folder.join("up.json").exists(), "nobody is told of an address where nothing listens");
    let again = Up::start(folder, None);
    let (_, status) = again.ask("GET", "/local/status", None);
    assert_eq!((&status["now"], &status["is_clock_set"]), (&json!("2026-11-18T14:30:00Z"), &json!(true)));
    again.advance(folder, "1d");
    assert_eq!(sent(folder), ["A", "B"], "nothing is sent twice");
    assert_eq!(fs::read_dir(folder.join("uploads/imports/demo")).expect("the folder of uploads").count(), 0);
}

#[test]
fn a_version_that_is_refused_leaves_its_tenant_with_the_one_before_and_is_told_once() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    let up = Up::start(folder, Some("2026-11-17T06:00"));
    up.post("/v1/tenants", &new_tenant(), 201);
    up.import(&file());
    up.advance(folder, "3h");
    assert_eq!(sent(folder), ["A"], "by the first version");
    assert!(up.end().success());

    let first = fs::read_to_string(root().join("infra/demo/policy.toml")).expect("the demo has a policy");
    let second = first.replacen("version = 1", "version = 2", 1).replacen("dpd = 3\n", "dpd = 4\n", 1);
    assert_eq!(second.lines().zip(first.lines()).filter(|(one, other)| one != other).count(), 2);
    let file = folder.join("second.toml");
    fs::write(&file, second).expect("a policy can be written");
    let up = Up::with(folder, &["--policy", &path(&file)]);
    run_to(0, &["up", "--folder", &path(folder), "--advance", "2d"]);
    assert_eq!(sent(folder), ["A", "B"], "the first version goes on: three days, and not four");
    let (_, status) = up.ask("GET", "/local/status", None);
    let problems = status["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 1, "{status}");
    let what = problems[0]["what"].as_str().expect("words");
    for part in
        ["tenant demo: version 2 of policy", "and version 1 goes on", "at day 4, version 1", "expected"]
    {
        assert!(what.contains(part), "{part}: {what}");
    }
    assert!(up.end().success());
}

#[test]
fn only_who_is_on_this_machine_and_known_is_answered() {
    let folder = TempDir::new().expect("a folder");
    let mut up = Up::start(folder.path(), None);
    assert_eq!(up.send("evil.example", "GET", "/local/status", b"").0, 421, "a name that points here");
    assert_eq!(up.ask("POST", "/local/clock", Some(&json!({"advance_seconds": 60}))).0, 409, "it is not set");
    assert_eq!(up.ask("POST", "/local/token", Some(&json!({"groups": []}))).0, 422);
    up.token = String::new();
    assert_eq!(up.ask("GET", "/v1/tenants", None).0, 401);
    run_to(1, &["up", "--folder", &path(folder.path()), "--port", "0"]);
    assert!(up.end().success());
    run_to(1, &["up", "--folder", &path(folder.path()), "--advance", "1h"]);
}

#[test]
fn the_tenant_of_the_demo_is_the_same_for_up_and_for_run() {
    let mut settings: toml::Table = TENANT.parse().expect("the demo's tenant is TOML");
    settings.remove("id");
    let mapping =
        fs::read_to_string(root().join("infra/demo/portfolio.toml")).expect("the demo has a mapping");
    settings.insert("mapping".to_owned(), mapping.into());
    let mut expected = serde_json::to_value(settings).expect("settings are JSON");
    // TOML has times of its own.
    expected["scan_at"] = new_tenant()["settings"]["scan_at"].clone();
    assert_eq!(new_tenant(), json!({"id": "demo", "settings": expected}));
}
