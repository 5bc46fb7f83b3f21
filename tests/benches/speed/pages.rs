//! Measures every page and the largest lists of an account of 100,000 resources, a million changes
//! of them, and a million lines in 36 months: the 99th percentile of the answer, the size over the
//! wire, and the page views a second with several clients.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::try_join_all;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use secrecy::ExposeSecret as _;
use store::{Actor, NewToken, Role, Store};

use crate::account::{self, Size};
use crate::child;
use crate::database::Database;
use crate::report::{Report, Unit};

const REQUESTS: usize = 100;
const CLIENTS: usize = 4;
const VIEWING: Duration = Duration::from_secs(10);
/// Bytes over the wire.
const SIZE_LIMIT: f64 = 100_000.0;
const TENANT: &str = "tenant-7";

/// The pages of an administrator. `MONTH`, `INVOICE`, `LINE` and `RESOURCE` are replaced.
const ADMIN_PAGES: &[&str] = &[
    "/",
    "/costs",
    "/costs?group_by=product",
    "/costs?group_by=project",
    "/costs?group_by=kind",
    "/costs?group_by=resource",
    "/lines?period=MONTH",
    "/lines?period=MONTH&tenant=tenant-7",
    "/lines?period=MONTH&match_rule=unmatched",
    "/lines?period=MONTH&resource=RESOURCE",
    "/lines/LINE",
    "/invoices",
    "/invoices/INVOICE",
    "/months",
    "/months/MONTH",
    "/months/MONTH/statements/tenant-7",
    "/inventory",
    "/inventory?kind=droplet",
    "/inventory?tenant=tenant-7",
    "/inventory?q=node-0012",
    "/inventory?q=nothing-like-it",
    "/inventory?tag=env:3&region=nyc3",
    "/inventory/RESOURCE",
    "/projects",
    "/sync",
    "/settings/tokens",
    "/settings/audit",
];

/// The pages of a tenant.
const TENANT_PAGES: &[&str] = &[
    "/",
    "/costs",
    "/costs?group_by=resource",
    "/lines?period=MONTH",
    "/months/MONTH/statements/tenant-7",
    "/inventory",
    "/inventory?q=node-0012",
    "/inventory/RESOURCE",
];

/// Lists of the JSON API with their limits in milliseconds.
const LISTS: &[(&str, f64)] = &[
    (
        "/api/v1/billing/costs?group_by=resource&from=FIRST&to=MONTH",
        50.0,
    ),
    ("/api/v1/billing/cost-lines?period=MONTH", 50.0),
    (
        "/api/v1/billing/cost-lines?period=MONTH&tenant=tenant-7",
        50.0,
    ),
    ("/api/v1/billing/unmatched?period=MONTH", 50.0),
    ("/api/v1/inventory?q=node-0012", 50.0),
    ("/api/v1/inventory?q=nothing-like-it", 50.0),
    ("/api/v1/inventory?as_of=PAST", 200.0),
    ("/api/v1/inventory?as_of=PAST&tenant=tenant-7", 200.0),
    ("/api/v1/inventory?as_of=PAST&q=old-1&state=all", 200.0),
    ("/api/v1/inventory?as_of=PAST&tag=env:3&region=nyc3", 200.0),
    ("/api/v1/inventory/counts?as_of=PAST", 200.0),
];

pub(crate) async fn measure(report: &mut Report, size: Size) -> anyhow::Result<()> {
    let database = Database::new().await?;
    let started = Instant::now();
    account::insert(&database, size).await?;
    report.known(
        "inserting the account",
        started.elapsed().as_secs_f64(),
        Unit::Seconds,
    )?;
    let store = database.store().await?;
    let admin = token(&store, &Role::PlatformAdmin).await?;
    let tenant = token(&store, &Role::Tenant(TENANT.parse()?)).await?;
    let (url, process) = child::api(&database.url()).await?;
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .no_gzip()
        .redirect(Policy::none())
        .build()?;
    let names = Names::read(&database, size).await?;

    for (user, token, pages) in [
        ("admin", &admin, ADMIN_PAGES),
        ("tenant", &tenant, TENANT_PAGES),
    ] {
        let session = log_in(&client, &url, token).await?;
        let pages: Vec<String> = pages.iter().map(|page| names.replace(page)).collect();
        for page in &pages {
            let request = || client.get(format!("{url}{page}")).header(COOKIE, &session);
            measure_one(report, &format!("{user} {page}"), request, 50.0).await?;
        }
        let views = views_a_second(&client, &url, &session, &pages).await?;
        report.known(
            &format!("{user}: page views a second (goal: 500)"),
            views,
            Unit::Count("views"),
        )?;
    }
    for (list, limit) in LISTS {
        let list = names.replace(list);
        let bearer = format!("Bearer {admin}");
        let request = || {
            client
                .get(format!("{url}{list}"))
                .header(AUTHORIZATION, &bearer)
        };
        measure_one(report, &list, request, *limit).await?;
    }
    process.stop().await.context("the API")
}

async fn token(store: &Store, role: &Role) -> anyhow::Result<String> {
    let token = api::generate_token();
    let token = token.expose_secret().to_owned();
    let new = NewToken {
        name: "speed",
        role,
        costs: *role != Role::PlatformAdmin,
        token: &token,
        lifetime: None,
    };
    store.create_token(new, &Actor::of_command("bench")).await?;
    Ok(token)
}

/// Returns the cookie of a session.
async fn log_in(client: &Client, url: &str, token: &str) -> anyhow::Result<String> {
    let request = client.post(format!("{url}/login"));
    let form = format!("token={token}");
    let form_type = "application/x-www-form-urlencoded";
    let request = request.header("content-type", form_type).body(form);
    let response = request.send().await?.error_for_status()?;
    let headers = response.headers();
    anyhow::ensure!(
        headers.contains_key(LOCATION),
        "the login failed: {headers:?}"
    );
    let cookie = headers.get(SET_COOKIE).context("no cookie")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

async fn measure_one(
    report: &mut Report,
    name: &str,
    request: impl Fn() -> RequestBuilder,
    limit: f64,
) -> anyhow::Result<()> {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    for number in 0..REQUESTS + 5 {
        let started = Instant::now();
        let response = request().header(ACCEPT_ENCODING, "gzip").send().await?;
        let response = response
            .error_for_status()
            .with_context(|| name.to_owned())?;
        bytes = response.bytes().await?.len();
        // The first requests fill caches and prepare statements.
        if number >= 5 {
            taken.push(started.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    taken.sort_by(f64::total_cmp);
    report.known(
        &format!("{name}, median"),
        taken[REQUESTS / 2],
        Unit::Milliseconds,
    )?;
    report.limited(
        "  99th percentile",
        taken[REQUESTS * 99 / 100],
        limit,
        Unit::Milliseconds,
    )?;
    report.limited("  over the wire", bytes as f64, SIZE_LIMIT, Unit::Bytes)
}

async fn views_a_second(
    client: &Client,
    url: &str,
    session: &str,
    pages: &[String],
) -> anyhow::Result<f64> {
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|number| async move {
        let mut views = 0_usize;
        while started.elapsed() < VIEWING {
            let page = &pages[(number * 7 + views) % pages.len()];
            let request = client.get(format!("{url}{page}")).header(COOKIE, session);
            let response = request.header(ACCEPT_ENCODING, "gzip").send().await?;
            response.error_for_status()?.bytes().await?;
            views += 1;
        }
        anyhow::Ok(views)
    });
    let views: usize = try_join_all(clients).await?.into_iter().sum();
    Ok(views as f64 / started.elapsed().as_secs_f64())
}

/// The ids and times in the addresses of pages.
struct Names(Vec<(&'static str, String)>);

impl Names {
    async fn read(database: &Database, size: Size) -> anyhow::Result<Self> {
        let months = size.months;
        let queries = [
            ("MONTH", "select to_char(now() - interval '1 month', 'YYYY-MM')".to_owned()),
            ("FIRST", format!("select to_char(now() - make_interval(months => {months}), 'YYYY-MM')")),
            ("PAST", "select to_char(now() - interval '300 days', 'YYYY-MM-DD')".to_owned()),
            ("INVOICE", "select invoice_uuid::text from cloud_invoices order by period desc limit 1".to_owned()),
            (
                "LINE",
                "select id::text from cloud_cost_lines where tenant_id = 'tenant-7' and resource_id is not null limit 1".to_owned(),
            ),
            (
                "RESOURCE",
                "select id::text from cloud_resources where tenant_id = 'tenant-7' and deleted_at is null order by id limit 1".to_owned(),
            ),
        ];
        let mut names = Vec::new();
        for (name, query) in queries {
            names.push((name, database.text(&query).await?));
        }
        Ok(Self(names))
    }

    fn replace(&self, address: &str) -> String {
        let names = self.0.iter();
        names.fold(address.to_owned(), |address, (name, value)| {
            address.replace(name, value)
        })
    }
}
