//! Caps: the most contacts that a jurisdiction allows in a period, judged over the contacts already made.
//!
//! Invariant: a cap that refuses a contact also says when it stops refusing it if nothing else is sent, and never
//! names a later moment than the true one.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::contact::Contact;
use crate::contact_check::ReasonCode;
use crate::jurisdiction::Grounds;

/// The longest period of a cap, in days: a fence keeps the contacts of 35 days, the first of which may be partial.
pub const CAP_DAYS_MAX: u32 = 34;

const WEEK_DAYS: u32 = 7;
/// More than any zone was ever ahead of or behind UTC.
const OFFSET_SECONDS_MAX: i64 = 16 * 3_600;

/// A set of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelSet(u8);

impl ChannelSet {
    /// Every channel.
    #[must_use]
    pub fn all() -> Self {
        Channel::ALL.iter().copied().collect()
    }

    /// Whether a channel is in the set.
    #[must_use]
    pub const fn contains(self, channel: Channel) -> bool {
        self.0 & (1 << channel as u8) != 0
    }

    /// How many channels are in the set.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether the set has no channel.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn with(self, channel: Channel) -> Self {
        Self(self.0 | 1 << channel as u8)
    }
}

impl FromIterator<Channel> for ChannelSet {
    fn from_iter<I: IntoIterator<Item = Channel>>(channels: I) -> Self {
        channels.into_iter().fold(Self::default(), Self::with)
    }
}

/// Which days form a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Week {
    /// Monday to Sunday, local dates (`iso`).
    Iso,
    /// Seven consecutive local dates, the day of the contact the last of them (`seven_days`).
    SevenDays,
}

/// Which earlier contacts feed the caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountingMode {
    /// Every attempt (`any`).
    Any,
    /// Only those that the customer answered (`direct`).
    Direct,
}

/// The local dates over which a `count` cap counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// The local calendar day.
    Day,
    /// The week of the profile.
    Week,
}

/// What a cap limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapKind {
    /// At most `max` contacts in the day or week.
    Count {
        /// The period.
        per: Per,
        /// The most contacts, the asked one included.
        max: u32,
    },
    /// At most `max` distinct channels in the week, the asked one included.
    DistinctChannels {
        /// The most channels.
        max: u32,
    },
    /// At least `hours` elapsed hours since the last contact.
    MinGap {
        /// Elapsed hours, whatever the clocks on the wall do.
        hours: u32,
    },
    /// At most `max` contacts in `days` consecutive local dates.
    RollingCount {
        /// Local dates, the day of the contact the last of them.
        days: u32,
        /// The most contacts, the asked one included.
        max: u32,
    },
    /// No contact on `days` local dates from a two-way contact, whose date is the first of them.
    AfterDirect {
        /// Local dates.
        days: u32,
    },
}

/// One cap of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Cap {
    /// What it limits.
    pub kind: CapKind,
    /// The channels whose contacts it counts.
    pub over: ChannelSet,
    /// The reason it gives.
    pub code: ReasonCode,
    /// Where it stands.
    pub grounds: Grounds,
}

/// When a cap stops refusing a contact, if nothing else is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lift {
    /// At the start of a local date.
    On(NaiveDate),
    /// At an instant.
    At(DateTime<Utc>),
}

/// The moment a cap is asked about, and what was sent until then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CapMoment<'a> {
    /// Contacts made, in any order.
    pub(crate) prior: &'a [Contact],
    /// Only contacts strictly before this instant count.
    pub(crate) before_at: DateTime<Utc>,
    /// The moment of the contact.
    pub(crate) at: DateTime<Utc>,
    /// Its local date.
    pub(crate) on: NaiveDate,
    /// Where dates are judged.
    pub(crate) time_zone: Tz,
    /// The channel of the contact.
    pub(crate) channel: Channel,
    /// Which days form a week.
    pub(crate) week: Week,
    /// Which contacts count.
    pub(crate) mode: CountingMode,
}

impl CapMoment<'_> {
    fn counted(&self, over: ChannelSet) -> impl Iterator<Item = &Contact> {
        let every = self.mode == CountingMode::Any;
        self.prior
            .iter()
            .filter(move |c| (every || c.direct) && over.contains(c.channel) && c.at < self.before_at)
    }

    /// The counted contacts on `days` dates from `first_on`, with their local dates.
    fn counted_on(
        &self,
        over: ChannelSet,
        first_on: NaiveDate,
        days: u32,
    ) -> impl Iterator<Item = (NaiveDate, &Contact)> {
        // A date is converted only where the instant is near enough to matter in some zone.
        let end_on = first_on + Days::new(days.into());
        let midnight = |on: NaiveDate| on.and_time(NaiveTime::MIN).and_utc().timestamp();
        let near = midnight(first_on) - OFFSET_SECONDS_MAX..midnight(end_on) + OFFSET_SECONDS_MAX;
        self.counted(over)
            .filter(move |c| near.contains(&c.at.timestamp()))
            .map(|c| (c.at.with_timezone(&self.time_zone).date_naive(), c))
            .filter(move |(on, _)| *on >= first_on && *on < end_on)
    }

    /// The first date of the week, and the date on which it is over; a week that moves along with the day never is.
    fn week(&self) -> (NaiveDate, Option<NaiveDate>) {
        match self.week {
            Week::Iso => {
                let first_on = self.on - Days::new(self.on.weekday().num_days_from_monday().into());
                (first_on, Some(first_on + Days::new(WEEK_DAYS.into())))
            }
            Week::SevenDays => (self.on - Days::new((WEEK_DAYS - 1).into()), None),
        }
    }
}

impl Cap {
    /// `None` where the cap allows the contact, otherwise when it stops refusing it.
    pub(crate) fn refuses(&self, m: &CapMoment<'_>) -> Option<Lift> {
        match self.kind {
            CapKind::Count { per: Per::Day, max } => self.count(m, m.on, 1, max, Some(m.on + Days::new(1))),
            CapKind::Count { per: Per::Week, max } => {
                let (first_on, end_on) = m.week();
                self.count(m, first_on, WEEK_DAYS, max, end_on)
            }
            CapKind::RollingCount { days, max } => {
                self.count(m, m.on - Days::new((days - 1).into()), days, max, None)
            }
            CapKind::DistinctChannels { max } => self.distinct(m, max),
            CapKind::MinGap { hours } => {
                let end_at = m.counted(self.over).map(|c| c.at).max()? + TimeDelta::hours(hours.into());
                (m.at < end_at).then_some(Lift::At(end_at))
            }
            CapKind::AfterDirect { days } => self.after_direct(m, days),
        }
    }

    fn count(
        &self,
        m: &CapMoment<'_>,
        first_on: NaiveDate,
        days: u32,
        max: u32,
        end_on: Option<NaiveDate>,
    ) -> Option<Lift> {
        let mut count = 0_u32;
        let mut earliest_on = NaiveDate::MAX;
        for (on, _) in m.counted_on(self.over, first_on, days) {
            count += 1;
            earliest_on = earliest_on.min(on);
        }
        // Where the period moves along with the day, nothing changes before its earliest contact leaves it.
        (count >= max).then(|| Lift::On(end_on.unwrap_or_else(|| earliest_on + Days::new(days.into()))))
    }

    fn distinct(&self, m: &CapMoment<'_>, max: u32) -> Option<Lift> {
        let (first_on, end_on) = m.week();
        let mut used = ChannelSet::default().with(m.channel);
        let mut earliest_on = NaiveDate::MAX;
        for (on, contact) in m.counted_on(self.over, first_on, WEEK_DAYS) {
            used = used.with(contact.channel);
            earliest_on = earliest_on.min(on);
        }
        (used.len() > max)
            .then(|| Lift::On(end_on.unwrap_or_else(|| earliest_on + Days::new(WEEK_DAYS.into()))))
    }

    fn after_direct(&self, m: &CapMoment<'_>, days: u32) -> Option<Lift> {
        let first_on = m.on - Days::new((days - 1).into());
        // One date more than the past ones: where clocks fall back over midnight, a contact may be dated tomorrow.
        let counted = m.counted_on(self.over, first_on, days + 1);
        let latest_on = counted.filter(|(_, contact)| contact.direct).map(|(on, _)| on).max()?;
        Some(Lift::On(latest_on + Days::new(days.into())))
    }
}
