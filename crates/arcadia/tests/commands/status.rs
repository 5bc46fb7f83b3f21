//! `arcadia status` prints the verdict on the mirror and returns it as exit status.

use std::time::Duration;

use devstack::testing::unused_address;
use domain::balance::BalanceReading;
use domain::{Completeness, ResourceKind};
use sqlx::{Connection as _, PgConnection};
use store::inventory::{Guard, ListingFacts, Rules, Shortfall};
use store::projects::ProjectSweep;
use store::{Run, Store};

use crate::doctor::schedules::Namespace;
use crate::doctor::{Healthy, SECRET};
use crate::support::output;

/// Returns the exit status and the printed lines with these variables changed.
async fn status(healthy: &Healthy, changes: &[(&str, &str)]) -> (Option<i32>, Vec<String>) {
    let output = output(healthy.run("status", changes)).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        !text.contains(SECRET) && !errors.contains(SECRET),
        "{text}{errors}"
    );
    assert!(!errors.contains("panicked"), "{errors}");
    (
        output.status.code(),
        text.lines().map(str::to_owned).collect(),
    )
}

#[tokio::test]
async fn a_new_installation_is_degraded_until_its_first_sync_has_ended() {
    let healthy = Healthy::start().await;
    let (code, lines) = status(&healthy, &[]).await;
    assert_eq!(lines[0], "status: degraded");
    assert!(
        lines[1].starts_with("degraded  first_sync_running: "),
        "{lines:#?}"
    );
    assert!(lines[1].contains(" (since 20"), "{lines:#?}");
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn an_up_to_date_mirror_is_ok() {
    // The first runs of these schedules have not reached their timeouts.
    let namespace = Namespace::create("status-ok").await;
    let (code, applied) = namespace.apply(&[]).await;
    assert_eq!(code, Some(0), "{applied}");
    let healthy = &namespace.healthy;
    let store = Store::connect(&healthy.database.url(), 1).await.unwrap();
    let facts = ListingFacts {
        evidence: store.begin_fetch().await.unwrap(),
        finished_at: store.now().await.unwrap(),
        completeness: Completeness::Complete,
        shortfall: Shortfall::default(),
        total: None,
        requests: 1,
        rules: Rules {
            strike_interval: Duration::ZERO,
            guard: Guard::default(),
        },
        run: Run {
            workflow_id: "sync-inventory".to_owned(),
            run_id: "1".to_owned(),
        },
    };
    let projects = ProjectSweep {
        projects: &[],
        internal_name: "skyai-internal",
        facts: &facts,
    };
    store.sweep_projects(projects).await.unwrap();
    let seen = store.observe(&[ResourceKind::VOLUME]).await.unwrap();
    store
        .sweep(&seen, &ResourceKind::VOLUME, &facts)
        .await
        .unwrap();
    let balance = BalanceReading {
        month_to_date_balance: "1.00".parse().unwrap(),
        account_balance: "0.00".parse().unwrap(),
        month_to_date_usage: "1.00".parse().unwrap(),
        generated_at: facts.evidence.began_at(),
    };
    store.store_balance(&balance, facts.evidence).await.unwrap();
    // Without a worker, the first runs of the schedules never end.
    let mut database = PgConnection::connect(&healthy.database.url())
        .await
        .unwrap();
    sqlx::query("update _sqlx_migrations set installed_on = now() - interval '1 day'")
        .execute(&mut database)
        .await
        .unwrap();

    let (code, lines) = status(healthy, &[("TEMPORAL_NAMESPACE", &namespace.name)]).await;
    assert_eq!((code, lines), (Some(0), vec!["status: ok".to_owned()]));
}

#[tokio::test]
async fn unreachable_servers_are_failing() {
    let healthy = Healthy::start().await;
    let address = unused_address().to_string();
    let url = format!("postgres://arcadia:{SECRET}@{address}/arcadia");
    let unreachable = [("DATABASE_URL", &*url), ("TEMPORAL_ADDRESS", &*address)];
    let (code, lines) = status(&healthy, &unreachable).await;
    assert_eq!(code, Some(2));
    assert_eq!(lines[0], "status: failing");
    for (line, start) in [
        (1, "failing   database_unreachable: "),
        (2, "failing   temporal_unreachable: "),
    ] {
        assert!(lines[line].starts_with(start), "{lines:#?}");
        assert!(lines[line].contains(&address), "{lines:#?}");
    }
    assert_eq!(lines.len(), 3, "{lines:#?}");
}

#[tokio::test]
async fn a_missing_database_or_schema_is_failing() {
    let healthy = Healthy::start().await;
    let empty = devstack::testing::database().await;
    for (url, fix) in [
        ("", "set DATABASE_URL"),
        (&*empty.url(), "run `arcadia migrate`"),
    ] {
        let (code, lines) = status(&healthy, &[("DATABASE_URL", url)]).await;
        assert_eq!(code, Some(2), "{lines:#?}");
        assert!(
            lines[1].contains("database_unreachable: ") && lines[1].contains(fix),
            "{lines:#?}"
        );
    }
}
