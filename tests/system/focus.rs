//! The FOCUS export of whole accounts, checked by our own rules, by validators, and by a reader of
//! Parquet that is not ours.

mod books;
mod files;
mod validators;

use std::path::Path;
use std::process::Output;

use simulator::{Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET};
use store::inventory::Commit;
use store::projects::ProjectChange;
use store::{Actor, Store};
use tempfile::TempDir;

use crate::program::command;
use crate::support::TestSystem;
use books::Books;
use files::Months;

/// An account with its bills, and tenants that change in the course of a month.
async fn billed(account: Account) -> TestSystem {
    let system = TestSystem::start(account).await;
    system.sync_projects().await.unwrap();
    system.sync_inventory().await.unwrap();
    system.sync_projects().await.unwrap();
    assign_tenants(&system.store).await;
    let progress = system.billing_history().await.unwrap();
    assert_eq!((progress.failed, progress.ingested), (0, progress.pending));
    system
}

async fn assign_tenants(store: &Store) {
    let tenants = ["acme", "bird", "cedar"];
    let projects = store.projects(None, None, 10).await.unwrap();
    for (place, project) in projects.iter().enumerate().take(4) {
        for (turn, since) in ["2010-01-01T00:00:00Z", "2026-03-15T12:00:00Z"]
            .into_iter()
            .enumerate()
        {
            let tenant = tenants[(place + turn) % tenants.len()];
            let change = ProjectChange {
                tenant_id: Some(Some(tenant.parse().unwrap())),
                tenant_since: Some(since.parse().unwrap()),
                purpose: None,
            };
            let actor = Actor::of_command("ann");
            let changed = store.change_project(project.id, &change, &actor, Commit::Keep);
            changed.await.unwrap();
        }
    }
}

/// Runs `arcadia export focus` for all months of the bills.
async fn export(system: &TestSystem, directory: &Path, options: &[&str]) -> String {
    let months = system.store.month_summaries(None, i64::MAX).await.unwrap();
    let (last, first) = (months.first().unwrap(), months.last().unwrap());
    let month = |period: chrono::NaiveDate| period.format("%Y-%m").to_string();
    let exporting = command(system)
        .args(["export", "focus", "--from", &month(first.period)])
        .args(["--to", &month(last.period), "--dir"])
        .arg(directory)
        .args(options)
        .output();
    let Output { status, stderr, .. } = exporting.await.unwrap();
    let log = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{log}");
    log
}

/// Exports the bills in all variants, and checks each.
async fn check_account(system: &TestSystem) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for version in ["1.4", "1.2"] {
        for rows in ["lines", "shares"] {
            let directory = root.path().join(format!("{version}-{rows}"));
            export(system, &directory, &["--version", version, "--rows", rows]).await;
        }
        let months = |rows: &str| Months::read(&root.path().join(format!("{version}-{rows}")));
        Books::of(&system.store)
            .await
            .check(&months("lines"), &months("shares"));
    }
    root
}

#[tokio::test]
async fn the_rows_of_the_demo_account_total_its_invoices() {
    let system = billed(Account::demo()).await;
    let root = check_account(&system).await;
    let lines = root.path().join("1.4-lines");
    let before = Months::read(&lines);
    let log = export(&system, &lines, &[]).await;
    assert!(log.contains("2026-04: unchanged"), "{log}");
    // An export of the same directory continues where a file is missing.
    std::fs::remove_file(lines.join("2026-04/cost-and-usage.csv")).unwrap();
    let log = export(&system, &lines, &[]).await;
    assert!(
        log.contains("2026-04: 3 files") && log.contains("2026-03: unchanged"),
        "{log}"
    );
    let after = Months::read(&lines);
    assert_eq!(after.rows("cost-and-usage"), before.rows("cost-and-usage"));
    // Other options replace the files.
    export(&system, &lines, &["--gzip"]).await;
    assert!(lines.join("2026-04/cost-and-usage.csv.gz").exists());
    assert!(!lines.join("2026-04/cost-and-usage.csv").exists());
}

#[tokio::test]
async fn an_uploaded_month_equals_its_directory() {
    let mut account = Account::demo();
    account.add_bucket("acme-costs", "nyc3");
    let system = billed(account).await;
    let root = tempfile::tempdir().unwrap();
    let endpoint = system.simulator.spaces_url().replace("{region}", "nyc3");
    let address = format!("{endpoint}/acme-costs/focus");
    let options = ["--upload", &address, "--upload-region", "nyc3"];
    let exporting = async |further: &[&str]| {
        let exporting = command(&system)
            .args([
                "export", "focus", "--from", "2026-03", "--to", "2026-04", "--dir",
            ])
            .arg(root.path())
            .args(options)
            .args(further)
            .env("SPACES_ACCESS_KEY_ID", DEMO_SPACES_KEY)
            .env("SPACES_SECRET_ACCESS_KEY", DEMO_SPACES_SECRET)
            .output();
        let Output { status, stderr, .. } = exporting.await.unwrap();
        let log = String::from_utf8(stderr).unwrap();
        assert!(status.success(), "{log}");
        assert!(
            !log.contains(DEMO_SPACES_SECRET) && !log.contains("Signature"),
            "{log}"
        );
        log
    };
    let check_objects = || {
        let objects: Vec<(String, Vec<u8>)> = system.simulator.read(|account| {
            let objects = account.objects();
            objects
                .map(|(_, name, content)| (name.to_owned(), content.to_vec()))
                .collect()
        });
        assert_eq!(objects.len(), 8, "{objects:?}");
        for (name, content) in objects {
            let path = root.path().join(name.strip_prefix("focus/").unwrap());
            assert_eq!(content, std::fs::read(path).unwrap(), "{name}");
        }
    };
    let log = exporting(&[]).await;
    assert!(
        log.contains("2026-04: 3 files") && log.contains("uploaded"),
        "{log}"
    );
    check_objects();
    let log = exporting(&[]).await;
    assert!(log.contains("2026-04: unchanged, uploaded before"), "{log}");
    // Other options replace the objects, too.
    exporting(&["--gzip"]).await;
    check_objects();

    // A key that the bucket does not accept ends the export with the reason.
    let refused = command(&system)
        .args([
            "export", "focus", "--from", "2026-04", "--to", "2026-04", "--dir",
        ])
        .arg(root.path())
        .args(options)
        .env("SPACES_ACCESS_KEY_ID", DEMO_SPACES_KEY)
        .env("SPACES_SECRET_ACCESS_KEY", "another")
        .output();
    let Output { status, stderr, .. } = refused.await.unwrap();
    let log = String::from_utf8(stderr).unwrap();
    assert!(
        !status.success() && log.contains("SignatureDoesNotMatch"),
        "{log}"
    );
}

#[tokio::test]
async fn the_rows_of_the_every_cent_account_total_its_invoices() {
    check_account(&billed(Account::every_cent()).await).await;
}

#[tokio::test]
async fn the_rows_of_random_bills_total_their_invoices() {
    let mut account = Account::everything();
    account.add_random_invoices(18, 12);
    check_account(&billed(account).await).await;
}

/// Checks the exported files of an account by both validators as far as they are installed.
async fn validate(account: Account, official: bool) {
    let system = billed(account).await;
    let root = tempfile::tempdir().unwrap();
    let version = if official { "1.2" } else { "1.4" };
    for rows in ["lines", "shares"] {
        let directory = root.path().join(rows);
        export(&system, &directory, &["--version", version, "--rows", rows]).await;
        let months = Months::read(&directory);
        let merged = root.path().join(format!("{rows}-merged"));
        months.merge(&merged);
        if official {
            validators::official(&merged).await;
        } else {
            validators::toolkit(&merged).await;
        }
    }
}

#[tokio::test]
#[cfg_attr(missing_focus_toolkit, ignore = "needs focus_toolkit")]
async fn the_toolkit_has_no_findings_in_the_demo_account() {
    validate(Account::demo(), false).await;
}

#[tokio::test]
#[cfg_attr(missing_focus_toolkit, ignore = "needs focus_toolkit")]
async fn the_toolkit_has_no_findings_in_the_every_cent_account() {
    validate(Account::every_cent(), false).await;
}

#[tokio::test]
#[cfg_attr(missing_focus_toolkit, ignore = "needs focus_toolkit")]
async fn the_toolkit_has_no_findings_in_random_bills() {
    let mut account = Account::everything();
    account.add_random_invoices(19, 12);
    validate(account, false).await;
}

#[tokio::test]
#[cfg_attr(missing_focus_validator, ignore = "needs focus_validator")]
async fn the_official_validator_has_known_findings_in_the_demo_account() {
    validate(Account::demo(), true).await;
}

#[tokio::test]
#[cfg_attr(missing_focus_validator, ignore = "needs focus_validator")]
async fn the_official_validator_has_known_findings_in_the_every_cent_account() {
    validate(Account::every_cent(), true).await;
}

#[tokio::test]
#[cfg_attr(missing_focus_validator, ignore = "needs focus_validator")]
async fn the_official_validator_has_known_findings_in_random_bills() {
    let mut account = Account::everything();
    account.add_random_invoices(20, 12);
    validate(account, true).await;
}

#[tokio::test]
#[cfg_attr(missing_focus_toolkit, ignore = "needs focus_toolkit")]
async fn pyarrow_reads_the_parquet_and_totals_each_invoice() {
    let mut account = Account::everything();
    account.add_random_invoices(21, 12);
    let system = billed(account).await;
    let books = Books::of(&system.store).await;
    for rows in ["lines", "shares"] {
        let root = tempfile::tempdir().unwrap();
        export(
            &system,
            root.path(),
            &["--format", "parquet", "--rows", rows],
        )
        .await;
        let totals = validators::totals_of_parquet(root.path()).await;
        books.check_totals(&totals);
    }
}
