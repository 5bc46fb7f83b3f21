//! Differences of closed and reopened months, which adjust the open month.

use store::StoreError;
use store::inventory::{Commit, OverrideChange};
use store::projects::ProjectChange;

use super::{
    APRIL, JUNE, MAY, acts, cents, check_settled, close, closing, json_of, month, with_bills,
};
use crate::bills::{header, ingest, lines_of};
use crate::costs::assign;
use crate::support::{by, droplet};

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
