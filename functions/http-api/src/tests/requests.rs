//! Requests as such: bodies, limits, headers, idempotency keys.

use super::*;

const PAUSE: &str = "/v1/tenants/andino/pause";

fn manager() -> Holder {
    person("manager", "andino")
}

#[tokio::test]
async fn every_answer_has_the_headers_of_an_api_and_names_its_request() {
    let api = Api::with_tenant().await;
    let plain = Request::builder().uri("/nowhere").body(Body::empty()).unwrap();
    for told in [api.get(&manager(), "/v1/tenants/andino").await, api.send(plain).await] {
        assert_eq!(told.header("cache-control"), "no-store");
        assert_eq!(told.header("x-content-type-options"), "nosniff");
        assert!(told.header("content-security-policy").contains("default-src 'none'"));
        assert!(told.header("strict-transport-security").contains("max-age="));
        assert!(told.header("x-request-id").starts_with("req_"));
        if told.status.is_client_error() {
            let instance = format!("urn:puntual:request:{}", told.header("x-request-id"));
            assert_eq!(told.body["instance"], json!(instance));
        }
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_with_its_place() {
    let api = Api::with_tenant().await;
    let send = async |kind: &str, body: Vec<u8>| {
        let request = Request::builder().method(Method::POST).uri(PAUSE).header("content-type", kind);
        let request = request.header("authorization", format!("Bearer {}", api.token(&manager())));
        api.send(request.body(Body::from(body)).unwrap()).await
    };
    let json = "application/json";
    assert_eq!(send("text/plain", b"{}".to_vec()).await.code(), "unsupported_media_type");
    let told = send(json, b"{\"reason\"".to_vec()).await;
    assert_eq!((told.status, told.code()), (StatusCode::BAD_REQUEST, "malformed"));
    assert!(told.body["detail"].as_str().is_some_and(|d| d.contains("line 1")), "{}", told.body);
    let told = send(json, b"{\"reason\": 7}".to_vec()).await;
    assert_eq!((told.code(), &told.body["mistakes"][0]["pointer"]), ("invalid", &json!("/reason")));
    let told = send("application/json; charset=utf-8", b"{\"why\": \"x\"}".to_vec()).await;
    assert_eq!((told.code(), &told.body["mistakes"][0]["pointer"]), ("invalid", &json!("/why")));
    let told = send(json, vec![b' '; crate::BODY_BYTES_MAX + 1]).await;
    assert_eq!((told.status, told.code()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
}

#[tokio::test]
async fn a_path_or_a_method_that_is_none_is_a_problem() {
    let api = Api::with_tenant().await;
    let told = api.get(&manager(), "/v1/nowhere").await;
    assert_eq!((told.status, told.code()), (StatusCode::NOT_FOUND, "not_found"));
    let told = api.ask(&manager(), Method::PATCH, "/v1/tenants/andino", &[], None).await;
    assert_eq!((told.status, told.code()), (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"));
    assert_eq!(told.header("allow"), "GET,HEAD,PUT,DELETE");
}

#[tokio::test]
async fn a_post_that_comes_twice_under_one_key_is_carried_out_once() {
    let api = Api::with_tenant().await;
    let imports = "/v1/tenants/andino/imports";
    let ask = async |holder: &Holder, key: &str, bytes: u64| {
        api.ask(holder, Method::POST, imports, &[("idempotency-key", key)], Some(&json!({"bytes": bytes})))
            .await
    };
    let first = ask(&manager(), "k1", 3).await;
    let again = ask(&manager(), "k1", 3).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("content-type"), "application/json");
    assert_ne!(first.body["id"], ask(&manager(), "k2", 3).await.body["id"]);
    assert_ne!(first.body["id"], ask(&partner("andino"), "k1", 3).await.body["id"], "a key is one caller's");
    let other = ask(&manager(), "k1", 4).await;
    assert_eq!((other.status, other.code()), (StatusCode::CONFLICT, "idempotency_conflict"));
    let listed = api.get(&manager(), imports).await;
    assert_eq!(listed.body["imports"].as_array().unwrap().len(), 3);
    for key in ["", "a b", &"x".repeat(129)] {
        assert_eq!(ask(&manager(), key, 3).await.code(), "malformed", "{key}");
    }
}

#[tokio::test]
async fn what_failed_under_a_key_may_be_sent_again_at_once() {
    let api = Api::new().await;
    let admin = person("administrator", "*");
    let key = [("idempotency-key", "k")];
    let pause = json!({"reason": "x"});
    let missing = api.ask(&admin, Method::POST, PAUSE, &key, Some(&pause)).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    api.post(&admin, "/v1/tenants", &new_tenant("andino")).await;
    let now_there = api.ask(&admin, Method::POST, PAUSE, &key, Some(&pause)).await;
    assert_eq!(now_there.status, StatusCode::OK);
    let repeated = api.ask(&admin, Method::POST, PAUSE, &key, Some(&pause)).await;
    assert_eq!((repeated.header("etag"), &repeated.body), ("\"v2\"", &now_there.body));
}

#[tokio::test]
async fn the_router_can_be_served() {
    let api = Api::with_tenant().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, api.router).await });
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}
