//! What each role may do, and that it may do nothing else.
//!
//! Invariant: a call that would change something is only made by a role that must be denied it. Whether the others may
//! make it is shown by the work that was done.

use serde_json::{Value, json};

use crate::aws::{ACCOUNT, Answer, Aws, REGION};
use crate::deployment::{Deployment, STACK};

/// A call that a role is tried with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    ReadOps,
    PutOps,
    UpdateOps,
    DeleteOps,
    ScanOps,
    PutAudit,
    ReadAudit,
    DeleteAudit,
    SendPlan,
    SendEmail,
    SendSms,
    ReceivePlan,
    ReceiveEmail,
    ReceiveSms,
    ReadUpload,
    WriteUpload,
    WriteConsole,
    MailBySes,
    TextBySns,
    ReadSecret,
    ListSchedules,
    DeleteSchedule,
    Invoke,
}

/// Every call, and whether it changes nothing that matters where it is allowed.
const CALLS: [(Call, bool); 23] = [
    (Call::ReadOps, true),
    (Call::PutOps, true),
    (Call::UpdateOps, true),
    (Call::DeleteOps, true),
    (Call::ScanOps, true),
    (Call::PutAudit, true),
    (Call::ReadAudit, true),
    (Call::DeleteAudit, true),
    (Call::SendPlan, false),
    (Call::SendEmail, false),
    (Call::SendSms, false),
    (Call::ReceivePlan, false),
    (Call::ReceiveEmail, false),
    (Call::ReceiveSms, false),
    (Call::ReadUpload, true),
    (Call::WriteUpload, false),
    (Call::WriteConsole, false),
    (Call::MailBySes, false),
    (Call::TextBySns, false),
    (Call::ReadSecret, true),
    (Call::ListSchedules, true),
    (Call::DeleteSchedule, true),
    (Call::Invoke, false),
];

/// The role of each function, and all that it may do of [`CALLS`].
const ROLES: [(&str, &[Call]); 8] = [
    ("ImportAccountsRole", &[Call::ReadOps, Call::PutOps, Call::UpdateOps, Call::ReadUpload]),
    (
        "ScanDueRole",
        &[
            Call::ReadOps,
            Call::PutOps,
            Call::UpdateOps,
            Call::DeleteOps,
            // A claim that a sweep takes over leaves an entry.
            Call::PutAudit,
            Call::SendPlan,
            Call::SendEmail,
            Call::SendSms,
            Call::ListSchedules,
            Call::DeleteSchedule,
        ],
    ),
    (
        "PlanShardRole",
        &[Call::ReadOps, Call::PutOps, Call::PutAudit, Call::SendEmail, Call::SendSms, Call::ReceivePlan],
    ),
    (
        "SendEmailRole",
        &[
            Call::ReadOps,
            Call::PutOps,
            Call::UpdateOps,
            Call::DeleteOps,
            Call::PutAudit,
            Call::SendEmail,
            Call::SendSms,
            Call::ReceiveEmail,
            Call::MailBySes,
        ],
    ),
    (
        "SendSmsRole",
        &[
            Call::ReadOps,
            Call::PutOps,
            Call::UpdateOps,
            Call::DeleteOps,
            Call::PutAudit,
            Call::SendEmail,
            Call::SendSms,
            Call::ReceiveSms,
            Call::TextBySns,
        ],
    ),
    (
        "RecordDeliveryRole",
        &[Call::ReadOps, Call::PutOps, Call::UpdateOps, Call::PutAudit, Call::SendEmail, Call::SendSms],
    ),
    ("RecordChoiceRole", &[Call::ReadOps, Call::PutOps, Call::UpdateOps, Call::PutAudit]),
    (
        "HttpApiRole",
        &[
            Call::ReadOps,
            Call::PutOps,
            Call::UpdateOps,
            Call::DeleteOps,
            Call::PutAudit,
            Call::WriteUpload,
            Call::DeleteSchedule,
        ],
    ),
];

/// The names that the calls need.
struct Names {
    ops: String,
    audit: String,
    uploads: String,
    console: String,
    secret: String,
}

/// What the emulator judges otherwise than AWS, put right by a policy beside the template's.
///
/// It asks for `ses:SendEmail` on everything, where AWS asks for the identity and the configuration set. It looks for
/// every schedule in the group `default`, whatever its group is. And it asks for `sqs:SendMessageBatch`, which AWS does
/// not have: there `sqs:SendMessage` is asked for a batch, too.
pub(crate) fn put_right_what_the_emulator_misjudges(deployment: &Deployment) {
    let allow = |actions: &[&str], resource: Value| json!({ "Effect": "Allow", "Action": actions, "Resource": resource });
    let schedules = json!(format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/*"));
    let of_schedules = [
        "scheduler:CreateSchedule",
        "scheduler:DeleteSchedule",
        "scheduler:GetSchedule",
        "scheduler:UpdateSchedule",
    ];
    let batches = |queues: &[&str]| {
        let arn = |queue: &&str| format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{STACK}-{queue}");
        allow(&["sqs:SendMessageBatch"], json!(queues.iter().map(arn).collect::<Vec<_>>()))
    };
    let channels = batches(&["email", "sms"]);
    let more = [
        ("ScanDueRole", vec![batches(&["plan", "email", "sms"]), allow(&of_schedules, schedules.clone())]),
        ("PlanShardRole", vec![channels.clone(), allow(&["scheduler:CreateSchedule"], schedules.clone())]),
        ("SendEmailRole", vec![channels.clone(), allow(&["ses:SendEmail"], json!("*"))]),
        ("SendSmsRole", vec![channels.clone()]),
        ("RecordDeliveryRole", vec![channels]),
        ("HttpApiRole", vec![allow(&of_schedules, schedules)]),
    ];
    for (role, statements) in more {
        let policy = json!({ "Version": "2012-10-17", "Statement": statements });
        let (name, text) = (deployment.resource(role), policy.to_string());
        let fields = [("RoleName", name.as_str()), ("PolicyName", "emulator"), ("PolicyDocument", &text)];
        deployment.aws.form("iam", "2010-05-08", "PutRolePolicy", &fields).ok();
    }
}

/// Tries every role with every call.
pub(crate) fn each_role_may_do_its_work_and_nothing_else(deployment: &Deployment) {
    let names = Names {
        ops: deployment.output("OpsTableName"),
        audit: deployment.output("AuditTableName"),
        uploads: deployment.output("UploadBucketName"),
        console: deployment.output("ConsoleBucketName"),
        secret: deployment.resource("SuppressionKey"),
    };
    let mut wrong = Vec::new();
    for (role, may) in ROLES {
        let assumed = assume(deployment, role);
        for (call, harmless) in CALLS {
            let allowed = may.contains(&call);
            if allowed && !harmless {
                continue;
            }
            let answer = carry_out(call, &assumed, &names);
            if answer.is_denied() == allowed {
                let word = if allowed { "is denied" } else { "may" };
                wrong.push(format!("{role} {word} {call:?}: {} {}", answer.status, answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Only Lambda may take these roles, so the test lets the account itself take them, too.
fn assume(deployment: &Deployment, role: &str) -> Aws {
    let aws = &deployment.aws;
    let name = deployment.resource(role);
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" },
            { "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "sts:AssumeRole" },
        ],
    });
    let fields = [("RoleName", name.as_str()), ("PolicyDocument", &trust.to_string())];
    aws.form("iam", "2010-05-08", "UpdateAssumeRolePolicy", &fields).ok();
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/{name}");
    let fields = [("RoleArn", arn.as_str()), ("RoleSessionName", "test")];
    aws.assumed(&aws.form("sts", "2011-06-15", "AssumeRole", &fields))
}

/// Every write asks for an item that is not there, or is of one that is not, so that nothing changes.
fn carry_out(call: Call, aws: &Aws, names: &Names) -> Answer {
    let key = json!({ "pk": { "S": "nobody" }, "sk": { "S": "nothing" } });
    let there = "attribute_exists(pk)";
    let read = |table: &str| aws.dynamodb("GetItem", &json!({ "TableName": table, "Key": key }));
    let write = |action: &str, table: &str, what: &str| {
        let mut body = json!({ "TableName": table, "ConditionExpression": there });
        body[what] = key.clone();
        aws.dynamodb(action, &body)
    };
    let queue = |name: &str| format!("{}/{ACCOUNT}/{STACK}-{name}", aws.endpoint);
    let send = |name: &str| aws.sqs("SendMessage", &json!({ "QueueUrl": queue(name), "MessageBody": "{}" }));
    let receive = |name: &str| aws.sqs("ReceiveMessage", &json!({ "QueueUrl": queue(name) }));
    let rest = |service: &str, method: &str, path: &str, body: &Value| {
        let headers = [("content-type", "application/json")];
        aws.call(service, method, path, &headers, body.to_string().as_bytes())
    };
    match call {
        Call::ReadOps => read(&names.ops),
        Call::PutOps => write("PutItem", &names.ops, "Item"),
        Call::UpdateOps => write("UpdateItem", &names.ops, "Key"),
        Call::DeleteOps => write("DeleteItem", &names.ops, "Key"),
        Call::ScanOps => aws.dynamodb("Scan", &json!({ "TableName": names.ops, "Limit": 1 })),
        Call::PutAudit => write("PutItem", &names.audit, "Item"),
        Call::ReadAudit => read(&names.audit),
        Call::DeleteAudit => write("DeleteItem", &names.audit, "Key"),
        Call::SendPlan => send("plan"),
        Call::SendEmail => send("email"),
        Call::SendSms => send("sms"),
        Call::ReceivePlan => receive("plan"),
        Call::ReceiveEmail => receive("email"),
        Call::ReceiveSms => receive("sms"),
        Call::ReadUpload => {
            aws.call("s3", "GET", &format!("/{}/imports/default/nothing", names.uploads), &[], &[])
        }
        Call::WriteUpload => {
            aws.call("s3", "PUT", &format!("/{}/imports/default/nothing", names.uploads), &[], b"x")
        }
        Call::WriteConsole => aws.call("s3", "PUT", &format!("/{}/index.html", names.console), &[], b"x"),
        Call::MailBySes => {
            let text = json!({ "Data": "x" });
            let message = json!({
                "FromEmailAddress": "pagos@lender.example", "Destination": { "ToAddresses": ["c@example.com"] },
                "Content": { "Simple": { "Subject": text, "Body": { "Text": text } } },
            });
            rest("ses", "POST", "/v2/email/outbound-emails", &message)
        }
        Call::TextBySns => {
            let fields = [("PhoneNumber", "+573001234567"), ("Message", "x")];
            aws.form("sns", "2010-03-31", "Publish", &fields)
        }
        Call::ReadSecret => {
            let asked = json!({ "SecretId": names.secret });
            aws.target("secretsmanager", "1.1", "secretsmanager.GetSecretValue", &asked)
        }
        Call::ListSchedules => {
            aws.call("scheduler", "GET", &format!("/schedules?ScheduleGroup={STACK}"), &[], &[])
        }
        Call::DeleteSchedule => {
            aws.call("scheduler", "DELETE", &format!("/schedules/nothing?groupName={STACK}"), &[], &[])
        }
        Call::Invoke => {
            let path = format!("/2015-03-31/functions/{STACK}-scan-due/invocations");
            rest("lambda", "POST", &path, &json!({}))
        }
    }
}
