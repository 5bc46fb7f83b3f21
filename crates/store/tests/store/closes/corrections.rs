//! Corrections by DigitalOcean of closed months.

use rust_decimal::Decimal;
use store::StoreError;
use store::costs::MonthState;

use super::{
    APRIL, MAY, acts, cents_of, check_settled, close, json_of, month, unverified, with_bills,
};
use crate::bills::{correct, header};
use crate::support::by;

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
    assert_eq!(april.state(), MonthState::Closed);
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
