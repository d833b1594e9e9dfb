//! What an outbox keeps, in which form, and what it answers when a test breaks it.

use std::fs;

use super::*;
use crate::Sender;
use crate::sample::Sample;

fn accepted() -> Outcome {
    Outcome::Accepted { provider_id: "outbox-0f3a9c5e7b1d2f4a".into() }
}

#[tokio::test]
async fn every_call_keeps_one_message_in_memory() {
    let outbox = Outbox::memory();
    let sender = Sender::Outbox(outbox.clone());
    let sample = Sample::email();
    assert_eq!(sender.send(&sample.outgoing()).await, accepted());
    assert_eq!(sender.send(&sample.outgoing()).await, accepted());
    let messages = outbox.messages();
    assert_eq!(messages.len(), 2, "a duplicate must be seen");
    assert_eq!(messages[0].to.reveal(), "ana@example.com");
    assert_eq!(messages[0].body, sample.message.text);
}

#[test]
fn a_line_has_exactly_the_agreed_keys_in_the_agreed_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("messages.jsonl");
    let sample = Sample::email();
    assert_eq!(Outbox::file(&path).unwrap().send(&sample.outgoing()), accepted());
    let expected = concat!(
        r#"{"at":"2025-02-28T08:00:00-05:00","touch":"0f3a9c5e7b1d2f4a","customer":"7590-VHVEG","#,
        r#""obligations":[{"id":"611365","stage":"before-3"}],"stage":"before-3","tone":"friendly","#,
        r#""purpose":"pre_due","channel":"email","to":"ana@example.com","#,
        r#""subject":"Su cuota vence el lunes","body":"Hola, su cuota de $ 150.000 vence mañana."}"#,
        "\n"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn a_second_outbox_appends_and_a_missing_subject_and_a_zero_offset_are_written_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.jsonl");
    let mut sample = Sample::email();
    assert_eq!(Outbox::file(&path).unwrap().send(&sample.outgoing()), accepted());
    sample.message.subject = None;
    sample.message.text = "una línea\ny otra".into();
    let mut outgoing = sample.outgoing();
    outgoing.at = DateTime::parse_from_rfc3339("2025-02-28T13:00:00Z").unwrap();
    assert_eq!(Outbox::file(&path).unwrap().send(&outgoing), accepted());
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "a line break in a body must not break the line");
    assert!(lines[1].contains(r#""at":"2025-02-28T13:00:00+00:00""#), "{}", lines[1]);
    assert!(lines[1].contains(r#""subject":null"#), "{}", lines[1]);
    let back: OutboxMessage = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(back.body, "una línea\ny otra");
}

#[test]
fn previews_are_written_only_when_asked_for_and_only_below_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut sample = Sample::email();
    let plain = Outbox::memory();
    assert_eq!(plain.send(&sample.outgoing()), accepted());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let outbox = Outbox::memory().with_previews(folder.path()).unwrap();
    assert_eq!(outbox.send(&sample.outgoing()), accepted());
    let html = fs::read_to_string(folder.path().join("mail").join("0f3a9c5e7b1d2f4a.html")).unwrap();
    assert_eq!(Some(html), sample.message.html);

    sample.touch.id = TouchId::new("../../up").unwrap();
    assert!(matches!(outbox.send(&sample.outgoing()), Outcome::Accepted { .. }));
    sample.message.html = None;
    sample.touch.id = TouchId::new("text-only").unwrap();
    assert!(matches!(outbox.send(&sample.outgoing()), Outcome::Accepted { .. }));
    assert_eq!(fs::read_dir(folder.path().join("mail")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_fault_is_used_up_by_one_call_and_only_a_lost_answer_keeps_the_message() {
    let outbox = Outbox::memory();
    let sample = Sample::email();
    outbox.fail_next(Fault::Refuse { retry: true });
    outbox.fail_next(Fault::LoseRequest);
    outbox.fail_next(Fault::LoseAnswer);
    let outgoing = sample.outgoing();
    assert!(matches!(outbox.send(&outgoing), Outcome::NotSent { retry: true, .. }));
    assert!(matches!(outbox.send(&outgoing), Outcome::Unknown { .. }));
    assert_eq!(outbox.messages().len(), 0);
    assert!(matches!(outbox.send(&outgoing), Outcome::Unknown { .. }));
    assert_eq!(outbox.messages().len(), 1);
    assert_eq!(outbox.send(&outgoing), accepted());
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_a_full_disk_is_known_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let error = Outbox::file(folder.path()).err().unwrap();
    assert!(matches!(error, OutboxError::File { .. }), "{error}");

    // Every write to /dev/full ends in "no space left".
    let full = Path::new("/dev/full");
    if full.exists() {
        let outcome = Outbox::file(full).unwrap().send(&Sample::email().outgoing());
        assert_eq!(outcome, Outcome::NotSent { reason: "outbox write StorageFull".into(), retry: true });
    }
}

#[test]
fn a_kept_message_never_prints_what_it_says_or_to_whom() {
    let outbox = Outbox::memory();
    let _kept = outbox.send(&Sample::email().outgoing());
    let printed = format!("{:?}", outbox.messages());
    assert!(!printed.contains("ana@") && !printed.contains("cuota"), "{printed}");
    assert!(printed.contains("0f3a9c5e7b1d2f4a"), "{printed}");
}

#[test]
fn a_torn_line_is_cut_before_the_next_message() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messages.jsonl");
    for (found, kept) in
        [("{\"a\":1}\n{\"b\"", "{\"a\":1}\n"), ("{\"torn", ""), ("{\"a\":1}\n", "{\"a\":1}\n"), ("", "")]
    {
        std::fs::write(&path, found).unwrap();
        drop(Outbox::file(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kept);
    }
    let long = format!("{{\"a\":1}}\n{}", "x".repeat(200_000));
    std::fs::write(&path, long).unwrap();
    drop(Outbox::file(&path).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n");
}
