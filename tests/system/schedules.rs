use std::time::Duration;

use simulator::Account;
use temporalio_client::RpcOptions;
use temporalio_client::schedules::{PauseScheduleOptions, ScheduleIntervalSpec, ScheduleSpec};
use worker::schedules::{self, Applied, SCHEDULES};

use crate::support::TestSystem;

async fn apply(system: &TestSystem) -> Vec<(&'static str, Applied)> {
    let applied = schedules::apply(&system.client).await.unwrap();
    applied
        .into_iter()
        .map(|(schedule, applied)| (schedule.id, applied))
        .collect()
}

/// Every schedule with the same outcome, but one.
fn all_but(id: &str, outcome: Applied, others: Applied) -> Vec<(&'static str, Applied)> {
    SCHEDULES
        .iter()
        .map(|schedule| {
            let is_the_one = schedule.id == id;
            (schedule.id, if is_the_one { outcome } else { others })
        })
        .collect()
}

#[tokio::test]
async fn applying_the_schedules_twice_creates_them_once() {
    let system = TestSystem::start(Account::empty()).await;
    let before = schedules::list(&system.client).await.unwrap();
    assert!(before.iter().all(|status| status.on_server.is_none()));
    let created = all_but("", Applied::Created, Applied::Created);
    assert_eq!(apply(&system).await, created);
    let unchanged = all_but("", Applied::Unchanged, Applied::Unchanged);
    assert_eq!(apply(&system).await, unchanged);
    let after = schedules::list(&system.client).await.unwrap();
    let current = after.iter().filter(|status| {
        status
            .on_server
            .as_ref()
            .is_some_and(|have| have.is_current)
    });
    assert_eq!(current.count(), 5);
}

#[tokio::test]
async fn a_changed_schedule_is_corrected_and_an_operators_pause_stays() {
    let system = TestSystem::start(Account::empty()).await;
    apply(&system).await;
    let schedule = system.client.get_schedule_handle("sync-inventory");
    schedule
        .pause(
            Some("until the migration is done"),
            PauseScheduleOptions::default(),
        )
        .await
        .unwrap();
    let unchanged = all_but("", Applied::Unchanged, Applied::Unchanged);
    assert_eq!(apply(&system).await, unchanged);

    let hourly = ScheduleIntervalSpec::new(Duration::from_hours(1), None);
    schedule
        .update(
            move |update| {
                let spec = ScheduleSpec::builder().intervals(vec![hourly]);
                update.set_spec(spec.build());
            },
            RpcOptions::default(),
        )
        .await
        .unwrap();
    let corrected = all_but("sync-inventory", Applied::Updated, Applied::Unchanged);
    assert_eq!(apply(&system).await, corrected);
    assert_eq!(apply(&system).await, unchanged);
    let description = schedule.describe(RpcOptions::default()).await.unwrap();
    assert!(description.paused());
    assert_eq!(description.note(), Some("until the migration is done"));
}
