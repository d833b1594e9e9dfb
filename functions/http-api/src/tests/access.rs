//! Who gets in: nobody without an identity, each role to what it may, and nobody to what is not theirs.

use proptest::prelude::*;

use super::*;

/// Every route about a tenant, with a body that it takes.
fn routes(tenant: &str) -> Vec<(Method, String, Option<Value>)> {
    let of = |rest: &str| format!("/v1/tenants/{tenant}{rest}");
    let reason = Some(json!({"reason": "x"}));
    vec![
        (Method::GET, of(""), None),
        (Method::PUT, of(""), Some(settings())),
        (Method::POST, of("/pause"), reason.clone()),
        (Method::POST, of("/resume"), reason),
        (Method::POST, of("/scan"), None),
        (Method::GET, of("/policies/default"), None),
        (Method::PUT, of("/policies/default"), Some(json!({"text": ""}))),
        (Method::GET, of("/imports"), None),
        (Method::POST, of("/imports"), Some(json!({"bytes": 3}))),
        (Method::GET, of("/imports/imp_00000000000000000000000000000000"), None),
        (Method::DELETE, of(""), None),
    ]
}

#[tokio::test]
async fn each_role_may_do_what_it_may_on_each_route() {
    // In the order of the routes above: show, change, pause, resume, scan, policies: show, bring, imports: list, ask, show; delete.
    let table = [
        (person("administrator", "andino"), [true; 11]),
        (person("manager", "andino"), [true, true, true, true, true, true, true, true, true, true, false]),
        (
            person("auditor", "andino"),
            [true, false, false, false, false, true, false, true, false, true, false],
        ),
        (partner("andino"), [false, false, false, false, false, false, false, true, true, true, false]),
        (person("clerk", "andino"), [false; 11]),
    ];
    for (holder, expected) in table {
        let api = Api::with_tenant().await;
        for ((method, path, body), may) in routes("andino").into_iter().zip(expected) {
            let told = api.ask(&holder, method.clone(), &path, &[], body.as_ref()).await;
            let forbidden = told.status == StatusCode::FORBIDDEN;
            assert_eq!(forbidden, !may, "{holder:?} {method} {path}: {} {}", told.status, told.body);
        }
    }
}

#[tokio::test]
async fn what_is_out_of_reach_looks_like_what_is_not_there() {
    let api = Api::with_tenant().await;
    let same = |told: &Told| {
        let mut body = told.body.clone();
        body["instance"] = Value::Null;
        (told.status, body)
    };
    for holder in [person("administrator", "other"), person("auditor", ""), partner("other")] {
        for (there, missing) in routes("andino").into_iter().zip(routes("nobody")) {
            let (method, path, body) = there;
            let of_another = api.ask(&holder, method.clone(), &path, &[], body.as_ref()).await;
            let of_nobody = api.ask(&holder, method.clone(), &missing.1, &[], body.as_ref()).await;
            assert_eq!(of_another.status, StatusCode::NOT_FOUND, "{method} {path}");
            assert_eq!(same(&of_another), same(&of_nobody), "{method} {path}");
        }
    }
    let all = person("administrator", "*");
    for (method, path, body) in routes("nobody") {
        let told = api.ask(&all, method, &path, &[("if-match", "\"v1\"")], body.as_ref()).await;
        assert_eq!(told.status, StatusCode::NOT_FOUND, "{path}: {}", told.body);
    }
}

#[tokio::test]
async fn whether_an_id_is_taken_is_told_to_nobody_who_may_not_have_it() {
    let api = Api::with_tenant().await;
    let elsewhere = person("administrator", "other");
    for id in ["andino", "free"] {
        let told = api.post(&elsewhere, "/v1/tenants", &new_tenant(id)).await;
        assert_eq!(told.status, StatusCode::FORBIDDEN, "{id}");
    }
    let made = api.post(&elsewhere, "/v1/tenants", &new_tenant("other")).await;
    assert_eq!(made.status, StatusCode::CREATED);
    for holder in [person("manager", "*"), person("auditor", "*"), partner("other")] {
        assert_eq!(api.post(&holder, "/v1/tenants", &new_tenant("x")).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn health_asks_nobody_and_says_the_version_and_the_store() {
    let api = Api::new().await;
    let told = api.send(Request::builder().uri("/v1/health").body(Body::empty()).unwrap()).await;
    assert_eq!(told.status, StatusCode::OK);
    assert_eq!(told.body, json!({"version": env!("CARGO_PKG_VERSION"), "store_reachable": true}));
    let no_tables = Deps {
        store: Store::memory().unwrap(),
        schedules: Schedules::Off,
        uploads: Uploads::Closed,
        authentication: Authentication::Closed,
        clock: Arc::new(now),
    };
    let request = Request::builder().uri("/v1/health").body(Body::empty()).unwrap();
    let response = router(no_tables).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_none() {
    let api = Api::with_tenant().await;
    let admin = person("administrator", "*");
    let expired = api.tokens.issue(&admin, now() - Duration::hours(2), now() - Duration::hours(1));
    let foreign = LocalTokens::new(&[8; 32]).unwrap().issue(&admin, now(), now() + Duration::hours(1));
    let good = api.token(&admin);
    for value in [
        format!("Bearer {expired}"),
        format!("Bearer {foreign}"),
        format!("Basic {good}"),
        format!("Bearer {good}x"),
        "Bearer".to_owned(),
        String::new(),
    ] {
        let request = Request::builder().uri("/v1/tenants").header("authorization", &value);
        let told = api.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((told.status, told.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"), "{value}");
        assert_eq!(told.header("www-authenticate"), "Bearer");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_route_answers_without_identity_except_health(
        method in prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"]),
        path in prop_oneof![
            "(/[a-z0-9_.{}%-]{0,8}){0,5}",
            prop::sample::select(
                routes("andino").into_iter().map(|(_, path, _)| path)
                    .chain(["/v1", "/v1/", "/v1/tenants", "/v1/tenants/", "/v1/uploads/andino/imp_1"].map(str::to_owned))
                    .collect::<Vec<_>>()
            ),
        ],
        query in prop::sample::select(vec!["", "?token=x", "?after=a&limit=1"]),
    ) {
        let uri = format!("{}{query}", if path.is_empty() { "/" } else { &path });
        prop_assume!(path != "/v1/health" && uri.parse::<axum::http::Uri>().is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let status = runtime.block_on(async {
            let api = Api::new().await;
            let request = Request::builder().method(method).uri(&uri).body(Body::empty()).unwrap();
            api.send(request).await.status
        });
        prop_assert_eq!(status, StatusCode::UNAUTHORIZED, "{} {}", method, uri);
    }
}
