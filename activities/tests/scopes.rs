//! Tests of a token with fewer scopes than the one before: resources that it may not read keep
//! their projects.

use std::time::Duration;

use activities::inventory::InventoryActivities;
use activities::projects::ProjectActivities;
use digitalocean::Client;
use domain::ResourceKind;
use simulator::{Account, DEMO_TOKEN, Scopes, Simulator};
use sqlx::PgPool;
use store::inventory::{Guard, Rules};
use store::{Run, Store};

const NARROW: &str = "dop_v1_without_droplet_read";

fn run(number: u32) -> Run {
    Run {
        workflow_id: format!("sync-{number}"),
        run_id: format!("run-{number}"),
    }
}

#[tokio::test]
async fn a_token_without_droplet_scopes_moves_no_droplet() {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 3).await.unwrap();
    store.migrate().await.unwrap();
    let mut account = Account::demo();
    let scopes = ["project:read", "domain:read"];
    account.accept_token(NARROW, Scopes::only(scopes));
    let simulator = Simulator::start(account).await.unwrap();
    // The guard is disabled: it is not under test.
    let rules = Rules {
        strike_interval: Duration::ZERO,
        guard: Guard {
            percent: 100,
            rows: 1_000,
        },
    };
    let with = |token: &str| {
        let digitalocean = Client::new(&simulator.url(), token.into()).unwrap();
        let inventory = InventoryActivities {
            digitalocean: digitalocean.clone(),
            store: store.clone(),
            rules,
            dns_records: false,
            spaces: None,
        };
        let projects = ProjectActivities {
            digitalocean,
            store: store.clone(),
            internal_project: "skyai-internal".to_owned(),
            rules,
        };
        (inventory, projects)
    };
    let (inventory, projects) = with(DEMO_TOKEN);
    projects.sync_projects(run(0)).await.ok().unwrap();
    inventory
        .sync(ResourceKind::DROPLET, run(0))
        .await
        .ok()
        .unwrap();
    projects.walk(run(0)).await.ok().unwrap();

    let pool = PgPool::connect(&database.url()).await.unwrap();
    let droplets = async || -> Vec<String> {
        let query = "select r.name || ' in ' || p.name || ' by ' || r.attribution from cloud_resources r
            join cloud_projects p on p.id = r.cloud_project_id where r.kind = 'droplet' and r.deleted_at is null order by 1";
        sqlx::query_scalar(query).fetch_all(&pool).await.unwrap()
    };
    let before = droplets().await;
    assert_eq!(before.len(), 5);
    let (inventory, projects) = with(NARROW);
    for number in 1..=4 {
        projects.sync_projects(run(number)).await.ok().unwrap();
        inventory
            .sync(ResourceKind::DROPLET, run(number))
            .await
            .ok()
            .unwrap();
        let walked = projects.walk(run(number)).await.ok().unwrap();
        assert_eq!(walked.incomplete, None);
        assert_eq!(
            (walked.moved, walked.unseen_kinds),
            (0, vec!["droplet".to_owned()])
        );
    }
    assert_eq!(droplets().await, before);
    let drifts =
        "select count(*) from cloud_resource_events where event in ('drift_detected', 'deleted')";
    let drifts: i64 = sqlx::query_scalar(drifts).fetch_one(&pool).await.unwrap();
    assert_eq!(drifts, 0);
}
