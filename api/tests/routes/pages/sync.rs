//! Tests of `/sync`, of held deletions, and of the buttons that start workflows.

use std::sync::{Arc, Mutex};

use api::{
    CloseApproval, DescribeFuture, RunDescription, ScheduleFuture, ScheduleSource, Settings,
    StartFuture, TemporalUi, WorkflowError, WorkflowRun, WorkflowStarter,
};
use chrono::NaiveDate;
use domain::{Completeness, ResourceKind};
use serde_json::Value;
use store::inventory::Shortfall;
use uuid::Uuid;

use super::Session;
use crate::support::{APRIL, TestApi, UNKNOWN, facts, resource, rows, sweep, sweep_with};
use crate::sync::healthy_schedules;

/// A Temporal that records the requested starts.
#[derive(Default)]
pub(crate) struct FakeTemporal {
    pub(crate) starts: Mutex<Vec<String>>,
}

impl FakeTemporal {
    fn start(&self, what: String) -> StartFuture<'_> {
        let run = WorkflowRun {
            workflow_id: what.replace(' ', ":"),
            run_id: "run-1".to_owned(),
        };
        self.starts.lock().unwrap().push(what);
        Box::pin(std::future::ready(Ok(run)))
    }
}

impl WorkflowStarter for FakeTemporal {
    fn schedule_ids(&self) -> Vec<String> {
        let schedules = healthy_schedules().into_iter();
        schedules.map(|schedule| schedule.id).collect()
    }

    fn kinds(&self) -> Vec<String> {
        vec!["droplet".to_owned(), "volume".to_owned()]
    }

    fn trigger<'a>(&'a self, schedule: &'a str) -> StartFuture<'a> {
        self.start(format!("schedule {schedule}"))
    }

    fn sync_kind<'a>(&'a self, kind: &'a str) -> StartFuture<'a> {
        self.start(format!("kind {kind}"))
    }

    fn ingest(&self, invoice: Uuid, period: NaiveDate) -> StartFuture<'_> {
        self.start(format!("invoice {invoice} {period}"))
    }

    fn reallocate(&self) -> StartFuture<'_> {
        self.start("reallocate".to_owned())
    }

    fn close(&self, period: NaiveDate) -> StartFuture<'_> {
        self.start(format!("close {period}"))
    }

    fn approve_close<'a>(
        &'a self,
        period: NaiveDate,
        approval: &'a CloseApproval,
    ) -> StartFuture<'a> {
        self.start(format!("approve {period} {}", approval.by))
    }

    fn describe<'a>(&'a self, run: &'a WorkflowRun) -> DescribeFuture<'a> {
        // The latest run of a close.
        if run.run_id.is_empty() {
            let starts = self.starts.lock().unwrap();
            let is_started = starts.iter().any(|start| start.starts_with("close "));
            let described = is_started.then(|| RunDescription {
                workflow_type: "CloseMonth".to_owned(),
                summary: None,
                status: "running".to_owned(),
                started_at: None,
                closed_at: None,
                failure: None,
            });
            let described = described.ok_or_else(|| WorkflowError::Unknown("no run".to_owned()));
            return Box::pin(std::future::ready(described));
        }
        Box::pin(std::future::ready(Ok(RunDescription {
            workflow_type: "SyncInventory".to_owned(),
            summary: Some(run.workflow_id.clone()),
            status: "failed".to_owned(),
            started_at: None,
            closed_at: None,
            failure: Some("page 2 returned 500".to_owned()),
        })))
    }
}

impl ScheduleSource for FakeTemporal {
    fn schedules(&self) -> ScheduleFuture<'_> {
        Box::pin(std::future::ready(Ok(healthy_schedules())))
    }
}

/// Connects the API to a Temporal.
pub(crate) fn connect(api: &mut TestApi) -> Arc<FakeTemporal> {
    let temporal = Arc::new(FakeTemporal::default());
    api.router = api::router(Settings {
        schedules: Some(temporal.clone()),
        workflows: Some(temporal.clone()),
        temporal_ui: Some(TemporalUi {
            url: "http://localhost:8233".to_owned(),
            namespace: "default".to_owned(),
        }),
        ..Settings::from(api.store.clone())
    });
    temporal
}

/// Creates twelve volumes that three complete listings lack. Returns the id of the held deletion.
async fn with_hold(api: &TestApi) -> String {
    with_hold_of(api, ResourceKind::VOLUME).await
}

/// Creates twelve resources of a kind that three complete listings lack. Returns the id of the held
/// deletion.
pub(crate) async fn with_hold_of(api: &TestApi, kind: ResourceKind) -> String {
    let resources: Vec<_> = (0..12)
        .map(|id| resource(kind.clone(), format!("v-{id}"), &format!("data-{id:02}")))
        .collect();
    sweep(&api.store, &kind, &resources).await;
    for _strike in 0..3 {
        sweep(&api.store, &kind, &[]).await;
    }
    let holds = api.get(&api.admin, "/api/v1/held-deletions").await.ok();
    rows(&holds)[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_page_has_the_status_kinds_and_runs_of_the_json_api() {
    let mut api = TestApi::with_account().await;
    let mut failed = facts(&api.store).await;
    failed.completeness = Completeness::Incomplete("page 2 returned 403".to_owned());
    failed.shortfall = Shortfall::NotReadable;
    sweep_with(&api.store, &ResourceKind::VOLUME, &[], &failed).await;
    connect(&mut api);
    let session = Session::start(&api, &api.admin).await;
    let page = session.page("/sync").await;
    let sync = api.get(&api.admin, "/api/v1/sync").await.ok()["data"].clone();
    let status = sync["status"].as_str().unwrap();
    assert!(page.contains(&format!("Status: {status}")), "{page}");
    assert_eq!(
        page.matches("<li><strong").count(),
        sync["reasons"].as_array().unwrap().len()
    );
    assert!(page.contains("href=\"#kind-volume\""), "{page}");
    for kind in sync["kinds"].as_array().unwrap() {
        let name = kind["kind"].as_str().unwrap();
        let row = page.split(&format!("id=\"kind-{name}\"")).nth(1).unwrap();
        let row = row.split("</tr>").next().unwrap();
        let items = format!("<td class=\"num\">{}</td>", kind["items"]);
        assert!(row.contains(&items), "{row}");
        let state = kind["state"].as_str().unwrap().replace('_', " ");
        assert!(row.contains(&format!(">{state}<")), "{row}");
        assert!(
            row.contains(kind["workflow_url"].as_str().unwrap()),
            "{row}"
        );
        if let Value::String(reason) = &kind["reason"] {
            assert!(row.contains(reason.as_str()), "{row}");
        }
    }
    for schedule in sync["schedules"].as_array().unwrap() {
        let id = schedule["id"].as_str().unwrap();
        assert!(page.contains(&format!("id=\"schedule-{id}\"")), "{id}");
        let url = schedule["last_runs"][0]["workflow_url"].as_str().unwrap();
        assert!(page.contains(url), "{url}");
    }
    // The page of a project starts the schedule of projects.
    for button in [
        "name=\"kind\" value=\"volume\"",
        "name=\"schedule\" value=\"sync-projects\"",
        "name=\"schedule\" value=\"sync-inventory\"",
    ] {
        assert!(page.contains(button), "{button}");
    }
}

#[tokio::test]
async fn a_button_starts_a_run_and_leads_to_it() {
    let mut api = TestApi::with_account().await;
    let temporal = connect(&mut api);
    let session = Session::start(&api, &api.admin).await;
    let ingest = format!("/invoices/{APRIL}/ingest");
    let invoice = session.page(&format!("/invoices/{APRIL}")).await;
    let form = format!("<form method=\"post\" action=\"{ingest}\">");
    assert!(invoice.contains(&form), "{invoice}");
    for (path, fields, started) in [
        (
            "/sync/run",
            "schedule=sync-projects",
            "schedule sync-projects".to_owned(),
        ),
        ("/sync/run", "kind=volume", "kind volume".to_owned()),
        (&*ingest, "", format!("invoice {APRIL} 2026-04-01")),
    ] {
        let response = session.post(path, fields).await;
        assert_eq!(response.status, 303, "{path} {fields}: {response:?}");
        let run = response.headers["location"].to_str().unwrap().to_owned();
        let id = started.replace(' ', "%3A");
        assert_eq!(run, format!("/sync/runs/{id}/run-1"));
        assert_eq!(temporal.starts.lock().unwrap().pop(), Some(started.clone()));
        let page = session.page(&run).await;
        for part in [&*started.replace(' ', ":"), "failed", "page 2 returned 500"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(
            page.contains("http://localhost:8233/namespaces/default"),
            "{page}"
        );
    }
    for (fields, status) in [
        ("schedule=unknown", 404),
        ("", 400),
        ("kind=volume&schedule=sync-projects", 400),
        ("kind=volume&more=1", 400),
    ] {
        assert_eq!(
            session.post("/sync/run", fields).await.status,
            status,
            "{fields}"
        );
    }
    let unknown = session
        .post(&format!("/invoices/{UNKNOWN}/ingest"), "")
        .await;
    assert_eq!(unknown.status, 404);
    assert!(temporal.starts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_temporal_a_sentence_replaces_the_buttons() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page("/sync").await;
    assert!(!page.contains("action=\"/sync/run\""), "{page}");
    assert!(page.contains("temporal schedule trigger"), "{page}");
    let refused = session.post("/sync/run", "kind=volume").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.headers["content-type"], "text/html; charset=utf-8");
    assert!(
        refused.text.contains("connection to Temporal"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_administrator_approves_a_held_deletion() {
    let api = TestApi::with_account().await;
    let path = format!("/sync/held-deletions/{}", with_hold(&api).await);
    let session = Session::start(&api, &api.admin).await;
    assert!(
        session
            .page("/sync")
            .await
            .contains(&format!("href=\"{path}\""))
    );
    let first = session.page(&format!("{path}?limit=5")).await;
    assert_eq!(first.matches("href=\"/inventory/").count(), 5);
    assert!(first.contains("?cursor="), "{first}");
    let page = session.page(&path).await;
    assert_eq!(page.matches("href=\"/inventory/").count(), 12);
    assert!(!page.contains("method=\"post\" action=\"/sync"), "{page}");

    let confirm = session.page(&format!("{path}?decision=approve")).await;
    assert!(
        confirm.contains(&format!("method=\"post\" action=\"{path}\"")),
        "{confirm}"
    );
    let volumes = "/api/v1/inventory?kind=volume";
    assert_eq!(rows(&api.get(&api.admin, volumes).await.ok()).len(), 12);
    let decided = session.post(&path, "decision=approve").await;
    assert_eq!(decided.headers["location"], path.as_str());
    assert_eq!(rows(&api.get(&api.admin, volumes).await.ok()).len(), 0);
    let after = session.page(&path).await;
    assert!(
        after.contains("<strong>approved</strong> by test"),
        "{after}"
    );
    assert!(after.contains("12 of 12 resources"), "{after}");

    // Decided: neither confirmed nor decided differently.
    let confirm = session.page(&format!("{path}?decision=reject")).await;
    assert!(
        !confirm.contains(&format!("action=\"{path}\"")),
        "{confirm}"
    );
    let conflict = session.post(&path, "decision=reject").await;
    assert_eq!(conflict.status, 409);
    assert!(conflict.text.contains("approved"), "{conflict:?}");
}

#[tokio::test]
async fn an_invalid_decision_is_explained_and_changes_nothing() {
    let api = TestApi::with_account().await;
    let path = format!("/sync/held-deletions/{}", with_hold(&api).await);
    let session = Session::start(&api, &api.admin).await;
    let invalid = session.get(&format!("{path}?decision=maybe")).await;
    assert_eq!(invalid.status, 400);
    assert!(invalid.text.contains("approve or reject"), "{invalid:?}");
    assert_eq!(session.post(&path, "decision=maybe").await.status, 400);
    let unknown = format!("/sync/held-deletions/{UNKNOWN}");
    assert_eq!(session.get(&unknown).await.status, 404);
    let holds = api.get(&api.admin, "/api/v1/held-deletions").await.ok();
    assert_eq!(rows(&holds)[0]["state"], "pending");
}

#[tokio::test]
async fn the_pages_of_the_sync_are_for_administrators() {
    let mut api = TestApi::with_account().await;
    let hold = with_hold(&api).await;
    let temporal = connect(&mut api);
    let session = Session::start(&api, &api.acme).await;
    let hold = format!("/sync/held-deletions/{hold}");
    for path in ["/sync", "/sync/runs/a/b", &hold] {
        assert_eq!(session.get(path).await.status, 403, "{path}");
    }
    let ingest = format!("/invoices/{APRIL}/ingest");
    for (path, fields) in [
        ("/sync/run", "kind=volume"),
        (&*hold, "decision=approve"),
        (&ingest, ""),
    ] {
        assert_eq!(session.post(path, fields).await.status, 403, "{path}");
    }
    assert!(temporal.starts.lock().unwrap().is_empty());
}
