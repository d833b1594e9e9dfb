//! How many obligations the planner decides a second, rendering what is sent, and what a contact check costs.

use bench::{ONE_SENDS_IN, decide, moment, portfolio};
use divan::Bencher;
use divan::counter::ItemsCount;
use domain::channel::{Channel, Purpose};
use domain::contact::Contact;
use domain::contact_check::ContactQuery;
use domain::jurisdiction::Jurisdiction;
use domain::planner::Rules;
use domain::policy::Policy;
use domain::tenant::Tenant;

const POLICY: &str = include_str!("../../../infra/demo/policy.toml");
const TENANT: &str = include_str!("../../../infra/demo/tenant.toml");

fn main() {
    divan::main();
}

#[divan::bench(args = [10_000, 100_000])]
fn obligations_decided(bencher: Bencher<'_, '_>, obligations: usize) {
    let policy = Policy::parse(POLICY).expect("the default policy can be followed");
    let tenant: Tenant = toml::from_str(TENANT).expect("the demo's tenant can be read");
    let jurisdiction = Jurisdiction::built_in("CO").expect("the profile is built in");
    let rules = Rules { tenant: &tenant.id, policy: &policy, jurisdiction };
    let cases = portfolio(&policy, obligations);
    let (verdicts, messages) = decide(&tenant, &rules, &cases);
    assert_eq!(verdicts, obligations);
    // One obligation in twenty-five is due; two of one customer share a message.
    assert!(
        messages.abs_diff(obligations / ONE_SENDS_IN) * 10 < obligations / ONE_SENDS_IN,
        "{messages} messages"
    );
    bencher.counter(ItemsCount::new(obligations)).bench(|| decide(&tenant, &rules, divan::black_box(&cases)));
}

#[divan::bench(args = [0, 5, 35])]
fn contact_check(bencher: Bencher<'_, '_>, contacts: i64) {
    let jurisdiction = Jurisdiction::built_in("CO").expect("the profile is built in");
    let prior: Vec<Contact> = (1..=contacts)
        .map(|i| Contact { at: moment() - chrono::Duration::days(i), channel: Channel::Sms, direct: false })
        .collect();
    let query = ContactQuery {
        purpose: Purpose::Overdue,
        channel: Channel::Sms,
        at: moment(),
        time_zone: jurisdiction.time_zone().expect("a profile of a country has a zone"),
        prior: &prior,
        agreed_hours: None,
    };
    bencher.bench(|| jurisdiction.check(divan::black_box(&query)));
}
