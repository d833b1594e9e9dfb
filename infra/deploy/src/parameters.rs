//! The values of the template's parameters.
//!
//! Invariant: what the person says wins, what the stack has stays, and nothing that is only for an emulator reaches AWS.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::Stack;
use thiserror::Error;

/// The parameter that lets calls without TLS in.
const TRANSPORT: &str = "Transport";
const TLS: &str = "tls";
const WITHOUT_TLS: &str = "any";
const IDENTITY: &str = "EmailIdentity";
const MAKE_IDENTITY: &str = "MakeEmailIdentity";
const FROM: &str = "EmailFrom";
const MAKE_SMS_LOGS: &str = "MakeSmsLogs";

/// Why parameters cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ParameterProblem {
    /// The template does not know it.
    #[error("the template has no parameter {name}; expected one of {known}")]
    Unknown {
        /// What was said.
        name: String,
        /// What could have been said.
        known: String,
    },
    /// It would open the queues of an account to calls in the clear.
    #[error("{TRANSPORT}={value} is only for an emulator; expected {TRANSPORT}={TLS}, or --emulator")]
    WithoutTls {
        /// What was said.
        value: String,
    },
    /// SES would refuse every message.
    #[error(
        "{FROM} is {from}, which is not of the identity {identity}; expected that address itself, or one of that domain"
    )]
    NotOfTheIdentity {
        /// The sender.
        from: String,
        /// The identity.
        identity: String,
    },
}

/// What the values are made of.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    /// The names of the template's parameters.
    pub(crate) names: &'a [String],
    /// What the stack has; `None` where it is made.
    pub(crate) stack: Option<BTreeMap<String, String>>,
    /// What the deployment itself says: code, architecture, mailbox.
    pub(crate) own: BTreeMap<String, String>,
    /// What the person says.
    pub(crate) said: &'a [(String, String)],
    /// Whether an emulator is deployed to.
    pub(crate) emulator: bool,
}

/// The parameters that a stack has.
pub(crate) fn of_stack(stack: &Stack) -> BTreeMap<String, String> {
    let one = |p: &aws_sdk_cloudformation::types::Parameter| {
        Some((p.parameter_key()?.to_owned(), p.parameter_value().unwrap_or_default().to_owned()))
    };
    stack.parameters().iter().filter_map(one).collect()
}

impl Sources<'_> {
    fn said(&self, name: &str) -> Option<&str> {
        // The last word counts, as for every option.
        self.said.iter().rev().find(|(said, _)| said == name).map(|(_, value)| value.as_str())
    }

    fn of_stack(&self, name: &str) -> Option<&str> {
        self.stack.as_ref()?.get(name).map(String::as_str)
    }

    /// What a parameter will be, where that is known here.
    fn value(&self, name: &str) -> Option<&str> {
        self.said(name).or_else(|| self.of_stack(name)).or_else(|| self.own.get(name).map(String::as_str))
    }

    /// The identity that SES has to be asked about: a new one. `None` where it stays as it is.
    pub(crate) fn new_identity(&self) -> Option<&str> {
        let wanted = self.value(IDENTITY)?;
        (self.of_stack(IDENTITY) != Some(wanted) && self.said(MAKE_IDENTITY).is_none()).then_some(wanted)
    }

    /// Whether the log groups of SMS have to be looked for: only before the stack may have made them.
    pub(crate) fn asks_for_sms_logs(&self) -> bool {
        self.of_stack(MAKE_SMS_LOGS).is_none() && self.said(MAKE_SMS_LOGS).is_none()
    }

    /// Says that SES has the new identity already, or has not.
    pub(crate) fn identity_is_there(&mut self, there: bool) {
        let make = if there { "no" } else { "yes" };
        self.own.insert(MAKE_IDENTITY.to_owned(), make.to_owned());
    }

    /// Says by the word of [`crate::sms::Logs::word`] whether the stack makes the log groups.
    pub(crate) fn sms_logs(&mut self, make: &str) {
        self.own.insert(MAKE_SMS_LOGS.to_owned(), make.to_owned());
    }

    /// The values, by name; `None` keeps what the stack has. What is not among them has the template's default.
    ///
    /// # Errors
    ///
    /// Where something was said that the template does not know, or that must not be said.
    pub(crate) fn values(mut self) -> Result<BTreeMap<String, Option<String>>, ParameterProblem> {
        if let Some((name, _)) = self.said.iter().find(|(name, _)| !self.names.contains(name)) {
            return Err(ParameterProblem::Unknown { name: name.clone(), known: self.names.join(", ") });
        }
        let transport = self.said(TRANSPORT).or_else(|| self.of_stack(TRANSPORT)).unwrap_or(TLS);
        if transport != TLS && !self.emulator {
            return Err(ParameterProblem::WithoutTls { value: transport.to_owned() });
        }
        if self.emulator {
            self.own.insert(TRANSPORT.to_owned(), WITHOUT_TLS.to_owned());
        }
        if let (Some(identity), Some(from)) = (self.value(IDENTITY), self.value(FROM))
            && !is_of(from, identity)
        {
            return Err(ParameterProblem::NotOfTheIdentity {
                from: from.to_owned(),
                identity: identity.to_owned(),
            });
        }
        let one = |name: &String| {
            let said = self.said(name).or_else(|| self.own.get(name).map(String::as_str));
            match (said, self.of_stack(name)) {
                (Some(said), _) => Some((name.clone(), Some(said.to_owned()))),
                (None, Some(_)) => Some((name.clone(), None)),
                (None, None) => None,
            }
        };
        Ok(self.names.iter().filter_map(one).collect())
    }

    /// Names the sender of a new stack: until the lender names another, reminders come from the administrator's own
    /// mailbox.
    pub(crate) fn first_sender(&mut self, mailbox: &str) {
        if self.stack.is_some() {
            return;
        }
        let identity = self.said(IDENTITY).map_or_else(|| mailbox.to_owned(), str::to_owned);
        let from = if identity.contains('@') {
            identity.clone()
        } else if is_of(mailbox, &identity) {
            mailbox.to_owned()
        } else {
            format!("pagos@{identity}")
        };
        self.own.insert(IDENTITY.to_owned(), identity);
        self.own.insert(FROM.to_owned(), from);
    }
}

/// Whether SES lets an identity send from an address: it is the address, its domain, or a domain above that.
fn is_of(from: &str, identity: &str) -> bool {
    let (from, identity) = (from.to_lowercase(), identity.to_lowercase());
    let domain = from.split_once('@').map_or("", |(_, domain)| domain);
    from == identity || domain == identity || domain.ends_with(&format!(".{identity}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 7] =
        ["AdminEmail", IDENTITY, MAKE_IDENTITY, FROM, MAKE_SMS_LOGS, TRANSPORT, "LogDays"];

    fn names() -> Vec<String> {
        NAMES.map(str::to_owned).to_vec()
    }

    fn pairs(values: &[(&str, &str)]) -> Vec<(String, String)> {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn sources<'a>(
        names: &'a [String],
        stack: Option<&[(&str, &str)]>,
        said: &'a [(String, String)],
        emulator: bool,
    ) -> Sources<'a> {
        let own = pairs(&[("AdminEmail", "ops@lender.example")]).into_iter().collect();
        Sources { names, stack: stack.map(|s| pairs(s).into_iter().collect()), own, said, emulator }
    }

    #[test]
    fn calls_in_the_clear_are_only_let_in_on_an_emulator() {
        let names = names();
        let said = pairs(&[(TRANSPORT, "any")]);
        let refused = sources(&names, None, &said, false).values().expect_err("it is refused");
        assert!(refused.to_string().contains("only for an emulator"), "{refused}");
        // Nor is it kept, wherever it came from.
        assert!(sources(&names, Some(&[(TRANSPORT, "any")]), &[], false).values().is_err());
        let emulator = sources(&names, None, &[], true).values().expect("it is let in");
        assert_eq!(emulator[TRANSPORT].as_deref(), Some("any"));
        let aws = sources(&names, None, &[], false).values().expect("nothing is said");
        assert!(!aws.contains_key(TRANSPORT), "the template's default");
    }

    #[test]
    fn what_the_stack_has_stays_and_what_is_said_wins() {
        let names = names();
        let stack = [(IDENTITY, "lender.example"), (FROM, "pagos@lender.example"), ("LogDays", "90")];
        let said = pairs(&[("LogDays", "30"), ("LogDays", "60")]);
        let values = sources(&names, Some(&stack), &said, false).values().expect("they fit");
        assert_eq!(values["LogDays"].as_deref(), Some("60"), "the last word counts");
        assert_eq!(values[IDENTITY], None, "it is kept");
        assert_eq!(values["AdminEmail"].as_deref(), Some("ops@lender.example"));
        let odd = pairs(&[("LogDay", "60")]);
        let refused = sources(&names, None, &odd, false).values().expect_err("there is none");
        assert!(refused.to_string().contains("LogDays"), "{refused}");
    }

    #[test]
    fn an_identity_that_ses_has_is_not_made_again() {
        let names = names();
        let mut first = sources(&names, None, &[], false);
        first.first_sender("ops@lender.example");
        assert_eq!(first.new_identity(), Some("ops@lender.example"));
        first.identity_is_there(true);
        let values = first.values().expect("they fit");
        assert_eq!(values[MAKE_IDENTITY].as_deref(), Some("no"));
        assert_eq!(values[FROM].as_deref(), Some("ops@lender.example"));
        // The stack made it, so it is there: asking would take it out of the stack.
        let stack = [(IDENTITY, "lender.example"), (MAKE_IDENTITY, "yes")];
        assert_eq!(sources(&names, Some(&stack), &[], false).new_identity(), None);
        let other = pairs(&[(IDENTITY, "other.example")]);
        assert_eq!(sources(&names, Some(&stack), &other, false).new_identity(), Some("other.example"));
        let decided = pairs(&[(IDENTITY, "other.example"), (MAKE_IDENTITY, "no")]);
        assert_eq!(sources(&names, Some(&stack), &decided, false).new_identity(), None);
    }

    #[test]
    fn a_sender_that_ses_would_refuse_is_refused_here() {
        let names = names();
        let sender = |identity: &str, from: &str| {
            let said = pairs(&[(IDENTITY, identity), (FROM, from)]);
            sources(&names, None, &said, false).values().map(|_| ())
        };
        assert_eq!(sender("lender.example", "pagos@Lender.example"), Ok(()));
        assert_eq!(sender("lender.example", "pagos@mail.lender.example"), Ok(()));
        assert_eq!(sender("pagos@lender.example", "pagos@lender.example"), Ok(()));
        assert!(sender("lender.example", "pagos@otherlender.example").is_err());
        assert!(sender("pagos@lender.example", "ops@lender.example").is_err());
        // A domain alone has a sender of its own.
        let said = pairs(&[(IDENTITY, "lender.example")]);
        let mut first = sources(&names, None, &said, false);
        first.first_sender("ops@elsewhere.example");
        let values = first.values().expect("they fit");
        assert_eq!(values[FROM].as_deref(), Some("pagos@lender.example"));
    }

    #[test]
    fn log_groups_are_looked_for_once() {
        let names = names();
        assert!(sources(&names, None, &[], false).asks_for_sms_logs());
        assert!(!sources(&names, Some(&[(MAKE_SMS_LOGS, "yes")]), &[], false).asks_for_sms_logs());
    }
}
