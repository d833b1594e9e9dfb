//! Marked messages: what a template is given to say when it is only checked, with values that nobody could mistake.
//!
//! Invariant: a value of the lender that is blank stays blank, so that a lender without a way to pay is not taken for
//! one whose texts name it.

use chrono::{Duration, NaiveDate};

use super::fold::{Folded, Reading};
use super::required::Fact;
use crate::channel::Channel;
use crate::contact::PersonName;
use crate::ids::{AccountId, ObligationId};
use crate::jurisdiction::Jurisdiction;
use crate::locale::{Country, Language, Locale};
use crate::money::Money;
use crate::policy::{Policy, Stage};
use crate::template::{MessageContext, MessageItem, MessageLender};
use crate::tenant::Lender;

/// Days after a stage's trigger that are looked at; the policy's last day, too.
const DAYS_AFTER: [i32; 7] = [0, 1, 3, 10, 30, 45, 60];
/// The amounts of the items, in minor units. No sum of some is another.
const AMOUNTS_MINOR: [i64; 3] = [731_594_200, 118_640_700, 240_377_900];
/// Where the profile serves any country: amounts and dates are written in some way all the same.
const SOME_COUNTRY: &str = "CO";

/// The values that are looked for.
pub(super) struct Marks {
    lender: Lender,
    name: PersonName,
    obligations: [ObligationId; 3],
    account: AccountId,
    country: Country,
    today: NaiveDate,
}

/// One marked message, and what it is in a few words.
pub(super) struct Sample<'a> {
    pub(super) context: MessageContext<'a>,
    pub(super) dpd: i32,
}

impl Marks {
    /// The marks for a place, and for a lender where one is given.
    pub(super) fn new(jurisdiction: &Jurisdiction, lender: Option<&Lender>) -> Option<Self> {
        let mark = |of: fn(&Lender) -> &str, mark: &str| {
            let blank = lender.is_some_and(|l| of(l).trim().is_empty());
            if blank { String::new() } else { mark.to_owned() }
        };
        let ways = lender.is_none_or(|l| l.ways_to_pay.iter().any(|way| !way.trim().is_empty()));
        let ways =
            if ways { vec!["Qexvia primera".to_owned(), "Qexvia segunda".to_owned()] } else { Vec::new() };
        Some(Self {
            lender: Lender {
                name: mark(|l| &l.name, "Qexnombre del Lugar"),
                phone: mark(|l| &l.phone, "600 417 9305"),
                email: mark(|l| &l.email, "qexcorreo@example.com"),
                ways_to_pay: ways,
                opt_out_email: mark(|l| &l.opt_out_email, "Qexbaja por correo"),
                opt_out_sms: mark(|l| &l.opt_out_sms, "Qexbaja por mensaje"),
            },
            name: PersonName::new("Qexcliente Apellido"),
            obligations: [
                ObligationId::new("QEXOBL-1").ok()?,
                ObligationId::new("QEXOBL-2").ok()?,
                ObligationId::new("QEXOBL-3").ok()?,
            ],
            account: AccountId::new("QEXCTA-9").ok()?,
            country: jurisdiction.country().or(Country::new(SOME_COUNTRY).ok())?,
            today: NaiveDate::from_ymd_opt(2027, 8, 18)?,
        })
    }

    /// Messages that a stage may send: of one item and of several, of one day and of different ones, of some that are
    /// late and one that is not, from the stage's day to the policy's last.
    pub(super) fn samples<'a>(&'a self, policy: &Policy, stage: &Stage) -> Vec<Sample<'a>> {
        let days = DAYS_AFTER.iter().map(|after| stage.dpd.saturating_add(*after));
        let last = policy.until_dpd;
        let mut days: Vec<i32> = days.filter(|dpd| *dpd < last).chain([last]).collect();
        days.retain(|dpd| stage.serves(*dpd));
        let mut samples = Vec::new();
        for dpd in days {
            // The days past due of each item, the most overdue first.
            for items in [&[dpd][..], &[dpd, dpd], &[dpd, dpd - 1, (dpd - 20).min(-2)]] {
                samples.push(Sample { context: self.context(items), dpd });
            }
        }
        samples
    }

    fn context(&self, items: &[i32]) -> MessageContext<'_> {
        let lender = &self.lender;
        let item = |(n, dpd): (usize, &i32)| {
            let obligation = self.obligations.get(n)?;
            let amount_minor = *AMOUNTS_MINOR.get(n)?;
            Some(MessageItem {
                obligation,
                account: (items.len() > 1).then_some(&self.account),
                outstanding: Money::new(amount_minor, "USD".parse().ok()?),
                due_on: self.today - Duration::days(i64::from(*dpd)),
            })
        };
        MessageContext {
            customer_name: &self.name,
            first_name: "Qexcliente",
            lender: MessageLender {
                name: &lender.name,
                phone: &lender.phone,
                email: &lender.email,
                ways_to_pay: &lender.ways_to_pay,
                opt_out_email: &lender.opt_out_email,
                opt_out_sms: &lender.opt_out_sms,
            },
            locale: Locale::new(Language::Es, self.country),
            today: self.today,
            items: items.iter().enumerate().filter_map(item).collect(),
        }
    }
}

impl Sample<'_> {
    /// The message in a few words.
    pub(super) fn describe(&self) -> String {
        let payments = match self.context.items.len() {
            1 => "one payment".to_owned(),
            count => format!("{count} payments, the first"),
        };
        match self.dpd {
            0 => format!("{payments} due on the day"),
            dpd if dpd < 0 => format!("{payments} due in {} days", -dpd),
            dpd => format!("{payments} {dpd} days past due"),
        }
    }

    /// Whether a text names a fact of this message.
    pub(super) fn names(&self, fact: Fact, text: &Folded, channel: Channel) -> bool {
        let has = |value: &str| text.has_words(&Folded::of(value, Reading::Plain));
        let context = &self.context;
        let lender = &context.lender;
        match fact {
            Fact::LenderName => has(lender.name),
            Fact::Obligation => context.items.iter().all(|item| has(item.obligation.as_str())),
            Fact::Account => context.items.iter().filter_map(|i| i.account).any(|a| has(a.as_str())),
            Fact::Amount => {
                let late = |item: &&MessageItem<'_>| item.due_on < context.today;
                let sum = |items: &mut dyn Iterator<Item = &MessageItem<'_>>| {
                    items
                        .map(|item| item.outstanding)
                        .reduce(|a, b| Money::new(a.amount_minor.saturating_add(b.amount_minor), a.currency))
                };
                let totals = [sum(&mut context.items.iter()), sum(&mut context.items.iter().filter(late))];
                totals.into_iter().flatten().any(|total| has(&total.format(&context.locale)))
                    || context.items.iter().all(|i| has(&i.outstanding.format(&context.locale)))
            }
            Fact::DueOn => context.items.first().is_some_and(|item| {
                has(&context.locale.long_date(item.due_on)) || has(&context.locale.short_date(item.due_on))
            }),
            Fact::WayToPay => lender.ways_to_pay.iter().any(|way| has(way)),
            Fact::Contact => has(lender.phone) || has(lender.email),
            Fact::OptOut => match channel {
                Channel::Sms => has(lender.opt_out_sms),
                Channel::Email | Channel::Push | Channel::Whatsapp | Channel::Call => {
                    has(lender.opt_out_email)
                }
            },
        }
    }
}
