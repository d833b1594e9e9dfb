//! The checks that a compliance officer runs by hand, over the cases with expected answers in `../shared`.

use std::path::PathBuf;

use crate::fixture::{TENANT, run_to, text};
use crate::tidy::root;

/// A file of cases; `None`, and said so, where it is missing.
fn cases(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared/facts/vectors").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/facts/vectors/{name} is missing");
    None
}

/// Compares some columns of the cases with what a command prints for them.
fn agrees(command: &str, name: &str, columns: &[&str]) {
    let Some(path) = cases(name) else { return };
    let path = path.to_str().expect("paths of the tests are text").to_owned();
    let printed = run_to(0, &[command, "--vectors", &path]);
    let mut printed = csv::Reader::from_reader(printed.stdout.as_slice());
    assert_eq!(printed.headers().expect("a header").iter().collect::<Vec<_>>(), columns, "{command}");
    let mut expected = csv::Reader::from_path(&path).expect("the cases can be read");
    let header = expected.headers().expect("a header").clone();
    let places: Vec<usize> = columns
        .iter()
        .map(|c| header.iter().position(|h| h == *c).expect("the cases have the column"))
        .collect();
    let mut compared = 0;
    for (printed, expected) in printed.records().zip(expected.records()) {
        let (printed, expected) = (printed.expect("a row"), expected.expect("a case"));
        let wanted: Vec<&str> = places.iter().map(|p| &expected[*p]).collect();
        assert_eq!(printed.iter().collect::<Vec<_>>(), wanted, "{command}, line {}", compared + 2);
        compared += 1;
    }
    let all = std::fs::read_to_string(&path).expect("the cases can be read").lines().count() - 1;
    assert_eq!(compared, all, "{command} left cases out");
}

#[test]
fn contacts_are_judged_as_expected() {
    agrees("check-contact", "contact_window.csv", &["id", "allowed", "reason", "next_allowed"]);
}

#[test]
fn text_messages_are_counted_as_expected() {
    agrees("sms", "sms_segment.csv", &["name", "encoding", "units", "segments"]);
}

#[test]
fn telephone_numbers_are_read_as_expected() {
    agrees("phone", "phone.csv", &["input", "valid", "e164", "type"]);
}

#[test]
fn one_question_is_answered_in_words_with_the_article() {
    let asked = ["check-contact", "--jurisdiction", "CO", "--purpose", "overdue", "--channel", "sms"];
    let holiday = text(&run_to(0, &[&asked[..], &["--at", "2026-07-13T10:00:00-05:00"]].concat()).stdout);
    assert!(holiday.starts_with("Not allowed: overdue by sms on Monday 2026-07-13"), "{holiday}");
    assert!(holiday.contains("Ley 2300/2023 art. 3") && holiday.contains("holiday"), "{holiday}");
    assert!(holiday.contains("Next allowed: Tuesday 2026-07-14 07:00:00 -05:00"), "{holiday}");
    let prior = r#"[{"at":"2026-07-14T08:00:00-05:00","channel":"sms","direct":false}]"#;
    let capped = [&asked[..], &["--at", "2026-07-14T10:00:00-05:00", "--prior", prior]].concat();
    assert!(text(&run_to(0, &capped).stdout).contains("daily_cap"));
}

/// What a lender might add: a closed day, a looser reminder, a stricter answer.
const OWN_RULES: &str = r#"
[[contact_rules.CO.closed_days]]
on = "2026-12-24"
reason = "the office is closed"
[[contact_rules.CO.loosen]]
purposes = ["pre_due"]
reason = "customers asked for it"
approved_by = "the legal department"
approved_on = "2026-11-02"
hours = { sun = [["09:00", "12:00"]] }
[contact_rules.PE.answers]
hours_cover_pre_due = { answer = "yes" }
"#;

#[test]
fn a_tenants_own_rules_decide_and_are_named() {
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let file = folder.path().join("tenant.toml");
    std::fs::write(&file, format!("{TENANT}\n{OWN_RULES}")).expect("the settings can be written");
    let file = file.to_str().expect("paths of the tests are text");
    let ask = |more: &[&str]| {
        text(&run_to(0, &[&["check-contact", "--tenant", file, "--channel", "sms"], more].concat()).stdout)
    };
    let closed = ask(&["--purpose", "overdue", "--at", "2026-12-24T10:00:00-05:00"]);
    assert!(closed.contains("Reason: closed_day"), "{closed}");
    let place = "contact_rules.CO.closed_days[0], because: the office is closed";
    assert!(closed.contains(place), "{closed}");
    let looser = ask(&["--purpose", "pre_due", "--at", "2026-03-08T10:00:00-05:00"]);
    assert!(looser.starts_with("Allowed: pre_due by sms"), "{looser}");
    assert!(looser.contains("The profile alone refuses it: sunday."), "{looser}");
    assert!(looser.contains("approved by the legal department on 2026-11-02"), "{looser}");
    let at = ["--purpose", "pre_due", "--at", "2026-03-07T10:00:00-05:00"];
    let stricter = ask(&[&["--jurisdiction", "PE"][..], &at].concat());
    assert!(stricter.contains("contact_rules.PE.answers.hours_cover_pre_due"), "{stricter}");

    let bad = OWN_RULES.replace("\"pre_due\"", "\"overdue\"");
    std::fs::write(file, format!("{TENANT}\n{bad}")).expect("the settings can be written");
    let asked = ["check-contact", "--tenant", file, "--channel", "sms"];
    let refused = run_to(1, &[&asked[..], &at].concat());
    assert!(refused.stdout.is_empty());
    let told = text(&refused.stderr);
    assert!(told.contains("contact_rules.CO.loosen[0].hours") && told.contains("Ley 2300/2023"), "{told}");
}

#[test]
fn a_question_that_cannot_be_understood_is_never_allowed() {
    let sound = [
        ("--jurisdiction", "CO"),
        ("--purpose", "overdue"),
        ("--channel", "sms"),
        ("--at", "2026-07-14T10:00:00-05:00"),
        ("--prior", "[]"),
        ("--time-zone", "America/Bogota"),
    ];
    let broken = [
        ("--jurisdiction", "XX"),
        ("--purpose", "dunning"),
        ("--channel", "fax"),
        ("--at", "2026-07-14T10:00:00"),
        ("--at", "2026-07-14T09:59:60-05:00"),
        ("--prior", r#"[{"at":"2026-07-14T08:59:60-05:00","channel":"sms"}]"#),
        ("--prior", "[{]"),
        ("--time-zone", "Bogota"),
    ];
    for (key, value) in broken {
        let mut asked = vec!["check-contact"];
        asked.extend(sound.iter().flat_map(|(k, v)| [*k, if *k == key { value } else { *v }]));
        let refused = run_to(1, &asked);
        assert!(refused.stdout.is_empty(), "{key} {value}");
        assert!(text(&refused.stderr).contains("expected"), "{key}: {}", text(&refused.stderr));
    }
}

fn answered(asked: &[&str]) -> String {
    text(&run_to(0, &[&["check-contact", "--channel", "sms"], asked].concat()).stdout)
}

#[test]
fn an_open_question_is_named_with_its_answer_and_the_strict_one() {
    let saturday = ["--jurisdiction", "PE", "--purpose", "pre_due", "--at", "2026-03-07T10:00:00-05:00"];
    let bare = answered(&saturday);
    let first = "Allowed only under the open question hours_cover_pre_due: pre_due by sms";
    assert!(bare.starts_with(first), "{bare}");
    assert!(bare.contains("answer \"yes\" under contact_rules.PE.answers.hours_cover_pre_due"), "{bare}");
    let monday = ["--jurisdiction", "PE", "--purpose", "pre_due", "--at", "2026-03-09T10:00:00-05:00"];
    assert!(answered(&monday).starts_with("Allowed: pre_due by sms"));
    assert!(
        bare.contains("Open question hours_cover_pre_due") && bare.contains("Answered with no:"),
        "{bare}"
    );
    let strict = "It refuses the contact: outside_hours; next allowed: Monday 2026-03-09 07:00:00 -05:00.";
    assert!(bare.contains("The strict answer, yes:") && bare.contains(strict), "{bare}");

    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let file = folder.path().join("tenant.toml");
    let file = file.to_str().expect("paths of the tests are text");
    std::fs::write(file, TENANT).expect("the settings can be written");
    let of_a_tenant = answered(&[&["--tenant", file], &saturday[..]].concat());
    assert!(of_a_tenant.starts_with("Not allowed: pre_due by sms"), "{of_a_tenant}");
    assert!(of_a_tenant.contains("Answered with the strict answer, yes:"), "{of_a_tenant}");
    assert!(of_a_tenant.contains("contact_rules.PE.answers.hours_cover_pre_due"), "{of_a_tenant}");
    let record = "[contact_rules.PE.answers.hours_cover_pre_due]\nanswer = \"no\"\nreason = \"r\"\n\
                  approved_by = \"a\"\napproved_on = \"2026-11-02\"";
    std::fs::write(file, format!("{TENANT}\n{record}")).expect("the settings can be written");
    assert!(answered(&[&["--tenant", file], &saturday[..]].concat()).starts_with(first));
    std::fs::write(file, format!("{TENANT}\n{record}").replace("2026-11-02", "2999-11-02")).expect("again");
    let asked = [&["check-contact", "--channel", "sms", "--tenant", file], &saturday[..]].concat();
    let told = text(&run_to(1, &asked).stderr);
    assert!(told.contains("hours_cover_pre_due.approved_on: 2999-11-02 lies after today"), "{told}");
}

#[test]
fn an_earlier_contact_that_does_not_say_so_counts_as_answered() {
    let asked = |id: &'static str, prior: &'static str| {
        let at = "2026-07-14T10:00:00-05:00";
        answered(&["--jurisdiction", id, "--purpose", "overdue", "--at", at, "--prior", prior])
    };
    let unsaid = r#"[{"at":"2026-07-14T08:00:00-05:00","channel":"sms"}]"#;
    let unanswered = r#"[{"at":"2026-07-14T08:00:00-05:00","channel":"sms","direct":false}]"#;
    assert!(asked("CO-DIRECT", unsaid).contains("Reason: daily_cap"));
    assert!(asked("CO-DIRECT", unanswered).starts_with("Allowed"));
    assert!(asked("CO", unanswered).contains("Reason: daily_cap"));
}

#[test]
fn the_gates_and_the_consent_of_a_contact_are_named() {
    let asked = |id: &str, purpose: &str| {
        answered(&["--jurisdiction", id, "--purpose", purpose, "--at", "2026-07-14T10:00:00-05:00"])
    };
    let marketing = asked("CO", "marketing");
    assert!(
        marketing.starts_with("Allowed only with opt_in and not_in_registry: marketing by sms"),
        "{marketing}"
    );
    assert!(marketing.contains("Needed: opt_in, the customer agreed to marketing by sms."), "{marketing}");
    assert!(marketing.contains("not_in_registry") && marketing.contains("registry RNE"), "{marketing}");
    assert!(asked("PE", "marketing").contains("Needed: opt_in_by_own_initiative"));
    let receipt = asked("CO", "transactional");
    assert!(receipt.contains("Exempt: neither hours nor limits apply."), "{receipt}");
    assert!(
        receipt.contains("Needed: consent, the customer authorised sms for transactional (opt_in"),
        "{receipt}"
    );
    assert!(!receipt.contains("Needed: opt_in,"), "{receipt}");
}

#[test]
fn a_file_of_questions_is_read_by_its_header_and_a_bad_row_costs_no_other() {
    const HEADER: &str = "id,jurisdiction,timezone,purpose,channel,at,prior";
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let file = folder.path().join("cases.csv");
    let asked = |code: i32, cases: &str| {
        std::fs::write(&file, cases).expect("the cases can be written");
        let ran = run_to(code, &["check-contact", "--vectors", file.to_str().expect("a path")]);
        (text(&ran.stdout), text(&ran.stderr))
    };
    let sound = |id: &str| format!("{id},CO,America/Bogota,overdue,sms,2026-07-14T10:00:00-05:00,[]");
    let ragged = "2,CO,America/Bogota,overdue,sms,2026-07-14T10:00:00-05:00";
    let (answers, told) = asked(1, &format!("{HEADER}\n{}\n{ragged}\n{}\n", sound("1"), sound("3")));
    let allowed = |id: &str| format!("{id},true,ok,2026-07-14T10:00:00-05:00\n");
    assert_eq!(
        answers,
        format!("id,allowed,reason,next_allowed\n{}2,false,error,\n{}", allowed("1"), allowed("3"))
    );
    assert!(told.contains("line 3, id \"2\": the row has 6 fields; expected 7"), "{told}");
    let (answers, told) = asked(1, &format!("{}\n{}\n", HEADER.replace("timezone", "time_zone"), sound("1")));
    assert!(answers.is_empty() && told.contains("no timezone (is it \"time_zone\"?)"), "{told}");
    let (answers, told) = asked(0, &format!("{HEADER},note,chanel\n{},n,c\n", sound("1")));
    assert!(
        answers.ends_with(&allowed("1")) && told.contains("\"chanel\" is ignored; \"channel\" is read"),
        "{told}"
    );
    assert!(!told.contains("note"), "{told}");
    let (id_left_out, zone_left_out) = (sound(" "), sound("5").replace("America/Bogota", ""));
    let leap = sound("6").replace("10:00:00", "09:59:60");
    let bad = [id_left_out, zone_left_out, leap].join("\n");
    let (answers, told) = asked(1, &format!("{HEADER}\n{bad}\n{}\n", sound("7")));
    assert_eq!(answers.matches(",false,error,").count(), 3, "{answers}");
    assert!(answers.ends_with(&allowed("7")), "{answers}");
    for place in
        ["line 2, id \" \": id is empty", "line 3, id \"5\": timezone is empty", "line 4, id \"6\": at: "]
    {
        assert!(told.contains(place), "{place}: {told}");
    }
    for empty in ["", "\n", &format!("{HEADER}\n")] {
        let (answers, told) = asked(1, empty);
        assert!(!answers.contains("true") && told.contains("expected"), "{told}");
    }
}

#[test]
fn the_profile_of_any_country_says_whose_holidays_it_was_asked_with() {
    let asked = |code, more: &[&str]| {
        let asked =
            ["check-contact", "--jurisdiction", "DEFAULT", "--purpose", "overdue", "--channel", "sms"];
        let ran = run_to(code, &[&asked[..], more].concat());
        text(&ran.stdout) + &text(&ran.stderr)
    };
    let may = ["--at", "2026-05-01T10:00:00-05:00", "--time-zone", "America/Bogota"];
    let common = asked(0, &may);
    assert!(common.contains("Reason: holiday") && common.contains("Holidays: the table COMMON"), "{common}");
    let revolution = ["--at", "2026-05-25T10:00:00-03:00"];
    let argentina = asked(0, &[&revolution[..], &["--country", "AR"]].concat());
    assert!(
        argentina.contains("Reason: holiday") && argentina.contains("those of AR, to 2030"),
        "{argentina}"
    );
    // By the clock of Argentina, which has one: 05:00 there is no hour of the profile, 08:00 is.
    let at = |moment: &'static str| ["--at", moment, "--country", "AR"];
    assert!(asked(0, &at("2026-05-26T08:00:00Z")).contains("Reason: outside_hours"));
    assert!(
        asked(0, &at("2026-05-26T11:00:00Z"))
            .starts_with("Allowed: overdue by sms on Tuesday 2026-05-26 08:00")
    );
    let zone = ["--time-zone", "America/Argentina/Buenos_Aires"];
    assert!(asked(0, &[&revolution[..], &zone].concat()).starts_with("Allowed: overdue by sms"));
    let later = ["--at", "2031-05-26T10:00:00-03:00"];
    assert!(asked(0, &[&later[..], &zone].concat()).contains("Reason: no_calendar"));
    // Nobody knows the clock of a customer of any country, nor of one with several.
    for unknown in [&revolution[..], &[&revolution[..], &["--country", "BR"]].concat()] {
        let told = asked(1, unknown);
        assert!(
            told.contains("no_time_zone") && told.contains("--time-zone") && !told.contains("llowed"),
            "{told}"
        );
    }
    assert!(asked(1, &[&may[..], &["--country", "Argentina"]].concat()).contains("--country"));
    let nowhere = asked(1, &[&revolution[..], &["--country", "GT"]].concat());
    assert!(
        nowhere.contains("contact_rules.DEFAULT.closed_days") && !nowhere.contains("Allowed"),
        "{nowhere}"
    );
}

#[test]
fn a_bad_row_of_texts_or_numbers_is_told_and_costs_no_other() {
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let file = folder.path().join("cases.csv");
    let asked = |command: &str, code: i32, cases: &str| {
        std::fs::write(&file, cases).expect("the cases can be written");
        let ran = run_to(code, &[command, "--vectors", file.to_str().expect("a path")]);
        (text(&ran.stdout), text(&ran.stderr))
    };
    let (answers, told) = asked("sms", 1, "name,text_unicode_escape\na,x\nb,\\uZZZZ\nc\nd,x\n");
    let expected = "name,encoding,units,segments\na,GSM-7,1,1\nb,error,,\nc,error,,\nd,GSM-7,1,1\n";
    assert_eq!(answers, expected);
    assert!(
        told.contains("line 3, name \"b\": ") && told.contains("line 4, name \"c\": the row has 1"),
        "{told}"
    );
    let rows = "default_region,input\nCO,3001234567\nColombia,3001234567\nCO\nCO,12\nPE,987654321\n";
    let (answers, told) = asked("phone", 1, rows);
    let expected = "input,valid,e164,type\n3001234567,true,+573001234567,mobile\n3001234567,false,,error\n\
                    \"\",false,,error\n12,false,,unknown\n987654321,true,+51987654321,mobile\n";
    assert_eq!(answers.replace("\n,false,,error", "\n\"\",false,,error"), expected);
    assert!(
        told.contains("line 3: default_region: ") && told.contains("line 4: the row has 1 fields"),
        "{told}"
    );
    assert!(!told.contains("300"), "a number is not told: {told}");
}

#[test]
fn an_empty_time_zone_or_jurisdiction_is_an_error() {
    let asked =
        ["check-contact", "--purpose", "overdue", "--channel", "sms", "--at", "2026-07-14T10:00:00-05:00"];
    for more in
        [["--jurisdiction", "CO", "--time-zone", ""], ["--jurisdiction", "", "--time-zone", "America/Bogota"]]
    {
        let refused = run_to(1, &[&asked[..], &more].concat());
        assert!(refused.stdout.is_empty() && text(&refused.stderr).contains("is empty"), "{more:?}");
    }
}

#[test]
fn one_part_is_counted_as_one() {
    assert_eq!(text(&run_to(0, &["sms", "--text", "a"]).stdout), "GSM-7, 1 unit, 1 part\n");
    let long = "a".repeat(161);
    assert_eq!(text(&run_to(0, &["sms", "--text", &long]).stdout), "GSM-7, 161 units, 2 parts\n");
}
