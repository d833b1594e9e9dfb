//! The account that is deployed into, and the clients for it.
//!
//! Invariant: a client exists only after the account answered, so every later failure is about the work, not the access.

use std::time::Duration;

use anyhow::bail;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use aws_smithy_types::error::display::DisplayErrorContext;

use crate::change::WorkedOutBy;
use crate::emulator::ROOT_KEY;

/// For how long a call may take, its repetitions included.
const CALL_SECONDS_MAX: u64 = 300;
/// For how long a connection may take to come about.
const CONNECT_SECONDS_MAX: u64 = 10;

/// How long apart a stack at work is looked at: CloudFormation answers seldom asked questions only.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// The same of an emulator, which is done within seconds.
const EMULATOR_LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where a stack is put.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Such as `sa-east-1`.
    pub(crate) region: String,
    /// Where an emulator listens; `None` is AWS.
    pub(crate) emulator: Option<String>,
}

/// The clients, and whose account it is.
#[derive(Debug)]
pub(crate) struct Cloud {
    /// The account's number.
    pub(crate) account: String,
    /// Such as `sa-east-1`.
    pub(crate) region: String,
    /// Where the emulator listens; `None` is AWS.
    pub(crate) emulator: Option<String>,
    pub(crate) cloudformation: aws_sdk_cloudformation::Client,
    pub(crate) cloudfront: aws_sdk_cloudfront::Client,
    pub(crate) cognito: aws_sdk_cognitoidentityprovider::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) kms: aws_sdk_kms::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) secrets: aws_sdk_secretsmanager::Client,
    pub(crate) ses: aws_sdk_sesv2::Client,
    pub(crate) sns: aws_sdk_sns::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
}

impl Cloud {
    /// Asks whose account the credentials open.
    ///
    /// # Errors
    ///
    /// Where there are no credentials, they are refused, or the region does not answer; the text says which.
    pub(crate) async fn reach(place: &Place) -> anyhow::Result<Self> {
        if !is_region(&place.region) {
            bail!("{} is not a region; expected one such as us-east-1 or sa-east-1", place.region);
        }
        let config = config(place).await;
        let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
        let identity = match identity {
            Ok(identity) => identity,
            Err(error) => {
                let said = DisplayErrorContext(&error).to_string();
                bail!("{}\n(AWS said: {said})", access_problem(&said, &place.region));
            }
        };
        let mut s3 = aws_sdk_s3::config::Builder::from(&config);
        // An emulator has one name, and no bucket below it.
        s3.set_force_path_style(Some(place.emulator.is_some()));
        Ok(Self {
            account: identity.account().unwrap_or_default().to_owned(),
            region: place.region.clone(),
            emulator: place.emulator.clone(),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            cloudfront: aws_sdk_cloudfront::Client::new(&config),
            cognito: aws_sdk_cognitoidentityprovider::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            kms: aws_sdk_kms::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
            ses: aws_sdk_sesv2::Client::new(&config),
            sns: aws_sdk_sns::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
        })
    }

    /// How long apart a stack at work is looked at.
    pub(crate) fn look_every(&self) -> Duration {
        if self.emulator.is_some() { EMULATOR_LOOK_EVERY } else { LOOK_EVERY }
    }

    /// Who works out what a change set changes.
    pub(crate) fn worked_out_by(&self) -> WorkedOutBy {
        if self.emulator.is_some() { WorkedOutBy::Emulator } else { WorkedOutBy::Aws }
    }
}

async fn config(place: &Place) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
        .operation_timeout(Duration::from_secs(CALL_SECONDS_MAX))
        .build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(place.region.clone()))
        .timeout_config(timeouts);
    match &place.emulator {
        Some(endpoint) => {
            let root = Credentials::new(ROOT_KEY, ROOT_KEY, None, None, "emulator");
            loader.endpoint_url(endpoint).credentials_provider(root).load().await
        }
        None => loader.load().await,
    }
}

/// The shape of a region's name: letters, a direction, a number.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let (Some(number), true) = (parts.last(), parts.len() >= 3) else { return false };
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    number.len() == 1
        && number.bytes().all(|b| b.is_ascii_digit())
        && parts[..parts.len() - 1].iter().all(letters)
}

/// What keeps us out, in words with a way on.
fn access_problem(said: &str, region: &str) -> String {
    let low = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| low.contains(word));
    if has(&["expiredtoken", "token has expired", "token is expired", "session has expired", "sso session"]) {
        "The AWS credentials have expired. Log in again, for example with `aws sso login`.".to_owned()
    } else if has(&[
        "invalidclienttokenid",
        "unrecognizedclient",
        "signaturedoesnotmatch",
        "security token included",
    ]) {
        format!(
            "AWS refused the credentials. They are wrong, or region {region} is not enabled for the account; expected keys of an administrator and an enabled region."
        )
    } else if has(&[
        "no providers in chain",
        "credentials provider was not enabled",
        "could not load credentials",
        "no credentials",
        "credentialsnotloaded",
    ]) {
        "No AWS credentials were found. Expected them in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), in a profile (AWS_PROFILE), or from `aws sso login`.".to_owned()
    } else if has(&["dns error", "failed to lookup", "name or service not known", "nodename nor servname"]) {
        format!(
            "Region {region} does not answer. Either there is no such region, or this machine has no network; expected one such as us-east-1 or sa-east-1."
        )
    } else {
        format!("The account could not be asked who it is, in region {region}.")
    }
}

/// What went wrong with a call, its causes included.
pub(crate) fn because<E: std::error::Error>(what: &str, error: &E) -> anyhow::Error {
    anyhow::anyhow!("{what}: {}", DisplayErrorContext(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_told_from_other_words() {
        for good in ["us-east-1", "sa-east-1", "us-gov-west-1", "ap-southeast-4", "mx-central-1"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["", "us-east", "us_east_1", "US-EAST-1", "us-east-1a", "virginia", "us-east-1; rm"] {
            assert!(!is_region(bad), "{bad}");
        }
    }

    #[test]
    fn each_way_to_be_kept_out_has_its_own_words() {
        let asked = |said: &str| access_problem(said, "sa-east-1");
        assert!(
            asked("dispatch failure: no providers in chain provided credentials")
                .starts_with("No AWS credentials")
        );
        assert!(
            asked("ExpiredToken: The security token included in the request is expired").contains("expired")
        );
        assert!(
            asked("InvalidClientTokenId: The security token included in the request is invalid")
                .contains("sa-east-1")
        );
        assert!(
            asked("dispatch failure: io error: dns error: failed to lookup address")
                .contains("does not answer")
        );
        assert!(asked("something else").contains("could not be asked"));
    }
}
