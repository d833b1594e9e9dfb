//! Marked messages: what a template is given to say when it is only checked, with values that nobody could mistake.
//!
//! Invariant: a value of the lender that is blank stays blank, so that a lender without a way to pay is not taken for
//! one whose texts name it.

use std::collections::BTreeSet;

use chrono::{Duration, NaiveDate};

use super::fold::{Folded, Reading};
use super::required::Fact;
use crate::channel::Channel;
use crate::choice::{OptOutUrl, SignedLink};
use crate::contact::PersonName;
use crate::ids::{AccountId, ObligationId};
use crate::jurisdiction::Jurisdiction;
use crate::locale::{Country, Language, Locale};
use crate::money::Money;
use crate::policy::{Policy, Stage};
use crate::template::{MessageContext, MessageItem, MessageLender};
use crate::tenant::Lender;
use crate::touch::ITEMS_PER_TOUCH_MAX;

/// The amount of the first item, in minor units; each further one owes twice as much, so that no sum of some is another.
const AMOUNT_MINOR: i64 = 11_864_107;
/// What a sample has at most in each list of numbers that it is made of.
const NUMBERS_MAX: usize = 80;
/// Where the profile serves any country: amounts and dates are written in some way all the same.
const SOME_COUNTRY: &str = "CO";

/// The values that are looked for.
pub(super) struct Marks {
    lender: Lender,
    opt_out_link: SignedLink,
    name: PersonName,
    obligations: Vec<ObligationId>,
    account: AccountId,
    country: Country,
    today: NaiveDate,
}

/// What the texts of a channel compare numbers with.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) days: BTreeSet<i64>,
    pub(super) counts: BTreeSet<i64>,
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
        let ways = if ways { vec!["Qexvia unica".to_owned()] } else { Vec::new() };
        Some(Self {
            lender: Lender {
                name: mark(|l| &l.name, "Qexnombre del Lugar"),
                phone: mark(|l| &l.phone, "600 417 9305"),
                email: mark(|l| &l.email, "qexcorreo@example.com"),
                ways_to_pay: ways,
                opt_out_email: mark(|l| &l.opt_out_email, "Qexbaja por correo"),
                opt_out_sms: mark(|l| &l.opt_out_sms, "Qexbaja por mensaje"),
            },
            opt_out_link: OptOutUrl::try_from("https://qexbaja.example.com".to_owned()).ok()?.link("qex"),
            name: PersonName::new("Qexcliente Apellido"),
            obligations: (1..=ITEMS_PER_TOUCH_MAX)
                .map(|n| ObligationId::new(format!("QEXOBL-{n}")).ok())
                .collect::<Option<_>>()?,
            account: AccountId::new("QEXCTA-9").ok()?,
            country: jurisdiction.country().or(Country::new(SOME_COUNTRY).ok())?,
            today: NaiveDate::from_ymd_opt(2027, 8, 18)?,
        })
    }

    /// Messages that a stage may send: on its first days and the policy's last, and on both sides of each number of days
    /// that a text compares; of one item and of several, all late or some, and on both sides of each number of items.
    pub(super) fn samples<'a>(
        &'a self,
        policy: &Policy,
        stage: &Stage,
        compared: &Compared,
    ) -> Vec<Sample<'a>> {
        let (first, last) = (i64::from(stage.dpd), i64::from(policy.until_dpd));
        let days: BTreeSet<i64> = around(&compared.days).chain([first, first + 1, last]).collect();
        let days = days.into_iter().filter(|dpd| (first..=last).contains(dpd));
        let days: Vec<i32> =
            days.filter_map(|dpd| i32::try_from(dpd).ok()).filter(|dpd| stage.serves(*dpd)).collect();
        let numbers = |usual: &[i64]| -> Vec<usize> {
            let all: BTreeSet<i64> = around(&compared.counts).chain(usual.iter().copied()).collect();
            all.into_iter()
                .filter_map(|n| usize::try_from(n).ok())
                .filter(|n| *n <= ITEMS_PER_TOUCH_MAX)
                .collect()
        };
        let (late, coming, all) = (numbers(&[1, 2]), numbers(&[0, 1]), numbers(&[1, 2, 3]));
        let mut samples = Vec::new();
        for dpd in days.into_iter().take(NUMBERS_MAX) {
            if dpd > 0 {
                for (late, coming) in late.iter().flat_map(|l| coming.iter().map(move |c| (*l, *c))) {
                    if late > 0 && late + coming <= ITEMS_PER_TOUCH_MAX {
                        samples.push(Sample { context: self.context(&days_of(dpd, late, coming)), dpd });
                    }
                }
            } else {
                for count in all.iter().filter(|count| **count > 0) {
                    samples.push(Sample { context: self.context(&days_of(dpd, 0, *count)), dpd });
                }
            }
        }
        samples
    }

    fn context(&self, items: &[i32]) -> MessageContext<'_> {
        let lender = &self.lender;
        let item = |(n, dpd): (usize, &i32)| {
            let obligation = self.obligations.get(n)?;
            let amount_minor = AMOUNT_MINOR << n;
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
            opt_out_link: Some(&self.opt_out_link),
            locale: Locale::new(Language::Es, self.country),
            today: self.today,
            items: items.iter().enumerate().filter_map(item).collect(),
        }
    }
}

/// Both sides of each number, and of its opposite, since days that are left are negative days past due.
fn around(numbers: &BTreeSet<i64>) -> impl Iterator<Item = i64> {
    numbers
        .iter()
        .flat_map(|n| [*n, n.saturating_neg()])
        .flat_map(|n| (-1..=1).map(move |by| n.saturating_add(by)))
}

/// The days past due of each item, the most overdue first: some that are late, then some that are not.
fn days_of(dpd: i32, late: usize, coming: usize) -> Vec<i32> {
    let nth = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let late_days = (0..late).map(|n| (dpd - nth(n.saturating_sub(1))).max(1));
    let coming_days = (0..coming).map(|n| if dpd > 0 { -2 - nth(n) } else { dpd - nth(n) });
    late_days.chain(coming_days).collect()
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

    /// The customer's own link that stops the messages.
    pub(super) fn opt_out_link(&self) -> Option<&str> {
        self.context.opt_out_link.map(SignedLink::reveal)
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
            Fact::OptOut => {
                let line = match channel {
                    Channel::Sms => lender.opt_out_sms,
                    Channel::Email | Channel::Push | Channel::Whatsapp | Channel::Call => {
                        lender.opt_out_email
                    }
                };
                has(line) || self.opt_out_link().is_some_and(has)
            }
        }
    }
}
