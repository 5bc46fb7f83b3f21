//! The billing history.

use chrono::{DateTime, Utc};
use domain::balance::BalanceReading;
use domain::ledger::BillingEntry;
use rust_decimal::Decimal;

use super::bills::uuid;
use super::support::fixture;

fn entry(entry_type: &str, cents: i64, day: u32) -> BillingEntry {
    BillingEntry {
        description: format!("{entry_type} of April"),
        amount: Decimal::new(cents, 2),
        invoice_id: None,
        invoice_uuid: None,
        date: april(day),
        entry_type: entry_type.to_owned(),
    }
}

fn april(day: u32) -> DateTime<Utc> {
    format!("2026-04-{day:02}T06:00:00Z").parse().unwrap()
}

#[tokio::test]
async fn repeatedly_listed_entries_are_stored_once() {
    let fixture = fixture().await;
    let entries = [
        BillingEntry {
            invoice_uuid: Some(uuid(1)),
            ..entry("Invoice", 1234, 1)
        },
        entry("Payment", -500, 2),
        // Two entries that are equal in every field.
        entry("Credit", -100, 3),
        entry("Credit", -100, 3),
    ];
    let first = fixture.store_ledger(&entries, true).await.unwrap();
    assert_eq!((first.listed, first.new, first.missing), (4, 4, 0));
    let mut shuffled = entries.to_vec();
    shuffled.reverse();
    let (one, two) = tokio::join!(
        fixture.store_ledger(&shuffled, true),
        fixture.store_ledger(&entries, true)
    );
    assert_eq!((one.unwrap().new, two.unwrap().new), (0, 0));
    let stored = fixture.ledger(None, None, 10).await.unwrap();
    let running: Vec<_> = stored.iter().map(|entry| entry.running_total).collect();
    let cents = |cents: i64| Decimal::new(cents, 2);
    assert_eq!(running, [cents(534), cents(634), cents(734), cents(1234)]);
    assert_eq!(stored[3].invoice_uuid, Some(uuid(1).as_uuid()));
}

#[tokio::test]
async fn an_entry_missing_from_a_complete_listing_does_not_count() {
    let fixture = fixture().await;
    let entries = [entry("Invoice", 1000, 1), entry("Payment", -1000, 2)];
    fixture.store_ledger(&entries, true).await.unwrap();
    let incomplete = fixture.store_ledger(&entries[..1], false).await.unwrap();
    assert_eq!(incomplete.missing, 0);
    let complete = fixture.store_ledger(&entries[..1], true).await.unwrap();
    assert_eq!(complete.missing, 1);
    assert_eq!(
        fixture.ledger_balance().await.unwrap().total,
        Decimal::new(1000, 2)
    );
    assert_eq!(fixture.ledger(None, None, 10).await.unwrap().len(), 2);
    fixture.store_ledger(&entries, true).await.unwrap();
    assert_eq!(fixture.ledger_balance().await.unwrap().total, Decimal::ZERO);
}

#[tokio::test]
async fn the_ledger_is_compared_to_the_balance_at_its_time() {
    let fixture = fixture().await;
    fixture
        .store_ledger(
            &[
                entry("Invoice", 1000, 1),
                // A failed payment moves no money.
                entry("AttemptFailed", -1000, 2),
                entry("Payment", -400, 3),
                // After the time of the balance.
                entry("Payment", -600, 20),
            ],
            true,
        )
        .await
        .unwrap();
    let none = fixture.ledger_balance().await.unwrap();
    assert_eq!((none.total, none.difference), (Decimal::ZERO, None));
    fixture
        .store_balance(&BalanceReading {
            month_to_date_balance: Decimal::new(700, 2),
            account_balance: Decimal::new(601, 2),
            month_to_date_usage: Decimal::new(99, 2),
            generated_at: april(10),
        })
        .await
        .unwrap();
    let balance = fixture.ledger_balance().await.unwrap();
    assert_eq!(balance.total_at_balance, Some(Decimal::new(600, 2)));
    assert_eq!(balance.difference, Some(Decimal::new(1, 2)));
}
