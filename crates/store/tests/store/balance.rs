//! Readings of the balance.

use domain::balance::BalanceReading;
use rust_decimal::Decimal;

use super::support::fixture;

#[tokio::test]
async fn a_repeated_reading_is_stored_once() {
    let fixture = fixture().await;
    assert_eq!(fixture.latest_balance().await.unwrap(), None);
    let morning = BalanceReading {
        month_to_date_balance: "23.44".parse().unwrap(),
        account_balance: "12.23".parse().unwrap(),
        month_to_date_usage: "11.21".parse().unwrap(),
        generated_at: "2026-04-09T15:01:12Z".parse().unwrap(),
    };
    assert!(fixture.store_balance(&morning).await.unwrap());
    assert!(!fixture.store_balance(&morning).await.unwrap());
    let snapshots: i64 = sqlx::query_scalar("select count(*) from cloud_balance_snapshots")
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(snapshots, 1);

    let noon = BalanceReading {
        generated_at: "2026-04-09T18:00:00Z".parse().unwrap(),
        ..morning.clone()
    };
    assert!(fixture.store_balance(&noon).await.unwrap());
    let latest = fixture.latest_balance().await.unwrap().unwrap();
    assert_eq!(
        (latest.generated_at, latest.month_to_date_balance),
        (noon.generated_at, Decimal::new(2344, 2))
    );
}
