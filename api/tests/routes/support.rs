//! The test setup: a router on its own database, requests to it, and checks of responses.

mod account;
mod bills;
mod closes;
mod entangled;

use api::{RateLimits, Settings};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, request};
use chrono::SecondsFormat;
use devstack::testing::TestDatabase;
use rust_decimal::Decimal;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use store::{Actor, NewToken, Role, Store};
use tower::ServiceExt as _;
use uuid::Uuid;

pub(crate) use bills::{content, entry, hour_before_and_after, invoice_of, lines, list_invoices};

pub(crate) use account::{APRIL, MARCH, facts, live_droplets, resource, sweep, sweep_with};
pub(crate) use closes::long_file;
pub(crate) use entangled::{assert_nothing_foreign, token_of};

/// An id that does not exist.
pub(crate) const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

pub(crate) struct TestApi {
    database: TestDatabase,
    pub(crate) store: Store,
    pub(crate) router: Router,
    /// A token of the role `platform_admin`.
    pub(crate) admin: String,
    /// Tokens of the tenants `acme` and `globex` of the test account.
    pub(crate) acme: String,
    pub(crate) globex: String,
}

/// A response with its complete body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("invalid JSON ({error}): {self:?}"))
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()
    }

    /// Checks that the response is a problem document with this status, and returns its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(
            self.headers["content-type"], "application/problem+json",
            "{self:?}"
        );
        let document = self.json();
        assert_eq!(document["status"], status, "{document}");
        for field in ["type", "title", "detail"] {
            let text = document[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{field}: {document}");
        }
        document["detail"].as_str().unwrap().to_owned()
    }
}

impl TestApi {
    /// Creates a database with the schema and tokens only.
    pub(crate) async fn empty() -> Self {
        let database = devstack::testing::migrated_database(async |url| {
            let store = Store::connect(&url, 1).await.unwrap();
            store.migrate().await.unwrap();
        })
        .await;
        let store = Store::connect(&database.url(), 4).await.unwrap();
        let [admin, acme, globex] = [
            Role::PlatformAdmin,
            Role::Tenant("acme".parse().unwrap()),
            Role::Tenant("globex".parse().unwrap()),
        ];
        Self {
            admin: token(&store, &admin).await.1,
            acme: token(&store, &acme).await.1,
            globex: token(&store, &globex).await.1,
            // A test may follow hundreds of links within seconds.
            router: api::router(Settings {
                rate_limits: RateLimits::local(),
                ..Settings::from(store.clone())
            }),
            database,
            store,
        }
    }

    /// Creates a database with the test account.
    pub(crate) async fn with_account() -> Self {
        let api = Self::empty().await;
        account::fill(&api.store).await;
        api
    }

    pub(crate) fn database_url(&self) -> String {
        self.database.url()
    }

    /// Renames a table, so that requests for projects fail with an internal error.
    pub(crate) async fn break_projects(&self) {
        self.write_by_hand("alter table cloud_projects rename to cloud_projects_away")
            .await;
    }

    /// Changes the database by a statement that the program never uses.
    pub(crate) async fn write_by_hand(&self, statement: &'static str) {
        let mut connection = PgConnection::connect(&self.database.url()).await.unwrap();
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Response {
        self.send(with_token(token, Request::get(path)).body(Body::empty()))
            .await
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Response {
        self.send(with_token(token, Request::delete(path)).body(Body::empty()))
            .await
    }

    pub(crate) async fn patch(&self, token: &str, path: &str, body: &str) -> Response {
        self.change(token, Request::patch(path), body).await
    }

    pub(crate) async fn put(&self, token: &str, path: &str, body: &str) -> Response {
        self.change(token, Request::put(path), body).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: &str) -> Response {
        self.change(token, Request::post(path), body).await
    }

    async fn change(&self, token: &str, request: request::Builder, body: &str) -> Response {
        let request = with_token(token, request)
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()));
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: Result<Request<Body>, axum::http::Error>) -> Response {
        respond(self.router.clone(), request.unwrap()).await
    }

    /// Returns the statements of a month.
    pub(crate) async fn statements(&self, period: &str) -> Value {
        let path = format!("/api/v1/billing/statements?period={period}");
        self.get(&self.admin, &path).await.ok()
    }

    /// Returns the id of the resource with this name.
    pub(crate) async fn resource_id(&self, name: &str) -> String {
        let found = self
            .get(
                &self.admin,
                &format!("/api/v1/inventory?state=all&q={name}"),
            )
            .await
            .ok();
        id_by_name(&found, name)
    }

    /// Returns the current time of the database, which dates all events, for a query string.
    pub(crate) async fn now(&self) -> String {
        self.store
            .now()
            .await
            .unwrap()
            .to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    /// Assigns the project to another tenant.
    pub(crate) async fn assign_project(&self, project: &str, tenant: &str) {
        let path = format!("/api/v1/projects/{}", self.project_id(project).await);
        let change = format!(r#"{{"tenant_id": "{tenant}"}}"#);
        self.patch(&self.admin, &path, &change).await.ok();
    }

    /// Returns the id of the project with this name.
    pub(crate) async fn project_id(&self, name: &str) -> String {
        let found = self.get(&self.admin, "/api/v1/projects").await.ok();
        id_by_name(&found, name)
    }
}

fn id_by_name(list: &Value, name: &str) -> String {
    rows(list)
        .iter()
        .find(|row| row["name"] == name)
        .unwrap_or_else(|| panic!("{name} is not in {list}"))["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Sends a request to a router and reads the response.
pub(crate) async fn respond(router: Router, request: Request<Body>) -> Response {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    Response {
        status: parts.status,
        headers: parts.headers,
        // A workbook is not text.
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Adds the token to a request.
pub(crate) fn with_token(token: &str, request: request::Builder) -> request::Builder {
    request.header("authorization", format!("Bearer {token}"))
}

/// Creates a token and returns its id and text.
pub(crate) async fn token(store: &Store, role: &Role) -> (Uuid, String) {
    create_token(store, role, false).await
}

/// Creates a token that may read the costs of its tenant.
pub(crate) async fn token_with_costs(store: &Store, role: &Role) -> (Uuid, String) {
    create_token(store, role, true).await
}

/// Returns the author of the acts that fill the database.
pub(crate) fn operator() -> Actor {
    Actor::of_command("ann")
}

async fn create_token(store: &Store, role: &Role, costs: bool) -> (Uuid, String) {
    let token = api::generate_token();
    let new = NewToken {
        name: "test",
        role,
        costs,
        token: token.expose_secret(),
        lifetime: None,
    };
    let id = store.create_token(new, &operator()).await.unwrap();
    (id, token.expose_secret().to_owned())
}

/// Returns the rows of a list.
pub(crate) fn rows(list: &Value) -> &[Value] {
    list["data"]
        .as_array()
        .unwrap_or_else(|| panic!("not a list: {list}"))
}

/// Returns an amount.
#[track_caller]
pub(crate) fn usd(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

/// Returns the sum of one field of all rows.
#[track_caller]
pub(crate) fn sum(list: &Value, field: &str) -> Decimal {
    rows(list).iter().map(|row| usd(&row[field])).sum()
}

/// Returns one field of every row, in order.
pub(crate) fn column(list: &Value, field: &str) -> Vec<String> {
    rows(list)
        .iter()
        .map(|row| match &row[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect()
}
