//! Closed months: frozen statements, adjustments, corrections and reopened months.

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
use store::inventory::{Commit, OverrideChange};
use store::projects::ProjectChange;

use super::bills::{assert_balanced, correct, header, ingest, ingest_with, lines_of};
use super::costs::{assign, line, tax, two_tenants};
use super::support::{Fixture, by, droplet};

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
async fn a_late_resource_and_its_override_leave_closed_statements() {
    let (fixture, _) = with_bills().await;
    close(&fixture, APRIL).await;
    let mut before = Vec::new();
    for tenant in ["acme", "beta"] {
        before.push(json_of(&fixture, APRIL, Some(tenant)).await);
    }
    fixture.sweep(&[droplet(77, "late-1")]).await;
    let late = fixture.resource("77").await;
    let lines = lines_of(&fixture, APRIL).await;
    assert!(
        lines.iter().any(|line| line.resource_id == Some(late.id)),
        "{lines:?}"
    );
    let change = OverrideChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        cloud_project_id: None,
        since: Some("2015-01-01T00:00:00Z".parse().unwrap()),
    };
    fixture
        .change_override(late.id, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    for (tenant, before) in ["acme", "beta"].into_iter().zip(before) {
        assert_eq!(json_of(&fixture, APRIL, Some(tenant)).await, before);
    }
    let may = fixture.statements(month(MAY)).await.unwrap();
    assert_eq!(
        cents(&may),
        [("acme", (990, 330)), ("beta", (0, -330))].into()
    );
    check_settled(&fixture, &[APRIL, MAY]).await;
}

#[tokio::test]
async fn an_adjustment_settles_once_with_the_close_of_the_next_month() {
    let (fixture, _) = with_bills().await;
    close(&fixture, APRIL).await;
    assign(&fixture, 1, Some("beta")).await;
    close(&fixture, MAY).await;
    let may = fixture.statements(month(MAY)).await.unwrap();
    assert_eq!(
        cents(&may),
        [("acme", (0, -660)), ("beta", (990, 660))].into()
    );
    assert_eq!(may.adjustments.len(), 2);
    assert_eq!(
        fixture.statements(month(JUNE)).await.unwrap().adjustments,
        []
    );
    check_settled(&fixture, &[APRIL, MAY, JUNE]).await;

    // The change is undone: April and May now differ by the opposite amounts.
    assign(&fixture, 1, Some("acme")).await;
    let june = fixture.statements(month(JUNE)).await.unwrap();
    assert_eq!(
        cents(&june),
        [("acme", (660, 1320)), ("beta", (330, -1320))].into()
    );
    check_settled(&fixture, &[APRIL, MAY, JUNE]).await;
}

#[tokio::test]
async fn a_reopened_month_follows_its_lines_and_closes_again() {
    let (fixture, _) = with_bills().await;
    close(&fixture, APRIL).await;
    assign(&fixture, 1, Some("beta")).await;
    close(&fixture, MAY).await;

    fixture
        .reopen_month(
            month(APRIL),
            &by("bob").because(Some("wrong project".to_owned())),
        )
        .await
        .unwrap();
    let april = fixture.statements(month(APRIL)).await.unwrap();
    assert_eq!(april.close, None);
    assert_eq!(cents(&april), [("beta", (990, 0))].into());
    check_settled(&fixture, &[APRIL, MAY, JUNE]).await;
    let again = close(&fixture, APRIL).await;
    assert_eq!(again.number, 2);
    // May contains an adjustment for the first close of April, which June takes back.
    let june = fixture.statements(month(JUNE)).await.unwrap();
    assert_eq!(
        cents(&june),
        [("acme", (0, 660)), ("beta", (990, -660))].into()
    );
    check_settled(&fixture, &[APRIL, MAY, JUNE]).await;

    let closes = fixture.closes(month(APRIL)).await.unwrap();
    let reopened: Vec<_> = closes
        .iter()
        .map(|close| (close.number, close.reopen_reason.as_deref()))
        .collect();
    assert_eq!(reopened, [(2, None), (1, Some("wrong project"))]);
    assert_eq!(
        acts(&fixture).await,
        [
            "ann month_closed 2026-04",
            "ann month_closed 2026-05",
            "bob month_reopened 2026-04 wrong project",
            "ann month_closed 2026-04"
        ]
    );
    let refused = fixture.reopen_month(month(JUNE), &by("bob")).await;
    assert!(
        matches!(refused, Err(StoreError::MonthState { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_next_month_takes_back_the_adjustments_of_a_reopened_one() {
    let (fixture, _) = with_bills().await;
    close(&fixture, APRIL).await;
    assign(&fixture, 1, Some("beta")).await;
    close(&fixture, MAY).await;
    let bob = by("bob").because(Some("wrong project".to_owned()));
    fixture.reopen_month(month(APRIL), &bob).await.unwrap();
    close(&fixture, JUNE).await;
    let june = fixture.statements(month(JUNE)).await.unwrap();
    assert_eq!(
        cents(&june),
        [("acme", (0, 660)), ("beta", (990, -660))].into()
    );
    let (_, causes) = fixture.adjustments(month(JUNE)).await.unwrap();
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert_eq!(
        (causes[0].cause.as_str(), causes[0].by.as_deref()),
        ("reopening", Some("bob"))
    );
    check_settled(&fixture, &[APRIL, MAY, JUNE]).await;
    close(&fixture, APRIL).await;
    check_settled(&fixture, &[APRIL, MAY, JUNE, "2026-07-01"]).await;
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
async fn changed_shares_of_a_split_line_are_a_cause() {
    let (fixture, _) = with_bills().await;
    let assign_since = async |tenant: &str, since: &str| {
        let id = sqlx::query_scalar("select id from cloud_projects where name = 'web'")
            .fetch_one(&fixture.pool)
            .await
            .unwrap();
        let change = ProjectChange {
            tenant_id: Some(Some(tenant.parse().unwrap())),
            tenant_since: Some(since.parse().unwrap()),
            purpose: None,
        };
        fixture
            .change_project(id, &change, &by("ann"), Commit::Keep)
            .await
            .unwrap();
    };
    assign_since("beta", "2026-04-11T00:00:00Z").await;
    close(&fixture, APRIL).await;
    assign_since("acme", "2026-04-21T00:00:00Z").await;
    let (adjustments, causes) = fixture.adjustments(month(MAY)).await.unwrap();
    assert_eq!(adjustments.len(), 2);
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert_eq!(causes[0].description, "other shares of split costs");
    assert_eq!((causes[0].lines, causes[0].by.as_deref()), (1, Some("ann")));
    check_settled(&fixture, &[APRIL, MAY]).await;
}

#[tokio::test]
async fn a_correction_of_a_closed_month_waits_for_a_decision() {
    let (fixture, april) = with_bills().await;
    close(&fixture, APRIL).await;
    let before = json_of(&fixture, APRIL, Some("acme")).await;
    correct(&fixture, 1, &april.replace("$6.00", "$7.00")).await;

    assert_eq!(json_of(&fixture, APRIL, Some("acme")).await, before);
    assert!(
        fixture
            .statements(month(APRIL))
            .await
            .unwrap()
            .has_correction
    );
    let corrections = fixture.corrections().await.unwrap();
    assert_eq!(corrections.len(), 1);
    assert_eq!(corrections[0].difference, Decimal::ONE);
    assert!(corrections[0].is_final);
    // Until the decision nothing moves, and the next month lists it as open.
    let may = fixture.statements(month(MAY)).await.unwrap();
    assert_eq!(may.adjustments, []);
    let readiness = fixture.month_readiness(month(MAY)).await.unwrap();
    let mut open = readiness.open.iter();
    assert!(open.any(|item| item.item == "undecided_corrections"));
    assert!(readiness.is_final);

    let ann = by("ann").because(Some("credit note".to_owned()));
    let accept = async |dollars: i64| {
        let after = Decimal::from(dollars) + Decimal::new(390, 2);
        fixture.accept_correction(month(APRIL), after, &ann).await
    };
    // Meanwhile DigitalOcean corrects it again.
    correct(&fixture, 1, &april.replace("$6.00", "$8.00")).await;
    let refused = accept(7).await;
    let Err(StoreError::MonthState { problem, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(problem.contains("total 11.90 USD"), "{problem}");
    accept(8).await.unwrap();
    assert_eq!(fixture.corrections().await.unwrap(), []);
    let may = fixture.statements(month(MAY)).await.unwrap();
    assert_eq!(may.adjusted(), Decimal::TWO);
    assert_eq!(may.difference(), Some(Decimal::ZERO));
    let (_, causes) = fixture.adjustments(month(MAY)).await.unwrap();
    assert_eq!(causes[0].cause, "correction");
    assert_eq!(
        acts(&fixture).await,
        [
            "ann month_closed 2026-04",
            "ann correction_accepted 2026-04 credit note"
        ]
    );
    check_settled(&fixture, &[APRIL, MAY]).await;
    let refused = accept(8).await;
    assert!(
        matches!(refused, Err(StoreError::MonthState { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_invoice_that_moves_out_of_a_closed_month_is_a_correction() {
    let (fixture, _) = with_bills().await;
    close(&fixture, APRIL).await;
    fixture
        .discover_invoices(&[header(1, "2026-05", 990)])
        .await
        .unwrap();
    let months = fixture.month_summaries(None, 10).await.unwrap();
    let april = months.iter().find(|summary| summary.period == month(APRIL));
    let april = april.expect("a closed month without invoices is listed");
    assert_eq!(april.state(), store::costs::MonthState::Closed);
    assert!(april.has_correction);
    let corrections = fixture.corrections().await.unwrap();
    assert_eq!(cents_of(corrections[0].difference), -990);
    assert!(corrections[0].is_final);
    fixture
        .accept_correction(month(APRIL), Decimal::ZERO, &by("ann"))
        .await
        .unwrap();
    let may = fixture.statements(month(MAY)).await.unwrap();
    assert_eq!(cents_of(may.adjusted()), -990);
    check_settled(&fixture, &[APRIL, MAY]).await;
}

#[tokio::test]
async fn a_correction_that_is_not_verified_is_not_accepted() {
    let (fixture, _) = with_bills().await;
    close(&fixture, APRIL).await;
    // A late invoice without a summary.
    unverified(&fixture, 9).await;
    let corrections = fixture.corrections().await.unwrap();
    assert!(!corrections[0].is_final, "{corrections:?}");
    let after = corrections[0].after;
    let refused = fixture
        .accept_correction(month(APRIL), after, &by("ann"))
        .await;
    assert!(
        matches!(refused, Err(StoreError::MonthState { .. })),
        "{refused:?}"
    );
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
async fn adjustments_are_in_the_next_month_with_a_bill() {
    let (fixture, april) = with_bills().await;
    close(&fixture, JUNE).await;
    assign(&fixture, 1, Some("beta")).await;
    let adjusted = async |period: &str| {
        let statements = fixture.statements(month(period)).await.unwrap();
        statements.adjustments.len()
    };
    // July has no bill yet.
    assert_eq!(adjusted("2026-07-01").await, 2);
    fixture
        .discover_invoices(&[header(8, "2026-08", 990)])
        .await
        .unwrap();
    let august = april
        .replace("2026-05-01", "2026-09-01")
        .replace("2026-04", "2026-08");
    ingest(&fixture, 8, &august).await;
    assert_eq!(
        (adjusted("2026-07-01").await, adjusted("2026-08-01").await),
        (0, 2)
    );
    check_settled(&fixture, &[JUNE, "2026-08-01"]).await;
}

#[tokio::test]
async fn a_change_during_the_close_is_an_adjustment() {
    let (fixture, _) = with_bills().await;
    let closing = closing(&fixture, APRIL).await;
    assign(&fixture, 1, Some("beta")).await;
    closing.store(&by("ann"), |_| None).await.unwrap();
    let april = fixture.statements(month(APRIL)).await.unwrap();
    assert_eq!(
        cents(&april),
        [("acme", (660, 0)), ("beta", (330, 0))].into()
    );
    let may = fixture.statements(month(MAY)).await.unwrap();
    assert_eq!(
        cents(&may),
        [("acme", (0, -660)), ("beta", (990, 660))].into()
    );
    check_settled(&fixture, &[APRIL, MAY]).await;
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
