//! Every amount on every page equals one of the JSON API. The test follows the links of an
//! administrator's pages, as far as they lead.

mod expected;
mod page;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reqwest::{Client, StatusCode};

use self::expected::{Expected, JsonApi};
use self::page::{Figures, Page};
use crate::api::Api;
use crate::living_demo::LivingDemo;

/// The most pages of a kind; the first ones that links lead to. Pages with filters and cursors lead
/// to more of them than a test can read.
const PAGES_OF_A_KIND: usize = if cfg!(missing_long_tests) { 24 } else { 150 };

/// A browser without scripts: a cookie, and requests for pages.
struct Visitor {
    client: Client,
    base: String,
    cookie: String,
}

impl Visitor {
    async fn log_in(base: &str, token: &str) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().tls_certs_only([]).no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none());
        let client = client.build().unwrap();
        let request = client.post(format!("{base}/login"));
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(format!("token={token}"));
        let response = request.send().await.unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        Self {
            cookie: cookie.split(';').next().unwrap().to_owned(),
            client,
            base: base.to_owned(),
        }
    }

    /// Returns a page; none for a file.
    async fn page(&self, address: &str) -> Option<Page> {
        let request = self.client.get(format!("{}{address}", self.base));
        let response = request.header("cookie", &self.cookie).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{address}");
        let is_page = response.headers()["content-type"] == "text/html; charset=utf-8";
        let text = response.text().await.unwrap();
        is_page.then(|| Page::new(&text))
    }
}

/// The kind of a page: its path with `*` for ids and months.
fn kind_of(address: &str) -> String {
    let path = address.split('?').next().unwrap_or_default();
    let segments = path.split('/').map(|segment| {
        let is_name = segment.contains(|letter: char| letter.is_ascii_digit() || letter == '~');
        if is_name { "*" } else { segment }
    });
    let path = segments.collect::<Vec<_>>().join("/");
    match path.split_once("/statements/") {
        Some((month, _)) => format!("{month}/statements/*"),
        None => path,
    }
}

/// Compares the amounts of a page with the expected ones, and returns the differences.
fn differences(address: &str, mut shown: Vec<Figures>, expected: &Expected) -> Vec<String> {
    let mut problems = Vec::new();
    for row in &expected.rows {
        match shown.iter().position(|found| found == row) {
            Some(place) => drop(shown.remove(place)),
            None => problems.push(format!("{address}: the page lacks {row:?}")),
        }
    }
    let is_known = |found: &Figures| {
        let mut amounts = found.amounts.iter();
        expected.optional.contains(found) || amounts.all(|amount| expected.others.contains(amount))
    };
    let own = shown.iter().filter(|found| !is_known(found));
    problems.extend(own.map(|found| format!("{address}: the JSON API lacks {found:?}")));
    problems
}

#[tokio::test]
async fn every_figure_of_every_page_is_one_of_the_json_api() {
    let demo = LivingDemo::start().await;
    walk(&demo.api, &demo.admin).await;
}

/// Follows all links from the navigation on, and compares each page with the JSON API.
async fn walk(api: &Api, admin: &str) {
    let visitor = Visitor::log_in(api.base(), admin).await;
    let json = JsonApi::new(api, admin);
    let line = json
        .get("/api/v1/billing/cost-lines?period=2026-04&tenant=product")
        .await;
    let line = line["data"][0]["id"].as_str().unwrap().to_owned();
    // Pages that only forms lead to.
    let mut addresses = VecDeque::from([
        "/".to_owned(),
        "/costs?group_by=product".to_owned(),
        "/costs?group_by=resource&from=2025-12&to=2026-04".to_owned(),
        "/costs?group_by=project&from=2018-08&to=2018-10".to_owned(),
        format!("/lines/{line}/match?choice=shared&reason=a+test"),
    ]);
    let navigation = [
        "/costs",
        "/lines",
        "/invoices",
        "/months",
        "/inventory",
        "/projects",
    ];
    addresses.extend(navigation.map(str::to_owned));
    addresses.extend(["/sync", "/settings/tokens", "/settings/audit"].map(str::to_owned));

    let mut seen: BTreeSet<String> = addresses.iter().cloned().collect();
    let mut visited: BTreeMap<String, usize> = BTreeMap::new();
    let mut figures = 0;
    let mut problems = Vec::new();
    while let Some(address) = addresses.pop_front() {
        let count = visited.entry(kind_of(&address)).or_default();
        if *count >= PAGES_OF_A_KIND {
            continue;
        }
        *count += 1;
        let Some(page) = visitor.page(&address).await else {
            continue;
        };
        let links = page.links().into_iter();
        addresses.extend(links.filter(|link| seen.insert(link.clone())));
        let shown = page.figures();
        figures += shown.iter().map(|found| found.amounts.len()).sum::<usize>();
        let expected = json.expected(&address, &page).await;
        problems.extend(differences(&address, shown, &expected));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(figures > 3000, "{figures} amounts on {visited:?}");
    for kind in expected::KINDS_WITH_AMOUNTS {
        assert!(visited.contains_key(*kind), "{kind}: {visited:?}");
    }
}

#[test]
fn an_amount_of_the_page_alone_is_a_difference() {
    let page = Page::new(
        "<main id=\"content\"><h1>Costs of 1.00</h1>
         <div class=\"tile\"><div class=\"label\">Direct</div><div class=\"figure\">1,234.50</div></div>
         <svg><a href=\"/lines\" aria-label=\"a\"><title>acme, April 2026: 9.75 USD</title><rect x=\"1\"/></a>
         <text class=\"tick\">2.25</text></svg>
         <table><tr><th scope=\"row\">acme <span>(9.99GB)</span></th><td>7.00</td><td>-0.50</td></tr></table>
         <p>off by 3.21 USD.</p></main>",
    );
    let figures = |name: &str, amounts: &[&str]| {
        Figures::new(name, amounts.iter().map(|amount| amount.parse().unwrap()))
    };
    let shown = [
        figures("Direct", &["1234.50"]),
        figures("acme, April 2026", &["9.75"]),
        figures("acme (9.99GB)", &["7.00", "-0.50"]),
        figures("", &["3.21"]),
    ];
    assert_eq!(page.figures(), shown);

    let [direct, bar, row, sentence] = shown;
    let mut expected = Expected {
        rows: vec![direct, bar, row],
        optional: Vec::new(),
        others: sentence.amounts,
    };
    assert_eq!(differences("/", page.figures(), &expected), [""; 0]);
    expected.others.clear();
    expected.rows[2] = figures("acme (9.99GB)", &["-0.50", "7.00"]);
    // The sentence, and the row with its amounts in another order.
    assert_eq!(differences("/", page.figures(), &expected).len(), 3);
}
