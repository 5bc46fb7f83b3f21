//! New accounts: one droplet or nothing, with every empty list in one of DigitalOcean's forms.

use simulator::{Account, NoneForm};
use store::Role;

use crate::api::{Api, token};
use crate::support::TestSystem;

async fn assert_in_sync(account: Account, resources: &[&str]) {
    let system = TestSystem::start(account).await;
    system.run_every_schedule_once().await;
    system.assert_no_failed_run().await;
    let mirrored =
        "select kind || ' ' || name from cloud_resources where deleted_at is null order by 1";
    assert_eq!(system.rows(mirrored).await, resources);

    let api = Api::start(&system.store).await;
    let admin = token(&system.store, Role::PlatformAdmin).await;
    let sync = api.data("/api/v1/sync", &admin).await;
    let kinds = sync["kinds"].as_array().unwrap();
    let listings = digitalocean::kinds::listings();
    assert!(kinds.len() > listings.len(), "{sync}");
    for kind in kinds {
        assert_eq!(kind["state"], "complete", "{kind}");
        assert_eq!(kind["last_attempt_failed"], false, "{kind}");
    }
    assert_eq!(sync["unmatched_members"], 0);
}

#[tokio::test]
async fn an_account_with_one_droplet_and_nothing_else_is_in_sync() {
    assert_in_sync(Account::one_droplet(), &["droplet web-1"]).await;
}

#[tokio::test]
async fn an_account_with_null_for_every_list_is_in_sync() {
    let mut account = Account::empty();
    account.set_none_form(NoneForm::Null);
    assert_in_sync(account, &[]).await;
}
