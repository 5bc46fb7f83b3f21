//! Ingestion of invoices: CSV variants, unreadable files, failed checks and retries.

use std::time::{Duration, SystemTime};

use rust_decimal::Decimal;
use simulator::{Account, Fault, FaultKind, Invoice, InvoiceLine};
use temporalio_client::WorkflowExecutionStatus;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use uuid::Uuid;

use crate::rate_limit::pauses;
use crate::support::TestSystem;

/// Every stored line in order, with its row version, which changes with every write.
const LINES: &str = "select xmin::text || ' ' || cloud_cost_lines::text from cloud_cost_lines order by invoice_id, line_no";
/// The columns of a line that are in every CSV file.
const LINES_OF_INVOICES: &str = "select to_char(period, 'YYYY-MM') || '|' || string_agg(
        concat_ws('|', line_no, product, description, hours, start_at at time zone 'UTC', end_at at time zone 'UTC', l.amount, project_name),
        '; ' order by line_no)
    from cloud_cost_lines l join cloud_invoices i on i.id = l.invoice_id group by period order by period";
const STATUSES: &str =
    "select to_char(period, 'YYYY-MM') || ' ' || ingest_status from cloud_invoices order by period";

const HEADER: &str =
    "product,group_description,description,hours,start,end,USD,project_name,category";
const LINE_OF_DROPLET: &str = "Droplets,,web-1 (s-1vcpu-1gb),744,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$6.00,\"Shop, new\",iaas";
const LINE_OF_CREDIT: &str = "Credits,,\"Credit, \"\"yearly\"\"\",,,,\"-$1,779.55\",,iaas";

fn csv(lines: &[&str]) -> String {
    let mut text = format!("{HEADER}\n");
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Returns an account with one invoice for each CSV, from January 2020 on.
fn account_with(files: &[&str]) -> (Account, Vec<Uuid>) {
    let mut account = Account::empty();
    let uuids = (1..)
        .zip(files)
        .map(|(month, file)| {
            let uuid = account.add_invoice(Invoice::for_month(2020, month, Vec::new()));
            account.set_invoice_csv(uuid, file);
            uuid
        })
        .collect();
    (account, uuids)
}

/// Returns an account with one invoice of one line.
fn account_with_one_invoice() -> (Account, Uuid) {
    let mut account = Account::empty();
    let line = InvoiceLine::new("Droplets", "web-1 (s-1vcpu-1gb)", Decimal::new(600, 2));
    let uuid = account.add_invoice(Invoice::for_month(2026, 4, vec![line]));
    (account, uuid)
}

fn csv_path(invoice: Uuid) -> String {
    format!("/v2/customers/my/invoices/{invoice}/csv")
}

#[tokio::test]
async fn csv_variants_of_one_bill_are_read_identically() {
    let plain = csv(&[LINE_OF_DROPLET, LINE_OF_CREDIT]);
    let reordered = "USD,Project_Name,END,start,hours,DESCRIPTION,group_description,Product\n\
        $6.00,\"Shop, new\",2026-05-01 00:00:00 +0000,2026-04-01 00:00:00 +0000,744,web-1 (s-1vcpu-1gb),,Droplets\n\
        \"-$1,779.55\",,,,,\"Credit, \"\"yearly\"\"\",,Credits\n";
    let extra = format!("\n{}", plain.trim_end()).replace('\n', "\nnew column,");
    let extra = extra.trim_start();
    let windows = format!("\u{feff}{}", plain.replace('\n', "\r\n"));
    let files = [&plain, reordered, extra, &windows, plain.trim_end()];
    let (mut account, uuids) = account_with(&files);
    for uuid in uuids {
        account.set_invoice_amount(uuid, Decimal::new(-177_355, 2));
    }
    let system = TestSystem::start(account).await;
    let progress = system.billing_history().await.unwrap();
    assert_eq!((progress.ingested, progress.failed), (5, 0));

    let stored = system.rows(LINES_OF_INVOICES).await;
    let expected = "1|Droplets|web-1 (s-1vcpu-1gb)|744|2026-04-01 00:00:00|2026-05-01 00:00:00|6.00|Shop, new; \
        2|Credits|Credit, \"yearly\"|-1779.55|";
    let expected: Vec<String> = (1..=5)
        .map(|month| format!("2020-{month:02}|{expected}"))
        .collect();
    assert_eq!(stored, expected);
    let reconciled = "select count(*) from cloud_invoices where reconciled and off_by = 0 and line_total = -1773.55";
    assert_eq!(system.count(reconciled).await, 5);
}

#[tokio::test]
async fn an_unreadable_csv_fails_only_its_invoice_until_it_is_fixed() {
    let good = csv(&[LINE_OF_DROPLET, LINE_OF_CREDIT]);
    let without_amounts = good.replace("USD", "EUR");
    let no_amount = good.replace("$6.00", "six dollars");
    let cut_off = &good[..good.len() - 20];
    let (account, uuids) = account_with(&[&without_amounts, &no_amount, cut_off, &good, &good]);
    let system = TestSystem::start(account).await;

    let progress = system.billing_history().await.unwrap();
    assert_eq!(
        (progress.listed, progress.ingested, progress.failed),
        (5, 2, 3)
    );
    assert_eq!(
        system.rows(STATUSES).await,
        [
            "2020-01 failed",
            "2020-02 failed",
            "2020-03 failed",
            "2020-04 ingested",
            "2020-05 ingested"
        ]
    );
    let errors = system
        .rows("select coalesce(last_error, '') from cloud_invoices order by period")
        .await;
    assert!(errors[0].contains("line 1, column USD"), "{errors:?}");
    assert!(
        errors[1].contains("line 2, column USD") && errors[1].contains("six dollars"),
        "{errors:?}"
    );
    assert!(errors[2].contains("line 3, column"), "{errors:?}");
    let reason = |uuid: Uuid| {
        let failures = progress.failures.iter();
        let mut of_invoice = failures.filter(|failure| failure.invoice_uuid == uuid.into());
        of_invoice.next().map(|failure| failure.reason.as_str())
    };
    assert_eq!(reason(uuids[1]), Some(errors[1].as_str()));
    let failed: Vec<String> = system
        .workflows()
        .await
        .into_iter()
        .filter(|workflow| workflow.status() == WorkflowExecutionStatus::Failed)
        .map(|workflow| workflow.id().to_owned())
        .collect();
    let mut expected: Vec<String> = uuids[..3]
        .iter()
        .map(|uuid| format!("ingest-invoice-{uuid}"))
        .collect();
    let mut failed = failed;
    failed.sort();
    expected.sort();
    assert_eq!(failed, expected);
    assert_eq!(
        system.count("select count(*) from cloud_cost_lines").await,
        4
    );

    // An ingested invoice is corrected with an unreadable file: the existing lines stay.
    let before = system.rows(LINES).await;
    system.simulator.change(|account| {
        account.set_invoice_amount(uuids[4], Decimal::ONE);
        account.set_invoice_csv(uuids[4], &no_amount);
    });
    let progress = system.billing_history().await.unwrap();
    assert_eq!((progress.ingested, progress.failed), (0, 4));
    assert_eq!(system.rows(LINES).await, before);
    assert_eq!(system.rows(STATUSES).await[4], "2020-05 failed");

    system.simulator.change(|account| {
        for uuid in &uuids {
            account.set_invoice_csv(*uuid, &good);
        }
    });
    let progress = system.billing_history().await.unwrap();
    assert_eq!((progress.ingested, progress.failed), (4, 0));
    let fixed = "select count(*) from cloud_invoices where ingest_status = 'ingested' and last_error is null and line_count = 2";
    assert_eq!(system.count(fixed).await, 5);
}

/// The stored columns of invoices, except the results of later checks.
const VERIFIED: &str = "select concat_ws('|', ingest_status, is_final, version, line_count, line_total, off_by, reconciled, summary_amount,
        verified_at, sources, last_error)
    from cloud_invoices order by period";

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_failed_check_reverts_nothing_and_is_repeated() {
    let line = |name: &str| {
        InvoiceLine::new(
            "Droplets",
            &format!("{name} (s-1vcpu-1gb)"),
            Decimal::new(600, 2),
        )
    };
    let mut account = Account::empty();
    let uuid = account.add_invoice(Invoice::for_month(
        2026,
        4,
        vec![line("web-1"), line("web-2")],
    ));
    let system = TestSystem::start(account).await;
    let progress = system.billing_history().await.unwrap();
    assert_eq!((progress.ingested, progress.failed), (1, 0));
    let (lines, mut verified_rows) = (system.rows(LINES).await, system.rows(VERIFIED).await);
    assert!(
        verified_rows[0].starts_with("ingested|t|1|2|12.00"),
        "{verified_rows:?}"
    );

    let all = format!("/v2/customers/my/invoices/{uuid}*");
    let csv = csv_path(uuid);
    let summary = format!("/v2/customers/my/invoices/{uuid}/summary");
    let page = || FaultKind::HtmlError { status: 200 };
    for (kind, path, expected) in [
        (FaultKind::RenamedColumn, &csv, "column USD"),
        (page(), &csv, "HTML"),
        (FaultKind::LastLineMissing, &csv, "CSV"),
        (FaultKind::NotFound, &csv, "CSV"),
        (FaultKind::NotFound, &summary, "summary"),
        (FaultKind::NotFound, &all, "not found"),
    ] {
        system.simulator.fail(Fault::new(kind.clone(), path));
        // A run by hand fails, so that the operator notices.
        let error = system.ingest(uuid).await.unwrap_err();
        assert!(error.contains(expected), "{kind:?}: {error}");
        // The daily run repeats the check and counts the failure.
        let progress = system.billing_history().await.unwrap();
        assert_eq!((progress.ingested, progress.failed), (0, 1), "{kind:?}");
        assert_eq!(system.rows(LINES).await, lines, "{kind:?}");
        assert_eq!(system.rows(VERIFIED).await, verified_rows, "{kind:?}");
        let invoice = system.store.invoice(uuid).await.unwrap();
        assert!(invoice.check_failed_since > invoice.verified_at, "{kind:?}");
        let reason = invoice.last_check_error.unwrap();
        assert!(reason.contains(expected), "{kind:?}: {reason}");

        system.simulator.clear_faults();
        let progress = system.billing_history().await.unwrap();
        assert_eq!((progress.ingested, progress.failed), (1, 0), "{kind:?}");
        let invoice = system.store.invoice(uuid).await.unwrap();
        assert_eq!(
            (invoice.check_failed_since, invoice.last_check_error),
            (None, None)
        );
        assert_eq!((invoice.is_final, invoice.version), (true, 1));
        assert_eq!(system.rows(LINES).await, lines, "{kind:?}");
        // The new verification time is stored.
        let verified = system.rows(VERIFIED).await;
        assert_ne!(verified, verified_rows, "{kind:?}");
        verified_rows = verified;
    }
}

#[tokio::test]
async fn ingesting_an_unchanged_invoice_again_writes_no_line() {
    let account = Account::demo();
    let april = account.invoices()[0].uuid;
    let system = TestSystem::start(account).await;
    system.sync_inventory().await.unwrap();
    let first = system.ingest(april).await.unwrap();
    assert_eq!((first.lines, first.matched), (33, 6));
    let before = system.rows(LINES).await;
    assert_eq!(before.len(), 33);
    let again = system.ingest(april).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(system.rows(LINES).await, before);
}

/// Returns the last attempt of an ingest, and its delay after the activity was scheduled.
async fn last_attempt(system: &TestSystem, invoice: Uuid) -> (i32, Duration) {
    let history = system
        .history(&format!("ingest-invoice-{invoice}"), None)
        .await;
    let time = |event: &HistoryEvent| SystemTime::try_from(event.event_time.unwrap()).unwrap();
    let scheduled = history.iter().find(|event| {
        matches!(
            event.attributes,
            Some(Attributes::ActivityTaskScheduledEventAttributes(_))
        )
    });
    let mut attempts = history
        .iter()
        .filter_map(|event| match event.attributes.as_ref() {
            Some(Attributes::ActivityTaskStartedEventAttributes(started)) => {
                Some((time(event), started.attempt))
            }
            _ => None,
        });
    let (started, attempt) = attempts.next_back().unwrap();
    let delay = started.duration_since(time(scheduled.unwrap()));
    (attempt, delay.unwrap())
}

#[tokio::test]
async fn a_429_is_retried_after_the_time_in_its_retry_after_header() {
    let (account, invoice) = account_with_one_invoice();
    let system = TestSystem::start(account).await;
    let limited = FaultKind::RateLimited { retry_after: 4 };
    let fault = Fault::new(limited, &csv_path(invoice)).times(1);
    system.simulator.fail(fault);
    assert_eq!(system.ingest(invoice).await.unwrap().lines, 1);
    let (attempt, delay) = last_attempt(&system, invoice).await;
    assert_eq!(attempt, 2);
    // Longer than the retry policy's first delay of one second.
    assert!(delay >= Duration::from_secs(4), "{delay:?}");
}

/// With more 429s than attempts, and with one of more than a minute.
#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_429_neither_fails_an_invoice_nor_omits_a_part_of_it() {
    for (retry_after, times, least) in [(1, 10, 15), (61, 1, 61)] {
        let (account, invoice) = account_with_one_invoice();
        let system = TestSystem::start(account).await;
        let limited = FaultKind::RateLimited { retry_after };
        let fault = Fault::new(limited, &format!("/v2/customers/my/invoices/{invoice}*"));
        system.simulator.fail(fault.times(times));
        let ingested = system.ingest(invoice).await.unwrap();
        assert_eq!((ingested.lines, &*ingested.sources), (1, "csv+items"));
        assert_eq!(ingested.source_note, None);

        let id = format!("ingest-invoice-{invoice}");
        let (failures, timers) = pauses(&system.history(&id, None).await);
        assert_eq!(failures, ["RateLimited"], "retry-after {retry_after}");
        assert!(timers[0] >= least, "{timers:?}");
        let failed = "select count(*) from cloud_invoices where last_error is not null";
        assert_eq!(system.count(failed).await, 0);
    }
}

#[tokio::test]
async fn an_invoice_is_ingested_after_two_html_error_pages() {
    let (account, invoice) = account_with_one_invoice();
    let system = TestSystem::start(account).await;
    let page = FaultKind::HtmlError { status: 504 };
    let fault = Fault::new(page, &csv_path(invoice)).times(2);
    system.simulator.fail(fault);
    assert_eq!(system.ingest(invoice).await.unwrap().lines, 1);
    assert_eq!(last_attempt(&system, invoice).await.0, 3);
}

#[tokio::test]
async fn an_invoice_with_permanent_errors_fails_alone() {
    let good = csv(&[LINE_OF_DROPLET]);
    let (account, uuids) = account_with(&[&good, &good, &good]);
    let system = TestSystem::start(account).await;
    let page = FaultKind::HtmlError { status: 504 };
    system.simulator.fail(Fault::new(page, &csv_path(uuids[1])));
    let progress = system.billing_history().await.unwrap();
    assert_eq!((progress.ingested, progress.failed), (2, 1));
    assert_eq!(
        system.rows(STATUSES).await,
        ["2020-01 ingested", "2020-02 failed", "2020-03 ingested"]
    );
    let error = &progress.failures[0].reason;
    assert!(error.contains("504") && !error.contains('<'), "{error}");
}
