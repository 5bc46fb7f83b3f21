//! Tests of the CSV of tables on pages.

use std::collections::BTreeMap;

use super::{Session, crawl};
use crate::support::{TestApi, column, rows};

/// Templates with tables that have no CSV, the number of these tables, and the reason.
const WITHOUT_CSV: [(&str, usize, &str); 8] = [
    (
        "effect.html",
        1,
        "the effect of a change is shown once, before and after it",
    ),
    ("freshness.html", 1, "/sync has the same kinds as CSV"),
    (
        "invoice.html",
        1,
        "the comparison of two versions; their list is a CSV",
    ),
    ("line.html", 1, "the candidates are choices of a form"),
    ("month.html", 1, "the checklist has texts and links"),
    ("own_statement.html", 1, "the total"),
    ("statement.html", 1, "the total"),
    (
        "strip.html",
        1,
        "the page of the line links to its intervals",
    ),
];

#[test]
fn each_table_of_a_template_has_a_link_to_its_csv() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    let mut without: BTreeMap<String, usize> = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let mut links = text.matches(" download>CSV</a>").count();
        // The link to the intervals, which strip.html shows.
        links -= usize::from(file.file_name() == "line.html");
        let missing = text.matches("<table").count().saturating_sub(links);
        if missing > 0 {
            without.insert(file.file_name().into_string().unwrap(), missing);
        }
    }
    let expected = WITHOUT_CSV.into_iter();
    let expected = expected.map(|(name, count, _)| (name.to_owned(), count));
    assert_eq!(without, expected.collect());
}

#[tokio::test]
async fn every_link_of_a_page_of_administrators_leads_to_a_page_or_a_csv() {
    let api = TestApi::entangled().await;
    let estimate = "Droplets,,web-1 (s-1vcpu-1gb),,,,$4.20,alpha,iaas";
    api.estimate("2026-05", "4.20", estimate).await;
    let session = Session::start(&api, &api.admin).await;
    let resource = format!("/inventory/{}", api.resource_id("web-1").await);
    let project = format!("/projects/{}/tenant", api.project_id("alpha").await);
    let start = [
        "/",
        "/costs",
        "/lines?period=2026-04",
        "/invoices",
        "/months",
        "/months/2026-04",
        "/months/2026-04/statements/acme",
        "/inventory",
        "/projects",
        "/sync",
        "/settings/tokens",
        &*resource,
        &*project,
    ];
    let mut files = BTreeMap::new();
    for (path, response) in crawl(&session, &start, 300).await {
        let media_type = response.headers["content-type"].to_str().unwrap();
        if path.ends_with("/json") {
            assert_eq!(media_type, "application/json", "{path}");
            continue;
        }
        if path.ends_with("/xlsx") {
            assert!(media_type.ends_with("spreadsheetml.sheet"), "{path}");
            assert!(response.text.starts_with("PK"), "{path}");
            continue;
        }
        assert_eq!(
            media_type.starts_with("text/csv"),
            path.contains("format=csv"),
            "{path}: {media_type}"
        );
        if let Some(name) = response.headers.get("content-disposition") {
            let name = name.to_str().unwrap().to_owned();
            let header = response.text.lines().next().unwrap().to_owned();
            assert!(header.contains(','), "{path}: {header}");
            files.insert(name, path);
        }
    }
    for name in [
        "months.csv",
        "tokens.csv",
        "statements-2026-04.csv",
        "largest-changes-2026-04.csv",
        "statement-2026-04-acme.csv",
        "shared-costs-2026-04-acme.csv",
        "focus-1.4-cost-and-usage-2026-04-shares.csv",
        "focus-1.2-cost-and-usage-2026-05-estimate.csv",
        "sync-kinds.csv",
        "project-tenants-alpha.csv",
        "invoice-versions-2026-04-",
        "memberships-",
        "costs-of-resource-",
    ] {
        let found = files.keys().any(|file| file.contains(name));
        assert!(found, "{name}: {files:#?}");
    }
}

#[tokio::test]
async fn the_csv_of_months_and_statements_have_the_rows_of_the_pages() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let months = session.get("/months?format=csv&table=months").await;
    let april = months
        .text
        .lines()
        .find(|row| row.starts_with("2026-04-01"));
    assert_eq!(april, Some("2026-04-01,final,33.66,33.66,0.00,0.00,"));
    let march = months
        .text
        .lines()
        .find(|row| row.starts_with("2026-03-01"));
    assert!(
        march
            .unwrap()
            .starts_with("2026-03-01,not final,0.00,-10.50,"),
        "{march:?}"
    );

    let csv = session
        .get("/months/2026-04?format=csv&table=statements")
        .await;
    let month = api.statements("2026-04").await;
    let totals: Vec<&str> = csv.text.lines().skip(1).collect();
    assert_eq!(totals.len(), rows(&month).len());
    for (row, total) in totals.iter().zip(column(&month, "total")) {
        assert!(row.ends_with(&total), "{row}: {total}");
    }
    // A download ignores the page of the list.
    let later = session
        .get("/months?before=2026-04&format=csv&table=months")
        .await;
    assert_eq!(later.text, months.text);
}

#[tokio::test]
async fn an_unknown_table_is_refused_with_the_known_ones() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    for (path, known) in [
        ("/months?format=csv&table=years", "months"),
        ("/settings/tokens?format=csv&table=secrets", "tokens"),
        ("/sync?format=csv&table=kind", "kinds"),
        ("/?format=csv&table=balance", "changes"),
        (
            "/months/2026-04?format=csv",
            "use format=csv and table together",
        ),
        ("/months?table=months", "use format=csv and table together"),
        ("/months/2026-04?limit=5", "limit"),
    ] {
        let refused = session.get(path).await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.text.contains(known), "{path}: {}", refused.text);
    }
}
