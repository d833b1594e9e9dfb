//! Planner scenarios: small scripts that tell a story, and snapshots of what the planner says to it.
//!
//! A script line is one of `jurisdiction ID`, `customer ID reach=… [prefers=…] [kind=…]`, `owes ID due=DATE [amount=N]`,
//! `pay ID N`, `dispute ID from=DATE [until=DATE]`, `opt-out CHANNEL on=DATE [for=PURPOSE]`, `consent CHANNEL on=DATE [for=PURPOSE]`,
//! `role ROLE`, `country CODE`, `zone NAME`, `asks DAYS FROM TO CHANNELS`, `prefers CHANNEL`, `suppress CHANNEL`, and `at DATE TIME`, which plans at that local moment and carries the touch out.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone, Utc};

use crate::channel::Channel;
use crate::choice::AgreedHours;
use crate::contact::{Address, Consent, Contact, ContactPoint, PersonName, PurposeScope};
use crate::customer::{Customer, CustomerKind, Role};
use crate::fence::{Fence, Reached};
use crate::ids::{CustomerId, ObligationId, TenantId};
use crate::jurisdiction::Jurisdiction;
use crate::locale::Country;
use crate::money::Money;
use crate::obligation::{Hold, HoldReason, Obligation};
use crate::planner::{Facts, Plan, Rules, plan};
use crate::policy::Policy;
use crate::policy::tests::ladder_policy;
use crate::touch::Touch;

/// A customer and its debts, that plans are made for and carried out on.
pub(crate) struct World {
    pub(crate) tenant: TenantId,
    pub(crate) policy: Policy,
    pub(crate) jurisdiction: &'static Jurisdiction,
    pub(crate) customer: Customer,
    pub(crate) obligations: Vec<Obligation>,
    pub(crate) fence: Fence,
    pub(crate) suppressed: BTreeSet<Channel>,
}

impl World {
    pub(crate) fn new(jurisdiction: &str) -> Self {
        Self {
            tenant: TenantId::new("t").unwrap(),
            policy: ladder_policy(),
            jurisdiction: Jurisdiction::built_in(jurisdiction).unwrap(),
            customer: Customer {
                id: CustomerId::new("c").unwrap(),
                name: PersonName::new("Ana"),
                kind: None,
                role: Role::Debtor,
                country: None,
                time_zone: None,
                language: None,
                segment: None,
                preferred_channel: None,
                contact_points: vec![],
                consents: vec![],
                agreed_hours: None,
                hold: None,
            },
            obligations: vec![],
            fence: Fence::default(),
            suppressed: BTreeSet::new(),
        }
    }

    pub(crate) fn reach(&mut self, channel: Channel) {
        let address = Address::new("made-up");
        self.customer.contact_points.push(ContactPoint { channel, address, test: true });
        self.word(channel, true, day("2026-01-01"));
    }

    pub(crate) fn word(&mut self, channel: Channel, granted: bool, on: NaiveDate) {
        self.customer.consents.push(Consent::of_contract(channel, granted, on));
    }

    pub(crate) fn owes(&mut self, id: &str, due_on: NaiveDate, amount_minor: i64) {
        self.obligations.push(Obligation {
            id: ObligationId::new(id).unwrap(),
            customer: self.customer.id.clone(),
            account: None,
            due_on,
            amount: Money::new(amount_minor, "PEN".parse().unwrap()),
            paid_minor: 0,
            closed_on: None,
            holds: vec![],
        });
    }

    pub(crate) fn plan(&self, now: DateTime<Utc>) -> Plan {
        let rules = Rules { tenant: &self.tenant, policy: &self.policy, jurisdiction: self.jurisdiction };
        let facts = Facts {
            customer: &self.customer,
            obligations: &self.obligations,
            fence: &self.fence,
            suppressed: &self.suppressed,
        };
        plan(&rules, &facts, now)
    }

    /// What a claim does to the fence.
    pub(crate) fn carry_out(&mut self, touch: &Touch) {
        self.fence.version += 1;
        self.fence.contacts.push(Contact { at: touch.send_at, channel: touch.channel, direct: false });
        for item in &touch.items {
            let reached = Reached { due_on: item.due_on, stage: item.stage.clone(), dpd: item.dpd };
            self.fence.reached.insert(item.obligation.clone(), reached);
        }
    }

    fn obligation(&mut self, id: &str) -> &mut Obligation {
        self.obligations.iter_mut().find(|o| o.id.as_str() == id).expect("a script names what is owed")
    }
}

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().expect("a script has dates as 2026-03-10")
}

/// The value of `key=value` among the words.
fn value<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|w| w.strip_prefix(key)?.strip_prefix('='))
}

fn play(script: &str) -> String {
    let mut world = World::new("CO");
    let mut told = String::new();
    for line in script.lines().filter(|l| !l.trim().is_empty()) {
        writeln!(told, "{line}").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "#" => {}
            "jurisdiction" => world.jurisdiction = Jurisdiction::built_in(words[1]).unwrap(),
            "customer" => {
                for channel in value(&words, "reach").unwrap_or_default().split(',') {
                    world.reach(channel.parse().unwrap());
                }
                world.customer.preferred_channel = value(&words, "prefers").map(|c| c.parse().unwrap());
                world.customer.kind = value(&words, "kind").map(|k| match k {
                    "company" => CustomerKind::Company,
                    _ => CustomerKind::Person,
                });
            }
            "owes" => {
                let amount = value(&words, "amount").map_or(100, |a| a.parse().unwrap());
                world.owes(words[1], day(value(&words, "due").unwrap()), amount);
            }
            "pay" => world.obligation(words[1]).paid_minor += words[2].parse::<i64>().unwrap(),
            "dispute" => {
                let from_on = day(value(&words, "from").unwrap());
                let until_on = value(&words, "until").map(day);
                world.obligation(words[1]).holds.push(Hold {
                    reason: HoldReason::Dispute,
                    from_on,
                    until_on,
                });
            }
            said @ ("opt-out" | "consent") => {
                world.word(words[1].parse().unwrap(), said == "consent", day(value(&words, "on").unwrap()));
                if let (Some(purpose), Some(word)) =
                    (value(&words, "for"), world.customer.consents.last_mut())
                {
                    word.purposes = PurposeScope::only([purpose.parse().unwrap()]).unwrap();
                }
            }
            "country" => world.customer.country = Some(Country::new(words[1]).unwrap()),
            "zone" => world.customer.time_zone = Some(words[1].parse().unwrap()),
            "role" => world.customer.role = *Role::ALL.iter().find(|r| r.as_str() == words[1]).unwrap(),
            "asks" => world.customer.agreed_hours = Some(asked(&words)),
            "prefers" => world.customer.preferred_channel = Some(words[1].parse().unwrap()),
            "suppress" => {
                world.suppressed.insert(words[1].parse().unwrap());
            }
            "at" => told.push_str(&plan_at(&mut world, &format!("{} {}", words[1], words[2]))),
            other => panic!("unknown word {other:?} in a script"),
        }
    }
    told
}

/// Other hours that a customer asked for in a document that is later than the contract.
fn asked(words: &[&str]) -> AgreedHours {
    let days: Vec<&str> = words[1].split(',').collect();
    let channels: Vec<&str> = words[4].split(',').collect();
    let request = serde_json::json!({
        "channels": channels, "hours": [{"days": days, "from": words[2], "to": words[3]}],
        "document": "doc-1", "document_on": "2026-02-02", "contract_on": "2026-01-01",
    });
    serde_json::from_value(request).expect("a script asks for hours that can be")
}

fn plan_at(world: &mut World, moment: &str) -> String {
    let zone = crate::zone::day_zone(&world.customer, world.jurisdiction);
    let local = NaiveDateTime::parse_from_str(moment, "%Y-%m-%d %H:%M").unwrap();
    let now = zone.from_local_datetime(&local).unwrap().with_timezone(&Utc);
    let plan = world.plan(now);
    let mut told = String::new();
    for (when, touch) in [("now", &plan.now), ("later", &plan.later)] {
        let Some(touch) = touch else { continue };
        let items: Vec<String> =
            touch.items.iter().map(|i| format!("{} to {}", i.obligation, i.stage)).collect();
        let at = touch.send_at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M");
        let words = format!("{} {} by {}", touch.tone, touch.purpose, touch.channel);
        writeln!(told, "    touch {when}, {at}: {words}: {}", items.join(", ")).unwrap();
    }
    for verdict in &plan.verdicts {
        let stage = verdict.stage.as_ref().map_or("-", |s| s.as_str());
        write!(told, "    {:<6} {:<5} {:<5}", verdict.obligation, stage, verdict.decision.as_str()).unwrap();
        for reason in &verdict.reasons {
            write!(told, " {} ({})", reason.code, reason.detail).unwrap();
            if let Some(until) = reason.until {
                write!(told, " until {}", until.with_timezone(&zone).format("%a %m-%d %H:%M")).unwrap();
            }
        }
        told.push('\n');
    }
    if let Some(touch) = &plan.now {
        world.carry_out(touch);
    }
    told
}

macro_rules! scenario {
    ($name:ident) => {
        #[test]
        fn $name() {
            let script = include_str!(concat!("../scenarios/", stringify!($name), ".txt"));
            insta::assert_snapshot!(play(script));
        }
    };
}

scenario!(weekend_in_colombia);
scenario!(weekend_in_peru);
scenario!(missed_days);
scenario!(one_message);
scenario!(holds_and_payments);
scenario!(no_way_to_reach);
scenario!(no_time_zone);
scenario!(several_clocks);
scenario!(channel_week);
scenario!(only_authorised_channels);
scenario!(words_for_a_purpose);
scenario!(references);
scenario!(other_hours);
