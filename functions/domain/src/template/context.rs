//! The context of a message: the facts that a template speaks of, as the values that it sees.
//!
//! Invariant: the names and kinds of the values are those of [`ROOT`] and [`ITEM`], in the same order; the check of
//! a template reads the same tables. A value has no control character.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use chrono::NaiveDate;
use minijinja::Value;
use minijinja::value::Object;

use crate::channel::Channel;
use crate::choice::{OptOutUrl, SignedLink};
use crate::contact::PersonName;
use crate::customer::CustomerKind;
use crate::ids::{AccountId, ObligationId};
use crate::locale::{Country, Language, Locale};
use crate::money::{Currency, Money};
use crate::obligation::dpd;
use crate::touch::ITEMS_PER_TOUCH_MAX;

/// How the lender presents itself.
#[derive(Debug, Clone, Copy)]
pub struct MessageLender<'a> {
    /// The name that customers know.
    pub name: &'a str,
    /// Where customers call.
    pub phone: &'a str,
    /// Where customers write.
    pub email: &'a str,
    /// How customers can pay.
    pub ways_to_pay: &'a [String],
    /// How to stop the emails.
    pub opt_out_email: &'a str,
    /// How to stop the text messages.
    pub opt_out_sms: &'a str,
}

/// One obligation of a message.
#[derive(Debug, Clone, Copy)]
pub struct MessageItem<'a> {
    /// The obligation.
    pub obligation: &'a ObligationId,
    /// The credit product, where it is known.
    pub account: Option<&'a AccountId>,
    /// What is still owed.
    pub outstanding: Money,
    /// When it is or was due.
    pub due_on: NaiveDate,
}

/// What a message is about. It has no `Debug`, since it names the customer.
#[derive(Clone)]
pub struct MessageContext<'a> {
    /// The customer.
    pub customer_name: &'a PersonName,
    /// The name for the greeting; see [`first_name`].
    pub first_name: &'a str,
    /// The lender.
    pub lender: MessageLender<'a>,
    /// The customer's own link to stop the messages of the channel, where the lender has an address for links. What names
    /// it is not rendered without one.
    pub opt_out_link: Option<&'a SignedLink>,
    /// The language and the habits of the message.
    pub locale: Locale,
    /// The customer's local date; days late and days left are counted from it.
    pub today: NaiveDate,
    /// The obligations, most overdue first; at least one.
    pub items: Vec<MessageItem<'a>>,
}

/// The name for a greeting: the first word of a person's name, the whole name of anybody else.
#[must_use]
pub fn first_name(name: &PersonName, kind: Option<CustomerKind>) -> &str {
    let whole = name.reveal().trim();
    match kind {
        Some(CustomerKind::Person) => whole.split_whitespace().next().unwrap_or(whole),
        Some(CustomerKind::Company) | None => whole,
    }
}

/// The kind of a value, as far as a template can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
    Texts,
    Item,
    Items,
    Loop,
}

/// The variable that only messages of some lenders have.
pub(super) const OPT_OUT_LINK: &str = "opt_out_link";

/// The variables of a template.
pub(super) const ROOT: &[(&str, Kind)] = &[
    ("customer_name", Kind::Text),
    ("first_name", Kind::Text),
    ("lender_name", Kind::Text),
    ("lender_phone", Kind::Text),
    ("lender_email", Kind::Text),
    ("ways_to_pay", Kind::Texts),
    ("opt_out", Kind::Text),
    (OPT_OUT_LINK, Kind::Text),
    ("amount", Kind::Text),
    ("due_on", Kind::Text),
    ("due_on_short", Kind::Text),
    ("dpd", Kind::Number),
    ("days_late", Kind::Number),
    ("days_until_due", Kind::Number),
    ("count", Kind::Number),
    ("overdue_count", Kind::Number),
    ("overdue_amount", Kind::Text),
    ("upcoming_count", Kind::Number),
    ("upcoming_amount", Kind::Text),
    ("items", Kind::Items),
];

/// The fields of an item.
pub(super) const ITEM: &[(&str, Kind)] = &[
    ("obligation", Kind::Text),
    ("account", Kind::Text),
    ("amount", Kind::Text),
    ("due_on", Kind::Text),
    ("due_on_short", Kind::Text),
    ("dpd", Kind::Number),
    ("days_late", Kind::Number),
    ("days_until_due", Kind::Number),
];

impl MessageContext<'_> {
    /// What some items owe in each currency, in the order in which they are named.
    fn totals(&self, of: impl Fn(&MessageItem<'_>) -> bool) -> Vec<Money> {
        let mut totals: Vec<Money> = Vec::new();
        for owed in self.items.iter().filter(|item| of(item)).map(|item| item.outstanding) {
            match totals.iter_mut().find(|total| total.currency == owed.currency) {
                Some(total) => total.amount_minor = total.amount_minor.saturating_add(owed.amount_minor),
                None => totals.push(owed),
            }
        }
        totals
    }

    /// The values that a template sees.
    pub(super) fn values(&self, channel: Channel) -> Value {
        let opt_out = match channel {
            Channel::Sms => self.lender.opt_out_sms,
            Channel::Email | Channel::Push | Channel::Whatsapp | Channel::Call => self.lender.opt_out_email,
        };
        let ways: Value = self.lender.ways_to_pay.iter().map(|way| text(way)).collect();
        let mut first = None;
        let items: Vec<Value> = self
            .items
            .iter()
            .map(|item| {
                let fields = self.item_values(item);
                let value = Record::value(ITEM, fields);
                first.get_or_insert_with(|| value.clone());
                value
            })
            .collect();
        let of_first = |name: &str| first.as_ref().and_then(|f| f.get_attr(name).ok()).unwrap_or_default();
        // What is not late yet must never be called so.
        let late = |item: &MessageItem<'_>| item.due_on < self.today;
        let values = vec![
            text(self.customer_name.reveal()),
            text(self.first_name),
            text(self.lender.name),
            text(self.lender.phone),
            text(self.lender.email),
            ways,
            text(opt_out),
            text(self.opt_out_link.map_or("", SignedLink::reveal)),
            Value::from(self.amount(|_| true)),
            of_first("due_on"),
            of_first("due_on_short"),
            of_first("dpd"),
            of_first("days_late"),
            of_first("days_until_due"),
            Value::from(self.items.len()),
            Value::from(self.items.iter().filter(|item| late(item)).count()),
            Value::from(self.amount(late)),
            Value::from(self.items.iter().filter(|item| !late(item)).count()),
            Value::from(self.amount(|item| !late(item))),
            Value::from(items),
        ];
        Record::value(ROOT, values)
    }

    fn item_values(&self, item: &MessageItem<'_>) -> Vec<Value> {
        let dpd = i64::from(dpd(item.due_on, self.today));
        vec![
            text(item.obligation.as_str()),
            item.account.map_or_else(|| Value::from(""), |account| text(account.as_str())),
            Value::from(item.outstanding.format(&self.locale)),
            Value::from(self.locale.long_date(item.due_on)),
            Value::from(self.locale.short_date(item.due_on)),
            Value::from(dpd),
            Value::from(dpd.max(0)),
            Value::from((-dpd).max(0)),
        ]
    }

    /// The totals of some items in words: `$ 150.000`, `S/ 1,250.50 y US$ 55.94`; empty where there are none.
    fn amount(&self, of: impl Fn(&MessageItem<'_>) -> bool) -> String {
        let and = match self.locale.language {
            Language::Es => " y ",
            Language::En => " and ",
        };
        let written: Vec<String> = self.totals(of).iter().map(|total| total.format(&self.locale)).collect();
        match written.as_slice() {
            [one] => one.clone(),
            [most @ .., last] => format!("{}{and}{last}", most.join(", ")),
            [] => String::new(),
        }
    }
}

/// A text without control characters and without marks that turn the direction of writing.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let is_unwanted = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}')
    };
    if text.contains(is_unwanted) {
        Cow::Owned(text.chars().map(|c| if is_unwanted(c) { ' ' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn text(text: &str) -> Value {
    Value::from(clean(text).as_ref())
}

/// Values under fixed names: no map is built for each message.
struct Record {
    names: &'static [(&'static str, Kind)],
    values: Vec<Value>,
}

impl Record {
    fn value(names: &'static [(&'static str, Kind)], values: Vec<Value>) -> Value {
        Value::from_object(Self { names, values })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record(***)")
    }
}

impl Object for Record {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let index = self.names.iter().position(|(name, _)| *name == key)?;
        self.values.get(index).cloned()
    }
}

/// Calls `f` for many different messages, each with a few words on what it is.
pub(super) fn for_each_sample(mut f: impl FnMut(&'static str, &MessageContext<'_>)) {
    let today = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap_or_default();
    let name = PersonName::new("Ana Pérez");
    let ways = ["PSE".to_owned(), "Oficinas".to_owned()];
    let (Ok(account), Ok(obligation)) = (AccountId::new("C-1"), ObligationId::new("F-1001")) else { return };
    let (Ok(country), Ok(pesos), Ok(dollars), Ok(url)) = (
        Country::new("CO"),
        "COP".parse::<Currency>(),
        "USD".parse::<Currency>(),
        OptOutUrl::try_from("https://example.com/baja".to_owned()),
    ) else {
        return;
    };
    let link = url.link("WyJhIl0.c2lnbmF0dXJl");
    for days in [-30_i64, -7, -3, -2, -1, 0, 1, 2, 3, 8, 15, 30, 31, 90, 400] {
        let what = match days {
            ..0 => "a message before the due date",
            0 => "a message on the due date",
            1.. => "a message after the due date",
        };
        for count in [1, 2, 3, ITEMS_PER_TOUCH_MAX] {
            let item = |index: usize| MessageItem {
                obligation: &obligation,
                account: (index % 2 == count % 2).then_some(&account),
                outstanding: Money::new(12_000_000, if index == 2 { dollars } else { pesos }),
                due_on: today - chrono::Duration::days(days),
            };
            let lender = MessageLender {
                name: "Crédito Andino",
                phone: "601 555 0100",
                email: "pagos@example.com",
                ways_to_pay: &ways[..count % 3],
                opt_out_email: "Para no recibir más mensajes, responda BAJA.",
                opt_out_sms: "BAJA: example.com/b",
            };
            let context = MessageContext {
                customer_name: &name,
                first_name: "Ana",
                lender,
                opt_out_link: Some(&link),
                locale: Locale::new(Language::Es, country),
                today,
                items: (0..count).map(item).collect(),
            };
            f(what, &context);
        }
    }
}
