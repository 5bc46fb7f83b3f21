//! Tests of the route of the balance.

use domain::balance::BalanceReading;
use insta::assert_json_snapshot;

use crate::support::TestApi;

const BALANCE: &str = "/api/v1/billing/balance";

fn reading(month_to_date_balance: &str, generated_at: &str) -> BalanceReading {
    BalanceReading {
        month_to_date_balance: month_to_date_balance.parse().unwrap(),
        account_balance: "-10.50".parse().unwrap(),
        month_to_date_usage: "33.90".parse().unwrap(),
        generated_at: generated_at.parse().unwrap(),
    }
}

#[tokio::test]
async fn the_latest_balance_has_the_amounts_as_received() {
    let api = TestApi::empty().await;
    for reading in [
        reading("1.00", "2026-04-01T00:00:00Z"),
        reading("23.40", "2026-04-02T10:30:00Z"),
    ] {
        let evidence = api.store.begin_fetch().await.unwrap();
        api.store.store_balance(&reading, evidence).await.unwrap();
    }
    let balance = api.get(&api.admin, BALANCE).await.ok();
    assert_json_snapshot!(balance, {
        ".data.captured_at" => "[time]",
        ".data.last_polled_at" => "[time]",
        ".meta.as_of" => "[time]",
    }, @r#"
    {
      "data": {
        "account_balance": "-10.50",
        "captured_at": "[time]",
        "covers_from": "2026-04-01T00:00:00Z",
        "covers_to": "2026-04-02T10:30:00Z",
        "days_elapsed": "1.4375",
        "days_in_month": 30,
        "generated_at": "2026-04-02T10:30:00Z",
        "last_polled_at": "[time]",
        "month_to_date_balance": "23.40",
        "month_to_date_usage": "33.90"
      },
      "meta": {
        "as_of": "[time]"
      }
    }
    "#);
}

#[tokio::test]
async fn the_balance_is_not_found_before_the_first_poll() {
    let api = TestApi::empty().await;
    let detail = api.get(&api.admin, BALANCE).await.problem(404);
    assert!(detail.contains("poll-balance"), "{detail}");
}
