//! The mapping as it stands in its TOML file, and the checks that make it a [`Mapping`].
//!
//! Invariant: every error names the line and the key, so that a lender's engineer can mend it without us.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{
    AccountsMapping, ColumnName, ConsentRules, Content, CustomerColumns, DAY_FORMATS_MAX, Delimiter,
    DisputeDay, DisputeRule, Encoding, FileSettings, MAPPING_BYTES_MAX, Mapping, NAME_CHARS_MAX,
    ObligationColumns, PaymentsMapping, WORDS_MAX, WordColumn, YesNo,
};
use crate::channel::Channel;
use crate::contact::{EvidenceRef, PurposeScope, source_named};
use crate::customer::{CustomerKind, Role};
use crate::import::amount::DecimalSign;
use crate::import::day::DayFormat;
use crate::import::fold::fold;
use crate::import::made_up::MadeUp;

mod raw;

use raw::{
    Kind, Raw, RawConsent, RawContacts, RawCustomer, RawDelimiter, RawDispute, RawFile, RawMadeUp,
    RawObligation, RawPayment, RawSign, RawWordColumn,
};

/// What is wrong with a mapping, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mapping, line {line}, key {key:?}: {problem}")]
pub struct MappingError {
    /// The line, counted from 1.
    pub line: usize,
    /// The key with its section, such as `file.encoding`; the section alone when a key is missing from it.
    pub key: String,
    /// What was wrong and what was expected.
    pub problem: String,
}

const YES: [&str; 7] = ["si", "s", "yes", "y", "true", "1", "x"];
const NO: [&str; 4] = ["no", "n", "false", "0"];

/// A broken rule: the key it is about, and what is wrong.
type Rule<T> = Result<T, (&'static str, String)>;

pub(super) fn parse(text: &str) -> Result<Mapping, MappingError> {
    if text.len() > MAPPING_BYTES_MAX {
        let problem = format!("the mapping has {} bytes; expected at most {MAPPING_BYTES_MAX}", text.len());
        return Err(MappingError { line: 1, key: String::new(), problem });
    }
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let (line, key) = place_of(text, error.span().unwrap_or(0..0));
        MappingError { line, key, problem: error.message().trim().replace('\n', " ") }
    })?;
    checked(raw).map_err(|(key, problem)| MappingError {
        line: line_of(text, key),
        key: key.to_owned(),
        problem,
    })
}

/// The line of a byte range and the key that stands there, with its section.
fn place_of(text: &str, span: Range<usize>) -> (usize, String) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let mut section = "";
    let mut key = "";
    for (number, content) in (1..=line).zip(text.lines()) {
        let content = content.trim();
        if let Some(name) = content.strip_prefix('[').and_then(|c| c.split(']').next()) {
            (section, key) = (name, "");
        } else if number == line {
            key = content.split('=').next().unwrap_or_default().trim();
        }
    }
    (
        line,
        if section.is_empty() || key.is_empty() {
            format!("{section}{key}")
        } else {
            format!("{section}.{key}")
        },
    )
}

/// The line of `section.key`, of its section when the key is not there, or the first.
fn line_of(text: &str, key: &str) -> usize {
    let wanted = key.split('.').next().unwrap_or_default();
    let places = text.lines().enumerate().map(|(i, content)| {
        let start: usize = text.lines().take(i).map(|l| l.len() + 1).sum();
        (i + 1, place_of(text, start..start + content.len()).1)
    });
    let places: Vec<(usize, String)> = places.collect();
    let find = |wanted: &str| places.iter().find(|(_, k)| k == wanted).map(|(line, _)| *line);
    find(key).or_else(|| find(wanted)).unwrap_or(1)
}

fn checked(raw: Raw) -> Rule<Mapping> {
    let file = file_settings(&raw.file)?;
    let has_sections = |names: &[(&'static str, bool)]| {
        let wrong = names.iter().find(|(_, present)| *present);
        wrong.map_or(Ok(()), |(name, _)| Err((*name, "has no meaning in a file of payments".to_owned())))
    };
    let content = match raw.file.kind {
        Kind::Accounts => {
            let customer = raw.customer.ok_or(("customer", "the section is missing".to_owned()))?;
            let obligation = raw.obligation.ok_or(("obligation", "the section is missing".to_owned()))?;
            let accounts = accounts(&file, customer, obligation, raw.payment)?;
            let accounts = with_contacts(accounts, &file, raw.contacts)?;
            let consent = raw.consent.map(consent).transpose()?;
            let dispute = raw.dispute.map(dispute).transpose()?;
            Content::Accounts(Box::new(AccountsMapping { consent, dispute, ..accounts }))
        }
        Kind::Payments => {
            has_sections(&[
                ("customer", raw.customer.is_some()),
                ("consent", raw.consent.is_some()),
                ("contacts", raw.contacts.is_some()),
                ("obligation", raw.obligation.is_some()),
                ("dispute", raw.dispute.is_some()),
            ])?;
            let payment = raw.payment.ok_or(("payment", "the section is missing".to_owned()))?;
            Content::Payments(payments(&file, payment)?)
        }
    };
    Ok(Mapping { file, content })
}

fn file_settings(raw: &RawFile) -> Rule<FileSettings> {
    let day_formats: Vec<DayFormat> = raw.date_formats.iter().map(|f| f.0.clone()).collect();
    if !(1..=DAY_FORMATS_MAX).contains(&day_formats.len()) {
        return Err(("file.date_formats", format!("expected 1 to {DAY_FORMATS_MAX} formats")));
    }
    for (i, format) in day_formats.iter().enumerate() {
        if let Some(other) = day_formats[..i].iter().find(|f| f.is_ambiguous_with(format)) {
            let pair = format!("{:?} and {:?}", other.as_str(), format.as_str());
            return Err((
                "file.date_formats",
                format!("{pair} read one text as two days; expected one of them"),
            ));
        }
    }
    Ok(FileSettings {
        delimiter: match raw.delimiter {
            RawDelimiter::Auto => Delimiter::Auto,
            RawDelimiter::Comma => Delimiter::Byte(b','),
            RawDelimiter::Semicolon => Delimiter::Byte(b';'),
            RawDelimiter::Tab => Delimiter::Byte(b'\t'),
        },
        encoding: raw.encoding.unwrap_or(Encoding::Auto),
        sheet: raw.sheet.clone(),
        day_formats,
        decimal_sign: match raw.decimal_sign {
            RawSign::Point => DecimalSign::Point,
            RawSign::Comma => DecimalSign::Comma,
        },
        currency: raw.currency,
        phone_region: raw.phone_region,
    })
}

fn needs_currency(file: &FileSettings, column: Option<&ColumnName>) -> Rule<()> {
    if file.currency.is_none() && column.is_none() {
        let problem = "is missing; expected a currency for the whole file, or a column `currency`";
        return Err(("file.currency", problem.to_owned()));
    }
    Ok(())
}

fn accounts(
    file: &FileSettings,
    customer: RawCustomer,
    obligation: RawObligation,
    payment: Option<RawPayment>,
) -> Rule<AccountsMapping> {
    needs_currency(file, obligation.currency.as_ref())?;
    let (mut closed_on, mut paid_amount) = (None, None);
    if let Some(payment) = payment {
        let of_payments = [
            ("payment.id", payment.id.is_some()),
            ("payment.obligation", payment.obligation.is_some()),
            ("payment.customer", payment.customer.is_some()),
            ("payment.amount", payment.amount.is_some()),
            ("payment.currency", payment.currency.is_some()),
            ("payment.paid_on", payment.paid_on.is_some()),
        ];
        if let Some((key, _)) = of_payments.into_iter().find(|(_, present)| *present) {
            return Err((key, "has a meaning only in a file of payments".to_owned()));
        }
        (closed_on, paid_amount) = (payment.closed_on, payment.paid_amount);
    }
    let known_kinds = [("person", CustomerKind::Person), ("company", CustomerKind::Company)];
    let channels = Channel::ALL.iter().map(|c| (c.as_str(), *c));
    Ok(AccountsMapping {
        customer: CustomerColumns {
            id: customer.id,
            name: customer.name,
            email: customer.email,
            phone: customer.phone,
            kind: customer.kind.map(|c| word_column("customer.kind", c, known_kinds)).transpose()?,
            role: customer
                .role
                .map(|c| {
                    let words = Role::ALL.iter().map(|r| (r.as_str(), *r));
                    word_column("customer.role", c, words.chain([("co debtor", Role::Codebtor)]))
                })
                .transpose()?,
            country: customer.country,
            time_zone: customer.time_zone,
            language: customer.language,
            segment: customer.segment,
            preferred_channel: customer
                .preferred_channel
                .map(|c| word_column("customer.preferred_channel", c, channels))
                .transpose()?,
        },
        phone_channels: vec![Channel::Sms],
        test_contacts: false,
        made_up: None,
        consent: None,
        obligation: ObligationColumns {
            id: obligation.id,
            account: obligation.account,
            amount: obligation.amount,
            currency: obligation.currency,
            due_on: obligation.due_on,
            known_on: obligation.known_on,
            closed_on,
            paid_amount,
        },
        dispute: None,
    })
}

/// The words of the file and, beside them, the product's own names of the values.
fn word_column<V: Copy>(
    key: &'static str,
    raw: RawWordColumn<V>,
    own: impl IntoIterator<Item = (&'static str, V)>,
) -> Rule<WordColumn<V>> {
    let mut values: BTreeMap<String, V> =
        own.into_iter().map(|(word, value)| (word.to_owned(), value)).collect();
    if raw.values.len() > WORDS_MAX {
        return Err((key, format!("has {} words; expected at most {WORDS_MAX}", raw.values.len())));
    }
    let mut folded: Vec<String> = raw.values.keys().map(|word| fold(word)).collect();
    folded.sort_unstable();
    if let Some(twice) = folded.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err((
            key,
            format!("names the word {:?} twice; case and accents make no difference", twice[0]),
        ));
    }
    values.extend(raw.values.into_iter().map(|(word, value)| (fold(&word), value)));
    Ok(WordColumn { column: raw.column, values })
}

fn with_contacts(
    accounts: AccountsMapping,
    file: &FileSettings,
    raw: Option<RawContacts>,
) -> Rule<AccountsMapping> {
    let (mut phone_channels, mut made_up, mut test_contacts) = (vec![Channel::Sms], None, false);
    if let Some(raw) = raw {
        test_contacts = raw.test;
        phone_channels = raw.phone_channels.unwrap_or(phone_channels);
        if let Some(channel) = phone_channels.iter().find(|c| matches!(c, Channel::Email | Channel::Push)) {
            return Err(("contacts.phone_channels", format!("{channel} does not use a telephone number")));
        }
        phone_channels.sort_unstable();
        phone_channels.dedup();
        let build = |m: RawMadeUp| MadeUp::new(&m.email_domain, m.phone_region);
        made_up = raw.made_up.map(build).transpose().map_err(|e| ("contacts.made_up", e.to_string()))?;
    }
    if accounts.customer.name.is_none() && made_up.is_none() {
        let problem = "`name` is missing; expected a column, or `[contacts] made_up` for a demonstration";
        return Err(("customer", problem.to_owned()));
    }
    if accounts.customer.phone.is_some() && file.phone_region.is_none() && accounts.customer.country.is_none()
    {
        let problem =
            "is missing; telephone numbers need a country: this key, or a column `customer.country`";
        return Err(("file.phone_region", problem.to_owned()));
    }
    Ok(AccountsMapping { phone_channels, test_contacts, made_up, ..accounts })
}

fn words(key: &'static str, yes: Option<Vec<String>>, no: Option<Vec<String>>) -> Rule<YesNo> {
    let list = |given: Option<Vec<String>>, own: &[&str]| match given {
        Some(given) => given.iter().map(|word| fold(word)).collect::<Vec<_>>(),
        None => own.iter().map(|word| (*word).to_owned()).collect(),
    };
    let words = YesNo { yes: list(yes, &YES), no: list(no, &NO) };
    if words.yes.is_empty() || words.yes.len().max(words.no.len()) > WORDS_MAX {
        return Err((key, format!("expected 1 to {WORDS_MAX} words")));
    }
    match words.yes.iter().find(|word| words.no.contains(word) || word.is_empty()) {
        Some(word) => Err((key, format!("{word:?} cannot mean yes: it means no as well"))),
        None => Ok(words),
    }
}

fn consent(raw: RawConsent) -> Rule<ConsentRules> {
    if EvidenceRef::note(&raw.source).is_err() {
        return Err((
            "consent.source",
            format!(
                "expected where the consent is kept, in 1 to {NAME_CHARS_MAX} characters and without an address"
            ),
        ));
    }
    let purposes = match raw.purposes {
        None => PurposeScope::ALL,
        Some(only) => PurposeScope::only(only).ok_or((
            "consent.purposes",
            "is empty; expected at least one purpose, or no such key".to_owned(),
        ))?,
    };
    let (source, evidence) = source_named(raw.source.trim());
    if let Some(channel) = raw.assume.iter().find(|c| raw.columns.contains_key(c)) {
        return Err((
            "consent.assume",
            format!("{channel} is assumed and has a column; expected one of the two"),
        ));
    }
    let mut assume = raw.assume;
    assume.sort_unstable();
    assume.dedup();
    Ok(ConsentRules {
        assume,
        columns: raw.columns.into_iter().collect(),
        words: words("consent.yes", raw.yes, raw.no)?,
        on: raw.on,
        purposes,
        source,
        evidence,
        evidence_column: raw.evidence,
    })
}

fn dispute(raw: RawDispute) -> Rule<DisputeRule> {
    let day = |name: Option<ColumnName>, otherwise: DisputeDay| match name {
        None => otherwise,
        Some(name) => match name.as_str() {
            "due_on" => DisputeDay::DueOn,
            "known_on" => DisputeDay::KnownOn,
            "closed_on" => DisputeDay::ClosedOn,
            _ => DisputeDay::Column(name),
        },
    };
    let from = day(raw.from, DisputeDay::DueOn);
    if from == DisputeDay::ClosedOn {
        return Err(("dispute.from", "a dispute cannot begin when the obligation is closed".to_owned()));
    }
    Ok(DisputeRule {
        column: raw.column,
        words: words("dispute.yes", raw.yes, raw.no)?,
        from,
        until: day(raw.until, DisputeDay::ClosedOn),
    })
}

fn payments(file: &FileSettings, raw: RawPayment) -> Rule<PaymentsMapping> {
    needs_currency(file, raw.currency.as_ref())?;
    let of_accounts =
        [("payment.closed_on", raw.closed_on.is_some()), ("payment.paid_amount", raw.paid_amount.is_some())];
    if let Some((key, _)) = of_accounts.into_iter().find(|(_, present)| *present) {
        return Err((key, "has a meaning only in a file of accounts".to_owned()));
    }
    let needed = |name: &str, column: Option<ColumnName>| {
        column.ok_or_else(|| ("payment", format!("`{name}` is missing; expected the name of a column")))
    };
    Ok(PaymentsMapping {
        id: needed("id", raw.id)?,
        obligation: needed("obligation", raw.obligation)?,
        customer: needed("customer", raw.customer)?,
        amount: needed("amount", raw.amount)?,
        currency: raw.currency,
        paid_on: needed("paid_on", raw.paid_on)?,
    })
}
