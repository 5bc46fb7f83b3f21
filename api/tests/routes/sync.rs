//! Tests of the route of the mirror's state.

use std::sync::Arc;

use api::{
    OnServer, ScheduleFuture, ScheduleSource, ScheduleStatus, ScheduledRun, Settings, TemporalUi,
    WorkflowRun,
};
use axum::body::Body;
use axum::http::Request;
use domain::{Completeness, ResourceKind};
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use store::inventory::Shortfall;

use crate::support::{TestApi, facts, respond, rows, sweep, sweep_with, with_token};

/// A source with fixed schedules or a fixed error.
struct FixedSchedules(Result<Vec<ScheduleStatus>, String>);

impl ScheduleSource for FixedSchedules {
    fn schedules(&self) -> ScheduleFuture<'_> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

async fn sync(api: &TestApi, schedules: Result<Vec<ScheduleStatus>, String>) -> Value {
    let router = api::router(Settings {
        schedules: Some(Arc::new(FixedSchedules(schedules))),
        temporal_ui: Some(TemporalUi {
            url: "http://localhost:8233".to_owned(),
            namespace: "default".to_owned(),
        }),
        ..Settings::from(api.store.clone())
    });
    let request = with_token(&api.admin, Request::get("/api/v1/sync"));
    respond(router, request.body(Body::empty()).unwrap())
        .await
        .ok()
}

fn run(id: &str) -> WorkflowRun {
    WorkflowRun {
        workflow_id: format!("sync-droplets-2026-11-23T10:0{id}:00Z"),
        run_id: format!("run-{id}"),
    }
}

fn schedule(id: &str, on_server: Option<OnServer>) -> ScheduleStatus {
    ScheduleStatus {
        id: id.to_owned(),
        when: "every 1 min".to_owned(),
        workflow_type: "SyncInventory".to_owned(),
        task_queue: "cloud-sync-fast".to_owned(),
        on_server,
    }
}

#[tokio::test]
async fn every_kind_has_its_last_attempt_and_the_reason_of_a_failure() {
    let api = TestApi::with_account().await;
    let mut failed = facts(&api.store).await;
    failed.completeness = Completeness::Incomplete("page 2 returned 403".to_owned());
    failed.shortfall = Shortfall::NotReadable;
    sweep_with(&api.store, &ResourceKind::VOLUME, &[], &failed).await;
    let sync = sync(&api, Ok(Vec::new())).await;
    let kinds = sync["data"]["kinds"].as_array().unwrap();
    let names: Vec<_> = kinds.iter().map(|kind| kind["kind"].clone()).collect();
    assert_eq!(
        names,
        ["dns_zone", "droplet", "project", "project_member", "volume"]
    );
    let run_id = failed.run.run_id.as_str();
    assert_eq!(kinds[4]["run_id"], run_id);
    assert_eq!(
        kinds[4]["workflow_url"],
        format!(
            "http://localhost:8233/namespaces/default/workflows/sync-inventory/{run_id}/history"
        )
    );
    assert_json_snapshot!(kinds[4], {
        ".last_attempt_at" => "[time]",
        ".run_id" => "[uuid]",
        ".workflow_url" => "[url]",
    }, @r#"
    {
      "is_partial": false,
      "items": 0,
      "kind": "volume",
      "last_attempt_at": "[time]",
      "last_attempt_failed": true,
      "last_complete_at": null,
      "partial_reason": null,
      "reason": "page 2 returned 403",
      "requests": 1,
      "run_id": "[uuid]",
      "state": "not_readable",
      "unmatched_members": 0,
      "workflow_id": "sync-inventory",
      "workflow_url": "[url]"
    }
    "#);
}

#[tokio::test]
async fn every_schedule_has_its_runs_with_links() {
    let api = TestApi::empty().await;
    let on_server = OnServer {
        is_paused: true,
        is_current: true,
        foreign: None,
        note: Some("the token is being renewed".to_owned()),
        running: vec![run("2")],
        last_runs: vec![ScheduledRun {
            run: run("1"),
            started_at: Some("2026-11-23T10:01:00Z".parse().unwrap()),
            status: Some("completed".to_owned()),
        }],
        next_run_at: vec![
            "2026-11-23T10:03:00Z".parse().unwrap(),
            "2026-11-23T10:04:00Z".parse().unwrap(),
        ],
    };
    let schedules = vec![
        schedule("sync-droplets", Some(on_server)),
        schedule("poll-balance", None),
    ];
    let sync = sync(&api, Ok(schedules)).await;
    assert_eq!(sync["data"]["schedules_problem"], json!(null));
    let schedules = &sync["data"]["schedules"];
    assert_eq!(schedules[1]["state"], "missing");
    assert_json_snapshot!(schedules[0], @r#"
    {
      "id": "sync-droplets",
      "is_current": true,
      "last_runs": [
        {
          "run_id": "run-1",
          "started_at": "2026-11-23T10:01:00Z",
          "status": "completed",
          "workflow_id": "sync-droplets-2026-11-23T10:01:00Z",
          "workflow_url": "http://localhost:8233/namespaces/default/workflows/sync-droplets-2026-11-23T10%3A01%3A00Z/run-1/history"
        }
      ],
      "next_run_at": "2026-11-23T10:03:00Z",
      "note": "the token is being renewed",
      "paused": true,
      "running": [
        {
          "run_id": "run-2",
          "workflow_id": "sync-droplets-2026-11-23T10:02:00Z",
          "workflow_url": "http://localhost:8233/namespaces/default/workflows/sync-droplets-2026-11-23T10%3A02%3A00Z/run-2/history"
        }
      ],
      "state": "paused",
      "task_queue": "cloud-sync-fast",
      "when": "every 1 min",
      "workflow_type": "SyncInventory"
    }
    "#);
}

#[tokio::test]
async fn the_rest_of_the_response_does_not_need_temporal() {
    let api = TestApi::with_account().await;
    let unreachable = "Temporal cannot be reached at http://localhost:7233/".to_owned();
    let with_problem = sync(&api, Err(unreachable.clone())).await;
    assert_eq!(with_problem["data"]["schedules"], json!(null));
    assert_eq!(with_problem["data"]["schedules_problem"], unreachable);

    let without = api.get(&api.admin, "/api/v1/sync").await.ok();
    assert_eq!(without["data"]["schedules"], json!(null));
    assert!(without["data"]["schedules_problem"].is_string());
    let kinds = without["data"]["kinds"].as_array().unwrap();
    assert_eq!(kinds.len(), 4);
    assert_eq!(kinds[0]["workflow_url"], json!(null));
}

#[tokio::test]
async fn pending_held_deletions_are_listed() {
    let api = TestApi::with_account().await;
    let volumes: Vec<_> = (0..12)
        .map(|id| {
            let id = format!("v-{id}");
            crate::support::resource(ResourceKind::VOLUME, id.clone(), &id)
        })
        .collect();
    sweep(&api.store, &ResourceKind::VOLUME, &volumes).await;
    for _strike in 0..3 {
        sweep(&api.store, &ResourceKind::VOLUME, &[]).await;
    }
    let waiting = api.get(&api.admin, "/api/v1/sync").await.ok()["data"]["held_deletions"].clone();
    assert_eq!(waiting[0]["kind"], "volume");
    let hold = waiting[0]["id"].as_str().unwrap();
    let path = format!("/api/v1/held-deletions/{hold}");
    api.patch(&api.admin, &path, r#"{"decision": "reject"}"#)
        .await
        .ok();
    let sync = api.get(&api.admin, "/api/v1/sync").await.ok();
    assert_eq!(sync["data"]["held_deletions"], json!([]));
    let all = api.get(&api.admin, "/api/v1/held-deletions").await.ok();
    assert_eq!(rows(&all).len(), 1);
}

#[tokio::test]
async fn the_mirrored_team_is_shown_once_it_is_known() {
    let api = TestApi::empty().await;
    assert_eq!(
        sync(&api, Ok(Vec::new())).await["data"]["team"],
        Value::Null
    );
    let team = api.store.mirrored_team_or("a1b2", "Kestrel").await.unwrap();
    assert_eq!(team.name, "Kestrel");
    assert_eq!(
        sync(&api, Ok(Vec::new())).await["data"]["team"],
        json!({ "uuid": "a1b2", "name": "Kestrel" })
    );
}

#[tokio::test]
async fn unmatched_members_are_counted_by_kind_and_in_total() {
    let api = TestApi::with_account().await;
    // A project still lists the deleted droplet.
    let before = api.get(&api.admin, "/api/v1/sync").await.ok();
    assert_eq!(before["data"]["unmatched_members"], 1);
    api.write_by_hand(
        "insert into cloud_project_members (kind, provider_id, cloud_project_id, status, sighting_id)
         select kind, 'of-nothing', (select min(id::text)::uuid from cloud_projects), 'ok',
             (select min(id) from cloud_sightings where kind = 'project_member')
         from unnest(array['droplet', 'dns_zone', 'volume']) as kind",
    )
    .await;
    sweep(&api.store, &ResourceKind::DROPLET, &[]).await;
    sweep(&api.store, &ResourceKind::DNS_ZONE, &[]).await;
    let sync = api.get(&api.admin, "/api/v1/sync").await.ok();
    let kinds = sync["data"]["kinds"].as_array().unwrap();
    let counts: Vec<_> = kinds
        .iter()
        .map(|kind| {
            (
                kind["kind"].as_str().unwrap(),
                kind["unmatched_members"].clone(),
            )
        })
        .collect();
    assert_eq!(
        counts,
        [
            ("dns_zone", json!(1)),
            ("droplet", json!(2)),
            ("project", json!(0)),
            ("project_member", json!(0)),
        ]
    );
    assert_eq!(sync["data"]["unmatched_members"], 3);
}

pub(crate) fn healthy_schedules() -> Vec<ScheduleStatus> {
    let on_server = OnServer {
        is_current: true,
        last_runs: vec![ScheduledRun {
            run: run("1"),
            started_at: Some("2026-11-23T10:01:00Z".parse().unwrap()),
            status: Some("completed".to_owned()),
        }],
        ..OnServer::default()
    };
    ["sync-projects", "sync-inventory"]
        .map(|id| schedule(id, Some(on_server.clone())))
        .into()
}

fn codes(sync: &Value) -> Vec<&str> {
    let reasons = sync["data"]["reasons"].as_array().unwrap();
    let codes = reasons.iter().map(|reason| reason["code"].as_str());
    codes.map(Option::unwrap).collect()
}

#[tokio::test]
async fn the_status_is_the_first_field() {
    let api = TestApi::with_account().await;
    let router = api::router(Settings::from(api.store.clone()));
    let request = with_token(&api.admin, Request::get("/api/v1/sync"));
    let text = respond(router, request.body(Body::empty()).unwrap())
        .await
        .text;
    assert!(
        text.starts_with(r#"{"data":{"status":"degraded","reasons":[{"code":"#),
        "{text}"
    );
}

#[tokio::test]
async fn an_empty_account_is_ok() {
    let api = TestApi::empty().await;
    let before = sync(&api, Ok(healthy_schedules())).await;
    assert_eq!(before["data"]["status"], "degraded");
    assert_eq!(codes(&before), ["first_sync_running"]);

    let facts = facts(&api.store).await;
    let none = store::projects::ProjectSweep {
        projects: &[],
        internal_name: "skyai-internal",
        facts: &facts,
    };
    api.store.sweep_projects(none).await.unwrap();
    for kind in [ResourceKind::DROPLET, ResourceKind::VOLUME] {
        sweep(&api.store, &kind, &[]).await;
    }
    let after = self::sync(&api, Ok(healthy_schedules())).await;
    assert_eq!(after["data"]["status"], "ok", "{after}");
    assert_eq!(after["data"]["reasons"], json!([]));
}

#[tokio::test]
async fn a_refused_token_and_a_discrepancy_are_failing() {
    let api = TestApi::with_account().await;
    let mut refused = facts(&api.store).await;
    refused.completeness = Completeness::Incomplete("returned 401".to_owned());
    refused.shortfall = Shortfall::Unauthorized;
    sweep_with(&api.store, &ResourceKind::VOLUME, &[], &refused).await;
    api.write_by_hand("update cloud_invoices set line_total = line_total + 1 where version > 0")
        .await;
    api.store.check_costs().await.unwrap();
    let sync = sync(&api, Ok(healthy_schedules())).await;
    assert_eq!(sync["data"]["status"], "failing");
    // A project still lists the deleted droplet.
    assert_eq!(
        codes(&sync),
        ["token_refused", "books_discrepancy", "members_unmatched"]
    );
    let reason = &sync["data"]["reasons"][0];
    assert_eq!(reason["severity"], "failing");
    assert_eq!(reason["subjects"], json!(["volume"]));
    assert!(reason["since"].is_string(), "{reason}");
    assert!(reason["detail"].as_str().unwrap().contains("401"));
}

#[tokio::test]
async fn each_schedule_has_one_next_run_and_at_most_five_last_ones() {
    let api = TestApi::empty().await;
    let mut schedules = healthy_schedules();
    let on_server = schedules[0].on_server.as_mut().unwrap();
    let run = on_server.last_runs[0].clone();
    on_server.last_runs = vec![run; 10];
    let time = |minute: u32| format!("2026-11-23T10:{minute:02}:00Z").parse().unwrap();
    on_server.next_run_at = (10..20).map(time).collect();
    let sync = sync(&api, Ok(schedules)).await;
    let shown = &sync["data"]["schedules"];
    assert_eq!(shown[0]["next_run_at"], "2026-11-23T10:10:00Z");
    assert_eq!(shown[0]["last_runs"].as_array().unwrap().len(), 5);
    assert_eq!(shown[1]["next_run_at"], json!(null));
}
