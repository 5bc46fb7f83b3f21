//! Closed months: the close and its frozen statements.

mod adjustments;
mod corrections;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::costs::AllocationRule;
use domain::proof;
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::error::DatabaseError;
use store::StoreError;
use store::closing::{Approval, BegunClose, Closing, RootSignature};
use store::costs::{MonthClose, StatementState, Statements};
use store::inventory::Commit;

use super::bills::{assert_balanced, header, ingest, ingest_with};
use super::costs::{assign, line, tax, two_tenants};
use super::support::{Fixture, by};

const APRIL: &str = "2026-04-01";
const MAY: &str = "2026-05-01";
const JUNE: &str = "2026-06-01";

fn month(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// April, May and June with a line of acme, a line of beta and a tax line. Returns the lines of
/// April.
async fn with_bills() -> (Fixture, String) {
    let fixture = two_tenants().await;
    let april = [
        line("web-1", "web", "$6.00"),
        line("late-1", "data", "$3.00"),
        tax("$0.90"),
    ]
    .concat();
    for (number, text) in [(1, "2026-04"), (2, "2026-05"), (3, "2026-06")] {
        let lines = april.replace("2026-05-01", "NEXT").replace("2026-04", text);
        let next = month(&format!("{text}-01")) + chrono::Months::new(1);
        let lines = lines.replace("NEXT", &next.to_string());
        fixture
            .discover_invoices(&[header(number, text, 990)])
            .await
            .unwrap();
        let outcome = ingest(&fixture, number, &lines.replace("-30 23", "-28 23")).await;
        assert!(outcome.is_final, "{outcome:?}");
    }
    assert_balanced(&fixture).await;
    (fixture, april)
}

async fn begin(fixture: &Fixture, period: &str) -> BegunClose {
    let approval = Approval {
        by: "ann".to_owned(),
        reason: Some("checked".to_owned()),
    };
    let run = fixture.new_run();
    fixture
        .begin_close(month(period), &approval, &run)
        .await
        .unwrap()
}

async fn closing(fixture: &Fixture, period: &str) -> Closing {
    match begin(fixture, period).await {
        BegunClose::Begun(closing) => *closing,
        BegunClose::NotFinal(reasons) => panic!("{reasons:?}"),
        BegunClose::Closed(close) => panic!("{close:?}"),
    }
}

async fn close(fixture: &Fixture, period: &str) -> MonthClose {
    let mut closing = closing(fixture, period).await;
    closing
        .add_file("checks.json", "application/json", b"{}")
        .await
        .unwrap();
    closing.store(&by("ann"), |_| None).await.unwrap()
}

/// Ingests an invoice of April that cannot be verified.
async fn unverified(fixture: &Fixture, number: u128) {
    fixture
        .discover_invoices(&[header(number, "2026-04", 100)])
        .await
        .unwrap();
    let lines = line("web-1", "web", "$1.00");
    let outcome = ingest_with(fixture, number, &lines, &[None], None).await;
    assert!(!outcome.is_final, "{outcome:?}");
}

async fn json_of(fixture: &Fixture, period: &str, tenant: Option<&str>) -> String {
    let statement = fixture.statement_document(month(period), tenant).await;
    closed(statement.unwrap())
}

/// Returns the JSON of a frozen statement.
fn closed<D>(statement: StatementState<D>) -> String {
    match statement {
        StatementState::Closed(proven) => proven.to_json().unwrap(),
        StatementState::Open(_) => panic!("the month is open"),
    }
}

/// Returns the costs and the adjustment of each tenant, in cents.
fn cents(statements: &Statements) -> BTreeMap<&str, (i64, i64)> {
    let rows = statements.rows.iter();
    rows.map(|row| {
        let tenant = row.tenant_id.as_deref().unwrap_or("-");
        (tenant, (cents_of(row.costs()), cents_of(row.adjusted)))
    })
    .collect()
}

fn cents_of(amount: Decimal) -> i64 {
    let cents = amount * Decimal::from(100);
    assert_eq!(cents, cents.trunc(), "{amount}");
    i64::try_from(cents.trunc().mantissa() / 10_i128.pow(cents.trunc().scale())).unwrap()
}

/// Checks that the statements of each tenant total its costs of today: those of closed months with
/// the adjustments up to the open month.
async fn check_settled(fixture: &Fixture, months: &[&str]) {
    let mut owed: BTreeMap<Option<String>, Decimal> = BTreeMap::new();
    for period in months {
        for row in fixture.statements(month(period)).await.unwrap().rows {
            *owed.entry(row.tenant_id.clone()).or_default() += row.total();
        }
        for row in fixture.live_statements(month(period)).await.unwrap().rows {
            *owed.entry(row.tenant_id.clone()).or_default() -= row.costs();
        }
    }
    owed.retain(|_, amount| !amount.is_zero());
    assert!(owed.is_empty(), "{owed:?}");
}

/// Returns the entries of the audit about months.
async fn acts(fixture: &Fixture) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', actor, action, object_id, reason) from audit_entries
         where object_type = 'month' order by number",
    )
    .fetch_all(&fixture.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_closed_month_keeps_its_statements_byte_for_byte() {
    let (fixture, _) = with_bills().await;
    let close = close(&fixture, APRIL).await;
    assert_eq!((close.number, close.closed_by.as_str()), (1, "ann"));
    let before = json_of(&fixture, APRIL, Some("acme")).await;
    let statements = fixture.statements(month(APRIL)).await.unwrap();
    assert_eq!(
        cents(&statements),
        [("acme", (660, 0)), ("beta", (330, 0))].into()
    );

    // An operator moves the project of acme, for all time, and changes the allocation.
    assign(&fixture, 1, Some("beta")).await;
    fixture
        .set_allocation_rule(
            month(APRIL),
            &AllocationRule::Even,
            &by("ann"),
            Commit::Keep,
        )
        .await
        .unwrap();
    assert_eq!(json_of(&fixture, APRIL, Some("acme")).await, before);
    let after = fixture.statements(month(APRIL)).await.unwrap();
    assert_eq!(after.rows, statements.rows);
    assert_eq!(
        (after.rule.clone(), after.is_final()),
        (statements.rule, true)
    );
    let document = fixture.statement_document(month(APRIL), Some("acme")).await;
    assert_eq!(document.unwrap().document().unwrap().lines.len(), 1);

    // The difference is in the next month, which totals its invoice without it.
    let may = fixture.statements(month(MAY)).await.unwrap();
    assert_eq!(
        cents(&may),
        [("acme", (0, -660)), ("beta", (990, 660))].into()
    );
    assert_eq!(
        (may.adjusted(), may.difference()),
        (Decimal::ZERO, Some(Decimal::ZERO))
    );
    // A tenant with only an adjustment has no part of the shared costs.
    for tenant in ["acme", "beta"] {
        let document = fixture.statement_document(month(MAY), Some(tenant)).await;
        let document = document.unwrap().document().unwrap();
        let mut checks = document.checks.iter();
        assert!(
            checks.all(|check| check.difference.is_zero()),
            "{document:?}"
        );
        assert_eq!(document.allocation.of, Decimal::ONE);
    }
    let (adjustments, causes) = fixture.adjustments(month(MAY)).await.unwrap();
    assert!(
        adjustments
            .iter()
            .all(|adjustment| adjustment.period == month(APRIL))
    );
    let named: Vec<&str> = causes.iter().map(|cause| cause.cause.as_str()).collect();
    assert!(
        named.contains(&"operator") && named.contains(&"allocation_rule"),
        "{causes:?}"
    );
    assert!(
        causes
            .iter()
            .all(|cause| cause.by.as_deref() == Some("ann")),
        "{causes:?}"
    );
    // Only the first open month has it.
    let june = fixture.statements(month(JUNE)).await.unwrap();
    assert_eq!(june.adjustments, []);
    check_settled(&fixture, &[APRIL, MAY]).await;
}

#[tokio::test]
async fn a_run_closes_its_month_once_even_if_it_is_reopened() {
    let (fixture, _) = with_bills().await;
    let approval = Approval {
        by: "ann".to_owned(),
        reason: None,
    };
    let run = fixture.new_run();
    let begin = async || {
        fixture
            .begin_close(month(APRIL), &approval, &run)
            .await
            .unwrap()
    };
    let BegunClose::Begun(first) = begin().await else {
        panic!("the close did not begin");
    };
    // Another attempt of the same activity begins before the first one is complete.
    let BegunClose::Begun(late) = begin().await else {
        panic!("the close did not begin");
    };
    first.store(&by("ann"), |_| None).await.unwrap();
    let bob = by("bob").because(Some("wrong project".to_owned()));
    fixture.reopen_month(month(APRIL), &bob).await.unwrap();
    let refused = late.store(&by("ann"), |_| None).await;
    assert!(
        matches!(refused, Err(StoreError::MonthState { .. })),
        "{refused:?}"
    );
    let BegunClose::Closed(close) = begin().await else {
        panic!("the month closed again");
    };
    assert_eq!(close.number, 1);
    assert_eq!(fixture.close_in_force(month(APRIL)).await.unwrap(), None);
    assert_eq!(self::close(&fixture, APRIL).await.number, 2);
}

#[tokio::test]
async fn each_frozen_statement_proves_that_the_month_contains_it() {
    let (fixture, _) = with_bills().await;
    let signature = RootSignature {
        public_key: [7; 32],
        signature: [9; 64],
    };
    let mut signed = String::new();
    let close = closing(&fixture, APRIL)
        .await
        .store(&by("ann"), |message| {
            message.clone_into(&mut signed);
            Some(signature)
        })
        .await
        .unwrap();
    assert!(signed.contains(&close.root), "{signed}");
    for tenant in ["acme", "beta"] {
        let account = json_of(&fixture, APRIL, Some(tenant)).await;
        let own = fixture
            .own_statement_document(&tenant.parse().unwrap(), month(APRIL))
            .await;
        let own = closed(own.unwrap());
        for text in [&account, &own] {
            let statement: Value = serde_json::from_str(text).unwrap();
            let verified = proof::verify(&statement).unwrap();
            assert_eq!(verified.root.to_string(), close.root);
            assert_eq!(verified.tenant.as_deref(), Some(tenant));
            assert_eq!(verified.signature.unwrap().public_key, "07".repeat(32));
            let changed = text.replacen(".00\"", ".01\"", 1);
            assert!(proof::verify(&serde_json::from_str(&changed).unwrap()).is_err());
        }
        // The statement for the tenant contains nothing of the other one.
        let other = if tenant == "acme" {
            ["beta", "data"]
        } else {
            ["acme", "web"]
        };
        assert!(other.iter().all(|name| !own.contains(name)), "{own}");
        assert!(!own.contains("9.90") && !own.contains("0.90"), "{own}");
    }
}

#[tokio::test]
async fn a_month_that_is_not_final_has_reasons_and_leaves_nothing() {
    let (fixture, _) = with_bills().await;
    unverified(&fixture, 9).await;
    let BegunClose::NotFinal(reasons) = begin(&fixture, APRIL).await else {
        panic!("the close began");
    };
    assert!(reasons[0].contains("1 of 2 invoices"), "{reasons:?}");
    assert_eq!(fixture.closes(month(APRIL)).await.unwrap(), []);
    let rows: i64 = sqlx::query_scalar("select count(*) from cloud_month_closes")
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn of_two_concurrent_closes_one_is_stored() {
    let (fixture, _) = with_bills().await;
    let (one, two) = (
        closing(&fixture, APRIL).await,
        closing(&fixture, APRIL).await,
    );
    one.store(&by("ann"), |_| None).await.unwrap();
    let refused = two.store(&by("bob"), |_| None).await;
    assert!(
        matches!(refused, Err(StoreError::MonthState { .. })),
        "{refused:?}"
    );
    let BegunClose::Closed(close) = begin(&fixture, APRIL).await else {
        panic!("the month closed twice");
    };
    assert_eq!(close.closed_by, "ann");
    check_settled(&fixture, &[APRIL, MAY]).await;

    // The draft of the other one is removed with the next close.
    fixture
        .reopen_month(month(APRIL), &by("ann").because(Some("again".to_owned())))
        .await
        .unwrap();
    self::close(&fixture, APRIL).await;
    let closes: Vec<(i32, bool)> =
        sqlx::query_as("select number, closed_at is not null from cloud_month_closes order by 1")
            .fetch_all(&fixture.pool)
            .await
            .unwrap();
    assert_eq!(closes, [(1, true), (2, true)]);
}

#[tokio::test]
async fn the_rows_of_a_close_cannot_be_changed() {
    let (fixture, _) = with_bills().await;
    let close = close(&fixture, APRIL).await;
    for statement in [
        "update cloud_closed_statements set direct = direct + 1",
        "delete from cloud_closed_statements",
        "truncate cloud_closed_statements",
        "update cloud_month_closes set line_total = 0",
        "delete from cloud_month_closes",
        "update cloud_close_files set size = 0",
        "delete from cloud_close_file_pieces",
    ] {
        let refused = sqlx::query(statement).execute(&fixture.pool).await;
        let error = refused.unwrap_err();
        let code = error.as_database_error().and_then(DatabaseError::code);
        assert_eq!(code.as_deref(), Some("23001"), "{statement}: {error}");
    }
    let files = fixture.close_files(close.id).await.unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["checks.json", "manifest.json"]);
}
