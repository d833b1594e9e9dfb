//! What SNS reports about text messages: two log groups and one setting, for which CloudFormation has no resource or
//! only a shared one.
//!
//! Invariant: both belong to the account and not to the stack, so what somebody else has set is left and told.

use std::collections::BTreeMap;

use crate::cloud::{Cloud, because};

/// For how many days the reports are kept: they name telephone numbers. The template says the same of those it makes.
const REPORT_DAYS: i32 = 14;
/// The setting that names the role by which SNS writes its reports.
const ROLE: &str = "DeliveryStatusIAMRole";
/// The setting that says of how many messages in a hundred it reports.
const SHARE: &str = "DeliveryStatusSuccessSamplingRate";
/// All of them: a message without a report would be unknown for good.
const EVERY_MESSAGE: &str = "100";

/// The names of the log groups of an account and region; SNS chooses them.
fn log_names(region: &str, account: &str) -> [String; 2] {
    let sent = format!("sns/{region}/{account}/DirectPublishToPhoneNumber");
    [sent.clone(), format!("{sent}/Failure")]
}

/// Which of the log groups are there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Logs {
    /// None: the stack makes both.
    OfTheStack,
    /// Some: SNS, or another stack, made them. These are missing still.
    OfTheAccount {
        /// What has to be made beside them.
        missing: Vec<String>,
    },
}

impl Logs {
    /// The word for the parameter `MakeSmsLogs`.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Logs::OfTheStack => "yes",
            Logs::OfTheAccount { .. } => "no",
        }
    }
}

/// Looks for the log groups.
pub(crate) async fn logs(cloud: &Cloud) -> anyhow::Result<Logs> {
    let names = log_names(&cloud.region, &cloud.account);
    // One name begins with the other, so that a single page holds both.
    let request = cloud.logs.describe_log_groups().log_group_name_prefix(&names[0]);
    let page =
        request.send().await.map_err(|e| because("the log groups of SMS could not be looked for", &e))?;
    let there: Vec<&str> = page.log_groups().iter().filter_map(|group| group.log_group_name()).collect();
    Ok(judged(names, &there))
}

fn judged(names: [String; 2], there: &[&str]) -> Logs {
    let missing: Vec<String> = names.iter().filter(|name| !there.contains(&name.as_str())).cloned().collect();
    if missing.len() == names.len() { Logs::OfTheStack } else { Logs::OfTheAccount { missing } }
}

/// Makes what is missing beside the log groups of the account, so that the stack finds both.
pub(crate) async fn complete(cloud: &Cloud, logs: &Logs) -> anyhow::Result<()> {
    let Logs::OfTheAccount { missing } = logs else { return Ok(()) };
    for name in missing {
        let request = cloud.logs.create_log_group().log_group_name(name);
        request.send().await.map_err(|e| because(&format!("log group {name} could not be made"), &e))?;
        let request = cloud.logs.put_retention_policy().log_group_name(name).retention_in_days(REPORT_DAYS);
        request.send().await.map_err(|e| because(&format!("log group {name} has no end of its days"), &e))?;
    }
    Ok(())
}

/// What is done about the role that SNS writes its reports by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reports {
    /// It is this stack's, and reports every message.
    AsWanted,
    /// It is nobody's, or one of a former stack of this name.
    ToSet,
    /// It is somebody else's.
    OfAnother(String),
}

fn reports(attributes: &BTreeMap<String, String>, role: &str, stack: &str) -> Reports {
    let set = attributes.get(ROLE).map(String::as_str).unwrap_or_default();
    let former = format!(":role/{stack}-SmsDeliveryRole-");
    if set == role && attributes.get(SHARE).is_some_and(|share| share == EVERY_MESSAGE) {
        Reports::AsWanted
    } else if set.is_empty() || set == role || set.contains(&former) {
        Reports::ToSet
    } else {
        Reports::OfAnother(set.to_owned())
    }
}

/// Tells SNS to report every text message by the stack's role; gives what a person has to know where another role is
/// set. An emulator has no such setting, and reports nothing.
pub(crate) async fn let_report(cloud: &Cloud, role: &str, stack: &str) -> anyhow::Result<Option<String>> {
    if cloud.emulator.is_some() {
        return Ok(None);
    }
    let set = cloud.sns.get_sms_attributes().attributes(ROLE).attributes(SHARE).send().await;
    let set = set.map_err(|e| because("the settings of SMS could not be read", &e))?;
    let set = set.attributes.unwrap_or_default().into_iter().collect();
    match reports(&set, role, stack) {
        Reports::AsWanted => Ok(None),
        Reports::ToSet => {
            let request =
                cloud.sns.set_sms_attributes().attributes(ROLE, role).attributes(SHARE, EVERY_MESSAGE);
            request.send().await.map_err(|e| because("SNS could not be told to report on SMS", &e))?;
            Ok(None)
        }
        Reports::OfAnother(other) => Ok(Some(format!(
            "SNS writes its reports on SMS by the role {other}, which somebody else has set for the whole account. They reach Puntual if that role may write them and {SHARE} is {EVERY_MESSAGE}; else set {ROLE} to {role}."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_groups_of_the_account_are_used_and_completed() {
        let names = || log_names("us-east-1", "123456789012");
        let [sent, failed] = names();
        assert_eq!(failed, "sns/us-east-1/123456789012/DirectPublishToPhoneNumber/Failure");
        assert_eq!(judged(names(), &[]), Logs::OfTheStack);
        assert_eq!(judged(names(), &[&sent]), Logs::OfTheAccount { missing: vec![failed.clone()] });
        assert_eq!(judged(names(), &[&sent, &failed]), Logs::OfTheAccount { missing: Vec::new() });
        assert_eq!((Logs::OfTheStack.word(), judged(names(), &[&sent]).word()), ("yes", "no"));
    }

    #[test]
    fn the_role_of_somebody_else_is_left_and_that_of_a_former_stack_is_not() {
        let own = "arn:aws:iam::1:role/puntual-SmsDeliveryRole-NEW";
        let judge = |role: &str, share: &str| {
            let set = [(ROLE.to_owned(), role.to_owned()), (SHARE.to_owned(), share.to_owned())].into();
            reports(&set, own, "puntual")
        };
        assert_eq!(reports(&BTreeMap::new(), own, "puntual"), Reports::ToSet);
        assert_eq!(judge(own, EVERY_MESSAGE), Reports::AsWanted);
        assert_eq!(judge(own, "10"), Reports::ToSet);
        assert_eq!(judge("arn:aws:iam::1:role/puntual-SmsDeliveryRole-OLD", EVERY_MESSAGE), Reports::ToSet);
        let other = "arn:aws:iam::1:role/SNSSuccessFeedback";
        assert_eq!(judge(other, EVERY_MESSAGE), Reports::OfAnother(other.to_owned()));
    }
}
