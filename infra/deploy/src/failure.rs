//! Why a stack failed: its first failing resource, with what to do about it.
//!
//! Invariant: what failed only because something else did is never shown as the reason.

/// One event of a stack, as CloudFormation tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The event's own id; CloudFormation tells the newest first and repeats them.
    pub(crate) id: String,
    /// The name of the resource in the template.
    pub(crate) resource: String,
    /// What kind of resource it is.
    pub(crate) kind: String,
    /// Such as `CREATE_FAILED`.
    pub(crate) status: String,
    /// Why, where it says so.
    pub(crate) reason: String,
}

impl Event {
    /// Whether this is an ending, good or bad, of the work on one resource.
    pub(crate) fn is_end(&self) -> bool {
        self.status.ends_with("_COMPLETE") || self.status.ends_with("_FAILED")
    }

    fn is_cause(&self) -> bool {
        // Work that was under way when another resource failed is cancelled and reported as failed, too.
        self.status.ends_with("_FAILED")
            && self.kind != "AWS::CloudFormation::Stack"
            && !self.reason.to_lowercase().contains("cancelled")
            && !self.reason.starts_with("The following resource(s) failed")
    }
}

/// The first resource that failed on its own account, of events in the order in which they happened.
pub(crate) fn first_failure(events: &[Event]) -> Option<&Event> {
    events.iter().find(|e| e.is_cause()).or_else(|| events.iter().find(|e| e.status.ends_with("_FAILED")))
}

/// What a person can do about a reason, where it is one of the known ones.
pub(crate) fn advice(reason: &str) -> Option<&'static str> {
    /// Words of the reason, in lower case, and what helps.
    const KNOWN: [(&[&str], &str); 8] = [
        (
            &["already exists"],
            "Something of this name is in the account already, perhaps from a stack that was removed and kept its data. Choose another --stack, or bring it into this one with CloudFormation's import.",
        ),
        (
            &["not authorized", "accessdenied", "access denied"],
            "The credentials may not do this. An administrator's role is needed for the first deployment; the functions get roles of their own.",
        ),
        (
            &["email address is not verified", "identity is not verified"],
            "The sender is not verified in SES. Open the link in the mail that SES sent, or set the DKIM records, then deploy again.",
        ),
        (
            &["limit exceeded", "limitexceeded", "quota", "too many"],
            "A quota of the account is used up. Ask for more in Service Quotas, or remove what is not needed.",
        ),
        (
            &["reserved concurrent", "unreservedconcurrentexecution"],
            "The account has too few concurrent executions of Lambda left. Ask for more in Service Quotas.",
        ),
        (
            &["bucketalreadyexists", "bucket name"],
            "Names of buckets are shared by all of AWS. Choose another --stack.",
        ),
        (
            &["cloudfront", "must be verified"],
            "The account must be verified by AWS Support before it may use CloudFront.",
        ),
        (&["throttl", "rate exceeded"], "AWS asked for patience. Deploy again; what was done stays done."),
    ];
    let reason = reason.to_lowercase();
    let fits = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    KNOWN.iter().find(|(words, _)| fits(words)).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(resource: &str, status: &str, reason: &str) -> Event {
        let kind = if resource == "puntual" { "AWS::CloudFormation::Stack" } else { "AWS::SQS::Queue" };
        Event {
            id: format!("{resource}-{status}"),
            resource: resource.to_owned(),
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn the_first_cause_is_shown_and_not_the_wall_behind_it() {
        let events = [
            event("puntual", "CREATE_IN_PROGRESS", "User Initiated"),
            event("PlanQueue", "CREATE_COMPLETE", ""),
            event("EmailQueue", "CREATE_FAILED", "Resource creation cancelled"),
            event("OpsTable", "CREATE_FAILED", "Table puntual-ops already exists"),
            event("SmsQueue", "CREATE_FAILED", "Resource creation cancelled"),
            event(
                "puntual",
                "ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed to create: [OpsTable].",
            ),
        ];
        let first = first_failure(&events).expect("one failed");
        assert_eq!(first.resource, "OpsTable");
        assert!(advice(&first.reason).is_some_and(|a| a.contains("--stack")));
    }

    #[test]
    fn a_stack_that_failed_as_a_whole_is_its_own_reason() {
        let events = [event("puntual", "CREATE_FAILED", "Template error")];
        assert_eq!(first_failure(&events).map(|e| e.resource.as_str()), Some("puntual"));
        assert_eq!(first_failure(&[event("PlanQueue", "CREATE_COMPLETE", "")]), None);
    }

    #[test]
    fn a_refusal_by_iam_says_who_can_help() {
        let reason = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: kms:CreateKey";
        assert!(advice(reason).is_some_and(|a| a.contains("administrator")));
        assert_eq!(advice("Something nobody has seen"), None);
    }
}
