//! Tests the documented scopes of each purpose with a server that enforces DigitalOcean's
//! specification.

use std::collections::BTreeSet;

use digitalocean::{Client, Error, Purpose};
use simulator::{Account, Scopes, Simulator};

const TOKEN: &str = "dop_v1_scoped";

async fn client_granted(scopes: &BTreeSet<&str>) -> (Simulator, Client) {
    let mut account = Account::everything();
    account.accept_token(TOKEN, Scopes::only(scopes.iter().copied()));
    let simulator = Simulator::start(account).await.unwrap();
    let client = Client::new(&simulator.url(), TOKEN.into()).unwrap();
    (simulator, client)
}

#[tokio::test]
async fn the_scopes_of_a_purpose_suffice_for_all_its_lists() {
    for purpose in Purpose::ALL {
        let needs = purpose.needs();
        let scopes = needs.iter().map(|need| need.scope).collect();
        let (_simulator, client) = client_granted(&scopes).await;
        for need in needs {
            let outcome = client.probe(&need).await;
            assert!(outcome.is_ok(), "{need:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn without_a_scope_only_its_lists_are_forbidden() {
    let needs = Purpose::CloudSyncFull.needs();
    let all: BTreeSet<&str> = needs.iter().map(|need| need.scope).collect();
    for missing in [
        "load_balancer:read",
        "block_storage:read",
        "nfs:list",
        "project:read",
    ] {
        let mut scopes = all.clone();
        assert!(scopes.remove(missing));
        let (_simulator, client) = client_granted(&scopes).await;
        for need in &needs {
            let outcome = client.probe(need).await;
            let is_forbidden = matches!(outcome, Err(Error::Forbidden { .. }));
            assert_eq!(is_forbidden, need.scope == missing, "{need:?}: {outcome:?}");
        }
    }
}
