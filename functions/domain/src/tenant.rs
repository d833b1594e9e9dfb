//! Tenants: an isolated lender or brand, and the settings that every decision for it starts from.
//!
//! Invariant: settings are parsed once, at the edge; a tenant without a known time zone or jurisdiction cannot be
//! built.

use std::num::NonZeroU32;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::choice::{OptOutKey, OptOutLink, OptOutUrl, SignedLink};
use crate::content_check::TextException;
use crate::ids::{CustomerId, PolicyId, TenantId};
use crate::jurisdiction::ContactRules;
use crate::locale::{Country, Language};
use crate::money::Currency;
use crate::send_rate::SendLimits;

/// The most shards that a tenant's open obligations are spread over.
pub const SHARDS_MAX: u16 = 256;

/// How many emails a second are sent where a tenant says nothing.
pub const EMAIL_PER_SECOND: u16 = 14;
/// How many parts of SMS a second are sent where a tenant says nothing.
pub const SMS_PER_SECOND: u16 = 10;
/// The highest rate of a channel, in emails or parts of SMS a second.
pub const RATE_MAX: u16 = 10_000;

/// How fast a channel sends, in emails or parts of SMS a second: from 1 to [`RATE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Rate(u16);

/// A number that is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a rate; expected 1 to {RATE_MAX} a second")]
pub struct RateError(u16);

impl Rate {
    /// Emails or parts of SMS a second, at least 1.
    #[must_use]
    pub const fn per_second(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Rate {
    type Error = RateError;
    fn try_from(per_second: u16) -> Result<Self, RateError> {
        if (1..=RATE_MAX).contains(&per_second) { Ok(Self(per_second)) } else { Err(RateError(per_second)) }
    }
}

impl From<Rate> for u16 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

/// How fast the tenant sends on each channel, over all of its shards and senders. Touches that wait are spread by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Emails; [`EMAIL_PER_SECOND`] where nothing is said.
    pub email: Rate,
    /// Parts of SMS; [`SMS_PER_SECOND`] where nothing is said.
    pub sms: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self { email: Rate(EMAIL_PER_SECOND), sms: Rate(SMS_PER_SECOND) }
    }
}

impl Rates {
    /// The rate of a channel.
    #[must_use]
    pub const fn of(&self, channel: Channel) -> Rate {
        match channel {
            Channel::Email => self.email,
            // Nothing is sent by the others: texts exist for email and SMS.
            Channel::Sms | Channel::Push | Channel::Whatsapp | Channel::Call => self.sms,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The most that a tenant sends on each channel in any 24 hours: what its accounts at the providers allow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DailyQuotas {
    /// Emails; as many as the rate allows where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<NonZeroU32>,
    /// Parts of SMS; as many as the rate allows where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms: Option<NonZeroU32>,
}

impl DailyQuotas {
    /// The quota of a channel.
    #[must_use]
    pub const fn of(&self, channel: Channel) -> Option<NonZeroU32> {
        match channel {
            Channel::Email => self.email,
            // Nothing is sent by the others: texts exist for email and SMS.
            Channel::Sms | Channel::Push | Channel::Whatsapp | Channel::Call => self.sms,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is done about a message of which nobody knows whether it was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Nothing, until an event or a person says what became of it.
    #[default]
    PreferNoDuplicate,
    /// It is sent once more, an hour later, if nothing was heard of it by then.
    PreferDelivery,
}

/// What is done about unknown messages on each channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnknownRules {
    /// Of emails.
    pub email: OnUnknown,
    /// Of SMS.
    pub sms: OnUnknown,
}

impl UnknownRules {
    /// What is done on a channel.
    #[must_use]
    pub const fn of(&self, channel: Channel) -> OnUnknown {
        match channel {
            Channel::Email => self.email,
            Channel::Sms => self.sms,
            // Nothing is sent by the others: texts exist for email and SMS.
            Channel::Push | Channel::Whatsapp | Channel::Call => OnUnknown::PreferNoDuplicate,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How the lender presents itself in messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lender {
    /// The name that customers know.
    pub name: String,
    /// Where customers call.
    pub phone: String,
    /// Where customers write.
    pub email: String,
    /// How customers can pay, one way a line.
    pub ways_to_pay: Vec<String>,
    /// How to stop the messages, by email.
    pub opt_out_email: String,
    /// How to stop the messages, by SMS; short, since it is in every part that is paid for.
    pub opt_out_sms: String,
}

/// The longest id of a tenant that is a [`TenantSlug`], in characters: the names of its schedules have 64 at most.
pub const SLUG_CHARS_MAX: usize = 40;

/// The id of a tenant that can stand in addresses, file names and names of schedules: 1 to [`SLUG_CHARS_MAX`] small
/// letters, digits and hyphens, with a letter or digit at both ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantSlug(TenantId);

/// A text that is no [`TenantSlug`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not usable in addresses; expected 1 to {SLUG_CHARS_MAX} of a to z, 0 to 9 and -, with a letter or digit at both ends"
)]
pub struct SlugError;

impl TenantSlug {
    /// Takes a text as it is.
    ///
    /// # Errors
    /// [`SlugError`] when it is too long or has other characters.
    pub fn new(text: &str) -> Result<Self, SlugError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edge = |c: Option<char>| c.is_some_and(|c| c != '-');
        let sound = text.len() <= SLUG_CHARS_MAX && text.chars().all(fits);
        if !sound || !edge(text.chars().next()) || !edge(text.chars().next_back()) {
            return Err(SlugError);
        }
        TenantId::new(text).map(Self).map_err(|_| SlugError)
    }

    /// The tenant.
    #[must_use]
    pub const fn id(&self) -> &TenantId {
        &self.0
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<String> for TenantSlug {
    type Error = SlugError;
    fn try_from(text: String) -> Result<Self, SlugError> {
        Self::new(&text)
    }
}

impl From<TenantSlug> for String {
    fn from(slug: TenantSlug) -> String {
        slug.0.into()
    }
}

impl std::fmt::Display for TenantSlug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stop of everything that is sent for a tenant, until somebody resumes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Why, in the words of who paused it.
    pub reason: String,
    /// Who paused it, by the id of the identity provider.
    pub by: String,
    /// Since when.
    pub paused_at: DateTime<Utc>,
}

/// An isolated lender or brand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The tenant.
    pub id: TenantId,
    /// Its own country.
    pub country: Country,
    /// The profile whose contact rules hold for customers without a country of their own.
    pub jurisdiction: String,
    /// Its own time zone: scans and as-of dates are judged in it.
    pub time_zone: Tz,
    /// The language of messages to customers without one of their own.
    pub language: Language,
    /// The currency that its sums are shown in. Obligations name their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The local time of the daily scan.
    pub scan_at: NaiveTime,
    /// Over how many shards the open obligations are spread, from 1 to [`SHARDS_MAX`].
    pub shards: u16,
    /// The policy that is followed.
    pub policy: PolicyId,
    /// The mapping that files uploaded for the tenant are read with, as the text of its TOML file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// How fast it sends. Settings that do not say have the rates of [`Rates::default`].
    #[serde(default, skip_serializing_if = "Rates::is_default")]
    pub rates: Rates,
    /// The most that it sends in any 24 hours.
    #[serde(default, skip_serializing_if = "DailyQuotas::is_default")]
    pub daily_quotas: DailyQuotas,
    /// What is done about messages of which nobody knows whether they were sent.
    #[serde(default, skip_serializing_if = "UnknownRules::is_default")]
    pub on_unknown: UnknownRules,
    /// For how many days personal data is kept after a customer's last activity; as the customer's profile says where
    /// absent ([`crate::retention::retain_days`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_days: Option<NonZeroU32>,
    /// The countries besides its own in which it has customers: its texts are checked under their profiles, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<Country>,
    /// Sentences of its texts that the lists of forbidden words object to, and that it says on the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_exceptions: Vec<TextException>,
    /// Where the opt-out links of its messages lead. Without it there are none, and no text may carry one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out_url: Option<OptOutUrl>,
    /// How the lender presents itself.
    pub lender: Lender,
    /// The contact rules that the tenant adds to the profiles.
    #[serde(default, skip_serializing_if = "ContactRules::is_empty")]
    pub contact_rules: ContactRules,
    /// While it is there, nothing is scanned, planned, dispatched or claimed for the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
}

impl Tenant {
    /// The link by which a customer withdraws a channel, in a message of a day; `None` where the lender has no address
    /// for links.
    #[must_use]
    pub fn opt_out_link(
        &self,
        key: &OptOutKey,
        (customer, channel): (&CustomerId, Channel),
        issued_on: NaiveDate,
    ) -> Option<SignedLink> {
        let url = self.opt_out_url.as_ref()?;
        let of = OptOutLink { tenant: self.id.clone(), customer: customer.clone(), channel, issued_on };
        Some(url.link(&key.token(&of)))
    }

    /// What may be sent on a channel.
    #[must_use]
    pub const fn send_limits(&self, channel: Channel) -> SendLimits {
        SendLimits { rate: self.rates.of(channel), per_day: self.daily_quotas.of(channel) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../../infra/demo/tenant.toml");

    fn with_rates(rates: &str) -> Result<Tenant, String> {
        let (before, after) = DEMO.split_once("[rates]").expect("the demo shows its rates");
        let after = after.split_once("[lender]").expect("the lender follows").1;
        toml::from_str(&format!("{before}{rates}\n[lender]{after}")).map_err(|e| e.to_string())
    }

    #[test]
    fn settings_without_rates_still_read_and_write_none() {
        let tenant = with_rates("").unwrap();
        assert_eq!(tenant.rates, Rates::default());
        let written = serde_json::to_value(&tenant).unwrap();
        assert_eq!(written.get("rates"), None);
        assert_eq!(serde_json::from_value::<Tenant>(written).unwrap(), tenant);
    }

    #[test]
    fn a_channel_that_is_not_named_keeps_its_rate() {
        let rates = with_rates("[rates]\nsms = 3").unwrap().rates;
        assert_eq!(rates.of(Channel::Email).per_second(), EMAIL_PER_SECOND);
        assert_eq!(rates.of(Channel::Sms).per_second(), 3);
        let tenant = with_rates("[rates]\nsms = 3").unwrap();
        let written = serde_json::to_string(&tenant).unwrap();
        assert_eq!(serde_json::from_str::<Tenant>(&written).unwrap(), tenant);
    }

    #[test]
    fn quotas_and_what_is_done_about_unknown_messages_are_settings() {
        let tenant =
            with_rates("[daily_quotas]\nemail = 50000\n[on_unknown]\nemail = \"prefer_delivery\"").unwrap();
        assert_eq!(tenant.send_limits(Channel::Email).per_day, NonZeroU32::new(50_000));
        assert_eq!(tenant.send_limits(Channel::Sms).per_day, None);
        assert_eq!(tenant.on_unknown.of(Channel::Email), OnUnknown::PreferDelivery);
        assert_eq!(tenant.on_unknown.of(Channel::Sms), OnUnknown::PreferNoDuplicate);
        let written = serde_json::to_string(&tenant).unwrap();
        assert_eq!(serde_json::from_str::<Tenant>(&written).unwrap(), tenant);
        assert!(with_rates("[daily_quotas]\nemail = 0").is_err());
        assert!(with_rates("[on_unknown]\nemail = \"resend\"").is_err());
    }

    #[test]
    fn a_slug_stands_in_addresses_and_names() {
        for good in ["a", "7", "andino", "credito-andino-2", &"x".repeat(SLUG_CHARS_MAX)] {
            assert_eq!(TenantSlug::new(good).unwrap().as_str(), good);
        }
        for bad in
            ["", "-", "a-", "-a", "A", "á", "a b", "a/b", "a_b", "a.b", &"x".repeat(SLUG_CHARS_MAX + 1)]
        {
            assert_eq!(TenantSlug::new(bad), Err(SlugError), "{bad}");
        }
    }

    #[test]
    fn settings_that_are_not_paused_are_written_as_before() {
        let tenant = with_rates("").unwrap();
        let written = serde_json::to_value(&tenant).unwrap();
        assert_eq!((written.get("paused"), written.get("currency")), (None, None));
    }

    #[test]
    fn a_rate_is_from_one_to_the_limit() {
        for bad in [0, RATE_MAX + 1] {
            let error = with_rates(&format!("[rates]\nemail = {bad}")).unwrap_err();
            let expected = format!("{bad} is not a rate; expected 1 to {RATE_MAX} a second");
            assert!(error.contains(&expected), "{error}");
        }
        assert!(with_rates("[rates]\nemail = 1.5").is_err());
        assert!(with_rates("[rates]\nfax = 1").is_err(), "only channels have a rate");
        assert_eq!(with_rates("[rates]\nemail = 10000").unwrap().rates.email, Rate(RATE_MAX));
    }
}
