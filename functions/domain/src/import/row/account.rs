//! The rows of an accounts file: a customer, an obligation, its settlement and its dispute.
//!
//! Invariant: what the file does not say is absent from the record, save for the contacts that a demonstration
//! asks to be made up, and those are marked as test.

use super::CONSENT_FLOOR_ON;
use super::values::{self, Values, optional_id, required_id};
use crate::channel::Channel;
use crate::contact::{Address, Consent, ContactPoint, PersonName};
use crate::customer::Customer;
use crate::ids::{AccountId, CustomerId, ObligationId, SegmentId};
use crate::import::amount::{parse_amount, parse_amount_or_zero};
use crate::import::fields::{Fields, RowFields};
use crate::import::header::Header;
use crate::import::mapping::{
    AccountsMapping, ConsentRules, CustomerColumns, DisputeDay, DisputeRule, WordColumn,
};
use crate::import::record::AccountRow;
use crate::locale::Country;
use crate::money::Money;
use crate::obligation::{Hold, HoldReason, Obligation};
use crate::phone::Phone;
use chrono::NaiveDate;

/// Where the columns of an accounts file stand.
#[derive(Debug)]
pub(super) struct AccountReader {
    mapping: AccountsMapping,
    id: usize,
    name: Option<usize>,
    email: Option<usize>,
    phone: Option<usize>,
    kind: Option<usize>,
    role: Option<usize>,
    country: Option<usize>,
    time_zone: Option<usize>,
    language: Option<usize>,
    segment: Option<usize>,
    preferred_channel: Option<usize>,
    consent_columns: Vec<(Channel, usize)>,
    consent_on: Option<usize>,
    consent_evidence: Option<usize>,
    pub(super) obligation: usize,
    account: Option<usize>,
    amount: usize,
    currency: Option<usize>,
    due_on: usize,
    known_on: Option<usize>,
    closed_on: Option<usize>,
    paid_amount: Option<usize>,
    disputed: Option<usize>,
    dispute_from: Option<usize>,
    dispute_until: Option<usize>,
}

/// The days of a row.
#[derive(Clone, Copy)]
struct Days {
    due_on: Option<NaiveDate>,
    known_on: Option<NaiveDate>,
    closed_on: Option<NaiveDate>,
}

impl AccountReader {
    pub(super) fn new(mapping: &AccountsMapping, header: &mut Header) -> Self {
        let CustomerColumns {
            id,
            name,
            email,
            phone,
            kind,
            role,
            country,
            time_zone,
            language,
            segment,
            preferred_channel,
        } = &mapping.customer;
        let obligation = &mapping.obligation;
        let consent = mapping.consent.as_ref();
        let dispute = mapping.dispute.as_ref();
        let own_day = |day: &DisputeDay, header: &mut Header| match day {
            DisputeDay::Column(name) => Some(header.find(name)),
            DisputeDay::DueOn | DisputeDay::KnownOn | DisputeDay::ClosedOn => None,
        };
        Self {
            id: header.find(id),
            name: header.find_any(name.as_ref()),
            email: header.find_any(email.as_ref()),
            phone: header.find_any(phone.as_ref()),
            kind: header.find_any(kind.as_ref().map(|c| &c.column)),
            role: header.find_any(role.as_ref().map(|c| &c.column)),
            country: header.find_any(country.as_ref()),
            time_zone: header.find_any(time_zone.as_ref()),
            language: header.find_any(language.as_ref()),
            segment: header.find_any(segment.as_ref()),
            preferred_channel: header.find_any(preferred_channel.as_ref().map(|c| &c.column)),
            consent_columns: consent
                .iter()
                .flat_map(|c| &c.columns)
                .map(|(channel, name)| (*channel, header.find(name)))
                .collect(),
            consent_on: header.find_any(consent.and_then(|c| c.on.as_ref())),
            consent_evidence: header.find_any(consent.and_then(|c| c.evidence_column.as_ref())),
            obligation: header.find(&obligation.id),
            account: header.find_any(obligation.account.as_ref()),
            amount: header.find(&obligation.amount),
            currency: header.find_any(obligation.currency.as_ref()),
            due_on: header.find(&obligation.due_on),
            known_on: header.find_any(obligation.known_on.as_ref()),
            closed_on: header.find_any(obligation.closed_on.as_ref()),
            paid_amount: header.find_any(obligation.paid_amount.as_ref()),
            disputed: header.find_any(dispute.map(|d| &d.column)),
            dispute_from: dispute.and_then(|d| own_day(&d.from, header)),
            dispute_until: dispute.and_then(|d| own_day(&d.until, header)),
            mapping: mapping.clone(),
        }
    }

    /// Whether a column says who is a debtor and who is not.
    pub(super) fn reads_role(&self) -> bool {
        self.role.is_some()
    }

    /// The record, or `None` with the errors on the row. Every column is read, whatever came before.
    pub(super) fn read<F: Fields + ?Sized>(
        &self,
        row: &mut RowFields<'_, F>,
        values: &Values,
    ) -> Option<AccountRow> {
        let days = Days {
            due_on: values.required_day(row, self.due_on),
            known_on: self.known_on.and_then(|column| values.day(row, column)),
            closed_on: self.closed_on.and_then(|column| values.day(row, column)),
        };
        let customer = self.customer(row, values);
        let id = required_id(row, self.obligation, ObligationId::new);
        let account = optional_id(row, self.account, AccountId::new);
        let currency = values.currency(row, self.currency);
        let amount_minor = values.required_amount(row, self.amount, currency, parse_amount);
        let paid = |column| values.amount(row, column, currency, parse_amount_or_zero);
        let paid_minor = self.paid_amount.and_then(paid);
        let dispute = self.mapping.dispute.as_ref().and_then(|rule| self.dispute(row, values, rule, days));
        let customer = customer?;
        let obligation = Obligation {
            id: id?,
            customer: customer.id.clone(),
            account,
            due_on: days.due_on?,
            amount: Money::new(amount_minor?, currency?),
            paid_minor: paid_minor.unwrap_or(0),
            closed_on: None,
            holds: Vec::new(),
        };
        let (known_on, closed_on) = (days.known_on, days.closed_on);
        Some(AccountRow { line: row.line, customer, obligation, known_on, closed_on, dispute })
    }

    fn customer<F: Fields + ?Sized>(&self, row: &mut RowFields<'_, F>, values: &Values) -> Option<Customer> {
        let id = required_id(row, self.id, CustomerId::new);
        let kind = word(row, self.kind, self.mapping.customer.kind.as_ref());
        let role = word(row, self.role, self.mapping.customer.role.as_ref()).unwrap_or_default();
        let preferred = self.mapping.customer.preferred_channel.as_ref();
        let preferred_channel = word(row, self.preferred_channel, preferred);
        let two_letters = "a two-letter code of ISO 3166 such as CO";
        let country = values::parsed_by(row, self.country, two_letters, |text| Country::new(text).ok());
        let time_zone = values::parsed(row, self.time_zone, "an IANA time zone such as America/Bogota");
        let language = values::parsed(row, self.language, "es or en");
        let segment = optional_id(row, self.segment, SegmentId::new);
        let name = self.name.and_then(|column| name(row, column));
        let email = self.email.and_then(|column| values::email(row, column));
        let region = country.or(values.phone_region);
        let phone = self.phone.and_then(|column| values::phone(row, column, region));
        let consents = self.mapping.consent.as_ref().map(|rules| self.consents(row, values, rules));
        let id = id?;
        let (name, contact_points) = self.contacts(&id, name, email, phone);
        Some(Customer {
            id,
            name: name?,
            kind,
            role,
            country,
            time_zone,
            language,
            segment,
            preferred_channel,
            contact_points,
            consents: consents.unwrap_or_default(),
            agreed_hours: None,
            hold: None,
        })
    }

    /// The name and the contact points: those of the file, and made up where it has no column for them.
    fn contacts(
        &self,
        id: &CustomerId,
        name: Option<PersonName>,
        email: Option<Address>,
        phone: Option<Phone>,
    ) -> (Option<PersonName>, Vec<ContactPoint>) {
        let mut points = Vec::with_capacity(1 + self.mapping.phone_channels.len());
        let made = self.mapping.made_up.as_ref().map(|made_up| made_up.contact(id));
        let (mut made_name, mut made_email, mut made_phone) = (None, None, None);
        if let Some(made) = made {
            made_name = Some(made.name).filter(|_| self.name.is_none());
            made_email = Some(made.email).filter(|_| self.email.is_none());
            made_phone = Some(made.phone).filter(|_| self.phone.is_none());
        }
        let mut push = |channels: &[Channel], address: Option<Address>, test: bool| {
            if let Some(address) = address {
                let point =
                    |channel: &Channel| ContactPoint { channel: *channel, address: address.clone(), test };
                points.extend(channels.iter().map(point));
            }
        };
        let test = self.mapping.test_contacts;
        push(&[Channel::Email], email, test);
        push(&[Channel::Email], made_email, true);
        if let Some(phone) = phone {
            // A landline takes calls, but no text message.
            let usable = |c: &Channel| *c != Channel::Sms || phone.kind.can_receive_sms();
            let channels: Vec<Channel> = self.mapping.phone_channels.iter().copied().filter(usable).collect();
            push(&channels, Some(phone.e164), test);
        }
        push(&self.mapping.phone_channels, made_phone, true);
        (name.or(made_name), points)
    }

    fn consents<F: Fields + ?Sized>(
        &self,
        row: &mut RowFields<'_, F>,
        values: &Values,
        rules: &ConsentRules,
    ) -> Vec<Consent> {
        // The day on which an obligation became known is no day on which the customer said anything: a new invoice must
        // not bring back an authorisation that was withdrawn.
        let own_day = self.consent_on.and_then(|column| values.day(row, column));
        let on = own_day.unwrap_or(CONSENT_FLOOR_ON);
        let evidence = self.consent_evidence.and_then(|column| values::evidence(row, column));
        let evidence = evidence.or_else(|| rules.evidence.clone());
        let consent = |channel, granted| Consent {
            channel,
            purposes: rules.purposes.clone(),
            granted,
            on,
            at: None,
            source: rules.source,
            evidence: evidence.clone(),
        };
        let mut consents = Vec::with_capacity(rules.assume.len() + self.consent_columns.len());
        consents.extend(rules.assume.iter().map(|channel| consent(*channel, true)));
        for (channel, column) in &self.consent_columns {
            if let Some(granted) = values::yes_no(row, *column, &rules.words) {
                consents.push(consent(*channel, granted));
            }
        }
        consents
    }

    fn dispute<F: Fields + ?Sized>(
        &self,
        row: &mut RowFields<'_, F>,
        values: &Values,
        rule: &DisputeRule,
        days: Days,
    ) -> Option<Hold> {
        let disputed = self.disputed.and_then(|column| values::yes_no(row, column, &rule.words));
        // The columns are read in any case: an unsound day is an error whether or not it is needed.
        let own_from = self.dispute_from.and_then(|column| values.day(row, column));
        let own_until = self.dispute_until.and_then(|column| values.day(row, column));
        let day = |which: &DisputeDay, own: Option<NaiveDate>| match which {
            DisputeDay::DueOn => days.due_on,
            DisputeDay::KnownOn => days.known_on,
            DisputeDay::ClosedOn => days.closed_on,
            DisputeDay::Column(_) => own,
        };
        if disputed != Some(true) {
            return None;
        }
        // A dispute without its own day begins with the row: it is better to stop too early than to remind.
        let from_on = day(&rule.from, own_from).or(days.known_on).or(days.due_on)?;
        let until_on = day(&rule.until, own_until).or(days.closed_on);
        let ends_first = |end: Option<NaiveDate>| end.is_some_and(|end| end <= from_on);
        if ends_first(days.closed_on) || ends_first(until_on) {
            return None;
        }
        Some(Hold { reason: HoldReason::Dispute, from_on, until_on })
    }
}

/// The value of a column of words, where there is one.
fn word<V: Copy, F: Fields + ?Sized>(
    row: &mut RowFields<'_, F>,
    column: Option<usize>,
    words: Option<&WordColumn<V>>,
) -> Option<V> {
    let (column, words) = column.zip(words)?;
    values::word(row, column, &words.values)
}

/// The name in one line: a break inside a name comes from the spreadsheet and not from the person.
fn name<F: Fields + ?Sized>(row: &mut RowFields<'_, F>, column: usize) -> Option<PersonName> {
    let text = row.required(column, "a name")?;
    if text.contains(['\n', '\r', '\t']) || text.contains("  ") {
        return Some(PersonName::new(text.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    Some(PersonName::new(text))
}
