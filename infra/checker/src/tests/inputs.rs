//! Inputs that nothing can be checked by.

use std::io::{self, BufReader, Read};

use super::replay::{Replay, march};
use crate::{InputError, Inputs, LINE_BYTES_MAX, LogFile, check};

type Change = fn(&mut Replay);

fn refused(change: Change) -> String {
    let mut replay = Replay::correct();
    change(&mut replay);
    replay.try_check().unwrap_err().to_string()
}

#[test]
fn what_cannot_be_used_is_refused_with_what_is_wrong() {
    let cases: [(Change, &str); 15] = [
        (|r| r.to = march(15), "from 2026-03-16 to 2026-03-15; expected at least one day"),
        (|r| r.to = r.from + chrono::Days::new(36_600), "at most 36600"),
        (|r| r.profile = r.profile.replace("19:00", "18:75"), "to \"18:75\"; expected HH:MM"),
        (|r| r.history.push(r.history[0].clone()), "obligation \"A1\" of customer \"A\" is twice"),
        (|r| r.policy = "stages = []".into(), "the policy cannot be read: it has no stages"),
        (|r| r.policy = r.policy.replace("id = \"d8\"", "id = \"d3\""), "stage \"d3\" is there twice"),
        (|r| r.policy = r.policy.replace("dpd = 8", ""), "missing field `dpd`"),
        (|r| r.profile.insert_str(0, "extends = \"CO\""), "it extends another"),
        (
            |r| r.profile = r.profile.replace("America/Bogota", "America/Macondo"),
            "the profile cannot be read",
        ),
        (|r| r.profile = r.profile.replace("distinct_channels", "phase_of_moon"), "phase_of_moon"),
        (
            |r| r.profile = r.profile.replace("\"19:00\"", "\"06:00\""),
            "windows.cobranza has \"07:00\" to \"06:00\"",
        ),
        (|r| r.profile = r.profile.replace("window = \"cobranza\"", "window = \"x\""), "no known window"),
        (|r| r.profile = r.profile.replace("sun = []", ""), "missing field `sun`"),
        (|r| r.holidays = "date,name\n1/1/2026,New Year\n".into(), "the holiday table cannot be read"),
        (
            |r| r.messages[2] = "x".repeat(usize::try_from(LINE_BYTES_MAX).unwrap() + 1),
            "messages.jsonl line 3 is longer than 1048576 bytes",
        ),
    ];
    for (change, expected) in cases {
        let found = refused(change);
        assert!(found.contains(expected), "expected {expected:?}, found {found:?}");
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

#[test]
fn a_file_that_breaks_off_is_an_error_and_not_a_short_file() {
    let replay = Replay::correct();
    let messages = replay.messages.join("\n");
    let result = check(Inputs {
        history: &replay.history,
        time_zones: &replay.time_zones,
        policy: &replay.policy,
        profile: &replay.profile,
        holidays: &replay.holidays,
        countries: &replay.countries,
        open_questions: replay.open_questions,
        messages: messages.as_bytes(),
        decisions: BufReader::new(Broken),
        from: replay.from,
        to: replay.to,
    });
    assert!(matches!(result, Err(InputError::Read { file: LogFile::Decisions, line: 1, .. })));
}

#[test]
fn the_window_of_a_policy_without_an_end_is_ninety_days() {
    let mut replay = Replay::correct();
    replay.policy = replay.policy.replace("until_dpd = 10", "");
    // B1 is 11 days past due on the last day; by the default it still needs a decision.
    let report = replay.check();
    assert_eq!(report.counts.into_iter().collect::<Vec<_>>(), [(crate::Rule::DayUndecided, 1)]);
}
