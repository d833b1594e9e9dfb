//! Decisions on record: which days leave one, what it holds, and what tells two of them apart.

use chrono::{DateTime, TimeZone, Utc};

use crate::channel::Channel;
use crate::decision::{Cause, DecisionRecord, RECORD_VERSION};
use crate::obligation::{Hold, HoldReason};
use crate::planner::{Facts, Rules};
use crate::planner_scenarios::{World, day};

fn at(on: &str, hour: u32) -> DateTime<Utc> {
    let local = day(on).and_hms_opt(hour, 0, 0).unwrap();
    chrono_tz::America::Bogota.from_local_datetime(&local).unwrap().to_utc()
}

/// A customer of Colombia, with an SMS number, who owes `a` since Tuesday 10 March 2026.
fn world() -> World {
    let mut world = World::new("CO");
    world.reach(Channel::Sms);
    world.owes("a", day("2026-03-10"), 100);
    world
}

fn record(world: &World, now: DateTime<Utc>, cause: Cause) -> Option<DecisionRecord> {
    let rules = Rules { tenant: &world.tenant, policy: &world.policy, jurisdiction: world.jurisdiction };
    let facts = Facts {
        customer: &world.customer,
        obligations: &world.obligations,
        fence: &world.fence,
        suppressed: &world.suppressed,
    };
    DecisionRecord::of(&rules, &facts, &world.plan(now), now, cause)
}

fn codes(record: &DecisionRecord) -> Vec<&str> {
    record.verdicts.iter().map(|v| &*v.reasons[0].code).collect()
}

#[test]
fn a_claim_is_recorded_with_its_rules_and_reads_back() {
    let mut world = world();
    world.fence.version = 7;
    world.fence.audit_head = Some("ab".repeat(32));
    let record = record(&world, at("2026-03-13", 10), Cause::Claim).unwrap();
    assert_eq!((record.v, record.fence_version), (RECORD_VERSION, 7));
    assert_eq!(record.local, "2026-03-13T10:00:00.000-05:00");
    assert_eq!((record.profile.as_str(), record.profile_version.len()), ("CO", 16));
    assert_eq!(record.prev, world.fence.audit_head);
    assert_eq!(codes(&record), ["stage_due"]);
    assert_eq!(record.verdicts[0].reasons[0].rule, Some(0));
    let touch = record.touch.as_ref().unwrap();
    assert_eq!((touch.channel, touch.stage.as_str(), touch.items.len()), (Channel::Sms, "d3", 1));
    let read: DecisionRecord = serde_json::from_str(&record.document()).unwrap();
    assert_eq!(read, record);
    assert_eq!(read.document(), record.document());
}

#[test]
fn a_record_holds_nothing_that_says_who_the_customer_is() {
    let document = record(&world(), at("2026-03-13", 10), Cause::Claim).unwrap().document();
    for personal in ["Ana", "made-up", "contract"] {
        assert!(!document.contains(personal), "{document}");
    }
}

#[test]
fn a_refusal_names_its_rule_its_article_and_its_end() {
    let sunday = record(&world(), at("2026-03-15", 10), Cause::Plan).unwrap();
    let reason = &sunday.verdicts[0].reasons[0];
    assert_eq!((&*reason.code, reason.rule), ("sunday", Some(0)));
    assert_eq!(reason.detail.as_deref(), Some("Ley 2300/2023 art. 3"));
    assert_eq!(reason.until_ms, Some(at("2026-03-16", 7).timestamp_millis()));
    assert_eq!(sunday.touch, None);
}

#[test]
fn quiet_days_leave_no_record() {
    let mut world = world();
    let none = |world: &World, on: &str| record(world, at(on, 10), Cause::Plan).is_none();
    assert!(none(&world, "2026-03-02"), "no stage is due yet");
    assert!(none(&world, "2026-03-11"), "the stage of the due date is over and the next one is not due");
    assert!(none(&world, "2026-08-01"), "the policy is over");
    let sent = world.plan(at("2026-03-13", 10)).now.unwrap();
    world.carry_out(&sent);
    assert!(none(&world, "2026-03-14"), "the stage was sent");
    world.obligations[0].holds.push(Hold {
        reason: HoldReason::Dispute,
        from_on: day("2026-03-14"),
        until_on: None,
    });
    assert!(none(&world, "2026-03-15"), "the hold stops nothing that is due");
    let held = record(&world, at("2026-03-18", 10), Cause::Plan).unwrap();
    assert_eq!(codes(&held), ["dispute"]);
}

#[test]
fn what_closed_before_it_was_sent_is_recorded_at_the_moment_of_sending_only() {
    let mut world = world();
    world.obligations[0].paid_minor = 100;
    let now = at("2026-03-13", 10);
    assert_eq!(record(&world, now, Cause::Plan), None);
    assert_eq!(codes(&record(&world, now, Cause::Send).unwrap()), ["closed"]);
    assert_eq!(record(&world, at("2026-08-01", 10), Cause::Send), None);
}

#[test]
fn the_same_decision_of_a_day_is_told_by_its_digest_whatever_the_moment_and_the_facts() {
    let mut world = world();
    world.customer.consents.clear();
    let first = record(&world, at("2026-03-13", 8), Cause::Plan).unwrap();
    world.obligations[0].paid_minor = 1;
    let again = record(&world, at("2026-03-13", 15), Cause::Send).unwrap();
    assert_ne!(first.inputs, again.inputs, "a payment is among the facts");
    assert_eq!(first.recorded(), again.recorded());
    let next_day = record(&world, at("2026-03-14", 8), Cause::Plan).unwrap().recorded();
    assert_eq!(next_day.digest, first.recorded().digest);
    assert_ne!(next_day.on, first.recorded().on);
    world.word(Channel::Sms, false, day("2026-03-13"));
    let opted_out = record(&world, at("2026-03-13", 16), Cause::Plan).unwrap();
    assert_ne!(opted_out.recorded(), first.recorded());
}
