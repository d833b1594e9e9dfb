//! The first administrator, and the sender that SES must know.
//!
//! Invariant: what is there already is left as it is, so a second run changes nothing.

use std::fmt::Write as _;

use aws_sdk_cognitoidentityprovider::types::{AttributeType, DeliveryMediumType};

use crate::cloud::{Cloud, because};

/// The group of those who may do everything; the template makes it.
const ADMINISTRATORS: &str = "administrator";
/// Until SES lets an account out of its sandbox it sends this many messages a day, to verified addresses only.
const SANDBOX_MESSAGES_A_DAY: u32 = 200;

/// Makes the administrator; says whether it is a new one, to whom Cognito sends an invitation.
pub(crate) async fn administrator(cloud: &Cloud, pool: &str, email: &str) -> anyhow::Result<bool> {
    let attribute = |name: &str, value: &str| AttributeType::builder().name(name).value(value).build();
    let request = cloud
        .cognito
        .admin_create_user()
        .user_pool_id(pool)
        .username(email)
        .user_attributes(attribute("email", email)?)
        .user_attributes(attribute("email_verified", "true")?)
        .desired_delivery_mediums(DeliveryMediumType::Email);
    let new = match request.send().await {
        Ok(_) => true,
        Err(error) if error.as_service_error().is_some_and(|e| e.is_username_exists_exception()) => false,
        Err(error) => return Err(because("the administrator could not be made", &error)),
    };
    let request =
        cloud.cognito.admin_add_user_to_group().user_pool_id(pool).username(email).group_name(ADMINISTRATORS);
    request.send().await.map_err(|e| because("the administrator could not be put into its group", &e))?;
    Ok(new)
}

/// What SES knows about the account and the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender {
    /// Whether SES sends to anybody, and not only to verified addresses.
    pub(crate) production: bool,
    /// Whether the identity is verified.
    pub(crate) verified: bool,
}

/// Asks SES.
pub(crate) async fn sender(cloud: &Cloud, identity: &str) -> anyhow::Result<Sender> {
    let account = cloud.ses.get_account().send().await.map_err(|e| because("SES could not be asked", &e))?;
    let asked = cloud.ses.get_email_identity().email_identity(identity).send().await;
    let verified = match asked {
        Ok(answer) => answer.verified_for_sending_status(),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found_exception()) => false,
        Err(error) => return Err(because("SES could not be asked about the sender", &error)),
    };
    Ok(Sender { production: account.production_access_enabled(), verified })
}

/// What has to be done before the first reminder can go out; empty where nothing is.
pub(crate) fn before_the_first_reminder(sender: Sender, identity: &str, region: &str) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    if !sender.verified {
        let how = if identity.contains('@') {
            "open the link in the mail that SES has sent to it"
        } else {
            "set the DKIM records of the outputs at its name server"
        };
        let _ =
            writeln!(text, "- SES does not know {identity} yet, and refuses every message from it: {how}.");
    }
    if !sender.production {
        let _ = writeln!(
            text,
            "- The account is in the sandbox of SES: {SANDBOX_MESSAGES_A_DAY} messages a day, to verified addresses only. Ask for production access: https://{region}.console.aws.amazon.com/ses/home?region={region}#/account"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_keeps_the_first_reminder_back_is_said() {
        let said = |production, verified, identity| {
            before_the_first_reminder(Sender { production, verified }, identity, "us-east-1")
        };
        assert_eq!(said(true, true, "lender.example"), "");
        let both = said(false, false, "lender.example");
        assert!(both.contains("DKIM") && both.contains("sandbox"), "{both}");
        assert!(said(true, false, "ops@lender.example").contains("open the link"));
    }
}
