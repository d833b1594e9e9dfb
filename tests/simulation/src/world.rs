//! Worlds: who owes what to whom, under which policy and law, and what becomes known when. All of it from the dice.
//!
//! Invariant: everything in a world is made up; addresses are marked as test.

use std::num::NonZeroU32;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use domain::channel::Channel;
use domain::contact::{Address, Consent, ContactPoint, PersonName};
use domain::customer::{Customer, Role};
use domain::ids::{CustomerId, ObligationId, StageId};
use domain::import::record::AccountRow;
use domain::locale::Country;
use domain::money::Money;
use domain::obligation::Obligation;
use domain::tenant::{OnUnknown, Rate, Tenant};

use crate::dice::Dice;

/// What every obligation amounts to, in minor units.
pub(crate) const AMOUNT_MINOR: i64 = 90_000;
/// How many days without a fault follow the chaos.
pub(crate) const CALM_DAYS: u64 = 3;
/// In how many of a thousand worlds the time of senders passes.
const PACED_PER_MILLE: i64 = 150;
/// In how many of a thousand worlds the first file comes in while the world runs.
const FILE_COMES_PER_MILLE: i64 = 250;
/// In how many of a thousand worlds there is a daily quota of emails.
const QUOTA_PER_MILLE: i64 = 100;
/// In how many of a thousand worlds the tenant would rather send an email twice than not at all.
const AGAIN_PER_MILLE: i64 = 250;
/// The same for text messages, in how many of a thousand.
const AGAIN_SMS_PER_MILLE: i64 = 150;
/// How many of a thousand customers have said which channel they prefer.
const PREFERS_PER_MILLE: i64 = 300;
/// The most facts that arrive in one world.
const FACTS_MAX: usize = 7;
/// In how many of a thousand worlds an operator settles what is unknown.
const OPERATOR_PER_MILLE: i64 = 500;
/// How long after a scan an operator looks into the report, in milliseconds.
const WORD_MS_MAX: i64 = 8 * 60 * 60_000;
/// In how many of a thousand worlds a customer asks to be forgotten.
const ERASURE_PER_MILLE: i64 = 200;
/// Of how many of a thousand payments it shows that there were none.
const UNPAY_PER_MILLE: i64 = 500;
/// In how many of a thousand worlds a due date moves, and most often back again.
const MOVE_PER_MILLE: i64 = 350;
/// How near to a scan a fact arrives that is to race it, in milliseconds.
const RACE_MS: i64 = 90_000;

/// A country of the simulation, with what the generator needs to know.
struct Place {
    country: &'static str,
    zones: &'static [Tz],
    /// Days before a change of the clocks there.
    changes: &'static [(i32, u32, u32)],
}

const PLACES: &[Place] = &[
    Place { country: "CO", zones: &[Tz::America__Bogota], changes: &[] },
    Place { country: "PE", zones: &[Tz::America__Lima], changes: &[] },
    Place {
        country: "CL",
        zones: &[Tz::America__Santiago, Tz::Pacific__Easter],
        changes: &[(2026, 4, 3), (2026, 9, 4)],
    },
    Place {
        country: "US",
        zones: &[Tz::America__New_York, Tz::America__Los_Angeles, Tz::America__Chicago],
        changes: &[(2026, 3, 6), (2026, 10, 30)],
    },
    Place {
        country: "MX",
        zones: &[Tz::America__Mexico_City, Tz::America__Tijuana],
        changes: &[(2026, 3, 6)],
    },
];

/// A stage, as the model knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rung {
    /// Its trigger, in days past due.
    pub(crate) dpd: i32,
}

impl Rung {
    /// Its id, which names no day and has no order.
    pub(crate) fn id(self) -> &'static str {
        STAGES.iter().find(|(dpd, _)| *dpd == self.dpd).map_or("", |(_, id)| id)
    }
}

/// Every stage that there can be: its trigger, in days past due, and its id.
const STAGES: [(i32, &str); 7] =
    [(-2, "tamarindo"), (0, "ceiba"), (1, "yuca"), (3, "aguaje"), (5, "nopal"), (8, "boldo"), (10, "cacao")];

/// What becomes known.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// A payment, with what tells it from others.
    Pay { obligation: usize, amount_minor: i64, key: usize },
    /// That there was no such payment after all.
    Unpay { obligation: usize, key: usize },
    /// Another due date: of a cycle that is new, or that was over.
    Move { obligation: usize, due_on: NaiveDate },
    /// A dispute of an obligation.
    Dispute { obligation: usize, from_on: NaiveDate, until_on: Option<NaiveDate> },
    /// A word that a channel must no longer be used.
    OptOut { customer: usize, channel: Channel, on: NaiveDate },
    /// An address that must no longer be used.
    Suppress { customer: usize, channel: Channel },
    /// An obligation that nobody knew.
    Appear { obligation: usize },
    /// Another version of the policy.
    Policy,
}

/// Everything about a world before it begins.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) tenant: Tenant,
    /// The stages of the first version of the policy, and of the second.
    pub(crate) ladders: [Vec<Rung>; 2],
    pub(crate) channels: Vec<Channel>,
    pub(crate) customers: Vec<Customer>,
    pub(crate) rows: Vec<AccountRow>,
    /// Whose each row is.
    pub(crate) owners: Vec<usize>,
    /// Facts with the moment at which somebody first tries to record them, in milliseconds.
    pub(crate) facts: Vec<(i64, Fact)>,
    /// The moments of the daily scans, in milliseconds, and whether each is in the calm.
    pub(crate) scans: Vec<(i64, bool)>,
    /// Whether the time of the senders passes, so that each call waits for the moment that the rate grants.
    pub(crate) paced: bool,
    /// Whether the first file comes in while the world runs, in parts, and may be cut off between them.
    pub(crate) file_comes: bool,
    /// The moments at which an operator looks into the report, in milliseconds.
    pub(crate) words: Vec<i64>,
    /// When a customer asks to be forgotten, in milliseconds, and who.
    pub(crate) erasure: Option<(i64, usize)>,
    pub(crate) begins_at: i64,
    pub(crate) calm_at: i64,
    pub(crate) ends_at: i64,
}

impl World {
    pub(crate) fn roll(seed: u64, dice: &mut Dice) -> Self {
        let place = &PLACES[dice.below(PLACES.len())];
        let first_on = first_day(place, dice);
        let days = u64::try_from(dice.one_of(&[2, 2, 2, 3, 3, 4, 5, 6, 8, 12])).unwrap_or(2);
        let paced = dice.happens(PACED_PER_MILLE);
        let tenant = tenant(seed, place, paced, dice);
        let zone = tenant.time_zone;
        let day = |n: u64| first_on.checked_add_days(Days::new(n)).unwrap_or(first_on);
        let at = |n: u64, time| instant_of(zone, day(n), time).timestamp_millis();
        let scans = (0..days + CALM_DAYS).map(|n| (at(n, tenant.scan_at), n >= days)).collect();
        let all = [-2, 0, 1, 3, 5, 8];
        let stages = 2 + dice.below(3);
        let mut ladder: Vec<Rung> = Vec::new();
        while ladder.len() < stages {
            let rung = Rung { dpd: dice.one_of(&all) };
            if !ladder.contains(&rung) {
                ladder.push(rung);
            }
        }
        ladder.sort_by_key(|r| r.dpd);
        let mut next: Vec<Rung> = ladder.clone();
        next.push(Rung { dpd: 10 });
        let channels = dice.one_of(&[
            &[Channel::Email][..],
            &[Channel::Sms, Channel::Email],
            &[Channel::Email, Channel::Sms],
        ]);
        let mut world = Self {
            tenant,
            ladders: [ladder, next],
            channels: channels.to_vec(),
            customers: Vec::new(),
            rows: Vec::new(),
            owners: Vec::new(),
            facts: Vec::new(),
            scans,
            paced,
            file_comes: dice.happens(FILE_COMES_PER_MILLE),
            words: Vec::new(),
            erasure: None,
            begins_at: at(0, NaiveTime::MIN),
            calm_at: at(days, NaiveTime::MIN),
            ends_at: at(days + CALM_DAYS, NaiveTime::MIN),
        };
        world.populate(place, (first_on, days), dice);
        world.happen((first_on, days), dice);
        world.people(dice);
        world
    }

    /// What people do who are neither the lender's files nor the provider.
    fn people(&mut self, dice: &mut Dice) {
        if dice.happens(OPERATOR_PER_MILLE) {
            let scans = self.scans.iter().map(|(at, _)| *at).filter(|at| *at < self.calm_at);
            self.words = scans.map(|at| at + dice.between(0, WORD_MS_MAX)).collect();
        }
        if dice.happens(ERASURE_PER_MILLE) {
            let scan = self.scans[dice.below(self.scans.len())].0;
            let at = if dice.happens(700) {
                scan + dice.between(0, RACE_MS)
            } else {
                dice.between(self.begins_at, self.calm_at - 1)
            };
            self.erasure = Some((at, dice.below(self.customers.len())));
        }
    }

    fn populate(&mut self, place: &Place, (first_on, days): (NaiveDate, u64), dice: &mut Dice) {
        let customers = dice.one_of(&[1, 1, 1, 2, 2, 3, 4, 6]);
        for c in 0..customers {
            let home = if dice.happens(800) { place } else { &PLACES[dice.below(PLACES.len())] };
            let customer = customer(c, home, dice);
            for o in 0..dice.one_of(&[1, 1, 2, 2, 3, 4]) {
                let due = dice.between(-7, i64::try_from(days).unwrap_or(2) + 1);
                let due_on = first_on + chrono::Duration::days(due);
                self.rows.push(row(&customer, &format!("o{c}-{o}"), due_on));
                self.owners.push(c);
            }
            self.customers.push(customer);
        }
    }

    fn happen(&mut self, (first_on, days): (NaiveDate, u64), dice: &mut Dice) {
        let mut hidden: Vec<usize> = Vec::new();
        for number in 0..dice.below(FACTS_MAX + 1) {
            let day = dice.below(usize::try_from(days).unwrap_or(1));
            let moment = if dice.happens(600) {
                self.scans[day].0 + dice.between(-RACE_MS / 9, RACE_MS)
            } else {
                dice.between(self.begins_at, self.calm_at - 1)
            };
            let on = first_on + chrono::Duration::days(i64::try_from(day).unwrap_or_default());
            let obligation = dice.below(self.rows.len());
            let customer = self.owners[obligation];
            let channel = dice.one_of(&[Channel::Email, Channel::Sms]);
            let fact = match dice.below(20) {
                0..=7 => Fact::Pay { obligation, amount_minor: AMOUNT_MINOR, key: number },
                8..=9 => Fact::Pay { obligation, amount_minor: AMOUNT_MINOR / 2, key: number },
                10..=13 => {
                    let until = dice.one_of(&[None, Some(1), Some(3)]);
                    Fact::Dispute {
                        obligation,
                        from_on: on,
                        until_on: until.map(|n| on + chrono::Duration::days(n)),
                    }
                }
                14..=15 => Fact::OptOut { customer, channel, on },
                16..=17 => Fact::Suppress { customer, channel },
                18 if !hidden.contains(&obligation) => {
                    hidden.push(obligation);
                    Fact::Appear { obligation }
                }
                _ => Fact::Policy,
            };
            self.facts.push((moment, fact));
        }
        self.turn_back(dice);
        self.facts.sort_by_key(|(at, _)| *at);
    }

    /// What is taken back, and due dates that move away and back again.
    fn turn_back(&mut self, dice: &mut Dice) {
        let mut more = Vec::new();
        for (at, fact) in &self.facts {
            if let Fact::Pay { obligation, key, .. } = fact
                && dice.happens(UNPAY_PER_MILLE)
            {
                more.push((self.later(*at, dice), Fact::Unpay { obligation: *obligation, key: *key }));
            }
        }
        if dice.happens(MOVE_PER_MILLE) {
            let obligation = dice.below(self.rows.len());
            let was = self.rows[obligation].obligation.due_on;
            let due_on = was + chrono::Duration::days(dice.one_of(&[-3, -1, 1, 2, 4, 30]));
            let at = self.later(self.begins_at, dice);
            more.push((at, Fact::Move { obligation, due_on }));
            if dice.happens(700) {
                more.push((self.later(at, dice), Fact::Move { obligation, due_on: was }));
            }
        }
        self.facts.extend(more);
    }

    /// A moment after another and before the calm, most often near a scan.
    fn later(&self, at: i64, dice: &mut Dice) -> i64 {
        let scans: Vec<i64> =
            self.scans.iter().map(|(scan, _)| *scan).filter(|s| *s > at && *s < self.calm_at).collect();
        if dice.happens(700) && !scans.is_empty() {
            return scans[dice.below(scans.len())] + dice.between(0, RACE_MS);
        }
        dice.between(at.min(self.calm_at - 2) + 1, self.calm_at - 1)
    }

    /// The due dates that an obligation is given, in the order in which they become known, each with its fact.
    pub(crate) fn moves(&self, obligation: usize) -> impl Iterator<Item = (usize, NaiveDate)> {
        self.facts.iter().enumerate().filter_map(move |(index, (_, fact))| match fact {
            Fact::Move { obligation: o, due_on } if *o == obligation => Some((index, *due_on)),
            Fact::Move { .. }
            | Fact::Pay { .. }
            | Fact::Unpay { .. }
            | Fact::Dispute { .. }
            | Fact::OptOut { .. }
            | Fact::Suppress { .. }
            | Fact::Appear { .. }
            | Fact::Policy => None,
        })
    }

    /// Whether an obligation is known from the beginning.
    pub(crate) fn known_at_first(&self, obligation: usize) -> bool {
        !self.facts.iter().any(|(_, f)| matches!(f, Fact::Appear { obligation: o } if *o == obligation))
    }

    /// A version of the policy, as a file.
    pub(crate) fn policy(&self, version: usize) -> String {
        let mut text = format!("id = \"sim\"\nversion = {version}\nuntil_dpd = 40\n");
        let channels: Vec<String> = self.channels.iter().map(|c| format!("\"{c}\"")).collect();
        for rung in &self.ladders[version - 1] {
            let purpose = if rung.dpd <= 0 { "pre_due" } else { "overdue" };
            text += &format!(
                "[[stages]]\nid = \"{id}\"\ndpd = {0}\ntone = \"friendly\"\npurpose = \"{purpose}\"\n\
                 channels = [{1}]\ntemplate = \"t\"\n",
                rung.dpd,
                channels.join(", "),
                id = rung.id(),
            );
        }
        text + "[[templates]]\nid = \"t\"\n[templates.email]\nsubject = '{{ lender_name }}'\n\
                text = 'Su pago de {{ amount }}. {{ opt_out }}'\nhtml = '<p>{{ amount }} {{ opt_out }}</p>'\n\
                [templates.sms]\ntext = '{{ lender_name }}: {{ amount }}. {{ opt_out }}'\n"
    }

    /// The trigger of a stage, in days past due.
    pub(crate) fn dpd_of(&self, stage: &StageId) -> Option<i32> {
        let rungs = self.ladders.iter().flatten();
        rungs.copied().find(|rung| rung.id() == stage.as_str()).map(|rung| rung.dpd)
    }

    /// Whether the policy, or the customer's own wish, lets a channel serve a customer.
    pub(crate) fn may_serve(&self, customer: usize, channel: Channel) -> bool {
        self.channels.contains(&channel) || self.customers[customer].preferred_channel == Some(channel)
    }

    /// The zone in which a customer's days are judged.
    pub(crate) fn zone_of(&self, customer: usize) -> Tz {
        let customer = &self.customers[customer];
        customer.time_zone.unwrap_or_else(|| {
            let country = country_of(customer);
            PLACES.iter().find(|p| p.country == country).map_or(Tz::UTC, |p| p.zones[0])
        })
    }
}

/// The country whose law protects a customer; every customer here has one.
pub(crate) fn country_of(customer: &Customer) -> &str {
    customer.country.as_ref().map_or("", Country::as_str)
}

fn first_day(place: &Place, dice: &mut Dice) -> NaiveDate {
    let spring = NaiveDate::from_ymd_opt(2026, 1, 5).unwrap_or_default();
    let any = spring + chrono::Duration::days(dice.between(0, 330));
    if place.changes.is_empty() || dice.happens(400) {
        return any;
    }
    let (year, month, day) = dice.one_of(place.changes);
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or(any)
}

fn tenant(seed: u64, place: &Place, paced: bool, dice: &mut Dice) -> Tenant {
    let scan_at = dice.one_of(&[(8, 0), (8, 0), (9, 30), (12, 0), (0, 30), (2, 30), (18, 58)]);
    let shards = dice.one_of(&[1, 1, 2, 3]);
    let text = format!(
        "id = \"w{seed}\"\ncountry = \"{0}\"\njurisdiction = \"{0}\"\ntime_zone = \"{1}\"\nlanguage = \"es\"\n\
         scan_at = \"{2:02}:{3:02}:00\"\nshards = {shards}\npolicy = \"sim\"\n[lender]\nname = \"Prueba\"\n\
         phone = \"555\"\nemail = \"a@example.com\"\nways_to_pay = []\nopt_out_email = \"BAJA\"\nopt_out_sms = \"BAJA\"\n",
        place.country,
        place.zones[0].name(),
        scan_at.0,
        scan_at.1,
    );
    let mut tenant: Tenant = toml::from_str(&text).expect("a tenant that is made here is sound");
    if paced {
        let slow = Rate::try_from(dice.one_of(&[1, 1, 2, 5])).expect("a rate that is made here is sound");
        (tenant.rates.email, tenant.rates.sms) = (slow, slow);
    }
    if dice.happens(QUOTA_PER_MILLE) {
        tenant.daily_quotas.email = NonZeroU32::new(dice.one_of(&[1, 2, 4]));
    }
    if dice.happens(AGAIN_PER_MILLE) {
        tenant.on_unknown.email = OnUnknown::PreferDelivery;
    }
    if dice.happens(AGAIN_SMS_PER_MILLE) {
        tenant.on_unknown.sms = OnUnknown::PreferDelivery;
    }
    tenant
}

fn customer(number: usize, home: &Place, dice: &mut Dice) -> Customer {
    let id = CustomerId::new(format!("c{number}")).expect("an id that is made here is sound");
    let mut channels = vec![Channel::Email];
    if dice.happens(500) {
        channels.push(Channel::Sms);
    }
    let prefers = dice.happens(PREFERS_PER_MILLE).then(|| dice.one_of(&[Channel::Email, Channel::Sms]));
    let said = NaiveDate::from_ymd_opt(2025, 12, 1).unwrap_or_default();
    let consent = |channel: &Channel| Consent::of_contract(*channel, true, said);
    let point = |channel: &Channel| ContactPoint {
        channel: *channel,
        address: match channel {
            Channel::Sms => Address::new(format!("+57300000000{number}")),
            Channel::Email | Channel::Push | Channel::Whatsapp | Channel::Call => {
                Address::new(format!("c{number}@example.com"))
            }
        },
        test: true,
    };
    Customer {
        id,
        name: PersonName::new("Prueba"),
        kind: None,
        role: Role::Debtor,
        country: Country::new(home.country).ok(),
        time_zone: dice.happens(500).then(|| dice.one_of(home.zones)),
        language: None,
        segment: None,
        preferred_channel: prefers,
        contact_points: channels.iter().map(point).collect(),
        consents: channels.iter().map(consent).collect(),
        agreed_hours: None,
        hold: None,
    }
}

fn row(customer: &Customer, id: &str, due_on: NaiveDate) -> AccountRow {
    AccountRow {
        line: 2,
        customer: customer.clone(),
        obligation: Obligation {
            id: ObligationId::new(id).expect("an id that is made here is sound"),
            customer: customer.id.clone(),
            account: None,
            due_on,
            amount: Money::new(AMOUNT_MINOR, "USD".parse().expect("a currency")),
            paid_minor: 0,
            closed_on: None,
            holds: Vec::new(),
        },
        known_on: None,
        closed_on: None,
        dispute: None,
    }
}

/// The instant of a local time; where a change of the clocks leaves it out, the first instant an hour or more later.
fn instant_of(zone: Tz, on: NaiveDate, time: NaiveTime) -> DateTime<Utc> {
    let local = on.and_time(time);
    let later = (0..=3)
        .find_map(|hours| zone.from_local_datetime(&(local + chrono::Duration::hours(hours))).earliest());
    later.map_or_else(|| local.and_utc(), |at| at.with_timezone(&Utc))
}
