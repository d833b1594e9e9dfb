//! Imports: an address, a file that goes there, and what is told of it.

use import_accounts::upload::{Uploaded, import_upload};

use super::*;

const IMPORTS: &str = "/v1/tenants/andino/imports";

/// Sends bytes to an address.
async fn upload(api: &Api, url: &str, bytes: &'static [u8]) -> Told {
    let path = url.strip_prefix("http://127.0.0.1:8080").unwrap();
    let request = Request::builder().method(Method::PUT).uri(path).body(Body::from(bytes)).unwrap();
    api.send(request).await
}

async fn address(api: &Api, bytes: usize) -> (String, String) {
    let told = api.post(&partner("andino"), IMPORTS, &json!({"bytes": bytes, "sequence": 5})).await;
    assert_eq!(told.status, StatusCode::CREATED, "{}", told.body);
    assert_eq!(
        (&told.body["method"], &told.body["expires_at"]),
        (&json!("PUT"), &json!("2026-11-20T15:15:30Z"))
    );
    (told.body["id"].as_str().unwrap().to_owned(), told.body["url"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_file_goes_from_its_address_to_what_became_of_it() {
    let mut api = Api::with_tenant().await;
    let file: &[u8] = b" \n";
    let (id, url) = address(&api, file.len()).await;
    let shown = async |api: &Api| api.get(&partner("andino"), &format!("{IMPORTS}/{id}")).await.body;
    let waiting = json!({
        "id": id, "requested_at": "2026-11-20T15:00:30Z", "requested_by": "program-1", "sequence": 5, "state": "waiting",
    });
    assert_eq!(shown(&api).await, waiting);
    assert_eq!(upload(&api, &url, file).await.status, StatusCode::NO_CONTENT);
    let arrived = api.arrived.recv().await.unwrap();
    assert_eq!((arrived.id.as_str(), arrived.tenant.as_str()), (id.as_str(), "andino"));
    assert_eq!(std::fs::read(&arrived.path).unwrap(), file);
    assert!(arrived.path.starts_with(api.folder.path().join("imports/andino")));
    let input = std::fs::File::open(&arrived.path).unwrap();
    let told = Uploaded {
        tenant: arrived.tenant.id().clone(),
        name: arrived.id.to_string(),
        sha256: arrived.sha256,
        uploaded_at: arrived.uploaded_at,
    };
    import_upload(&api.store, &told, input, now(), |_| ()).await.unwrap_err();
    let refused = shown(&api).await;
    assert_eq!(
        (&refused["state"], refused["problem"].as_str().is_some_and(|p| !p.is_empty())),
        (&json!("refused"), true)
    );
    let list = api.get(&person("auditor", "andino"), IMPORTS).await;
    assert_eq!(list.body, json!({"imports": [refused]}));
}

#[tokio::test]
async fn an_address_takes_its_own_file_of_its_own_size_for_its_own_time() {
    let api = Api::with_tenant().await;
    let (_, url) = address(&api, 3).await;
    let (other, _) = address(&api, 3).await;
    for bytes in [&b"ab"[..], b"abcd", b""] {
        let told = upload(&api, &url, bytes).await;
        assert_eq!((told.status, told.code()), (StatusCode::BAD_REQUEST, "malformed"), "{bytes:?}");
    }
    let left: Vec<_> = std::fs::read_dir(api.folder.path().join("imports/andino")).unwrap().collect();
    assert_eq!(left.len(), 0, "nothing is left of what was refused");
    let (before, token) = url.split_once("?token=").unwrap();
    let elsewhere = format!("http://127.0.0.1:8080/v1/uploads/andino/{other}?token={token}");
    let identity = format!("{before}?token={}", api.token(&partner("andino")));
    for address in [before.to_owned(), format!("{before}?token={token}x"), elsewhere, identity] {
        assert_eq!(upload(&api, &address, b"abc").await.status, StatusCode::UNAUTHORIZED, "{address}");
    }
    assert_eq!(upload(&api, &url, b"abc").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_import_that_cannot_be_is_refused_before_it_is_expected() {
    let api = Api::with_tenant().await;
    let partner = partner("andino");
    let cases = [
        (json!({"bytes": 0}), "/bytes"),
        (json!({"bytes": 1_u64 << 40}), "/bytes"),
        (json!({"bytes": 3, "sequence": 1_u64 << 60}), "/sequence"),
        (json!({"bytes": 3, "sequence": -1}), "/sequence"),
        (json!({"bytes": 3, "mapping": "other"}), "/mapping"),
        (json!({"bytes": 3, "name": "x"}), "/name"),
    ];
    for (body, place) in cases {
        let told = api.post(&partner, IMPORTS, &body).await;
        assert_eq!(
            (told.status, &told.body["mistakes"][0]["pointer"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(place))
        );
    }
    let mut without = settings();
    without.as_object_mut().unwrap().remove("mapping");
    api.put(&person("manager", "andino"), "/v1/tenants/andino", "\"v1\"", &without).await;
    let told = api.post(&partner, IMPORTS, &json!({"bytes": 3})).await;
    assert_eq!(told.body["mistakes"][0]["pointer"], "/mapping");
    assert_eq!(api.get(&partner, IMPORTS).await.body, json!({"imports": []}));
    assert_eq!(api.get(&partner, &format!("{IMPORTS}/nonsense")).await.status, StatusCode::NOT_FOUND);
}
