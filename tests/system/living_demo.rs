//! The demo account as `arcadia dev` keeps it alive, after every sync: a preview of the current
//! month, projects with tenants, a moved droplet and a held deletion.

use chrono::Utc;
use domain::ResourceKind;
use serde_json::json;
use simulator::Account;
use store::Role;
use uuid::Uuid;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::{Input, task_queue};

use crate::api::{Api, token};
use crate::program::Program;
use crate::support::TestSystem;

/// The system with the program `arcadia api` and a token of an administrator.
pub(crate) struct LivingDemo {
    pub(crate) api: Api,
    pub(crate) admin: String,
    /// The id of the held deletion.
    pub(crate) hold: String,
    _program: Program,
    pub(crate) system: TestSystem,
}

impl LivingDemo {
    pub(crate) async fn start() -> Self {
        let now = Utc::now();
        let system = TestSystem::start(Account::demo_at(now, now)).await;
        system.run_every_schedule_once().await;
        let program = Program::api(&system).await;
        let api = Api::at(&program.url);
        let admin = token(&system.store, Role::PlatformAdmin).await;
        for (project, tenant) in Account::DEMO_TENANTS {
            let change = json!({ "tenant_id": tenant, "since": "2018-10-01" });
            api.change_project(project, &change, &admin).await;
        }
        let hold = change(&system, &api, &admin).await;
        Self {
            api,
            admin,
            hold,
            _program: program,
            system,
        }
    }
}

/// Changes the resources of the account, syncs them, and returns the id of the held deletion.
pub(crate) async fn change(system: &TestSystem, api: &Api, admin: &str) -> String {
    let now = Utc::now();
    system.simulator.change(|account| account.change_demo(now));
    system.sync_projects().await.unwrap();
    for _strike in 0..3 {
        let scope = InventoryScope {
            kinds: vec![ResourceKind::SNAPSHOT],
            repeats: 0,
        };
        let id = format!("sync-inventory-{}", Uuid::new_v4());
        let queue = task_queue::CLOUD_SYNC_FULL;
        system
            .run(SyncInventory::run, Input::Valid(scope), queue, &id)
            .await
            .unwrap();
    }
    let holds = api.data("/api/v1/held-deletions", admin).await;
    assert_eq!(holds[0]["state"], "pending", "{holds}");
    assert_eq!(holds[0]["would_delete"], 12, "{holds}");
    holds[0]["id"].as_str().unwrap().to_owned()
}
