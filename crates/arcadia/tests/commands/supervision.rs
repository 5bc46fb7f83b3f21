//! `arcadia dev` restarts killed servers.

use std::fs;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Command;
use worker::schedules::SCHEDULES;

use crate::dev::{Dev, dev, reqwest_client};
use crate::support::{eventually, output};

const POSTGRES: &str = "postgres/postmaster.pid";
const TEMPORAL: &str = "temporal/temporal.pid";

fn pid(state: &Path, file: &str) -> Option<i32> {
    let text = fs::read_to_string(state.join(file)).ok()?;
    text.lines().next()?.trim().parse().ok()
}

/// Kills the server and waits until its replacement runs.
async fn kill(state: &Path, file: &str) {
    let killed = pid(state, file).unwrap();
    kill_process(Pid::from_raw(killed).unwrap(), Signal::KILL).unwrap();
    eventually("the server is restarted", async || {
        pid(state, file).filter(|pid| *pid != killed)
    })
    .await;
}

fn errors(state: &Path) -> String {
    fs::read_to_string(state.join("stderr.log")).unwrap()
}

/// Waits until `dev` has reported this number of restarts of a server.
async fn restarts(state: &Path, server: &str, times: usize) {
    let line = format!("{server} ended (signal 9): restarted on port ");
    eventually("the restart is reported", async || {
        (errors(state).matches(&line).count() == times).then_some(())
    })
    .await;
}

/// Triggers a schedule until a run that starts after this moment is completed.
async fn completes_a_run(instance: &Dev, schedule: &str) {
    let started = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let query = format!(
        "WorkflowId STARTS_WITH '{schedule}' AND ExecutionStatus = 'Completed' AND StartTime >= '{started}'"
    );
    let completed = async || {
        // Skipped while a run is in progress, which may wait for its activity's timeout.
        cli(
            instance,
            &["schedule", "trigger", "--schedule-id", schedule],
        )
        .await;
        let listed = cli(
            instance,
            &["workflow", "list", "--query", &query, "-o", "json"],
        )
        .await;
        let listed: Value = serde_json::from_str(&listed).ok()?;
        (!listed.as_array()?.is_empty()).then_some(())
    };
    eventually("a run is completed", completed).await;
}

async fn cli(instance: &Dev, arguments: &[&str]) -> String {
    let temporal = devstack::testing::temporal().await;
    let mut cli = Command::new(temporal.cli());
    cli.args(arguments)
        .args(["--address", instance.field("temporal_address")])
        .env("TEMPORAL_CONFIG_FILE", "/dev/null");
    let output = output(cli).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn inventory_responds(instance: &Dev) {
    let url = format!("{}/api/v1/inventory", instance.field("api_url"));
    eventually("the API responds", async || {
        let request = reqwest_client()
            .get(&url)
            .bearer_auth(instance.field("admin_token"));
        request
            .send()
            .await
            .ok()
            .filter(|answer| answer.status() == 200)
    })
    .await;
}

#[tokio::test]
async fn dev_restarts_killed_servers_and_syncs_continue() {
    let state = tempfile::tempdir().unwrap();
    let instance = Dev::start(dev(state.path()), state.path()).await;
    completes_a_run(&instance, "sync-droplets").await;

    kill(state.path(), POSTGRES).await;
    restarts(state.path(), "PostgreSQL", 1).await;
    inventory_responds(&instance).await;
    completes_a_run(&instance, "sync-droplets").await;

    kill(state.path(), TEMPORAL).await;
    restarts(state.path(), "Temporal", 1).await;
    completes_a_run(&instance, "sync-droplets").await;
    completes_a_run(&instance, "poll-balance").await;

    instance.stop().await;
    let stderr = errors(state.path());
    let errors = stderr.lines().filter(|line| line.contains("ERROR"));
    assert!(errors.count() <= 50, "{stderr}");
    let log = fs::read_to_string(state.path().join("log/arcadia.log")).unwrap();
    let of_client = log
        .lines()
        .filter(|line| line.contains("temporalio_client"));
    assert!(of_client.count() <= 50, "{log}");
}

#[tokio::test]
async fn dev_triggers_every_schedule_at_its_first_start() {
    let state = tempfile::tempdir().unwrap();
    let instance = Dev::start(dev(state.path()), state.path()).await;
    // The id of a run has the time of its start.
    let starts = async |schedule: &str| -> Vec<DateTime<Utc>> {
        let query = format!("WorkflowId STARTS_WITH '{schedule}-2'");
        let arguments = ["workflow", "list", "--query", &query, "-o", "json"];
        let listed = cli(&instance, &arguments).await;
        let listed: Value = serde_json::from_str(&listed).unwrap_or_default();
        let runs = listed.as_array().into_iter().flatten();
        let ids = runs.filter_map(|run| run["execution"]["workflowId"].as_str());
        ids.filter_map(|id| id.strip_prefix(schedule)?.strip_prefix('-')?.parse().ok())
            .collect()
    };
    for schedule in SCHEDULES {
        // The daily schedules start no other run now.
        let triggered = async || {
            let daily = *starts("maintain").await.first()?;
            let mut starts = starts(schedule.id).await.into_iter();
            let is_near = |at: DateTime<Utc>| (at - daily).abs() < TimeDelta::seconds(60);
            starts.any(is_near).then_some(())
        };
        eventually(schedule.id, triggered).await;
    }
    instance.stop().await;
}

#[tokio::test]
async fn a_temporal_server_that_lost_its_store_gets_the_schedules() {
    let state = tempfile::tempdir().unwrap();
    let instance = Dev::start(dev(state.path()), state.path()).await;
    let schedules = async || {
        let listed = cli(&instance, &["schedule", "list", "-o", "json"]).await;
        let listed: Value = serde_json::from_str(&listed).ok()?;
        (listed.as_array()?.len() == 6).then_some(())
    };
    eventually("the schedules are listed", schedules).await;

    for file in fs::read_dir(state.path().join("temporal")).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().contains("temporal.db") {
            fs::remove_file(path).unwrap();
        }
    }
    kill(state.path(), TEMPORAL).await;
    restarts(state.path(), "Temporal", 1).await;
    eventually("the schedules are created again", schedules).await;
    instance.stop().await;
}

#[tokio::test]
async fn dev_gives_up_a_server_that_keeps_ending() {
    let state = tempfile::tempdir().unwrap();
    let instance = Dev::start(dev(state.path()), state.path()).await;
    let has_given_up = || errors(state.path()).contains("error: Temporal failed 5 times");
    while !has_given_up() {
        let Some(server) = pid(state.path(), TEMPORAL) else {
            break;
        };
        // It may have ended: a restart on a busy machine can fail, too.
        let _ = kill_process(Pid::from_raw(server).unwrap(), Signal::KILL);
        eventually("the server is restarted or given up", async || {
            let next = pid(state.path(), TEMPORAL);
            (has_given_up() || next.is_some_and(|next| next != server)).then_some(())
        })
        .await;
    }
    let (status, errors) = instance.end(state.path()).await;
    assert_eq!(status, Some(1), "{errors}");
    let line = errors.lines().last().unwrap();
    assert!(line.starts_with("error: Temporal failed 5 times"), "{line}");
    assert!(line.contains("log/temporal.log"), "{line}");
    assert!(!state.path().join("ready.json").exists());
}
