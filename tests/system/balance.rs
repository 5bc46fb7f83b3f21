//! Polling of the account's balance.

use rust_decimal::Decimal;
use simulator::{Account, Balance};

use crate::support::TestSystem;

#[tokio::test]
async fn an_unchanged_balance_is_stored_once_and_a_new_one_is_added() {
    let system = TestSystem::start(Account::demo()).await;
    assert!(system.poll_balance().await.unwrap().is_new);
    assert!(!system.poll_balance().await.unwrap().is_new);
    system.simulator.change(|account| {
        let usage = Decimal::new(1_234_567, 2);
        account.set_balance(Balance {
            month_to_date_usage: usage,
            ..account.balance()
        });
    });
    assert!(system.poll_balance().await.unwrap().is_new);
    let usages = "select month_to_date_usage::text from cloud_balance_snapshots order by id";
    let usages = system.rows(usages).await;
    assert_eq!(usages.len(), 2);
    assert_eq!(usages[1], "12345.67");
}
