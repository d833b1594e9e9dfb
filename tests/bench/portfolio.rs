//! A portfolio for the benchmarks, in which one obligation in twenty-five is due for a stage.
//!
//! Invariant: the portfolio depends on its size alone, so that two runs measure the same work.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveDate, Utc};
use domain::channel::Channel;
use domain::choice::OptOutKey;
use domain::contact::{Address, Consent, ContactPoint, PersonName};
use domain::customer::{Customer, CustomerKind, Role};
use domain::fence::{Fence, Reached};
use domain::ids::{CustomerId, ObligationId};
use domain::message::message_context;
use domain::money::Money;
use domain::obligation::Obligation;
use domain::planner::{Facts, Rules, plan};
use domain::policy::Policy;
use domain::template::Message;
use domain::tenant::Tenant;

/// One obligation in this many is due for a stage.
pub const ONE_SENDS_IN: usize = 25;

/// What is known of one customer.
#[derive(Debug)]
pub struct Case {
    customer: Customer,
    obligations: Vec<Obligation>,
    fence: Fence,
}

/// The moment of the benchmark: a Monday morning in Bogotá, on which everything is lawful.
#[must_use]
pub fn moment() -> DateTime<Utc> {
    "2026-11-23T13:00:00Z".parse().unwrap_or_default()
}

/// A portfolio of `obligations`, two for each customer.
#[must_use]
pub fn portfolio(policy: &Policy, obligations: usize) -> Vec<Case> {
    let today = moment().date_naive();
    (0..obligations / 2).map(|number| case(policy, number, today)).collect()
}

fn case(policy: &Policy, number: usize, today: NaiveDate) -> Case {
    let id = |kind: &str| format!("{kind}-{number:07}");
    let customer = CustomerId::new(id("C")).unwrap_or_else(|_| unreachable!("the id is sound"));
    let mut fence = Fence::default();
    let obligations: Vec<Obligation> = (0..2)
        .map(|i| {
            let position = number * 2 + i;
            // Days past due go round from -3 to 40; most stages were sent on their day.
            let dpd = i64::try_from(position % 44).unwrap_or_default() - 3;
            let due_on = if dpd < 0 {
                today + Days::new(dpd.unsigned_abs())
            } else {
                today - Days::new(dpd.unsigned_abs())
            };
            let obligation = ObligationId::new(format!("{}-{i}", id("O")));
            let obligation = obligation.unwrap_or_else(|_| unreachable!("the id is sound"));
            let stage = policy.stages.iter().rev().find(|s| i64::from(s.dpd) <= dpd);
            if let Some(stage) = stage.filter(|_| !position.is_multiple_of(ONE_SENDS_IN)) {
                let reached = Reached { due_on, stage: stage.id.clone(), dpd: stage.dpd };
                fence.reached.insert(obligation.clone(), reached);
            }
            Obligation {
                id: obligation,
                customer: customer.clone(),
                account: None,
                due_on,
                amount: Money::new(15_000_000 + i64::try_from(position).unwrap_or_default() * 100, cop()),
                paid_minor: 0,
                closed_on: None,
                holds: vec![],
            }
        })
        .collect();
    let word = |channel| Consent::of_contract(channel, true, today - Days::new(300));
    let point =
        |channel, address: String| ContactPoint { channel, address: Address::new(address), test: true };
    let customer = Customer {
        id: customer,
        name: PersonName::new("María Fernanda Ospina"),
        kind: Some(if number.is_multiple_of(8) { CustomerKind::Company } else { CustomerKind::Person }),
        role: Role::Debtor,
        country: None,
        time_zone: None,
        language: None,
        segment: None,
        preferred_channel: Some(Channel::Email),
        contact_points: vec![
            point(Channel::Email, format!("c{number}@example.com")),
            point(Channel::Sms, format!("+57300{number:07}")),
        ],
        consents: vec![word(Channel::Email), word(Channel::Sms)],
        agreed_hours: None,
        hold: None,
    };
    Case { customer, obligations, fence }
}

fn cop() -> domain::money::Currency {
    "COP".parse().unwrap_or_else(|_| unreachable!("COP is a currency"))
}

/// Decides for every customer and renders what is sent; gives the number of verdicts and of messages.
#[must_use]
pub fn decide(tenant: &Tenant, rules: &Rules<'_>, cases: &[Case]) -> (usize, usize) {
    let suppressed = BTreeSet::new();
    let key = OptOutKey::new(*b"bench");
    let (mut verdicts, mut messages) = (0, 0);
    for case in cases {
        let facts = Facts {
            customer: &case.customer,
            obligations: &case.obligations,
            fence: &case.fence,
            suppressed: &suppressed,
        };
        let plan = plan(rules, &facts, moment());
        verdicts += plan.verdicts.len();
        if let Some(touch) = &plan.now {
            let link = tenant.opt_out_link(&key, (&case.customer.id, touch.channel), touch.on);
            let context = message_context(tenant, &case.customer, &case.obligations, touch, link.as_ref());
            let message: Option<Message> =
                rules.policy.templates.render(&touch.template, touch.channel, &context).ok();
            messages += usize::from(message.is_some());
        }
    }
    (verdicts, messages)
}
