//! Other hours: those in which a customer asked to be contacted, besides the hours of the law.
//!
//! Invariant: [`AgreedHours`] exist only on the strength of a document that is later than the contract. Whether the law of
//! the place takes such a request is asked with [`Jurisdiction::takes_other_hours`].

use std::collections::BTreeSet;
use std::fmt;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::channel::{Channel, Purpose};
use crate::contact::EvidenceRef;
use crate::jurisdiction::{Interval, Jurisdiction, OffHours};

/// The most intervals of one request.
pub const HOURS_PER_REQUEST_MAX: usize = 16;

const DAY_SECONDS: u32 = 86_400;

/// A day that hours are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DayName {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
    /// A public holiday, whatever the weekday: a customer who asked for Mondays did not ask for those.
    Holiday,
}

impl DayName {
    pub(crate) fn of(on: NaiveDate, is_holiday: bool) -> Self {
        match on.weekday() {
            _ if is_holiday => Self::Holiday,
            chrono::Weekday::Mon => Self::Mon,
            chrono::Weekday::Tue => Self::Tue,
            chrono::Weekday::Wed => Self::Wed,
            chrono::Weekday::Thu => Self::Thu,
            chrono::Weekday::Fri => Self::Fri,
            chrono::Weekday::Sat => Self::Sat,
            chrono::Weekday::Sun => Self::Sun,
        }
    }
}

/// Why an interval cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the hours {from:?} to {to:?} on {days} days cannot be; expected times such as 19:00, the first before the second, on at least one day"
)]
pub struct IntervalError {
    from: String,
    to: String,
    days: usize,
}

/// A local interval, `[from, to)`, on some days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenHours", into = "WrittenHours")]
pub struct RequestedHours {
    days: BTreeSet<DayName>,
    interval: Interval,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHours {
    days: BTreeSet<DayName>,
    from: String,
    to: String,
}

impl TryFrom<WrittenHours> for RequestedHours {
    type Error = IntervalError;
    fn try_from(written: WrittenHours) -> Result<Self, IntervalError> {
        match (second_of(&written.from), second_of(&written.to)) {
            (Some(from_second), Some(to_second)) if from_second < to_second && !written.days.is_empty() => {
                Ok(Self { days: written.days, interval: Interval { from_second, to_second } })
            }
            (Some(_) | None, _) => {
                let short = |text: &str| text.chars().take(8).collect();
                let (from, to) = (short(&written.from), short(&written.to));
                Err(IntervalError { from, to, days: written.days.len() })
            }
        }
    }
}

impl From<RequestedHours> for WrittenHours {
    fn from(hours: RequestedHours) -> Self {
        let clock = |second: u32| format!("{:02}:{:02}", second / 3_600, second / 60 % 60);
        Self {
            from: clock(hours.interval.from_second),
            to: clock(hours.interval.to_second),
            days: hours.days,
        }
    }
}

/// The seconds from midnight of `HH:MM`; `24:00` is the end of the day.
fn second_of(text: &str) -> Option<u32> {
    let two = |part: &str| {
        part.parse::<u32>().ok().filter(|_| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let (hour, minute) = text.split_once(':')?;
    let second = two(hour)? * 3_600 + two(minute).filter(|m| *m < 60)? * 60;
    (second <= DAY_SECONDS).then_some(second)
}

/// A request as it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoursRequest {
    /// The channels that the customer named.
    pub channels: BTreeSet<Channel>,
    /// The hours.
    pub hours: Vec<RequestedHours>,
    /// The document of the request, by the lender's own reference.
    pub document: EvidenceRef,
    /// The date of the document.
    pub document_on: NaiveDate,
    /// The date of the contract of the loan.
    pub contract_on: NaiveDate,
}

/// Why a request for other hours is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursRefusal {
    /// The document is not later than the contract.
    #[error(
        "the document is of {document_on} and the contract of {contract_on}; expected a document that is later than the contract"
    )]
    NotLater {
        /// The date of the document.
        document_on: NaiveDate,
        /// The date of the contract.
        contract_on: NaiveDate,
    },
    /// The document is of a day that has not come.
    #[error("the document is of {document_on}, which is after {today}; expected a document that is there")]
    Future {
        /// The date of the document.
        document_on: NaiveDate,
        /// The customer's local date.
        today: NaiveDate,
    },
    /// There are no channels or no hours, or too many.
    #[error(
        "the request names {channels} channels and {hours} intervals; expected at least one channel and 1 to {HOURS_PER_REQUEST_MAX} intervals"
    )]
    Count {
        /// How many channels.
        channels: usize,
        /// How many intervals.
        hours: usize,
    },
    /// The contact rules know no such request.
    #[error(
        "the contact rules {profile} take no request for other hours; expected a customer whose rules do"
    )]
    NotTaken {
        /// The profile.
        profile: String,
    },
}

/// The other hours of a customer, with the document that they rest on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "HoursRequest", into = "HoursRequest")]
pub struct AgreedHours(HoursRequest);

impl fmt::Debug for AgreedHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<HoursRequest> for AgreedHours {
    type Error = HoursRefusal;
    fn try_from(request: HoursRequest) -> Result<Self, HoursRefusal> {
        let (channels, hours) = (request.channels.len(), request.hours.len());
        if channels == 0 || !(1..=HOURS_PER_REQUEST_MAX).contains(&hours) {
            return Err(HoursRefusal::Count { channels, hours });
        }
        let (document_on, contract_on) = (request.document_on, request.contract_on);
        if document_on <= contract_on {
            return Err(HoursRefusal::NotLater { document_on, contract_on });
        }
        Ok(Self(request))
    }
}

impl From<AgreedHours> for HoursRequest {
    fn from(hours: AgreedHours) -> Self {
        hours.0
    }
}

impl AgreedHours {
    /// The document that the hours rest on, and its date.
    #[must_use]
    pub fn document(&self) -> (&EvidenceRef, NaiveDate) {
        (&self.0.document, self.0.document_on)
    }

    /// Refuses a document of a day that has not come for the customer.
    ///
    /// # Errors
    /// [`HoursRefusal::Future`] names both days.
    pub fn there_on(self, today: NaiveDate) -> Result<Self, HoursRefusal> {
        let document_on = self.0.document_on;
        if document_on > today { Err(HoursRefusal::Future { document_on, today }) } else { Ok(self) }
    }

    /// The hours of a day on a channel.
    pub(crate) fn on(&self, day: DayName, channel: Channel) -> impl Iterator<Item = Interval> {
        let hours = if self.0.channels.contains(&channel) { self.0.hours.as_slice() } else { &[] };
        hours.iter().filter(move |h| h.days.contains(&day)).map(|h| h.interval)
    }
}

impl Jurisdiction {
    /// Whether a customer's request for other hours is taken, on the strength of [`AgreedHours`].
    ///
    /// # Errors
    /// [`HoursRefusal::NotTaken`] names the profile that knows no such request.
    pub fn takes_other_hours(&self) -> Result<(), HoursRefusal> {
        match self.duties().consent.off_hours {
            Some(OffHours::DebtorInitiatedSeparateLaterInstrument) => Ok(()),
            None => Err(HoursRefusal::NotTaken { profile: self.id().to_owned() }),
        }
    }

    /// The customer's other hours, where they widen the window: only where the profile takes such a request, and only for
    /// reminders. Whoever asks to be reminded at night has not asked for advertising.
    pub(crate) fn other_hours<'a>(
        &self,
        agreed: Option<&'a AgreedHours>,
        purpose: Purpose,
    ) -> Option<&'a AgreedHours> {
        match purpose {
            Purpose::PreDue | Purpose::Overdue => agreed.filter(|_| self.takes_other_hours().is_ok()),
            Purpose::Transactional | Purpose::Requested | Purpose::Marketing => None,
        }
    }
}
