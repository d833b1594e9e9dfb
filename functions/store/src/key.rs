//! Keys: where every item lives. DESIGN §4 is the table; this is its only spelling in code.
//!
//! Invariant: an id is escaped before it goes into a key, so no id can forge another item's key, and every key
//! can be read back into its ids.
//!
//! The items of one customer sort as `CHOICE#…`, `FENCE`, `OBL#…`, `PROFILE`, `TOUCH#…`, `ZPAY#…`. Facts are everything
//! before `TOUCH#`. Payments are not among them: their sum is kept in the obligation, and a long history of
//! payments must not make every decision dearer, so their prefix sorts after the touches.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use domain::channel::Channel;
use domain::ids::{ChoiceId, CustomerId, ImportId, ObligationId, PaymentId, PolicyId, TenantId, TouchId};
use sha2::{Digest, Sha256};

use crate::backend::{Item, Value};

/// The first sort key that is no fact of a decision.
pub(crate) const FACTS_END: &str = "TOUCH#";
/// What every touch's sort key begins with.
pub(crate) const TOUCH: &str = "TOUCH#";
/// What every obligation's sort key begins with.
pub(crate) const OBLIGATION: &str = "OBL#";
/// What every choice's sort key begins with.
pub(crate) const CHOICE: &str = "CHOICE#";
/// What every payment's sort key begins with.
pub(crate) const PAYMENT: &str = "ZPAY#";
/// The sort key of the customer's own item.
pub(crate) const PROFILE: &str = "PROFILE";
/// The sort key of the fence.
pub(crate) const FENCE: &str = "FENCE";
/// The sort key of an item that is alone, or that points at the current one.
pub(crate) const HEAD: &str = "HEAD";
/// The partition of the list of tenants.
pub(crate) const TENANTS: &str = "TENANTS";
/// What a fence's key begins with in the open index: a letter, so that it sorts after every due date.
pub(crate) const OPEN_FENCE: &str = "F#";

/// A tenant, and over how many shards its customers are spread.
///
/// The number is a setting of the tenant that may grow and never shrinks: an item keeps its old shard until it is next
/// written, and every shard up to the number is scanned. A customer in two shards meanwhile is planned twice, alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The tenant.
    pub tenant: TenantId,
    /// The number of shards, at least 1.
    pub shards: u16,
}

impl Scope {
    /// A tenant over `shards` shards; 0 counts as 1.
    #[must_use]
    pub fn new(tenant: TenantId, shards: u16) -> Self {
        Self { tenant, shards: shards.max(1) }
    }

    /// The shard of a customer.
    #[must_use]
    pub fn shard_of(&self, customer: &CustomerId) -> u16 {
        shard_of(&self.tenant, customer, self.shards)
    }
}

/// The shard of a customer among `shards` (0 counts as 1): the same for every process and every version.
#[must_use]
pub fn shard_of(tenant: &TenantId, customer: &CustomerId, shards: u16) -> u16 {
    let mut hasher = Sha256::new();
    hasher.update(tenant.as_str().as_bytes());
    hasher.update([0x1e]);
    hasher.update(customer.as_str().as_bytes());
    let digest = hasher.finalize();
    let head = digest.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    // A remainder of a u16 is a u16.
    u16::try_from(head % u64::from(shards.max(1))).unwrap_or(0)
}

/// The primary key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Key {
    pub(crate) fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    pub(crate) fn of_item(item: &Item) -> Option<Self> {
        match (item.get("pk"), item.get("sk")) {
            (Some(Value::S(pk)), Some(Value::S(sk))) => Some(Self::new(pk, sk)),
            _ => None,
        }
    }
}

/// An id without the characters that separate ids in keys (`#`) and in compact attributes (`|`, `,`).
pub(crate) fn escape(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for c in id.chars() {
        match c {
            '%' => text.push_str("%25"),
            '#' => text.push_str("%23"),
            '|' => text.push_str("%7C"),
            ',' => text.push_str("%2C"),
            other => text.push(other),
        }
    }
    text
}

/// What [`escape`] was given.
pub(crate) fn unescape(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    // The per cent sign last, so that an escaped one never starts another escape.
    text.replace("%2C", ",").replace("%7C", "|").replace("%23", "#").replace("%25", "%")
}

/// A day as `20260310`. Days outside the years 0 to 9999 are moved to the nearest end, so that keys sort.
pub(crate) fn day_text(on: NaiveDate) -> String {
    match on.year() {
        ..0 => "00000101".to_owned(),
        0..=9999 => format!("{:04}{:02}{:02}", on.year(), on.month(), on.day()),
        _ => "99991231".to_owned(),
    }
}

/// The day that [`day_text`] wrote.
pub(crate) fn day_of(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y%m%d").ok().filter(|_| text.len() == 8)
}

/// An instant as `20260310T143000.000Z`, which sorts by time.
pub(crate) fn instant_text(at: DateTime<Utc>) -> String {
    at.format("%Y%m%dT%H%M%S%.3fZ").to_string()
}

/// The instant that [`instant_text`] wrote.
pub(crate) fn instant_of(text: &str) -> Option<DateTime<Utc>> {
    chrono::NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S%.3fZ").ok().map(|at| at.and_utc())
}

fn tenant(tenant: &TenantId) -> String {
    format!("T#{}", escape(tenant.as_str()))
}

pub(crate) fn settings(of: &TenantId) -> Key {
    Key::new(tenant(of), "SETTINGS")
}

/// What was granted of the send rate of a channel.
pub(crate) fn send_rate(of: &TenantId, channel: Channel) -> Key {
    Key::new(tenant(of), format!("RATE#{}", channel.as_str()))
}

/// The place of a tenant in the list of tenants.
pub(crate) fn tenant_entry(of: &TenantId) -> Key {
    Key::new(TENANTS, escape(of.as_str()))
}

/// The tenant of a sort key of [`tenant_entry`].
pub(crate) fn tenant_of_entry(sk: &str) -> Option<TenantId> {
    TenantId::new(unescape(sk)).ok()
}

/// The partition of a tenant's changes of settings, in the table `audit`.
pub(crate) fn settings_audit_partition(of: &TenantId) -> String {
    format!("{}#SETTINGS", tenant(of))
}

/// The place of a change of settings: its moment, and the version that it made, which no two changes share.
pub(crate) fn settings_audit(of: &TenantId, at: DateTime<Utc>, version: u64) -> Key {
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    Key::new(settings_audit_partition(of), format!("{at}#{version:010}"))
}

/// The partition of the audit of a policy: who brought which version.
pub(crate) fn policy_audit_partition(of: &TenantId, id: &PolicyId) -> String {
    policy_partition(of, id)
}

/// The place of one version being brought: its moment, and the version.
pub(crate) fn policy_audit(of: &TenantId, id: &PolicyId, at: DateTime<Utc>, version: u32) -> Key {
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    Key::new(policy_audit_partition(of, id), format!("{at}#{version:06}"))
}

/// The partition of a tenant's uploads.
pub(crate) fn upload_partition(of: &TenantId) -> String {
    format!("{}#UPLOADS", tenant(of))
}

/// The place of an upload. Ids begin with their moment, inverted, so that the newest comes first.
pub(crate) fn upload(of: &TenantId, id: &ImportId) -> Key {
    Key::new(upload_partition(of), id.as_str())
}

/// The upload of a sort key of [`upload`].
pub(crate) fn upload_of(sk: &str) -> Option<ImportId> {
    ImportId::new(sk).ok()
}

/// The place of a request that may come twice.
pub(crate) fn request(request_key: &str) -> Key {
    Key::new(format!("REQUEST#{}", escape(request_key)), HEAD)
}

fn policy_partition(of: &TenantId, id: &PolicyId) -> String {
    format!("{}#POLICY#{}", tenant(of), escape(id.as_str()))
}

/// The place of a policy in the list of those that a tenant ever had.
pub(crate) fn policy_entry(of: &TenantId, id: &PolicyId) -> Key {
    Key::new(policies_partition(of), escape(id.as_str()))
}

pub(crate) fn policies_partition(of: &TenantId) -> String {
    format!("{}#POLICIES", tenant(of))
}

/// The policy of a sort key of [`policy_entry`].
pub(crate) fn policy_of_entry(sk: &str) -> Option<PolicyId> {
    PolicyId::new(unescape(sk)).ok()
}

/// The version of a sort key of [`policy_version`].
pub(crate) fn version_of_policy(sk: &str) -> Option<u32> {
    sk.strip_prefix("V#")?.parse().ok()
}

pub(crate) fn policy_version(of: &TenantId, id: &PolicyId, version: u32) -> Key {
    Key::new(policy_partition(of, id), format!("V#{version:06}"))
}

pub(crate) fn policy_head(of: &TenantId, id: &PolicyId) -> Key {
    Key::new(policy_partition(of, id), HEAD)
}

/// The place of a version of a profile, by the hash of its texts.
pub(crate) fn profile_version(of: &TenantId, id: &str, version: &str) -> Key {
    Key::new(format!("{}#PROFILE#{}", tenant(of), escape(id)), format!("V#{}", escape(version)))
}

pub(crate) fn customer_partition(of: &TenantId, customer: &CustomerId) -> String {
    format!("{}#CUST#{}", tenant(of), escape(customer.as_str()))
}

/// What the partition key of every customer of a tenant begins with.
pub(crate) fn customers_of_tenant(of: &TenantId) -> String {
    format!("{}#CUST#", tenant(of))
}

/// The customer of a partition key.
pub(crate) fn customer_of(pk: &str) -> Option<CustomerId> {
    let mut parts = pk.split('#');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("T"), Some(_), Some("CUST"), Some(customer), None) => CustomerId::new(unescape(customer)).ok(),
        _ => None,
    }
}

/// The tenant of a customer's partition key.
pub(crate) fn tenant_of(pk: &str) -> Option<TenantId> {
    let mut parts = pk.split('#');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("T"), Some(tenant), Some("CUST")) => TenantId::new(unescape(tenant)).ok(),
        _ => None,
    }
}

pub(crate) fn profile(of: &TenantId, customer: &CustomerId) -> Key {
    Key::new(customer_partition(of, customer), PROFILE)
}

pub(crate) fn fence(of: &TenantId, customer: &CustomerId) -> Key {
    Key::new(customer_partition(of, customer), FENCE)
}

pub(crate) fn choice(of: &TenantId, customer: &CustomerId, id: &ChoiceId) -> Key {
    Key::new(customer_partition(of, customer), format!("{CHOICE}{}", escape(id.as_str())))
}

pub(crate) fn obligation(of: &TenantId, customer: &CustomerId, id: &ObligationId) -> Key {
    Key::new(customer_partition(of, customer), format!("{OBLIGATION}{}", escape(id.as_str())))
}

pub(crate) fn payment(of: &TenantId, customer: &CustomerId, id: &PaymentId) -> Key {
    Key::new(customer_partition(of, customer), format!("{PAYMENT}{}", escape(id.as_str())))
}

/// The id of a payment's sort key.
pub(crate) fn payment_of(sk: &str) -> Option<PaymentId> {
    PaymentId::new(unescape(sk.strip_prefix(PAYMENT)?)).ok()
}

pub(crate) fn touch(of: &TenantId, customer: &CustomerId, on: NaiveDate, id: &TouchId) -> Key {
    Key::new(customer_partition(of, customer), format!("{TOUCH}{}#{}", day_text(on), escape(id.as_str())))
}

/// The day and the id of a touch's sort key.
pub(crate) fn touch_of(sk: &str) -> Option<(NaiveDate, TouchId)> {
    let (day, id) = sk.strip_prefix(TOUCH)?.split_once('#')?;
    Some((day_of(day)?, TouchId::new(unescape(id)).ok()?))
}

pub(crate) fn suppression(of: &TenantId, channel: Channel, hmac_hex: &str) -> Key {
    Key::new(format!("{}#SUPP#{}#{hmac_hex}", tenant(of), channel.as_str()), "SUPP")
}

/// The soft bounces of the contact point of a [`suppression`].
pub(crate) fn soft_bounces(of_suppression: Key) -> Key {
    Key::new(of_suppression.pk, "SOFT")
}

/// What a provider's own id of a message refers to.
pub(crate) fn reference(provider: &str, provider_id: &str) -> Key {
    Key::new(format!("MSG#{}#{}", escape(provider), escape(provider_id)), "REF")
}

pub(crate) fn import(of: &TenantId, sha256: &str) -> Key {
    Key::new(format!("{}#IMPORT#{}", tenant(of), escape(sha256)), HEAD)
}

/// The place of a decision: its moment, and the version of the fence, which no two entries of a customer share.
pub(crate) fn audit(of: &TenantId, customer: &CustomerId, at: DateTime<Utc>, fence_version: u64) -> Key {
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    Key::new(customer_partition(of, customer), format!("{at}#{fence_version:010}"))
}

/// The moment and the fence version of a key of [`audit`].
pub(crate) fn audit_of(sk: &str) -> Option<(DateTime<Utc>, u64)> {
    let (at, version) = sk.split_once('#')?;
    Some((DateTime::parse_from_rfc3339(at).ok()?.to_utc(), version.parse().ok()?))
}

pub(crate) fn open_partition(of: &TenantId, shard: u16) -> String {
    format!("{}#OPEN#{shard}", tenant(of))
}

pub(crate) fn open_sort(due_on: NaiveDate, customer: &CustomerId, id: &ObligationId) -> String {
    format!("{}#{}#{}", day_text(due_on), escape(customer.as_str()), escape(id.as_str()))
}

/// The due date, customer and obligation of a key of the open index.
pub(crate) fn open_of(sort: &str) -> Option<(NaiveDate, CustomerId, ObligationId)> {
    let mut parts = sort.splitn(3, '#');
    let due_on = day_of(parts.next()?)?;
    let customer = CustomerId::new(unescape(parts.next()?)).ok()?;
    Some((due_on, customer, ObligationId::new(unescape(parts.next()?)).ok()?))
}

pub(crate) fn open_fence_sort(customer: &CustomerId) -> String {
    format!("{OPEN_FENCE}{}", escape(customer.as_str()))
}

pub(crate) fn wave_partition(of: &TenantId, day_utc: NaiveDate, shard: u16) -> String {
    format!("{}#WAVE#{}#{shard}", tenant(of), day_text(day_utc))
}

/// The place of a planned touch that waits for `send_at`. The customer is part of it: an obligation's id, and so a touch's,
/// is the customer's own, and two customers may have the same.
pub(crate) fn wave(
    of: &TenantId,
    shard: u16,
    send_at: DateTime<Utc>,
    customer: &CustomerId,
    id: &TouchId,
) -> Key {
    let sk = format!("{}#{}#{}", instant_text(send_at), escape(customer.as_str()), escape(id.as_str()));
    Key::new(wave_partition(of, send_at.date_naive(), shard), sk)
}

/// The moment that a key of [`wave`] waits for.
pub(crate) fn wave_of(sk: &str) -> Option<DateTime<Utc>> {
    instant_of(sk.split_once('#')?.0)
}

/// The touches of a tenant that are noted as unknown.
pub(crate) fn unknown_partition(of: &TenantId) -> String {
    format!("{}#UNKNOWN", tenant(of))
}

/// The note that a touch is unknown, by day.
pub(crate) fn unknown(of: &TenantId, customer: &CustomerId, on: NaiveDate, id: &TouchId) -> Key {
    let sk = format!("{}#{}#{}", day_text(on), escape(customer.as_str()), escape(id.as_str()));
    Key::new(unknown_partition(of), sk)
}

/// The touch that a key of [`unknown`] is about.
pub(crate) fn unknown_of(sk: &str) -> Option<(CustomerId, NaiveDate, TouchId)> {
    let mut parts = sk.splitn(3, '#');
    let on = day_of(parts.next()?)?;
    let customer = CustomerId::new(unescape(parts.next()?)).ok()?;
    Some((customer, on, TouchId::new(unescape(parts.next()?)).ok()?))
}

/// The end of a range of keys that begin with `prefix#`: the character after `#`.
pub(crate) fn end_of(prefix: &str) -> String {
    format!("{prefix}$")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_escaped_id_reads_back_and_has_no_separator(id in "[a-zA-Z0-9%#|,23CF ñ]{1,40}") {
            let escaped = escape(&id);
            prop_assert!(!escaped.contains(['#', '|', ',']));
            prop_assert_eq!(unescape(&escaped), id);
        }
    }

    #[test]
    fn an_id_cannot_forge_a_key() {
        let tenant = TenantId::new("a#CUST#b").unwrap();
        let customer = CustomerId::new("c#OPEN#1").unwrap();
        let pk = customer_partition(&tenant, &customer);
        assert_eq!(pk, "T#a%23CUST%23b#CUST#c%23OPEN%231");
        assert_eq!(customer_of(&pk), Some(customer));
    }

    #[test]
    fn the_facts_of_a_customer_sort_before_its_touches_and_its_payments_after() {
        for fact in ["CHOICE#zzz", FENCE, "OBL#zzz", PROFILE] {
            assert!(fact < FACTS_END);
        }
        let (tenant, customer) = (TenantId::new("t").unwrap(), CustomerId::new("c").unwrap());
        assert!(payment(&tenant, &customer, &PaymentId::new("1").unwrap()).sk.as_str() > "TOUCH#~");
    }

    #[test]
    fn the_note_of_an_unknown_touch_names_it() {
        let (tenant, customer) = (TenantId::new("t").unwrap(), CustomerId::new("c#1").unwrap());
        let (on, id) = (NaiveDate::from_ymd_opt(2026, 3, 10).unwrap(), TouchId::new("a#b").unwrap());
        let place = unknown(&tenant, &customer, on, &id);
        assert_eq!((place.pk.as_str(), place.sk.as_str()), ("T#t#UNKNOWN", "20260310#c%231#a%23b"));
        assert_eq!(unknown_of(&place.sk), Some((customer, on, id)));
    }

    #[test]
    fn the_shard_is_stable_and_below_the_number_of_shards() {
        let tenant = TenantId::new("demo").unwrap();
        let shards: Vec<u16> =
            (0..200).map(|i| shard_of(&tenant, &CustomerId::new(i.to_string()).unwrap(), 4)).collect();
        assert!((0..4).all(|s| shards.iter().filter(|x| **x == s).count() > 25), "{shards:?}");
        assert_eq!(shard_of(&tenant, &CustomerId::new("7590-VHVEG").unwrap(), 1_000), STABLE_SHARD);
        assert_eq!(shard_of(&tenant, &CustomerId::new("x").unwrap(), 0), 0);
    }

    /// Recorded once: a change would move every customer to another shard.
    const STABLE_SHARD: u16 = 563;

    #[test]
    fn days_and_instants_sort_as_text_and_read_back() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 10).unwrap();
        assert_eq!(day_of(&day_text(day)), Some(day));
        assert_eq!(day_text(NaiveDate::MAX), "99991231");
        assert_eq!(day_text(NaiveDate::MIN), "00000101");
        let at = day.and_hms_milli_opt(14, 30, 0, 7).unwrap().and_utc();
        assert_eq!(instant_text(at), "20260310T143000.007Z");
        assert_eq!(instant_of(&instant_text(at)), Some(at));
    }
}
