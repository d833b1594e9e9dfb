//! Planner properties: what must hold for every portfolio, on every day, whatever is missed or paid in between.

use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use crate::channel::{Channel, Purpose};
use crate::contact_check::{ContactAnswer, ContactQuery};
use crate::jurisdiction::Jurisdiction;
use crate::planner::Plan;
use crate::planner_scenarios::{World, day};
use crate::verdict::Decision;

/// A profile that asks for one more condition before anything is sent.
fn gated_by(gate: &str) -> &'static Jurisdiction {
    let text = Jurisdiction::built_in_text("DEFAULT").unwrap();
    let rule = "purposes = [\"overdue\", \"pre_due\"]\n";
    assert_eq!(text.matches(rule).count(), 1);
    let text = text.replace(rule, &format!("{rule}require = [\"{gate}\"]\n"))
        + "[consent]\ndnc_registry = { name = \"LIST\", applies_to = [\"overdue\"] }\n";
    Box::leak(Box::new(Jurisdiction::parse(&text).unwrap()))
}

#[test]
fn a_gate_that_the_facts_cannot_answer_is_closed() {
    for (gate, code) in
        [("opt_in", "stage_due"), ("opt_in_by_own_initiative", "gate"), ("not_in_list", "gate")]
    {
        let mut world = World::new("DEFAULT");
        world.customer.time_zone = Some(Tz::UTC);
        world.jurisdiction = gated_by(gate);
        world.reach(Channel::Sms);
        world.reach(Channel::Email);
        world.owes("o1", day("2026-03-01"), 100);
        let plan = world.plan(instant(&world, day("2026-03-04"), 10));
        let reason = &plan.verdicts[0].reasons[0];
        assert_eq!((reason.code.as_str(), plan.now.is_some()), (code, code == "stage_due"), "{gate}");
        assert!(plan.later.is_none() && (code != "gate" || reason.detail.starts_with(&gate[..4])), "{gate}");
    }
}

#[derive(Debug, Clone)]
struct Debt {
    due_in_days: u64,
    paid_after_days: Option<u64>,
    disputed: Option<(u64, u64)>,
}

fn debt() -> impl Strategy<Value = Debt> {
    let dispute = (0_u64..60, 1_u64..30);
    (0_u64..45, proptest::option::of(0_u64..70), proptest::option::weighted(0.2, dispute))
        .prop_map(|(due_in_days, paid_after_days, disputed)| Debt { due_in_days, paid_after_days, disputed })
}

#[derive(Debug, Clone)]
struct Portfolio {
    jurisdiction: &'static str,
    first_on: NaiveDate,
    debts: Vec<Debt>,
    prefers: Option<Channel>,
    /// The hours of the day on which a plan is made, none on a missed day.
    hours: Vec<Vec<u32>>,
}

fn portfolio() -> impl Strategy<Value = Portfolio> {
    let jurisdiction = prop_oneof![Just("CO"), Just("PE"), Just("CL"), Just("US"), Just("DEFAULT")];
    let prefers = proptest::option::of(prop_oneof![Just(Channel::Email), Just(Channel::Sms)]);
    let hours = prop_oneof![
        6 => Just(vec![8]),
        1 => Just(vec![]),
        1 => Just(vec![6, 7, 12, 20]),
        1 => Just(vec![8, 8]),
    ];
    let (debts, days) = (proptest::collection::vec(debt(), 1..5), proptest::collection::vec(hours, 75));
    (jurisdiction, 0_u64..300, debts, prefers, days).prop_map(
        |(jurisdiction, start, debts, prefers, hours)| {
            let first_on = day("2026-01-05") + Days::new(start);
            Portfolio { jurisdiction, first_on, debts, prefers, hours }
        },
    )
}

fn world_of(portfolio: &Portfolio) -> World {
    use crate::obligation::{Hold, HoldReason};
    let mut world = World::new(portfolio.jurisdiction);
    world.reach(Channel::Email);
    world.customer.time_zone = world.jurisdiction.time_zone().is_none().then_some(Tz::UTC);
    world.reach(Channel::Sms);
    world.customer.preferred_channel = portfolio.prefers;
    for (i, debt) in portfolio.debts.iter().enumerate() {
        world.owes(&format!("o{i}"), portfolio.first_on + Days::new(debt.due_in_days), 100);
        if let Some((from, length)) = debt.disputed {
            let from_on = portfolio.first_on + Days::new(from);
            let until_on = Some(from_on + Days::new(length));
            world.obligations[i].holds.push(Hold { reason: HoldReason::Dispute, from_on, until_on });
        }
    }
    world
}

/// The zone of the profile; that of the customer where the profile is of any country and has none.
fn zone_of(world: &World) -> Tz {
    world.jurisdiction.time_zone().or(world.customer.time_zone).unwrap()
}

fn instant(world: &World, on: NaiveDate, hour: u32) -> DateTime<Utc> {
    let local = on.and_hms_opt(hour, 0, 0).unwrap();
    zone_of(world).from_local_datetime(&local).earliest().unwrap().with_timezone(&Utc)
}

/// What one plan must keep, whatever came before it.
fn check_plan(world: &World, plan: &Plan, now: DateTime<Utc>) -> Result<(), TestCaseError> {
    prop_assert_eq!(plan.verdicts.len(), world.obligations.len());
    for (verdict, obligation) in plan.verdicts.iter().zip(&world.obligations) {
        prop_assert_eq!(&verdict.obligation, &obligation.id);
        prop_assert!(!verdict.reasons.is_empty());
        let in_touch = |touch: &Option<crate::touch::Touch>| {
            touch.iter().flat_map(|t| &t.items).any(|i| i.obligation == obligation.id)
        };
        prop_assert_eq!(verdict.decision == Decision::Send, in_touch(&plan.now));
        if verdict.decision == Decision::Defer {
            prop_assert!(in_touch(&plan.later));
        }
    }
    let zone = zone_of(world);
    for touch in plan.now.iter().chain(&plan.later) {
        prop_assert!(touch.send_at >= now);
        let query = ContactQuery {
            purpose: touch.purpose,
            channel: touch.channel,
            at: touch.send_at,
            time_zone: zone,
            prior: &world.fence.contacts,
            agreed_hours: world.customer.agreed_hours.as_ref(),
        };
        let lawful = matches!(world.jurisdiction.check(&query), ContactAnswer::Allowed(_));
        prop_assert!(lawful, "{:?} at {} is not lawful", touch.channel, touch.send_at);
        for item in &touch.items {
            let obligation = world.obligations.iter().find(|o| o.id == item.obligation).unwrap();
            prop_assert!(obligation.is_open());
            prop_assert!(obligation.holds.iter().all(|h| !h.covers(plan.on)));
            let dpd = obligation.dpd_on(touch.on);
            prop_assert!(item.dpd <= dpd && (Purpose::of_dpd(item.dpd) == Purpose::Overdue || dpd <= 0));
            if let Some(reached) = world.fence.reached(&item.obligation, item.due_on) {
                prop_assert!(item.dpd > reached.dpd, "{} went back or came twice", item.stage);
            }
        }
        let lead = touch.items.iter().filter_map(|i| world.obligations.iter().find(|o| o.id == i.obligation));
        let most = lead.map(|o| o.dpd_on(touch.on)).max().unwrap();
        prop_assert_eq!(Purpose::of_dpd(most), touch.purpose);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_day_of_every_portfolio_keeps_the_rules(portfolio in portfolio()) {
        let mut world = world_of(&portfolio);
        let mut sent_on = std::collections::BTreeSet::new();
        for (number, hours) in portfolio.hours.iter().enumerate() {
            let on = portfolio.first_on + Days::new(number as u64);
            for (debt, obligation) in portfolio.debts.iter().zip(&mut world.obligations) {
                if debt.paid_after_days.is_some_and(|after| after <= number as u64) {
                    obligation.closed_on = Some(on);
                }
            }
            for hour in hours {
                let now = instant(&world, on, *hour);
                let plan = world.plan(now);
                check_plan(&world, &plan, now)?;
                prop_assert_eq!(&plan, &world.plan(now));
                if let Some(touch) = plan.now {
                    prop_assert!(sent_on.insert(touch.on), "two messages on {}", touch.on);
                    world.carry_out(&touch);
                }
            }
        }
    }

    #[test]
    fn a_deferred_touch_goes_out_at_its_moment(portfolio in portfolio()) {
        let mut world = world_of(&portfolio);
        for number in 0..portfolio.hours.len() {
            let on = portfolio.first_on + Days::new(number as u64);
            let plan = world.plan(instant(&world, on, 8));
            if let Some(touch) = &plan.now {
                world.carry_out(touch);
            }
            let Some(later) = plan.later else { continue };
            // Nothing changed until its moment, so it goes out then, unless a dispute began in between.
            let held = later.items.iter().any(|i| {
                let obligation = world.obligations.iter().find(|o| o.id == i.obligation).unwrap();
                obligation.holds.iter().any(|h| h.covers(later.on))
            });
            let then = world.plan(later.send_at);
            prop_assert!(held || then.now.is_some(), "{:?} was lost: {:?}", later, then.verdicts);
        }
    }
}
