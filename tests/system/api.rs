//! The API with a worker: it returns the synced data, restricted by role.

use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use simulator::Account;
use store::{Actor, NewToken, Role, Store};
use tokio::net::TcpListener;

use crate::support::TestSystem;

const BALANCE: &str = "/api/v1/billing/balance";
const APRIL_LINES: &str = "/api/v1/billing/cost-lines?period=2026-04-01&limit=100";

/// A running API and a client of it.
pub(crate) struct Api {
    url: String,
    client: Client,
}

impl Api {
    pub(crate) async fn start(store: &Store) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(api::serve(listener, store.clone(), std::future::pending()));
        Self::at(&url)
    }

    /// A client of an API at this address.
    pub(crate) fn at(url: &str) -> Self {
        // Building a client requires a crypto provider even without TLS. Fails if the worker has
        // already installed one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().tls_certs_only([]).no_proxy();
        Self {
            url: url.to_owned(),
            client: client.build().unwrap(),
        }
    }

    /// The address of the server, without a path.
    pub(crate) fn base(&self) -> &str {
        &self.url
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Returns the status and body of a response.
    pub(crate) async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        send(self.client.get(self.url(path)), token).await
    }

    /// Returns the `data` of a response, which must have status 200.
    pub(crate) async fn data(&self, path: &str, token: &str) -> Value {
        let (status, body) = self.get(path, token).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body["data"].clone()
    }

    /// Assigns the project with this name to a tenant from now on.
    async fn assign_project(&self, name: &str, tenant: &str, token: &str) {
        let change = json!({ "tenant_id": tenant });
        self.change_project(name, &change, token).await;
    }

    /// Changes the project with this name.
    pub(crate) async fn change_project(&self, name: &str, change: &Value, token: &str) {
        let projects = self.data("/api/v1/projects", token).await;
        let projects = projects.as_array().unwrap();
        let project = projects.iter().find(|project| project["name"] == name);
        let path = format!(
            "/api/v1/projects/{}",
            project.unwrap()["id"].as_str().unwrap()
        );
        let (status, body) = self.change("PATCH", &path, change, token).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    /// Sends a change and returns the status and body of the response.
    pub(crate) async fn change(
        &self,
        method: &str,
        path: &str,
        change: &Value,
        token: &str,
    ) -> (StatusCode, Value) {
        let request = self.client.request(method.parse().unwrap(), self.url(path));
        send(request.json(change), token).await
    }
}

async fn send(request: RequestBuilder, token: &str) -> (StatusCode, Value) {
    let response = request.bearer_auth(token).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// Creates a token like `arcadia token create`.
pub(crate) async fn token(store: &Store, role: Role) -> String {
    create_token(store, &role, false).await
}

/// Creates a token of a tenant that permits its costs.
pub(crate) async fn token_with_costs(store: &Store, tenant: &str) -> String {
    create_token(store, &Role::Tenant(tenant.parse().unwrap()), true).await
}

async fn create_token(store: &Store, role: &Role, costs: bool) -> String {
    let token = api::generate_token();
    let token = token.expose_secret();
    let new = NewToken {
        name: "a test",
        role,
        costs,
        token,
        lifetime: None,
    };
    store
        .create_token(new, &Actor::of_command("tests"))
        .await
        .unwrap();
    token.to_owned()
}

fn tenant(name: &str) -> Role {
    Role::Tenant(name.parse().unwrap())
}

/// Returns the names of a list's items, sorted.
fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    let mut names: Vec<&str> = list.map(|item| item["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn an_admin_may_read_the_bill_and_a_tenant_may_not() {
    let account = Account::demo();
    let april = account.invoices()[0].uuid;
    let system = TestSystem::start(account).await;
    system.sync_inventory().await.unwrap();
    system.poll_balance().await.unwrap();
    system.ingest(april).await.unwrap();
    let api = Api::start(&system.store).await;
    let admin = token(&system.store, Role::PlatformAdmin).await;

    let balance = api.data(BALANCE, &admin).await;
    let expected = system.simulator.read(Account::balance);
    assert_eq!(
        balance["month_to_date_usage"].as_str().unwrap(),
        expected.month_to_date_usage.to_string()
    );
    let lines = api.data(APRIL_LINES, &admin).await;
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), 33);
    let amounts = lines.iter().map(|line| line["amount"].as_str().unwrap());
    let sum: rust_decimal::Decimal = amounts
        .map(|amount| amount.parse::<rust_decimal::Decimal>().unwrap())
        .sum();
    assert_eq!(sum.to_string(), "86.92");

    let acme = token(&system.store, tenant("acme")).await;
    for path in [BALANCE, APRIL_LINES] {
        let (status, problem) = api.get(path, &acme).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {problem}");
        let (status, problem) = api.get(path, "arc_unknown").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_tenant_sees_only_the_resources_of_its_projects() {
    let system = TestSystem::start(Account::demo()).await;
    system.sync_inventory().await.unwrap();
    system.sync_projects().await.unwrap();
    let api = Api::start(&system.store).await;
    let admin = token(&system.store, Role::PlatformAdmin).await;
    api.assign_project("Kestrel Website", "acme", &admin).await;
    api.assign_project("Internal Tooling", "globex", &admin)
        .await;

    let inventory = "/api/v1/inventory";
    let acme = token(&system.store, tenant("acme")).await;
    let of_acme = api.data(inventory, &acme).await;
    assert_eq!(
        names(&of_acme),
        [
            "kestrel-blog.example",
            "kestrel-status.example",
            "kestrel-web-01",
            "kestrel.example",
            "status-page"
        ]
    );
    let globex = token(&system.store, tenant("globex")).await;
    let of_globex = api.data(inventory, &globex).await;
    assert_eq!(
        names(&of_globex),
        ["ci-runner-01", "kestrel-builds.example"]
    );
    let without_projects = token(&system.store, tenant("initech")).await;
    assert!(names(&api.data(inventory, &without_projects).await).is_empty());
    assert_eq!(names(&api.data(inventory, &admin).await).len(), 12);

    // A resource of another tenant is not found by id either.
    let id = of_globex[0]["id"].as_str().unwrap();
    let (status, problem) = api.get(&format!("{inventory}/{id}"), &acme).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
}
