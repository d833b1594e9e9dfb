//! The first administrator, and the sender that SES must know.
//!
//! Invariant: what is there already is left as it is, so a second run changes nothing.

use std::fmt::Write as _;

use aws_sdk_cognitoidentityprovider::types::{AttributeType, DeliveryMediumType};

use crate::cloud::{Cloud, because};

/// The group of those who may do everything; the template makes it.
const ADMINISTRATORS: &str = "administrator";
/// Where the records of DKIM point to, unless SES names another place.
const DKIM_ZONE: &str = "dkim.amazonses.com";
/// Until SES lets an account out of its sandbox it sends this many messages a day, to verified addresses only.
const SANDBOX_MESSAGES_A_DAY: u32 = 200;

/// The attribute that names the tenants of a person, and the word for all of them.
const TENANTS: (&str, &str) = ("custom:tenants", "*");
/// An emulator makes passwords that its own pool refuses, so there it gets one. It opens nothing else.
const EMULATOR_PASSWORD: &str = "Emulator-0-password";

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
        .user_attributes(attribute(TENANTS.0, TENANTS.1)?)
        .set_temporary_password(cloud.emulator.as_ref().map(|_| EMULATOR_PASSWORD.to_owned()))
        .desired_delivery_mediums(DeliveryMediumType::Email);
    let new = match request.send().await {
        Ok(_) => true,
        Err(error) if error.as_service_error().is_some_and(|e| e.is_username_exists_exception()) => false,
        Err(error) => return Err(because("the administrator could not be made", &error)),
    };
    if !new {
        reach_all(cloud, pool, email).await?;
    }
    let request =
        cloud.cognito.admin_add_user_to_group().user_pool_id(pool).username(email).group_name(ADMINISTRATORS);
    request.send().await.map_err(|e| because("the administrator could not be put into its group", &e))?;
    Ok(new)
}

/// Lets somebody who was there before reach every tenant, unless its tenants were named on purpose.
async fn reach_all(cloud: &Cloud, pool: &str, email: &str) -> anyhow::Result<()> {
    let person = cloud.cognito.admin_get_user().user_pool_id(pool).username(email).send().await;
    let person = person.map_err(|e| because("the administrator could not be looked up", &e))?;
    if person
        .user_attributes()
        .iter()
        .any(|a| a.name() == TENANTS.0 && a.value().is_some_and(|v| !v.is_empty()))
    {
        return Ok(());
    }
    let attribute = AttributeType::builder().name(TENANTS.0).value(TENANTS.1).build()?;
    let request = cloud
        .cognito
        .admin_update_user_attributes()
        .user_pool_id(pool)
        .username(email)
        .user_attributes(attribute);
    request.send().await.map_err(|e| because("the administrator reaches no tenant", &e))?;
    Ok(())
}

/// What SES knows about the account and the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sender {
    /// Whether SES sends to anybody, and not only to verified addresses.
    pub(crate) production: bool,
    /// What it knows of the identity; `None` where it does not have it.
    pub(crate) identity: Option<Identity>,
}

/// An identity that SES has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    /// Whether SES sends from it.
    pub(crate) verified: bool,
    /// The records that prove a domain: name and value of each CNAME.
    pub(crate) records: Vec<(String, String)>,
}

/// Asks SES about an identity; `None` where it does not have it.
pub(crate) async fn identity(cloud: &Cloud, name: &str) -> anyhow::Result<Option<Identity>> {
    let answer = match cloud.ses.get_email_identity().email_identity(name).send().await {
        Ok(answer) => answer,
        Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found_exception()) => {
            return Ok(None);
        }
        Err(error) => return Err(because("SES could not be asked about the sender", &error)),
    };
    let mut records = Vec::new();
    if let Some(dkim) = answer.dkim_attributes().filter(|_| !name.contains('@')) {
        let zone = dkim.signing_hosted_zone().unwrap_or(DKIM_ZONE);
        let record = |token: &String| (format!("{token}._domainkey.{name}"), format!("{token}.{zone}"));
        records = dkim.tokens().iter().map(record).collect();
    }
    Ok(Some(Identity { verified: answer.verified_for_sending_status(), records }))
}

/// Asks SES about the account and an identity.
pub(crate) async fn sender(cloud: &Cloud, name: &str) -> anyhow::Result<Sender> {
    let account = cloud.ses.get_account().send().await.map_err(|e| because("SES could not be asked", &e))?;
    Ok(Sender { production: account.production_access_enabled(), identity: identity(cloud, name).await? })
}

/// What has to be done before the first reminder can go out; empty where nothing is.
pub(crate) fn before_the_first_reminder(sender: &Sender, name: &str, region: &str) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    match &sender.identity {
        Some(Identity { verified: true, .. }) => {}
        Some(Identity { records, .. }) if !records.is_empty() => {
            let _ = writeln!(
                text,
                "- SES has not seen yet that {name} is yours, and refuses every message from it. Set these records at its name server:"
            );
            for (record, value) in records {
                let _ = writeln!(text, "    {record} CNAME {value}");
            }
        }
        Some(_) => {
            let _ = writeln!(
                text,
                "- SES has not seen yet that {name} is yours, and refuses every message from it. Open the link in the mail that SES has sent to it."
            );
        }
        None => {
            let _ = writeln!(
                text,
                "- SES does not have the identity {name}, and refuses every message from it. Deploy again with --parameter MakeEmailIdentity=yes."
            );
        }
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
        let said = |production, identity: Option<Identity>, name| {
            before_the_first_reminder(&Sender { production, identity }, name, "us-east-1")
        };
        let verified = Identity { verified: true, records: Vec::new() };
        assert_eq!(said(true, Some(verified), "lender.example"), "");
        let record = ("a._domainkey.lender.example".to_owned(), "a.dkim.amazonses.com".to_owned());
        let open = Identity { verified: false, records: vec![record] };
        let both = said(false, Some(open), "lender.example");
        assert!(both.contains("a._domainkey.lender.example CNAME a.dkim.amazonses.com"), "{both}");
        assert!(both.contains("sandbox"), "{both}");
        assert!(said(true, Some(Identity::default()), "ops@lender.example").contains("Open the link"));
        assert!(said(true, None, "lender.example").contains("MakeEmailIdentity=yes"));
    }
}
