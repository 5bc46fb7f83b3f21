//! Closes of months: by the `temporal` program, before changes and corrections, without final
//! invoices, and with killed workers.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use chrono::NaiveDate;
use digitalocean::Purpose;
use domain::proof::{self, Hash};
use flate2::read::GzDecoder;
use rust_decimal::Decimal;
use serde_json::Value;
use simulator::{Account, Invoice, InvoiceLine};
use store::costs::{StatementState, Statements};
use store::inventory::Commit;
use store::projects::ProjectChange;
use store::{Actor, Store};
use temporalio_client::{
    WorkflowExecuteUpdateOptions, WorkflowExecutionStatus, WorkflowQueryOptions,
    WorkflowStartOptions,
};
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use worker::SigningKey;
use workflows::months::{Approval, CloseMonth, CloseProgress, DroppedApproval, workflow_id};
use workflows::{Input, task_queue};

use crate::by_hand::{temporal, temporal_fails};
use crate::held_deletions::result;
use crate::program;
use crate::support::{LIMIT, LIMIT_OF_RETRIES, TestSystem, eventually, within};

/// The example of RFC 8410, section 10.3, and its public key.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
const PUBLIC_KEY: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

/// The files of a close.
const FILES: [&str; 6] = [
    "billing-period.csv",
    "checks.json",
    "cost-and-usage-shares.csv.gz",
    "cost-and-usage.csv.gz",
    "invoice-detail.csv",
    "manifest.json",
];

fn day(text: &str) -> NaiveDate {
    format!("{text}-01").parse().unwrap()
}

fn usd(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn ann() -> Actor {
    Actor::of_command("ann").because(Some("tested".to_owned()))
}

/// Mirrors the demo account and its bills, and assigns its projects to their tenants.
pub(crate) async fn mirror(system: &TestSystem) {
    system.sync_projects().await.unwrap();
    system.sync_inventory().await.unwrap();
    system.billing_history().await.unwrap();
    for (project, tenant) in Account::DEMO_TENANTS {
        assign(system, project, tenant).await;
    }
}

/// Assigns a project to a tenant for all time.
pub(crate) async fn assign(system: &TestSystem, project: &str, tenant: &str) {
    let projects = system.store.projects(None, None, 100).await.unwrap();
    let found = projects.iter().find(|known| known.name == project).unwrap();
    let change = ProjectChange {
        tenant_id: Some(Some(tenant.parse().unwrap())),
        tenant_since: Some("2010-01-01T00:00:00Z".parse().unwrap()),
        purpose: None,
    };
    let ann = ann();
    let changed = system
        .store
        .change_project(found.id, &change, &ann, Commit::Keep);
    changed.await.unwrap();
    while system.store.reallocate_portion().await.unwrap().is_more {}
}

/// Starts the close of a month with the `temporal` program, and returns the workflow id.
pub(crate) async fn start(system: &TestSystem, month: &str) -> String {
    let id = format!("close-month-{month}");
    let input = format!("\"{month}\"");
    #[rustfmt::skip]
    let arguments = [
        "workflow", "start", "--type", "CloseMonth", "--task-queue", "cloud-billing",
        "--workflow-id", &id, "--input", &input,
    ];
    let output = temporal(system, &arguments).await;
    assert!(output.contains(&id), "{output}");
    id
}

fn update<'a>(id: &'a str, approval: &'a str) -> [&'a str; 9] {
    [
        "workflow",
        "update",
        "execute",
        "--workflow-id",
        id,
        "--name",
        "approve",
        "--input",
        approval,
    ]
}

const BY_ANN: &str = r#"{"by": "ann", "reason": "checked"}"#;

async fn approve(system: &TestSystem, id: &str) {
    let output = temporal(system, &update(id, BY_ANN)).await;
    assert!(output.contains("approved by ann"), "{output}");
}

/// Starts and approves the close of a month, and returns the result of the run.
pub(crate) async fn close(system: &TestSystem, month: &str) -> Value {
    let id = start(system, month).await;
    approve(system, &id).await;
    serde_json::from_str(&result(system, &id).await).unwrap()
}

/// Starts and approves the close of a month that is not final, and returns the workflow id and the
/// dropped approval.
pub(crate) async fn approve_too_early(
    system: &TestSystem,
    month: &str,
) -> (String, DroppedApproval) {
    let id = start(system, month).await;
    approve(system, &id).await;
    let dropped = eventually("the approval is dropped", async || {
        let progress = progress(system, &id).await;
        progress.dropped.filter(|_| progress.approval.is_none())
    })
    .await;
    (id, dropped)
}

async fn progress(system: &TestSystem, id: &str) -> CloseProgress {
    let run = system.client.get_workflow_handle::<CloseMonth>(id);
    let options = WorkflowQueryOptions::default();
    let query = run.query(CloseMonth::progress, (), options);
    query.await.unwrap()
}

/// Returns the content of the files of a closed month, and checks their sizes and hashes.
async fn files(store: &Store, period: NaiveDate) -> BTreeMap<String, Vec<u8>> {
    let close = store.close_in_force(period).await.unwrap().unwrap();
    let mut files = BTreeMap::new();
    for file in store.close_files(close.id).await.unwrap() {
        let mut content = Vec::new();
        for number in 1.. {
            let piece = store.close_file_piece(close.id, &file.name, number);
            let Some(piece) = piece.await.unwrap() else {
                break;
            };
            content.extend(piece);
        }
        assert_eq!(Hash::of_bytes(&content).to_string(), file.sha256);
        assert_eq!(i64::try_from(content.len()).unwrap(), file.size);
        files.insert(file.name, content);
    }
    files
}

/// Returns the number of rows of a compressed CSV and the total of a column.
fn total_of(content: &[u8], column: &str) -> (usize, Decimal) {
    let mut text = String::new();
    GzDecoder::new(content).read_to_string(&mut text).unwrap();
    let mut file = csv::Reader::from_reader(text.as_bytes());
    let place = file
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == column);
    let place = place.unwrap();
    let amounts = file.records().map(|row| usd(&row.unwrap()[place]));
    amounts.fold((0, Decimal::ZERO), |(rows, total), amount| {
        (rows + 1, total + amount)
    })
}

/// Checks the close of a month: its files, its manifest, and the proof of each statement.
async fn check_close(store: &Store, period: NaiveDate) -> Statements {
    let files = files(store, period).await;
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, FILES, "{period}");
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let listed = manifest["month"]["files"].as_array().unwrap().iter();
    let listed: BTreeMap<&str, &str> = listed
        .map(|file| {
            (
                file["name"].as_str().unwrap(),
                file["sha256"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(listed.len(), FILES.len() - 1);
    for (name, hash) in listed {
        assert_eq!(Hash::of_bytes(&files[name]).to_string(), hash, "{name}");
    }
    let statements = store.statements(period).await.unwrap();
    assert_eq!(statements.costs(), statements.line_total, "{period}");
    assert_eq!(statements.costs(), statements.invoice_total, "{period}");
    for name in ["cost-and-usage.csv.gz", "cost-and-usage-shares.csv.gz"] {
        let (_, total) = total_of(&files[name], "BilledCost");
        assert_eq!(total, statements.line_total, "{name} of {period}");
    }
    for row in &statements.rows {
        let frozen = store.statement_document(period, row.tenant_id.as_deref());
        let frozen = closed(frozen.await.unwrap());
        let verified = proof::verify(&serde_json::from_str(&frozen).unwrap()).unwrap();
        assert_eq!(verified.total, row.total());
        assert_eq!(manifest["root"], verified.root.to_string());
    }
    statements
}

/// Returns the JSON of a frozen statement.
fn closed<D>(statement: StatementState<D>) -> String {
    match statement {
        StatementState::Closed(proven) => proven.to_json().unwrap(),
        StatementState::Open(_) => panic!("the month is open"),
    }
}

/// Returns the frozen statements of a month as JSON, those of administrators and of tenants.
async fn frozen(store: &Store, period: NaiveDate) -> Vec<String> {
    let mut texts = Vec::new();
    for row in store.statements(period).await.unwrap().rows {
        let account = store.statement_document(period, row.tenant_id.as_deref());
        texts.push(closed(account.await.unwrap()));
        if let Some(tenant) = &row.tenant_id {
            let own = store
                .own_statement_document(&tenant.parse().unwrap(), period)
                .await;
            texts.push(closed(own.unwrap()));
        }
    }
    texts
}

#[tokio::test]
async fn the_temporal_program_closes_a_month_that_is_final() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key.pem");
    std::fs::write(&key, KEY).unwrap();
    let key = SigningKey::read(&key).unwrap();
    let system = TestSystem::start_serving(Account::demo(), &[Purpose::CloudSyncFull]).await;
    let _worker = system.start_signing_worker(key);
    mirror(&system).await;

    let id = start(&system, "2026-04").await;
    let state = eventually("the month is read", async || {
        progress(&system, &id).await.month
    })
    .await;
    assert_eq!((state.is_final, &state.reasons[..]), (true, &[][..]));
    for (approval, why) in [
        (r#"{"by": " "}"#, "`by`"),
        (r#"{"by": "ann", "force": true}"#, "force"),
        ("null", "no approval"),
    ] {
        let refused = temporal_fails(&system, &update(&id, approval)).await;
        assert!(refused.contains(why), "{refused}");
    }
    approve(&system, &id).await;
    let closed: Value = serde_json::from_str(&result(&system, &id).await).unwrap();

    let april = day("2026-04");
    let statements = check_close(&system.store, april).await;
    assert_eq!(statements.total(), usd("86.92"));
    assert_eq!(closed["number"], 1);
    assert_eq!(closed["closed_by"], "ann");
    assert_eq!(closed["files"], FILES.len());
    assert_eq!(closed["statements"], statements.rows.len());
    assert_eq!(closed["is_signed"], true);
    let (rows, _) = total_of(
        &files(&system.store, april).await["cost-and-usage.csv.gz"],
        "BilledCost",
    );
    assert_eq!(rows, 33);
    let close = system.store.close_in_force(april).await.unwrap().unwrap();
    assert_eq!(close.close_reason.as_deref(), Some("checked"));
    assert_eq!(close.workflow_id, id);
    let audit = "select concat_ws(' ', actor, channel, action, object_id) from audit_entries where action = 'month_closed'";
    assert_eq!(
        system.rows(audit).await,
        ["ann temporal month_closed 2026-04"]
    );

    for (number, text) in frozen(&system.store, april).await.iter().enumerate() {
        let path = directory.path().join(format!("{number}.json"));
        std::fs::write(&path, text).unwrap();
        let mut verify = program::command(&system);
        verify.arg("verify").arg(&path);
        verify.args(["--public-key", PUBLIC_KEY]);
        let output = verify.output().await.unwrap();
        let report = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{errors}");
        assert!(report.contains("2026-04, close 1"), "{report}");
    }

    // A month that is closed already ends the run with its close.
    let id = start(&system, "2026-04").await;
    let again: Value = serde_json::from_str(&result(&system, &id).await).unwrap();
    assert_eq!(again, closed);
}

/// Returns the costs and adjustments of each tenant.
fn by_tenant(statements: &Statements) -> BTreeMap<Option<String>, Decimal> {
    let rows = statements.rows.iter();
    rows.map(|row| (row.tenant_id.clone(), row.total()))
        .collect()
}

/// Checks that the frozen statements of April and May, and the adjustments of June, total the lines
/// of today for each tenant.
async fn check_settled(store: &Store) {
    let mut differences: BTreeMap<Option<String>, Decimal> = BTreeMap::new();
    let june = store.statements(day("2026-06")).await.unwrap();
    for row in june.rows {
        *differences.entry(row.tenant_id).or_default() += row.adjusted;
    }
    for month in ["2026-04", "2026-05"] {
        for (tenant, total) in by_tenant(&store.statements(day(month)).await.unwrap()) {
            *differences.entry(tenant).or_default() += total;
        }
        let now = store.live_statements(day(month)).await.unwrap();
        for row in now.rows {
            *differences.entry(row.tenant_id.clone()).or_default() -= row.costs();
        }
    }
    differences.retain(|_, difference| !difference.is_zero());
    assert_eq!(differences, BTreeMap::new());
}

#[tokio::test]
async fn changes_after_a_close_adjust_the_next_month() {
    let account = Account::demo();
    let invoice = account.invoices()[0].uuid;
    let system = TestSystem::start(account).await;
    mirror(&system).await;
    let store = &system.store;
    let (april, may) = (day("2026-04"), day("2026-05"));
    close(&system, "2026-04").await;
    let before = frozen(store, april).await;
    let frozen_rows = store.statements(april).await.unwrap();
    assert_eq!(store.statements(may).await.unwrap().adjustments, []);

    // A project moves to another tenant, for all time.
    assign(&system, "Customer API", "acme").await;
    assert_eq!(frozen(store, april).await, before);
    let of_april = store.statements(april).await.unwrap();
    assert_eq!(by_tenant(&of_april), by_tenant(&frozen_rows));
    let open = store.statements(may).await.unwrap();
    let adjusted = |statements: &Statements, tenant: &str| -> Decimal {
        let of_tenant = statements.adjustments.iter();
        of_tenant
            .filter(|one| one.tenant_id.as_deref() == Some(tenant))
            .map(|one| one.amount)
            .sum()
    };
    assert!(adjusted(&open, "acme") > Decimal::ZERO, "{open:?}");
    assert!(adjusted(&open, "product") < Decimal::ZERO, "{open:?}");
    assert_eq!(open.adjusted(), Decimal::ZERO);
    assert_eq!(open.costs(), open.line_total);
    let (_, causes) = store.adjustments(may).await.unwrap();
    assert_eq!(causes[0].by.as_deref(), Some("ann"), "{causes:?}");

    // DigitalOcean corrects the invoice.
    system.simulator.change(|account| {
        account.change_invoice(invoice, |invoice| invoice.lines[0].amount += usd("5.00"));
    });
    system.billing_history().await.unwrap();
    let [correction] = &store.corrections().await.unwrap()[..] else {
        panic!("not one correction");
    };
    assert_eq!(
        (correction.before, correction.after),
        (usd("86.92"), usd("91.92"))
    );
    assert!(correction.is_final);
    let waiting = store.statements(may).await.unwrap();
    assert_eq!(waiting.adjustments, [], "before the decision");
    assert_eq!(frozen(store, april).await, before);
    store
        .accept_correction(april, correction.after, &ann())
        .await
        .unwrap();
    assert_eq!(store.corrections().await.unwrap(), []);
    let open = store.statements(may).await.unwrap();
    assert_eq!(open.adjusted(), correction.difference);
    assert_eq!(open.costs(), open.line_total);
    assert_eq!(frozen(store, april).await, before);

    // The next month is closed with the adjustments.
    system.simulator.change(|account| {
        account.set_preview(None);
        let mut line = InvoiceLine::new("Droplets", "api-1 (s-1vcpu-1gb)", usd("6.00"));
        "Customer API".clone_into(&mut line.project_name);
        account.add_invoice(Invoice::for_month(2026, 5, vec![line]));
    });
    system.billing_history().await.unwrap();
    close(&system, "2026-05").await;
    let of_may = check_close(store, may).await;
    assert_eq!(of_may.total(), usd("11.00"));
    assert_eq!(adjusted(&of_may, "acme"), adjusted(&open, "acme"));
    let june = store.statements(day("2026-06")).await.unwrap();
    assert_eq!(june.adjustments, []);
    check_settled(store).await;

    // After a reopening and a second close, the first adjustments are settled in June.
    store.reopen_month(april, &ann()).await.unwrap();
    let of_april = store.statements(april).await.unwrap();
    assert_eq!((of_april.close, of_april.total()), (None, usd("91.92")));
    let closed = close(&system, "2026-04").await;
    assert_eq!(closed["number"], 2);
    check_close(store, april).await;
    let june = store.statements(day("2026-06")).await.unwrap();
    assert_eq!(june.adjusted(), usd("-5.00"));
    check_settled(store).await;
    assert!(store.cost_discrepancies().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_approval_of_a_month_that_is_not_final_is_dropped() {
    let line = || InvoiceLine::new("Droplets", "web-1 (s-1vcpu-1gb)", usd("6.00"));
    let mut account = Account::empty();
    let invoice = account.add_invoice(Invoice::for_month(2026, 4, vec![line()]));
    account.change_invoice(invoice, |invoice| invoice.lacks_summary = true);
    let system = TestSystem::start(account).await;
    system.billing_history().await.unwrap();
    let (id, dropped) = approve_too_early(&system, "2026-04").await;
    assert_eq!(dropped.approval.by, "ann");
    assert_eq!(dropped.reasons.len(), 1, "{:?}", dropped.reasons);
    let workflows = system.workflows().await;
    let run = workflows.iter().find(|run| run.id() == id).unwrap();
    assert_eq!(run.status(), WorkflowExecutionStatus::Running);
    let closes = "select count(*) from cloud_month_closes";
    assert_eq!(system.count(closes).await, 0);

    system.simulator.change(|account| {
        account.change_invoice(invoice, |invoice| invoice.lacks_summary = false);
    });
    system.ingest(invoice).await.unwrap();
    approve(&system, &id).await;
    let outcome: Value = serde_json::from_str(&result(&system, &id).await).unwrap();
    assert_eq!(outcome["is_signed"], false);
    let statements = check_close(&system.store, day("2026-04")).await;
    assert_eq!(statements.total(), usd("6.00"));
}

/// Returns the number of activities of a close that needed more than one attempt.
async fn repeated_closes(system: &TestSystem, month: &str) -> usize {
    let events = system.history(&format!("close-month-{month}"), None).await;
    let attempts = events.iter().filter_map(|event| match &event.attributes {
        Some(Attributes::ActivityTaskStartedEventAttributes(started)) => Some(started.attempt),
        _ => None,
    });
    attempts.filter(|attempt| *attempt > 1).count()
}

/// Months that are closed at once in each round.
const AT_ONCE: usize = 5;

#[tokio::test]
async fn killed_workers_close_each_month_once_with_all_files() {
    let system = TestSystem::start_serving(Account::demo(), &[Purpose::CloudSyncFull]).await;
    let billing = [Purpose::CloudBilling];
    let mut worker = system.start_killable_worker(&billing).await;
    mirror(&system).await;
    let months =
        "select to_char(period, 'YYYY-MM') from cloud_invoices order by period desc limit 20";
    let months = system.rows(months).await;
    for (round, delay) in [0, 40, 120, 400].into_iter().enumerate() {
        let of_round = months.iter().skip(round * AT_ONCE).take(AT_ONCE);
        for month in of_round.clone() {
            let options = WorkflowStartOptions::new(
                task_queue::CLOUD_BILLING,
                workflow_id(month.parse().unwrap()),
            );
            let input = Input::Valid(month.parse().unwrap());
            let run = system
                .client
                .start_workflow(CloseMonth::run, input, options.build())
                .await
                .unwrap();
            let approval = Input::Valid(Approval {
                by: "ann".to_owned(),
                reason: None,
            });
            let update = run.execute_update(
                CloseMonth::approve,
                approval,
                WorkflowExecuteUpdateOptions::default(),
            );
            within(LIMIT, month, update).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(delay)).await;
        worker.kill();
        worker = system.start_killable_worker(&billing).await;
    }
    for month in &months {
        let id = format!("close-month-{month}");
        let ended = within(LIMIT_OF_RETRIES, &id, result(&system, &id)).await;
        let closed: Value = serde_json::from_str(&ended).unwrap();
        assert_eq!(
            (&closed["number"], &closed["files"]),
            (&1.into(), &6.into())
        );
    }
    let mut repeated = 0;
    for month in &months {
        check_close(&system.store, day(month)).await;
        repeated += repeated_closes(&system, month).await;
    }
    assert!(repeated > 0, "no close was interrupted");
    for (expected, sql) in [
        (
            20,
            "select count(*) from cloud_month_closes where closed_at is not null",
        ),
        (
            0,
            "select count(*) from cloud_month_closes where closed_at is null",
        ),
        (
            20,
            "select count(*) from audit_entries where action = 'month_closed'",
        ),
        (
            0,
            "select count(*) from cloud_closed_statements where close_id not in
                 (select id from cloud_month_closes where closed_at is not null)",
        ),
    ] {
        assert_eq!(system.count(sql).await, expected, "{sql}");
    }
    assert!(system.store.cost_discrepancies().await.unwrap().is_empty());
    drop(worker);
}
