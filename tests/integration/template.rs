//! The deployment template, read as text: what no emulator would notice, and what the code expects of it.
//!
//! What is allowed against the rules stands with its reason in `infra/template-exceptions.toml`.

mod document;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use domain::tenant::TenantSlug;
use runtime::job::DueEvent;
use runtime::schedule::Schedule;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::tidy::root;
use document::{Template, list, target, texts};

/// How much longer a message stays invisible than the function behind its queue may run.
const VISIBILITY_FACTOR: u64 = 6;
/// How often a message is received before it waits for a person.
const RECEIVES_MAX: u64 = 5;
/// By how much the clocks of two functions may differ, in seconds.
const CLOCK_SKEW_SECONDS: u64 = 5 * 60;
/// The functions that claim touches.
const CLAIMING: &[&str] = &["SendEmail", "SendSms"];
/// What a function of `functions/runtime` reads from the environment for whoever calls it.
const READ_BY_HELPERS: &[(&str, &[&str])] = &[
    ("store", &["OPS_TABLE", "AUDIT_TABLE"]),
    ("suppression_key", &["SUPPRESSION_KEY"]),
    ("start_log", &["PUNTUAL_LOG"]),
    ("schedules", &["SCHEDULE_GROUP", "SCAN_FUNCTION_ARN", "SCHEDULE_ROLE_ARN", "SCHEDULE_DEAD_LETTER_ARN"]),
];

#[derive(Deserialize)]
struct Exceptions {
    wildcard: Vec<Wildcard>,
}

#[derive(Deserialize)]
struct Wildcard {
    resource: String,
    value: String,
    /// The actions of the statement; any, where absent.
    #[serde(default)]
    actions: Vec<String>,
    reason: String,
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The name of a function's folder: `SendEmail` is `send-email`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(c.to_lowercase());
    }
    text
}

fn functions(template: &Template) -> Vec<(&str, &Value)> {
    template.of_type("AWS::Serverless::Function")
}

fn timeout_of(function: &Value) -> u64 {
    function["Timeout"].as_u64().expect("a function names its timeout")
}

#[test]
fn no_statement_allows_more_than_it_names() {
    let template = Template::load();
    let exceptions: Exceptions =
        toml::from_str(&read("infra/template-exceptions.toml")).expect("the exceptions are TOML");
    let mut used = BTreeSet::new();
    for (name, statement) in template.statements() {
        // What is denied may be wide: it takes away.
        if statement["Effect"] != "Allow" {
            continue;
        }
        for key in ["NotAction", "NotResource", "NotPrincipal"] {
            assert!(statement.get(key).is_none(), "{name} allows all but something, by {key}");
        }
        assert_ne!(statement.get("Principal"), Some(&json!("*")), "{name} allows everybody");
        let actions = texts(&statement["Action"]);
        let named = ["Action", "Resource"].iter().filter_map(|key| statement.get(key));
        for text in named.flat_map(texts).filter(|text| text.contains('*')) {
            let listed = |w: &Wildcard| {
                w.resource == name && w.value == text && (w.actions.is_empty() || w.actions == actions)
            };
            let at = exceptions.wildcard.iter().position(listed);
            used.insert(
                at.unwrap_or_else(|| panic!("{name} allows {actions:?} on {text}, which is not listed")),
            );
        }
    }
    for (at, Wildcard { resource, value, reason, .. }) in exceptions.wildcard.iter().enumerate() {
        assert!(used.contains(&at), "{resource}: {value} is listed and not in the template any more");
        assert!(reason.len() > 20, "{resource}: {value} needs its reason");
    }
}

#[test]
fn every_function_has_a_role_a_log_and_an_alarm_of_its_own() {
    let template = Template::load();
    let mut roles = BTreeSet::new();
    for (name, function) in functions(&template) {
        let role = target(&function["Role"]).unwrap_or_else(|| panic!("{name} has no role of the template"));
        assert_eq!(role, format!("{name}Role"));
        assert!(roles.insert(role), "{role} serves two functions");
        let trusted = &template.properties(role)["AssumeRolePolicyDocument"]["Statement"];
        assert_eq!(trusted[0]["Principal"]["Service"], "lambda.amazonaws.com", "{role}");
        assert_eq!(list(trusted).len(), 1, "{role} is trusted to somebody else too");
        let managed = &template.properties(role)["ManagedPolicyArns"];
        assert_eq!(managed, &json!([{"Ref": "UseDataKey"}]), "{role} has more than it names");
        let log = target(&function["LoggingConfig"]["LogGroup"]).unwrap_or_default();
        assert_eq!(log, format!("{name}Log"));
        let alarm = template.properties(&format!("{name}ErrorsAlarm"));
        assert_eq!(target(&alarm["Dimensions"][0]["Value"]), Some(name));
        assert_eq!(alarm["MetricName"], "Errors");
        assert_eq!(function["FunctionName"]["Fn::Sub"], format!("${{AWS::StackName}}-{}", kebab(name)));
        assert_eq!(target(&function["CodeUri"]["Key"]), Some(format!("{name}Code").as_str()));
    }
}

#[test]
fn every_function_of_the_repository_is_deployed_with_the_environment_that_it_reads() {
    let template = Template::load();
    let shared = &template.function_globals()["Environment"]["Variables"];
    let names_of = |variables: &Value| -> BTreeSet<String> {
        variables.as_object().into_iter().flat_map(|v| v.keys().cloned()).collect()
    };
    let runtime = read("functions/runtime/src/lambda.rs");
    for (helper, names) in READ_BY_HELPERS {
        assert!(runtime.contains(&format!("pub fn {helper}(")), "there is no {helper} any more");
        for name in *names {
            assert!(runtime.contains(&format!("\"{name}\"")), "{helper} does not read {name} any more");
        }
    }
    let known: BTreeSet<&str> = READ_BY_HELPERS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    for name in variables_in(&runtime) {
        assert!(
            known.contains(name),
            "{name} is read in lambda.rs, and READ_BY_HELPERS does not know for whom"
        );
    }
    let mut deployed = BTreeSet::new();
    for (name, function) in functions(&template) {
        let folder = kebab(name);
        deployed.insert(folder.clone());
        let code = read(&format!("functions/{folder}/src/main.rs"));
        let given = &names_of(shared) | &names_of(&function["Environment"]["Variables"]);
        let mut needed: BTreeSet<String> = variables_in(&code).map(str::to_owned).collect();
        let called =
            |helper: &str| [" ", "(", "?"].iter().any(|before| code.contains(&format!("{before}{helper}(")));
        for (_, names) in READ_BY_HELPERS.iter().filter(|(helper, _)| called(helper)) {
            needed.extend(names.iter().map(|n| (*n).to_owned()));
        }
        assert_eq!(given, needed, "{folder}: left is the template's environment, right what main.rs reads");
    }
    for entry in fs::read_dir(root().join("functions")).expect("functions can be read") {
        let path = entry.expect("an entry can be read").path();
        let folder = path.file_name().and_then(|n| n.to_str()).expect("a folder has a name").to_owned();
        if path.join("src/main.rs").exists() {
            assert!(deployed.contains(&folder), "the template does not deploy {folder}");
        }
    }
}

/// Texts of a source file that can only be names of environment variables.
fn variables_in(code: &str) -> impl Iterator<Item = &str> {
    let is_name = |text: &&str| {
        let mut chars = text.chars();
        chars.next().is_some_and(|c| c.is_ascii_uppercase())
            && text.contains('_')
            && chars.all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    code.split('"').skip(1).step_by(2).filter(is_name)
}

#[test]
fn what_fails_in_a_queue_is_seen_again_in_time_and_then_by_a_person() {
    let template = Template::load();
    let mut served = BTreeSet::new();
    for (name, function) in functions(&template) {
        for event in function["Events"].as_object().into_iter().flat_map(|events| events.values()) {
            assert_eq!(event["Type"], "SQS", "{name}");
            let source = &event["Properties"];
            let queue = target(&source["Queue"]).expect("a queue of the template");
            served.insert(queue);
            let visible_after = template.properties(queue)["VisibilityTimeout"].as_u64().unwrap_or_default();
            let longest =
                timeout_of(function) + source["MaximumBatchingWindowInSeconds"].as_u64().unwrap_or(0);
            assert!(visible_after >= VISIBILITY_FACTOR * timeout_of(function), "{queue}: {visible_after}");
            assert!(visible_after > longest, "{queue}: {visible_after}");
            assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{name}");
            assert!(!source["ScalingConfig"]["MaximumConcurrency"].is_null(), "{name} may run without limit");
        }
    }
    let mut dead_letters = BTreeSet::new();
    for (name, queue) in template.of_type("AWS::SQS::Queue") {
        assert_eq!(target(&queue["KmsMasterKeyId"]), Some("DataKey"), "{name} is not encrypted with the key");
        if !served.contains(name) {
            dead_letters.insert(name);
            continue;
        }
        let redrive = &queue["RedrivePolicy"];
        assert_eq!(redrive["maxReceiveCount"], RECEIVES_MAX, "{name}");
        let dead = target(&redrive["deadLetterTargetArn"]).expect("a queue of the template");
        assert_eq!(dead, name.replace("Queue", "DeadLetters"));
        let kept = |queue: &str| template.properties(queue)["MessageRetentionPeriod"].as_u64();
        assert!(kept(dead) >= kept(name), "{dead} keeps a message no longer than {name}");
    }
    for name in dead_letters {
        assert!(name.ends_with("DeadLetters"), "nothing takes from {name}");
        let alarm = template.properties(&format!("{name}Alarm"));
        assert_eq!(target(&alarm["Dimensions"][0]["Value"]), Some(name));
    }
}

#[test]
fn what_no_queue_stands_before_leaves_its_failures_somewhere() {
    let template = Template::load();
    // Called and waited for: its caller sees the failure.
    let answers = ["HttpApi"];
    for (name, function) in functions(&template) {
        let by_queue_alone = !function["Events"].is_null() && name != "RecordDelivery";
        let dead = target(&function["DeadLetterQueue"]["TargetArn"]);
        assert_eq!(dead.is_none(), by_queue_alone || answers.contains(&name), "{name}");
    }
}

#[test]
fn a_function_that_claims_ends_well_before_its_lease() {
    let template = Template::load();
    let lease = u64::try_from(store::CLAIM_LEASE_MINUTES).expect("a lease is positive") * 60;
    for name in CLAIMING {
        let longest = timeout_of(template.properties(name)) + CLOCK_SKEW_SECONDS;
        assert!(longest < lease, "{name} may run into the lease of {lease} s");
    }
}

#[test]
fn the_tables_are_those_of_the_store() {
    let template = Template::load();
    let names = store::TableNames::default();
    for (definition, resource) in store::tables::definitions(&names).iter().zip(["OpsTable", "AuditTable"]) {
        let table = template.properties(resource);
        for key in ["BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes"] {
            assert_eq!(table.get(key), definition.get(key), "{resource}: {key}");
        }
    }
    // References are the items that expire by themselves.
    assert!(read("functions/store/src/reference.rs").contains("set(&mut item, \"ex\","));
    assert_eq!(
        template.properties("OpsTable")["TimeToLiveSpecification"],
        json!({"AttributeName": "ex", "Enabled": true})
    );
    assert!(template.properties("AuditTable").get("TimeToLiveSpecification").is_none());
}

#[test]
fn data_outlives_mistakes() {
    let template = Template::load();
    for (name, table) in template.of_type("AWS::DynamoDB::Table") {
        assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{name}");
        assert_eq!(table["DeletionProtectionEnabled"], true, "{name}");
        let encryption = &table["SSESpecification"];
        assert_eq!(encryption["SSEType"], "KMS", "{name}");
        assert_eq!(target(&encryption["KMSMasterKeyId"]), Some("DataKey"), "{name}");
    }
    assert_eq!(template.properties("DataKey")["EnableKeyRotation"], true);
    assert_eq!(template.properties("UserPool")["DeletionProtection"], "ACTIVE");
    // The secrets are part of the data: without them suppressions and opt-out links mean nothing any more.
    let kept =
        ["AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::SecretsManager::Secret", "AWS::Cognito::UserPool"];
    for (name, _) in kept.iter().flat_map(|kind| template.of_type(kind)) {
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            assert_eq!(template.resource(name)[policy], "Retain", "{name}: {policy}");
        }
    }
}

#[test]
fn the_audit_table_is_only_put_into() {
    let template = Template::load();
    let mut writers = BTreeSet::new();
    for (name, statement) in template.statements() {
        let actions = list(&statement["Action"]);
        let dynamodb = |a: &&Value| a.as_str().is_some_and(|a| a.starts_with("dynamodb:"));
        if list(&statement["Resource"]).iter().any(|r| target(r) == Some("AuditTable")) {
            let may =
                |a: &&Value| **a == "dynamodb:PutItem" || (**a == "dynamodb:Query" && name == "HttpApiRole");
            assert!(actions.iter().all(may), "{name} may do more to the audit table than put: {actions:?}");
            writers.insert(name);
        }
        for action in actions.iter().filter(|a| dynamodb(a)) {
            assert_ne!(*action, "dynamodb:Scan", "{name} may read a whole table");
            assert!(!action.as_str().unwrap_or_default().ends_with("Table"), "{name} may {action}");
        }
    }
    let expected = [
        "HttpApiRole",
        "PlanShardRole",
        "RecordChoiceRole",
        "RecordDeliveryRole",
        "ScanDueRole",
        "SendEmailRole",
        "SendSmsRole",
    ];
    assert_eq!(writers, BTreeSet::from(expected));
}

#[test]
fn nothing_is_reached_without_tls() {
    let template = Template::load();
    let mut covered: BTreeMap<&str, u32> = BTreeMap::new();
    let policies = [
        ("AWS::SQS::QueuePolicy", "Queues"),
        ("AWS::S3::BucketPolicy", "Bucket"),
        ("AWS::SNS::TopicPolicy", "Topics"),
    ];
    for (name, policy) in policies.iter().flat_map(|(kind, _)| template.of_type(kind)) {
        let denies = template.statements().into_iter().any(|(owner, statement)| {
            owner == name
                && statement["Effect"] == "Deny"
                && statement["Principal"] == "*"
                && statement["Condition"] == json!({"Bool": {"aws:SecureTransport": "false"}})
        });
        assert!(denies, "{name} lets plain HTTP through");
        for of in policies.iter().filter_map(|(_, key)| policy.get(key)).flat_map(list).filter_map(target) {
            *covered.entry(of).or_default() += 1;
        }
    }
    for (name, _) in
        ["AWS::SQS::Queue", "AWS::S3::Bucket", "AWS::SNS::Topic"].iter().flat_map(|k| template.of_type(k))
    {
        assert_eq!(covered.get(name), Some(&1), "{name} needs one policy; another would replace it");
    }
    for (name, topic) in template.of_type("AWS::SNS::Topic") {
        assert_eq!(target(&topic["KmsMasterKeyId"]), Some("DataKey"), "{name}");
    }
}

#[test]
fn buckets_are_private_and_forget() {
    let template = Template::load();
    for (name, bucket) in template.of_type("AWS::S3::Bucket") {
        let blocks = bucket["PublicAccessBlockConfiguration"].as_object().expect("public access is blocked");
        assert!(blocks.len() == 4 && blocks.values().all(|b| *b == true), "{name}: {blocks:?}");
        assert!(bucket["BucketEncryption"].is_object(), "{name}");
        assert!(bucket["LifecycleConfiguration"]["Rules"][0].is_object(), "{name} keeps everything for ever");
    }
    let uploads = template.properties("UploadBucket");
    assert_eq!(
        target(&uploads["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"]),
        Some("UploadDays")
    );
    let started = &uploads["NotificationConfiguration"]["LambdaConfigurations"][0];
    assert_eq!(target(&started["Function"]), Some("ImportAccounts"));
    assert_eq!(started["Filter"]["S3Key"]["Rules"], json!([{"Name": "prefix", "Value": "imports/"}]));
}

#[test]
fn every_log_ends_and_is_encrypted() {
    for (name, log) in Template::load().of_type("AWS::Logs::LogGroup") {
        assert!(!log["RetentionInDays"].is_null(), "{name} is kept for ever");
        assert_eq!(target(&log["KmsKeyId"]), Some("DataKey"), "{name}");
    }
}

#[test]
fn every_alarm_reaches_somebody() {
    for (name, alarm) in Template::load().of_type("AWS::CloudWatch::Alarm") {
        assert_eq!(alarm["AlarmActions"], json!([{"Ref": "AlarmTopic"}]), "{name}");
        assert!(alarm["AlarmDescription"].as_str().is_some_and(|d| d.ends_with('.')), "{name}");
        // An alarm that never has data tells nothing; the one of the scan tells just that.
        let tells_silence = alarm["InsufficientDataActions"] == json!([{"Ref": "AlarmTopic"}]);
        assert_eq!(alarm["TreatMissingData"] == "missing", tells_silence, "{name}");
    }
}

#[test]
fn schedules_name_their_time_zone() {
    let template = Template::load();
    for (name, resource) in template.resources() {
        let kind = resource["Type"].as_str().unwrap_or_default();
        let at_hours = |value: &Value| value.get("ScheduleExpression").is_some();
        assert!(kind != "AWS::Events::Rule" || !at_hours(&resource["Properties"]), "{name} knows only UTC");
        if kind == "AWS::Scheduler::Schedule" {
            assert!(resource["Properties"].get("ScheduleExpressionTimezone").is_some(), "{name}");
        }
    }
    let trusted = &template.properties("ScheduleRole")["AssumeRolePolicyDocument"]["Statement"][0];
    let group = trusted["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"].as_str().unwrap_or_default();
    assert!(
        group.ends_with(":schedule-group/${AWS::StackName}"),
        "the role serves schedules of others: {group}"
    );
    assert_eq!(template.properties("Schedules")["Name"], json!({"Ref": "AWS::StackName"}));
}

#[test]
fn one_schedule_puts_all_others_right() {
    let template = Template::load();
    let schedules = template.of_type("AWS::Scheduler::Schedule");
    let [("Reconcile", schedule)] = schedules[..] else { panic!("expected one schedule: {schedules:?}") };
    let called = &schedule["Target"];
    assert_eq!(target(&called["Arn"]), Some("ScanDue"));
    assert_eq!(target(&called["RoleArn"]), Some("ScheduleRole"));
    assert_eq!(target(&called["DeadLetterConfig"]["Arn"]), Some("CallsDeadLetters"));
    let input = called["Input"].as_str().expect("an event");
    assert_eq!(serde_json::from_str::<DueEvent>(input).expect("the event is JSON"), DueEvent::Reconcile);
    // What begins like the schedule of a tenant, and belongs to none, is removed as a leftover.
    let name = schedule["Name"].as_str().expect("a name");
    let tenants = TenantSlug::new("x").map(|x| Schedule::names_of(&x)).expect("a tenant");
    for of_tenant in tenants {
        assert!(!name.starts_with(of_tenant.trim_end_matches('x')), "{name} looks like {of_tenant}");
    }
    assert_eq!(target(&schedule["GroupName"]), Some("Schedules"), "the role serves one group");
}

#[test]
fn the_api_serves_the_routes_that_reach_it() {
    let router = read("functions/http-api/src/lib.rs");
    for (name, route) in Template::load().of_type("AWS::ApiGatewayV2::Route") {
        let key = route["RouteKey"].as_str().unwrap_or_default();
        let path = key.split_once(' ').map(|(_, path)| path.trim_end_matches("/{path+}")).unwrap_or_default();
        assert!(router.contains(&format!("(\"{path}\"")), "{name}: nothing serves {path}");
    }
}

#[test]
fn only_the_route_of_health_is_open() {
    let template = Template::load();
    for (name, route) in template.of_type("AWS::ApiGatewayV2::Route") {
        if route["RouteKey"] == "GET /v1/health" {
            continue;
        }
        assert_eq!(route["AuthorizationType"], "JWT", "{name} is open to everybody");
        assert_eq!(target(&route["AuthorizerId"]), Some("ApiAuthorizer"), "{name}");
    }
    let stage = template.properties("ApiStage");
    for limit in ["ThrottlingBurstLimit", "ThrottlingRateLimit"] {
        assert!(!stage["DefaultRouteSettings"][limit].is_null(), "the API has no {limit}");
    }
    let format = stage["AccessLogSettings"]["Format"].as_str().unwrap_or_default();
    assert!(!format.contains("sourceIp") && !format.contains("userAgent"), "a log says who somebody is");
    assert_eq!(template.properties("UserPool")["MfaConfiguration"], "ON");
    // A person must not be able to give themselves another tenant.
    let written = &template.properties("ConsoleClient")["WriteAttributes"];
    assert_eq!(written, &json!(["email"]));
}

#[test]
fn the_console_runs_no_code_of_others() {
    let template = Template::load();
    let headers =
        &template.properties("ConsoleHeaders")["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"];
    let policy = texts(&headers["ContentSecurityPolicy"]["ContentSecurityPolicy"]);
    assert!(
        policy.contains(&"default-src 'none'") && policy.contains(&"script-src 'self' 'wasm-unsafe-eval'")
    );
    for text in policy {
        assert!(
            !text.contains("unsafe-inline") && !text.contains(" 'unsafe-eval'") && !text.contains(" *"),
            "{text}"
        );
    }
    assert!(headers["StrictTransportSecurity"]["AccessControlMaxAgeSec"].as_u64() >= Some(31_536_000));
}

#[test]
fn every_event_of_email_that_the_code_knows_is_published() {
    let template = Template::load();
    let published = &template.properties("ConfigurationSetEvents")["EventDestination"]["MatchingEventTypes"];
    let published: BTreeSet<String> = texts(published).into_iter().map(str::to_owned).collect();
    let code = read("functions/record-delivery/src/ses.rs");
    let kinds = code.split_once("const KINDS: &str = \"").and_then(|(_, rest)| rest.split_once('"'));
    let (kinds, _) = kinds.expect("the code lists the kinds of events");
    let known: BTreeSet<String> = kinds
        .split(", ")
        .map(|kind| kebab(&kind.replace(' ', "")).replace('-', "_").to_uppercase())
        .collect();
    assert_eq!(published, known);
}
