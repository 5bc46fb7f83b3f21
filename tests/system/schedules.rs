//! The schedules: creating, updating, taking over and pruning them in Temporal.

use std::time::Duration;

use simulator::Account;
use temporalio_client::RpcOptions;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::schedules::{PauseScheduleOptions, ScheduleIntervalSpec, ScheduleSpec};
use temporalio_client::tonic::IntoRequest as _;
use temporalio_common::protos::temporal::api::workflowservice::v1::CreateScheduleRequest;
use uuid::Uuid;
use worker::schedules::{
    self, ApplyError, Change, Installation, MEMO, Plan, SCHEDULES, Stopped, Unwanted,
};

use crate::support::{TestSystem, eventually};

/// Returns the planned change of every schedule.
fn changes(plan: &Plan) -> Vec<(&'static str, Change)> {
    let planned = plan.schedules.iter();
    planned
        .map(|planned| (planned.schedule.id, planned.change.clone()))
        .collect()
}

/// A fixed installation. That of the database would gain a team once a worker checks its token.
fn installation() -> Installation {
    Installation {
        id: Uuid::from_u128(1),
        team_uuid: None,
        team: None,
    }
}

fn ids(unwanted: &[Unwanted]) -> Vec<&str> {
    unwanted
        .iter()
        .map(|unwanted| unwanted.id.as_str())
        .collect()
}

async fn apply(system: &TestSystem) -> Vec<(&'static str, Change)> {
    changes(
        &schedules::apply(&system.client, &installation())
            .await
            .unwrap(),
    )
}

/// Returns the same change for every schedule.
fn all(change: &Change) -> Vec<(&'static str, Change)> {
    let ids = SCHEDULES.iter().map(|schedule| schedule.id);
    ids.map(|id| (id, change.clone())).collect()
}

#[tokio::test]
async fn applying_the_schedules_twice_creates_them_once() {
    let system = TestSystem::start(Account::empty()).await;
    let before = schedules::list(&system.client, Some(&installation()))
        .await
        .unwrap();
    assert!(before.iter().all(|status| status.on_server.is_none()));

    let plan = Plan::new(&system.client, &installation()).await.unwrap();
    assert_eq!(plan.attributes.missing.len(), 5);
    assert_eq!(changes(&plan), all(&Change::Created));
    assert!(!plan.is_empty());
    let unchanged = schedules::list(&system.client, Some(&installation()))
        .await
        .unwrap();
    assert!(unchanged.iter().all(|status| status.on_server.is_none()));

    plan.carry_out(&system.client).await.unwrap();
    let plan = Plan::new(&system.client, &installation()).await.unwrap();
    assert_eq!(changes(&plan), all(&Change::Unchanged));
    assert!(plan.attributes.is_complete() && plan.is_empty());
    assert_eq!(apply(&system).await, all(&Change::Unchanged));
    let after = schedules::list(&system.client, Some(&installation()))
        .await
        .unwrap();
    let current = after.iter().filter(|status| {
        status
            .on_server
            .as_ref()
            .is_some_and(|server| server.is_current)
    });
    assert_eq!(current.count(), SCHEDULES.len());
}

#[tokio::test]
async fn applying_reverts_an_operators_change_and_keeps_a_pause_and_its_note() {
    let system = TestSystem::start(Account::empty()).await;
    apply(&system).await;
    let schedule = system.client.get_schedule_handle("sync-inventory");
    let note = "until the migration is done";
    schedule
        .pause(Some(note), PauseScheduleOptions::default())
        .await
        .unwrap();
    assert_eq!(apply(&system).await, all(&Change::Unchanged));

    let hourly = ScheduleIntervalSpec::new(Duration::from_hours(1), None);
    schedule
        .update(
            move |update| {
                let spec = ScheduleSpec::builder().intervals(vec![hourly]);
                update.set_spec(spec.build());
                update.set_catchup_window(Duration::from_secs(90));
            },
            RpcOptions::default(),
        )
        .await
        .unwrap();
    let plan = Plan::new(&system.client, &installation()).await.unwrap();
    for planned in &plan.schedules {
        let differs = planned.schedule.id == "sync-inventory";
        let Change::Updated(differences) = &planned.change else {
            assert!(!differs && planned.stopped.is_none());
            continue;
        };
        assert!(differs, "{} {differences:?}", planned.schedule.id);
        let differences: Vec<_> = differences.iter().map(ToString::to_string).collect();
        let expected = [
            "when: every 1 h -> every 15 min, offset 5 min",
            "catch-up window: 90 s -> 15 min",
        ];
        assert_eq!(differences, expected);
        assert_eq!(planned.stopped, Some(Stopped::Paused(note.to_owned())));
    }

    plan.carry_out(&system.client).await.unwrap();
    assert_eq!(apply(&system).await, all(&Change::Unchanged));
    let description = schedule.describe(RpcOptions::default()).await.unwrap();
    assert!(description.paused());
    assert_eq!(description.note(), Some(note));
}

#[tokio::test]
async fn a_schedule_changed_after_planning_is_not_overwritten() {
    let system = TestSystem::start(Account::empty()).await;
    apply(&system).await;
    let schedule = system.client.get_schedule_handle("poll-balance");
    let set_interval = async |hours| {
        let every = ScheduleIntervalSpec::new(Duration::from_hours(hours), None);
        let spec = ScheduleSpec::builder().intervals(vec![every]).build();
        schedule
            .update(
                move |update| {
                    update.set_spec(spec);
                },
                RpcOptions::default(),
            )
            .await
            .unwrap();
    };
    // The server applies an update with a delay.
    let plan_that_finds = async |hours| {
        set_interval(hours).await;
        let expected = format!("when: every {hours} h -> every 1 h, offset 7 min");
        eventually(&expected, async || {
            let plan = Plan::new(&system.client, &installation()).await.unwrap();
            let mut changes = plan.schedules.iter().map(|planned| &planned.change);
            let is_found = changes.any(|change| match change {
                Change::Updated(differences) => differences[0].to_string() == expected,
                _ => false,
            });
            is_found.then_some(plan)
        })
        .await
    };
    let plan = plan_that_finds(2).await;
    let newer = plan_that_finds(3).await;
    let error = plan.carry_out(&system.client).await.unwrap_err();
    assert!(
        matches!(error, ApplyError::ChangedMeanwhile { id: "poll-balance" }),
        "{error}"
    );
    newer.carry_out(&system.client).await.unwrap();
    assert_eq!(apply(&system).await, all(&Change::Unchanged));
}

#[tokio::test]
async fn schedules_of_an_earlier_version_are_listed_and_removed_only_by_prune() {
    let system = TestSystem::start(Account::empty()).await;
    apply(&system).await;
    let balance = system.client.get_schedule_handle("poll-balance");
    let description = balance.describe(RpcOptions::default()).await.unwrap();
    let raw = description.into_raw();
    // A schedule with the search attribute of this program, and one created by hand without it.
    for (id, search_attributes) in [("poll-usage", raw.search_attributes), ("by-hand", None)] {
        let request = CreateScheduleRequest {
            namespace: system.namespace.clone(),
            schedule_id: id.to_owned(),
            schedule: raw.schedule.clone(),
            search_attributes,
            request_id: id.to_owned(),
            ..Default::default()
        };
        WorkflowService::create_schedule(&mut system.client.clone(), request.into_request())
            .await
            .unwrap();
    }
    let plan = eventually("the schedule is listed", async || {
        let plan = schedules::apply(&system.client, &installation())
            .await
            .unwrap();
        (!plan.unwanted.is_empty()).then_some(plan)
    })
    .await;
    assert_eq!(ids(&plan.unwanted), ["poll-usage"]);
    assert!(plan.is_empty());
    let unwanted = schedules::unwanted(&system.client, Some(&installation()))
        .await
        .unwrap();
    assert_eq!(ids(&unwanted), ["poll-usage"]);

    plan.prune(&system.client).await.unwrap();
    eventually("the schedule is deleted", async || {
        let plan = Plan::new(&system.client, &installation()).await.unwrap();
        plan.unwanted.is_empty().then_some(())
    })
    .await;
    let by_hand = system.client.get_schedule_handle("by-hand");
    by_hand.describe(RpcOptions::default()).await.unwrap();
    assert_eq!(apply(&system).await, all(&Change::Unchanged));
}

#[tokio::test]
async fn a_schedule_without_starts_left_is_reported_as_stopped() {
    let system = TestSystem::start(Account::empty()).await;
    apply(&system).await;
    let schedule = system.client.get_schedule_handle("poll-balance");
    schedule
        .update(
            |update| {
                update.set_remaining_actions(Some(0));
            },
            RpcOptions::default(),
        )
        .await
        .unwrap();
    let stopped = async || {
        let plan = Plan::new(&system.client, &installation()).await.unwrap();
        let mut planned = plan.schedules.iter();
        let planned = planned.find(|planned| planned.schedule.id == "poll-balance");
        planned.unwrap().stopped.clone()
    };
    // The server applies an update with a delay.
    let reason = eventually("the schedule has no starts left", stopped).await;
    assert_eq!(reason, Stopped::NoStartsLeft);
    // The number of starts left is controlled by operators and not a difference.
    assert_eq!(apply(&system).await, all(&Change::Unchanged));
    assert_eq!(stopped().await, Some(Stopped::NoStartsLeft));
    let listed = schedules::list(&system.client, Some(&installation()))
        .await
        .unwrap();
    let mut on_server = listed.into_iter().filter_map(|status| status.on_server);
    assert!(on_server.any(|server| server.stopped == Some(Stopped::NoStartsLeft)));
}

#[tokio::test]
async fn schedules_of_another_installation_are_changed_only_when_taken_over() {
    let system = TestSystem::start(Account::empty()).await;
    apply(&system).await;
    let mut other = installation();
    other.id = Uuid::from_u128(2);
    other.team = Some("Kestrel".to_owned());
    other.team_uuid = Some("a1".to_owned());

    let applied = schedules::apply(&system.client, &other).await;
    let error = applied.err().unwrap();
    let ApplyError::Foreign { ids, owner, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(ids.len(), SCHEDULES.len());
    assert_eq!(*owner, installation());
    let listed = schedules::list(&system.client, Some(&other)).await.unwrap();
    for status in listed {
        let on_server = status.on_server.unwrap();
        assert_eq!(on_server.foreign, Some(installation()));
        assert!(on_server.is_current);
    }
    assert_eq!(apply(&system).await, all(&Change::Unchanged));

    let schedule = system.client.get_schedule_handle("poll-balance");
    schedule
        .pause(Some("month end"), PauseScheduleOptions::default())
        .await
        .unwrap();
    let mut plan = Plan::new(&system.client, &other).await.unwrap();
    plan.take_over();
    plan.carry_out(&system.client).await.unwrap();
    let plan = Plan::new(&system.client, &other).await.unwrap();
    assert!(plan.is_empty() && plan.foreign().is_none());
    let description = schedule.describe(RpcOptions::default()).await.unwrap();
    assert_eq!(description.note(), Some("month end"));
    assert!(description.paused());
    let memo = &description.raw().memo.as_ref().unwrap().fields[MEMO];
    assert!(String::from_utf8_lossy(&memo.data).contains("Kestrel"));
    let applied = schedules::apply(&system.client, &installation()).await;
    assert!(matches!(applied, Err(ApplyError::Foreign { .. })));
}
