//! Where touches are placed, and which plans are reported.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use domain::customer::{Customer, Role};
use domain::fence::Fence;
use domain::ids::{PolicyId, StageId, TemplateId, TouchId};
use domain::jurisdiction::Jurisdiction;
use domain::policy::Policy;
use domain::send_rate::SendLimits;
use domain::{channel::Purpose, channel::Tone, contact::PersonName};
use proptest::prelude::*;

use super::*;

const TENANT: &str = include_str!("../../../infra/demo/tenant.toml");
static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    Policy::parse(include_str!("../../../infra/demo/policy.toml")).expect("the demo's policy is sound")
});

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).expect("an instant").to_utc()
}

/// A Monday, 07:00 in Bogotá: the hours are open until 19:00.
fn monday() -> DateTime<Utc> {
    at("2026-11-23T07:00:00-05:00")
}

fn customer(id: &str) -> Customer {
    Customer {
        id: CustomerId::new(id).expect("an id"),
        name: PersonName::new("Cliente de prueba"),
        kind: None,
        role: Role::Debtor,
        country: None,
        time_zone: None,
        language: None,
        segment: None,
        preferred_channel: None,
        contact_points: Vec::new(),
        consents: Vec::new(),
        agreed_hours: None,
        hold: None,
    }
}

fn touch(customer: &Customer, purpose: Purpose, send_at: DateTime<Utc>) -> Touch {
    Touch {
        id: TouchId::new("t").expect("an id"),
        customer: customer.id.clone(),
        on: send_at.with_timezone(&chrono_tz::America::Bogota).date_naive(),
        send_at,
        channel: Channel::Email,
        stage: StageId::new("d3").expect("an id"),
        tone: Tone::Firm,
        purpose,
        template: TemplateId::new("d3").expect("an id"),
        items: Vec::new(),
        policy: PolicyId::new("default").expect("an id"),
        policy_version: 1,
    }
}

fn rate(per_second: u16) -> Rate {
    Rate::try_from(per_second).expect("a rate")
}

/// Where a shard's touches are placed, with what the contact check says about each place.
struct World {
    tenant: Tenant,
}

impl World {
    fn new(shards: u16, per_second: u16) -> Self {
        let mut tenant: Tenant = toml::from_str(TENANT).expect("the demo's tenant is sound");
        tenant.shards = shards;
        tenant.rates = Rates { email: rate(per_second), sms: rate(1) };
        Self { tenant }
    }

    fn rules(&self) -> Rules<'_> {
        let jurisdiction = Jurisdiction::built_in("CO").expect("a profile");
        Rules { tenant: &self.tenant.id, policy: &POLICY, jurisdiction }
    }

    fn place(&self, customers: usize, touch: Touch, prior: &[Contact]) -> (Touch, Option<DateTime<Utc>>) {
        let customer = customer(touch.customer.as_str());
        let (fence, suppressed) = (Fence::default(), BTreeSet::new());
        let facts = Facts { customer: &customer, obligations: &[], fence: &fence, suppressed: &suppressed };
        Spread::new(&self.tenant, customers).place(&self.rules(), &facts, prior, touch)
    }

    /// The minute after Monday's opening at which customer number `n` of so many gets its email.
    fn minute_of(&self, customers: usize, n: usize) -> i64 {
        let touch = touch(&customer(&format!("c{n}")), Purpose::Overdue, monday());
        (self.place(customers, touch, &[]).0.send_at - monday()).num_minutes()
    }
}

#[test]
fn customers_spread_evenly_over_the_span_of_their_shard() {
    let world = World::new(1, 1);
    let mut by_minute = BTreeMap::<i64, usize>::new();
    for n in 0..600 {
        *by_minute.entry(world.minute_of(600, n)).or_default() += 1;
    }
    // 600 counts as 640: ten minutes and forty seconds.
    assert_eq!(by_minute.keys().copied().collect::<Vec<_>>(), (0..=10).collect::<Vec<_>>());
    for minute in 0..10 {
        assert!((36..=84).contains(&by_minute[&minute]), "{by_minute:?}");
    }
}

#[test]
fn the_other_shards_take_their_share_of_the_rate() {
    assert_eq!(span_seconds(1_000, 1, rate(10)), 103, "1000 counts as 1024");
    assert_eq!(span_seconds(1_000, 8, rate(10)), 820);
    assert_eq!(span_seconds(0, 8, rate(10)), 0);
    assert_eq!(span_seconds(1, 0, rate(10)), 1);
    assert_eq!(span_seconds(usize::MAX, u16::MAX, rate(1)), u64::MAX);
}

#[test]
fn a_small_portfolio_waits_for_the_first_moment() {
    let world = World::new(1, 14);
    assert!((0..100).all(|n| world.minute_of(100, n) == 0));
}

#[test]
fn a_few_more_customers_move_nobody() {
    let world = World::new(4, 1);
    for n in 0..200 {
        assert_eq!(world.minute_of(1_050, n), world.minute_of(1_250, n), "both count as 1280");
    }
    assert!((0..200).any(|n| world.minute_of(1_050, n) != world.minute_of(1_300, n)));
}

#[test]
fn a_customer_has_another_place_on_another_day() {
    let tenant = TenantId::new("demo").unwrap();
    let ana = CustomerId::new("ana").unwrap();
    let [one, two] = [monday().date_naive(), monday().date_naive().succ_opt().unwrap()];
    assert_eq!(position(&tenant, &ana, one), position(&tenant, &ana, one));
    assert_ne!(position(&tenant, &ana, one), position(&tenant, &ana, two));
    assert_ne!(position(&tenant, &ana, one), position(&tenant, &CustomerId::new("bea").unwrap(), one));
    assert_ne!(position(&tenant, &ana, one), position(&TenantId::new("b").unwrap(), &ana, one));
}

#[test]
fn what_is_not_allowed_at_its_moment_stays_where_it_is() {
    let world = World::new(1, 1);
    let sunday = at("2026-11-22T10:00:00-05:00");
    for n in 0..50 {
        let first = touch(&customer(&format!("c{n}")), Purpose::Overdue, sunday);
        assert_eq!(world.place(100_000, first.clone(), &[]), (first, None));
        // Another contact of the day stands in the way as well.
        let first = touch(&customer(&format!("c{n}")), Purpose::Overdue, monday());
        let earlier = Contact { at: at("2026-11-23T06:59:00-05:00"), channel: Channel::Email, direct: false };
        assert_eq!(world.place(100_000, first.clone(), &[earlier]), (first, None));
    }
}

#[test]
fn a_plan_that_fits_is_not_reported() {
    let rates = Rates { email: rate(1), sms: rate(1) };
    let mut loads = Loads::default();
    let until_at = monday() + TimeDelta::seconds(10);
    for _ in 0..10 {
        loads.add(Channel::Email, 1, monday(), Some(until_at));
        loads.add(Channel::Email, 1, monday(), None);
        loads.add(Channel::Sms, 1, monday(), Some(until_at));
        loads.add(Channel::Email, 1, until_at, Some(until_at + TimeDelta::seconds(10)));
    }
    assert_eq!(loads.overfull(&Budget::new(&rates, 1, &[])), []);
    assert_eq!(Loads::default().overfull(&Budget::new(&rates, 1, &[])), []);
}

#[test]
fn a_plan_that_cannot_be_finished_is_reported_with_its_numbers() {
    let rates = Rates { email: rate(2), sms: rate(1) };
    let mut loads = Loads::default();
    let until_at = monday() + TimeDelta::seconds(10);
    for n in 0..11 {
        loads.add(
            Channel::Email,
            1,
            monday() + TimeDelta::seconds(n),
            Some(until_at + TimeDelta::seconds(n)),
        );
    }
    for _ in 0..21 {
        loads.add(Channel::Sms, 1, monday(), Some(until_at));
    }
    let sms = Overfull {
        channel: Channel::Sms,
        from_at: monday(),
        until_at,
        touches: 21,
        units: 21,
        capacity: 10,
        limit: Limit::SendRate,
    };
    assert_eq!(loads.overfull(&Budget::new(&rates, 1, &[])), std::slice::from_ref(&sms));
    // Of two shards, each has half of the rate: five of the ten seconds of SMS; emails still fit.
    assert_eq!(loads.overfull(&Budget::new(&rates, 2, &[])), [Overfull { capacity: 5, ..sms }]);
}

#[test]
fn parts_and_the_daily_quota_count() {
    let rates = Rates { email: rate(1), sms: rate(1) };
    let mut loads = Loads::default();
    let until_at = monday() + TimeDelta::seconds(100);
    for _ in 0..40 {
        loads.add(Channel::Sms, 3, monday(), Some(until_at));
        loads.add(Channel::Email, 1, monday(), Some(until_at));
    }
    let quota = NonZeroU32::new(50).unwrap();
    let limits = SendLimits { rate: rate(10), per_day: Some(quota) };
    let mut sent = SendRate::default();
    for _ in 0..20 {
        sent.grant(limits, 1, monday() - TimeDelta::hours(1), TimeDelta::MAX);
    }
    let quotas = [(Channel::Email, quota, sent)];
    let told = loads.overfull(&Budget::new(&rates, 1, &quotas));
    let told: Vec<_> = told.iter().map(|o| (o.channel, o.touches, o.units, o.capacity, o.limit)).collect();
    let email = (Channel::Email, 40, 40, 30, Limit::DailyQuota);
    assert_eq!(told, [email, (Channel::Sms, 40, 120, 100, Limit::SendRate)]);
}

#[test]
fn shorter_hours_within_longer_ones_count_against_both() {
    let rates = Rates { email: rate(1), sms: rate(1) };
    let mut loads = Loads::default();
    let [inner, outer] = [10, 20].map(|s| monday() + TimeDelta::seconds(s));
    for _ in 0..11 {
        loads.add(Channel::Email, 1, monday(), Some(inner - TimeDelta::seconds(1)));
        loads.add(Channel::Email, 1, monday(), Some(outer));
    }
    let told: Vec<_> =
        loads.overfull(&Budget::new(&rates, 1, &[])).iter().map(|o| (o.touches, o.capacity)).collect();
    assert_eq!(told, [(11, 9), (22, 20)]);
}

#[test]
fn no_more_windows_are_reported_than_the_limit() {
    let rates = Rates::default();
    let mut loads = Loads::default();
    for n in 0..i64::try_from(OVERFULL_MAX).unwrap() + 1 {
        loads.add(Channel::Email, 1, monday() + TimeDelta::days(n), Some(monday() + TimeDelta::days(n)));
    }
    assert_eq!(loads.overfull(&Budget::new(&rates, 1, &[])).len(), OVERFULL_MAX);
}

proptest! {
    #[test]
    fn an_offset_lies_within_its_span(position: u64, span in prop_oneof![0..100_000_u64, any::<u64>()]) {
        let minutes = offset_minutes(position, span);
        prop_assert!(minutes == 0 || minutes.saturating_mul(MINUTE_SECONDS) < span);
        prop_assert!(offset_minutes(position / 2, span) <= minutes, "positions keep their order");
    }

    #[test]
    fn a_count_is_rounded_up_by_at_most_a_quarter(count in 0..1_u64 << 40) {
        let rounded = rounded_up(count);
        prop_assert!(rounded >= count && rounded - count <= count / 4, "{rounded}");
        prop_assert_eq!(rounded_up(rounded), rounded);
        prop_assert!(rounded_up(count + 1) >= rounded);
    }

    #[test]
    fn every_place_is_lawful_on_its_day_and_stays_the_same(
        customers in prop_oneof![0..2_000_usize, 0..10_000_000_usize],
        shards in 1..=256_u16,
        per_second in 1..=100_u16,
        id in "[a-z]{1,12}",
        late_minutes in 0..720_i64,
        purpose in prop_oneof![Just(Purpose::Overdue), Just(Purpose::PreDue), Just(Purpose::Transactional)],
    ) {
        let world = World::new(shards, per_second);
        let first = touch(&customer(&id), purpose, monday() + TimeDelta::minutes(late_minutes));
        let (placed, until_at) = world.place(customers, first.clone(), &[]);
        prop_assert_eq!(&world.place(customers, first.clone(), &[]).0, &placed);
        let until_at = until_at.expect("the hours are open");
        prop_assert!(first.send_at <= placed.send_at && placed.send_at < until_at);
        prop_assert_eq!((placed.send_at - first.send_at).num_seconds() % 60, 0);
        let span = span_seconds(customers, shards, rate(per_second)).min(86_400);
        prop_assert!(placed.send_at == first.send_at
            || placed.send_at - first.send_at < TimeDelta::seconds(i64::try_from(span).unwrap()));
        prop_assert_eq!(placed.send_at.with_timezone(&chrono_tz::America::Bogota).date_naive(), placed.on);
        let customer = customer(&id);
        let (fence, suppressed) = (Fence::default(), BTreeSet::new());
        let facts = Facts { customer: &customer, obligations: &[], fence: &fence, suppressed: &suppressed };
        let (rules, bogota) = (world.rules(), chrono_tz::America::Bogota);
        prop_assert!(rules.jurisdiction.check(&query(&facts, bogota, &[], &placed, placed.send_at)).is_allowed());
        prop_assert_eq!(Touch { send_at: first.send_at, ..placed }, first);
    }
}
