//! The router in this process, over an embedded store: every route, each refusal, each role.

mod access;
mod imports;
mod policies;
mod requests;
mod tenants;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use chrono::{DateTime, Duration, Utc};
use domain::tenant::Tenant;
use runtime::schedule::{MemorySchedules, Schedules};
use serde_json::{Value, json};
use store::Store;
use tokio::sync::mpsc::{Receiver, channel};
use tower::ServiceExt as _;

use crate::identity::Authentication;
use crate::identity::local::{Holder, LocalTokens};
use crate::uploads::Uploads;
use crate::uploads::folder::{Arrived, Folder};
use crate::{Deps, router};

/// The API, and what lies behind it.
struct Api {
    router: Router,
    store: Store,
    schedules: MemorySchedules,
    tokens: LocalTokens,
    arrived: Receiver<Arrived>,
    folder: tempfile::TempDir,
}

/// What was answered.
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Told {
    /// The code of a problem.
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

fn now() -> DateTime<Utc> {
    "2026-11-20T15:00:30Z".parse().unwrap()
}

fn person(group: &str, tenants: &str) -> Holder {
    Holder::Person {
        subject: format!("{group}-1"),
        groups: vec![group.to_owned()],
        tenants: tenants.to_owned(),
    }
}

fn partner(tenant: &str) -> Holder {
    Holder::Program { client: "program-1".to_owned(), scope: format!("puntual/tenant.{tenant}") }
}

fn settings() -> Value {
    let mut demo: Tenant = toml::from_str(include_str!("../../../infra/demo/tenant.toml")).unwrap();
    demo.mapping = Some(include_str!("../../../infra/demo/portfolio.toml").to_owned());
    serde_json::to_value(api_types::settings::Settings::from(demo)).unwrap()
}

impl Api {
    async fn new() -> Self {
        let store = Store::memory().unwrap();
        store.create_tables().await.unwrap();
        let tokens = LocalTokens::new(&[7; 32]).unwrap();
        let schedules = MemorySchedules::default();
        let folder = tempfile::tempdir().unwrap();
        let (sender, arrived) = channel(8);
        let uploads = Uploads::Folder(Folder {
            path: folder.path().to_owned(),
            served_at: "http://127.0.0.1:8080".to_owned(),
            tokens: tokens.clone(),
            arrived: sender,
        });
        let deps = Deps {
            store: store.clone(),
            schedules: Schedules::Memory(schedules.clone()),
            uploads,
            authentication: Authentication::Local(tokens.clone()),
            clock: Arc::new(now),
        };
        Self { router: router(deps), store, schedules, tokens, arrived, folder }
    }

    /// The API with a tenant `andino` at version 1.
    async fn with_tenant() -> Self {
        let api = Self::new().await;
        let made = api.post(&person("administrator", "*"), "/v1/tenants", &new_tenant("andino")).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        api
    }

    fn token(&self, holder: &Holder) -> String {
        self.tokens.issue(holder, now(), now() + Duration::hours(1))
    }

    async fn send(&self, request: Request<Body>) -> Told {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Told { status: parts.status, headers: parts.headers, body }
    }

    async fn ask(
        &self,
        holder: &Holder,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Told {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer {}", self.token(holder)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    async fn get(&self, holder: &Holder, path: &str) -> Told {
        self.ask(holder, Method::GET, path, &[], None).await
    }

    async fn post(&self, holder: &Holder, path: &str, body: &Value) -> Told {
        self.ask(holder, Method::POST, path, &[], Some(body)).await
    }

    async fn put(&self, holder: &Holder, path: &str, seen: &str, body: &Value) -> Told {
        self.ask(holder, Method::PUT, path, &[("if-match", seen)], Some(body)).await
    }
}

fn new_tenant(id: &str) -> Value {
    json!({"id": id, "settings": settings()})
}
