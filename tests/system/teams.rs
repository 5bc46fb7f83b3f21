//! A token of a team other than the mirrored one is rejected.

use std::fs;
use std::path::Path;

use digitalocean::{Purpose, Tokens};
use simulator::{Account, DEMO_TOKEN, Scopes};
use store::rate_limit::Limits;

use crate::support::TestSystem;

const OTHER_TOKEN: &str = "dop_v1_of_another_team";

/// Returns all rows of resources, projects, bills and balances.
async fn everything(system: &TestSystem) -> Vec<String> {
    let mut everything = Vec::new();
    for rows in [
        "select r::text from cloud_resources r order by id",
        "select e::text from cloud_resource_events e order by id",
        "select p::text from cloud_projects p order by id",
        "select m::text from cloud_project_members m order by m::text",
        "select b::text from cloud_balance_snapshots b order by id",
        "select i::text from cloud_invoices i order by id",
        "select l::text from cloud_cost_lines l order by id",
        "select e::text from cloud_billing_entries e order by e::text",
        "select t::text from cloud_teams t",
    ] {
        everything.extend(system.rows(rows).await);
    }
    everything
}

/// Returns the token in a file, for all purposes.
fn tokens_of(file: &Path) -> Tokens {
    let file = file.to_str().unwrap().to_owned();
    let variable = |name: &str| (name == "DO_API_TOKEN_FILE").then(|| file.clone());
    Tokens::from_variables(&Purpose::ALL, &variable).unwrap()
}

#[tokio::test]
async fn a_token_of_another_team_is_rejected_and_changes_no_row() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, DEMO_TOKEN).unwrap();
    let ours = Account::demo();
    let system = TestSystem::start_with_tokens(ours.clone(), tokens_of(&file), Limits::NONE).await;
    system.sync_projects().await.unwrap();
    let ours = system.simulator.change(|account| account.clone());
    system.sync_inventory().await.unwrap();
    system.poll_balance().await.unwrap();
    system.billing_history().await.unwrap();
    // The Spaces keys of the mirrored team list no billed bucket; the next sync records that.
    system.sync_inventory().await.unwrap();
    let before = everything(&system).await;
    assert!(before.iter().any(|row| row.contains("Kestrel")));
    let live =
        "select count(*) from cloud_resources where deleted_at is null and stale_strike_count = 0";
    let all = system.count(live).await;
    assert!(all > 10, "{all}");

    // The file gets the token of another team, with an almost empty account.
    let mut theirs = Account::empty();
    theirs.set_team("0f9e8d7c6b5a49383726150403f2e1d0c9b8a796", "Merlin");
    theirs.revoke_token(DEMO_TOKEN);
    theirs.accept_token(OTHER_TOKEN, Scopes::all());
    theirs.add_droplet("not-ours", "s-1vcpu-1gb", "syd1");
    fs::write(&file, OTHER_TOKEN).unwrap();
    system.simulator.change(|account| *account = theirs);
    let requests_before = system.simulator.requests().len();
    for refusal in [
        system.sync_projects().await.unwrap_err(),
        system.sync_inventory().await.unwrap_err(),
        system.poll_balance().await.unwrap_err(),
        system.billing_history().await.unwrap_err(),
    ] {
        assert!(
            refusal.contains("\"Merlin\" (0f9e8d7c") && refusal.contains("\"Kestrel\""),
            "{refusal}"
        );
        assert!(!refusal.contains(OTHER_TOKEN), "{refusal}");
    }
    let requests = system.simulator.requests().split_off(requests_before);
    let successful = requests.iter().filter(|request| request.status == 200);
    assert!(successful.clone().count() >= 3, "{requests:?}");
    for request in successful {
        assert_eq!(request.path, "/v2/account");
    }
    assert_eq!(everything(&system).await, before);

    // The original token is back, without a restart: there were no strikes meanwhile.
    fs::write(&file, DEMO_TOKEN).unwrap();
    system.simulator.change(|account| *account = ours);
    system.sync_projects().await.unwrap();
    system.sync_inventory().await.unwrap();
    assert_eq!(system.count(live).await, all);
    let deletions =
        "select count(*) from cloud_resource_events where event in ('deleted', 'restored')";
    assert_eq!(system.count(deletions).await, 0);
}
