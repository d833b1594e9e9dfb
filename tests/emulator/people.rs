//! Who calls the API: the administrator of the deployment, and the lender's partner program.
//!
//! Invariant: both have a token of the stack's own user pool, and the authorizer of the API has looked at it.

use serde_json::{Value, json};

use crate::aws::{Answer, Aws, escaped, http};
use crate::deployment::{ADMINISTRATOR, Deployment};
use crate::lender::TENANT;

const PASSWORD: &str = "Correct-horse-battery-1";
const FLOW: &str = "ALLOW_ADMIN_USER_PASSWORD_AUTH";

/// A caller of the API.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    endpoint: String,
    /// The name by which the emulator tells its APIs apart.
    host: String,
    token: Option<String>,
}

fn cognito(aws: &Aws, action: &str, body: &Value) -> Value {
    let target = format!("AWSCognitoIdentityProviderService.{action}");
    let answer = aws.target("cognito-idp", "1.1", &target, body);
    if answer.ok().is_empty() { Value::Null } else { answer.json() }
}

fn client(deployment: &Deployment, output: &str) -> Value {
    let asked =
        json!({ "UserPoolId": deployment.output("UserPoolId"), "ClientId": deployment.output(output) });
    cognito(&deployment.aws, "DescribeUserPoolClient", &asked)["UserPoolClient"].clone()
}

impl Caller {
    /// Nobody: a caller without a token.
    pub(crate) fn nobody(deployment: &Deployment) -> Self {
        let url = deployment.output("ApiUrl");
        let id = url.trim_start_matches("https://").split('.').next().expect("a name").to_owned();
        let host = format!("{id}.execute-api.localhost");
        Self { endpoint: deployment.aws.endpoint.clone(), host, token: None }
    }

    /// The administrator that the deployment made.
    ///
    /// The console's client signs in by SRP, which the emulator does not have, so the test lets it take a password.
    pub(crate) fn administrator(deployment: &Deployment) -> Self {
        let pool = deployment.output("UserPoolId");
        let mut console = client(deployment, "ConsoleClientId");
        let of = console.as_object_mut().expect("an object");
        for read_only in ["ClientSecret", "LastModifiedDate", "CreationDate"] {
            of.remove(read_only);
        }
        of["ExplicitAuthFlows"].as_array_mut().expect("a list").push(json!(FLOW));
        cognito(&deployment.aws, "UpdateUserPoolClient", &console);
        let person =
            json!({ "UserPoolId": pool, "Username": ADMINISTRATOR, "Password": PASSWORD, "Permanent": true });
        cognito(&deployment.aws, "AdminSetUserPassword", &person);
        let signed_in = json!({
            "UserPoolId": pool, "ClientId": console["ClientId"], "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
            "AuthParameters": { "USERNAME": ADMINISTRATOR, "PASSWORD": PASSWORD },
        });
        let answer = cognito(&deployment.aws, "AdminInitiateAuth", &signed_in);
        let token = answer["AuthenticationResult"]["IdToken"].as_str();
        let token = token.unwrap_or_else(|| panic!("no token: {answer}")).to_owned();
        Self { token: Some(token), ..Self::nobody(deployment) }
    }

    /// The partner's program, which knows a secret and may bring files to one tenant.
    pub(crate) fn partner(deployment: &Deployment) -> Self {
        let partner = client(deployment, "PartnerClientId");
        let text =
            |name: &str| escaped(partner[name].as_str().unwrap_or_else(|| panic!("{name}: {partner}")));
        let scope = escaped(&format!("puntual/tenant.{TENANT}"));
        let body = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={scope}",
            text("ClientId"),
            text("ClientSecret")
        );
        let headers = [("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        let url = format!("{}/oauth2/token", deployment.aws.endpoint);
        let answer = http("POST", &url, &headers, body.as_bytes()).json();
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}"));
        Self { token: Some(token.to_owned()), ..Self::nobody(deployment) }
    }

    /// A call of the API.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let mut headers = vec![("host".to_owned(), self.host.clone())];
        headers
            .extend(self.token.iter().map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        http(method, &format!("{}/v1{path}", self.endpoint), &headers, body.as_bytes())
    }
}
