//! The local queues: what fails, what a killed process leaves behind, and what an operator does.

use super::*;
use crate::batch::each_body;

const EMAIL: QueueName = QueueName::SendEmail;

fn at(minute: u32) -> DateTime<Utc> {
    chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap().and_hms_opt(13, minute, 0).unwrap().and_utc()
}

fn bodies(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Gives batches out until nothing waits; what begins with "bad" fails.
async fn drain(queues: &LocalQueues) -> (Given, Vec<String>) {
    let (mut all, seen) = (Given::default(), Mutex::new(Vec::new()));
    loop {
        let given = queues.give(EMAIL, 10, at(1), async |event| {
            each_body(event, async |body: String| {
                seen.lock().unwrap().push(body.clone());
                if body.starts_with("bad") { Err(format!("{body} is not good")) } else { Ok(()) }
            })
            .await
        });
        let given = given.await.unwrap();
        if given.messages == 0 {
            return (all, seen.into_inner().unwrap());
        }
        (all.messages, all.dead) = (all.messages + given.messages, all.dead + given.dead);
    }
}

#[tokio::test]
async fn what_fails_five_times_is_dead_with_its_reason_and_the_rest_goes_through() {
    let queues = LocalQueues::memory();
    queues.put(EMAIL, bodies(&["one", "bad", "two"])).unwrap();
    let (given, seen) = drain(&queues).await;
    assert_eq!(given, Given { messages: 2 + RECEIVES_MAX as usize, dead: 1 });
    assert_eq!(seen.iter().filter(|body| *body == "bad").count(), RECEIVES_MAX as usize);
    assert_eq!(seen.iter().filter(|body| *body != "bad").count(), 2);
    let dead = queues.dead(None);
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].reason.as_deref(), dead[0].receives), (Some("bad is not good"), RECEIVES_MAX));
    assert_eq!(queues.dead(Some(QueueName::SendSms)), []);
}

#[tokio::test]
async fn nothing_is_lost_with_the_process_and_a_torn_line_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queues.jsonl");
    let queues = LocalQueues::open(&path, at(0)).unwrap();
    queues.put(EMAIL, bodies(&["one", "bad", "two"])).unwrap();
    // Given out, and nobody came back.
    assert_eq!(queues.receive(EMAIL, 1).unwrap().len(), 1);
    drop(queues);
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend_from_slice(br#"{"is":"done","ids":[1"#);
    std::fs::write(&path, torn).unwrap();

    let queues = LocalQueues::open(&path, at(0)).unwrap();
    assert_eq!(queues.waiting(EMAIL), 3);
    let (given, seen) = drain(&queues).await;
    assert_eq!((given.dead, seen.len()), (1, 7));
    drop(queues);

    let read = LocalQueues::read(&path).unwrap();
    assert_eq!((read.waiting(EMAIL), read.dead(None).len()), (0, 1));
    let reopened = LocalQueues::open(&path, at(2)).unwrap();
    assert_eq!(reopened.dead(None), read.dead(None));
    reopened.put(EMAIL, bodies(&["three"])).unwrap();
    assert_eq!(reopened.receive(EMAIL, 9).unwrap()[0].0, 4, "an id is given away once");
}

#[test]
fn a_message_that_ends_its_process_five_times_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queues.jsonl");
    LocalQueues::open(&path, at(0)).unwrap().put(EMAIL, bodies(&["deadly", "behind it"])).unwrap();
    for _ in 0..RECEIVES_MAX {
        let queues = LocalQueues::open(&path, at(0)).unwrap();
        assert_eq!(queues.dead(None).len(), 0);
        assert_eq!(queues.receive(EMAIL, 1).unwrap()[0].1.body, "deadly");
    }
    let queues = LocalQueues::open(&path, at(0)).unwrap();
    assert_eq!(queues.dead(None)[0].reason.as_deref(), Some(NEVER_CAME_BACK));
    assert_eq!(queues.receive(EMAIL, 1).unwrap()[0].1.body, "behind it");
}

#[tokio::test]
async fn a_dead_letter_is_redriven_and_discarded_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queues.jsonl");
    let queues = LocalQueues::open(&path, at(0)).unwrap();
    queues.put(EMAIL, bodies(&["bad"])).unwrap();
    drain(&queues).await;
    let id = queues.dead(None).remove(0).id;

    assert!(queues.redrive(&id, at(3)).unwrap());
    assert!(!queues.redrive(&id, at(4)).unwrap(), "it waits already");
    assert!(!queues.discard(&id, "no", at(4)).unwrap(), "what waits is not dead");
    drop(queues);
    let queues = LocalQueues::open(&path, at(5)).unwrap();
    assert_eq!((queues.waiting(EMAIL), queues.end_of(&id)), (1, Some(Removed::Redriven { at: at(3) })));
    assert_eq!(drain(&queues).await.0.messages, RECEIVES_MAX as usize, "it has all its receives again");
    assert_eq!((queues.dead(None).len(), queues.end_of(&id)), (1, None));

    assert!(queues.discard(&id, "a test", at(6)).unwrap());
    assert!(!queues.discard(&id, "another", at(7)).unwrap());
    let gone = Some(Removed::Discarded { reason: "a test".to_owned(), at: at(6) });
    assert_eq!((queues.find(&id), queues.end_of(&id)), (None, gone.clone()));
    drop(queues);
    assert_eq!(LocalQueues::open(&path, at(8)).unwrap().end_of(&id), gone);
    assert!(!queues_of(&path).redrive(&MessageId::new("m99"), at(9)).unwrap());
    assert!(!queues_of(&path).redrive(&MessageId::new("nonsense"), at(9)).unwrap());
}

fn queues_of(path: &Path) -> LocalQueues {
    LocalQueues::open(path, at(9)).unwrap()
}

#[tokio::test]
async fn a_line_that_cannot_be_read_is_set_apart_and_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queues.jsonl");
    let queues = LocalQueues::open(&path, at(0)).unwrap();
    queues.put(EMAIL, bodies(&["one", "two"])).unwrap();
    drop(queues);
    let whole = std::fs::read_to_string(&path).unwrap();
    let (newest, rest) = whole.split_once('\n').unwrap();
    let bad = br#"{"is":"sent","id":9,"queue":"send-fax","body":"three"}"#;
    let text = [newest.as_bytes(), bad, b"\xff\xfe no JSON", rest.as_bytes()].join(&b'\n');
    std::fs::write(&path, text).unwrap();

    let read = LocalQueues::read(&path).unwrap();
    let lines: Vec<usize> = read.unreadable().iter().map(|line| line.line).collect();
    assert_eq!((lines, read.waiting(EMAIL)), (vec![2, 3], 2));
    let apart = folder.path().join("queues.unreadable.jsonl");
    assert!(!apart.exists(), "whoever only looks changes nothing");

    let queues = LocalQueues::open(&path, at(4)).unwrap();
    assert_eq!(queues.unreadable(), read.unreadable());
    assert_eq!(drain(&queues).await.1, ["one", "two"]);
    drop(queues);
    assert_eq!(queues_of(&path).unreadable(), [], "it is said once");
    let kept = std::fs::read_to_string(&apart).unwrap();
    let kept: Vec<serde_json::Value> = kept.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(kept.len(), 2);
    assert_eq!((&kept[0]["line"], kept[0]["text"].as_str()), (&2.into(), std::str::from_utf8(bad).ok()));
    assert_eq!(kept[0]["found_at"], "2026-11-23T13:04:00Z");
    assert!(kept[0]["problem"].as_str().unwrap().contains("column"), "{}", kept[0]);
}

#[tokio::test]
async fn an_id_beyond_all_others_is_set_apart_and_the_next_message_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queues.jsonl");
    let newest = u64::MAX;
    let line = r#"{"is":"sent","id":3,"queue":"send-email","body":"one"}"#;
    std::fs::write(&path, format!("{{\"is\":\"newest\",\"id\":{newest}}}\n{line}\n")).unwrap();
    let queues = LocalQueues::open(&path, at(4)).unwrap();
    assert_eq!(queues.unreadable().len(), 1);
    queues.put(EMAIL, bodies(&["two"])).unwrap();
    assert_eq!(drain(&queues).await.1, ["one", "two"]);
}

#[test]
fn a_file_of_somebody_else_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queues.jsonl");
    std::fs::write(&path, "{\"hello\":1}\n{\"hello\":2}\n").unwrap();
    let refused = LocalQueues::open(&path, at(0)).unwrap_err().to_string();
    assert!(refused.contains("line 1"), "{refused}");
    assert!(std::fs::read_to_string(&path).unwrap().ends_with("2}\n"), "it stays as it is");
}
