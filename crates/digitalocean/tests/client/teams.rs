//! Tests that the team of a token is checked before its other requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use digitalocean::{Client, Error, NotAdmitted, Team, TeamGate};
use futures::future::{BoxFuture, FutureExt as _, join_all};
use simulator::{Account, Fault, FaultKind, Scopes, Simulator};

use serde_json::json;

use crate::scripted::{Scripted, json as json_response};
use crate::simulated;
use crate::tokens::{client_with_file, token_file};

const OURS: &str = "a1a1";

/// Admits one team, and counts its calls.
#[derive(Default)]
struct OneTeamGate {
    calls: AtomicUsize,
    is_unavailable: Mutex<bool>,
}

impl TeamGate for OneTeamGate {
    fn admit<'a>(&'a self, team: &'a Team) -> BoxFuture<'a, Result<(), NotAdmitted>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let is_unavailable = *self.is_unavailable.lock().unwrap();
        let outcome = if is_unavailable {
            Err(NotAdmitted::Unknown("unavailable".to_owned()))
        } else if team.uuid == OURS {
            Ok(())
        } else {
            let expected = Team {
                uuid: OURS.to_owned(),
                name: "Kestrel".to_owned(),
            };
            Err(NotAdmitted::Other { expected })
        };
        async { outcome }.boxed()
    }
}

fn account_of(team: &str) -> Account {
    let mut account = Account::demo();
    account.set_team(team, "Some team");
    account
}

fn paths(simulator: &Simulator) -> Vec<String> {
    let requests = simulator.requests();
    requests.into_iter().map(|request| request.path).collect()
}

const ACCOUNT: &str = "/v2/account";
const BALANCE: &str = "/v2/customers/my/balance";

#[tokio::test]
async fn concurrent_requests_check_the_team_once() {
    let (simulator, client) = simulated(account_of(OURS)).await;
    let gate = Arc::new(OneTeamGate::default());
    let client = client.admitted_by(gate.clone());
    let delay = Duration::from_millis(100);
    simulator.fail(Fault::new(FaultKind::Slow { delay }, ACCOUNT).times(1));
    let clones: Vec<Client> = (0..6).map(|_| client.clone()).collect();
    for balance in join_all(clones.iter().map(Client::get_balance)).await {
        balance.unwrap();
    }
    let requests = paths(&simulator);
    assert_eq!(requests[0], ACCOUNT);
    assert_eq!(requests[1..], [BALANCE; 6]);
    assert_eq!(gate.calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_token_of_another_team_sends_no_other_request() {
    let (simulator, client) = simulated(account_of("b2b2")).await;
    let client = client.admitted_by(Arc::new(OneTeamGate::default()));
    for _ in 0..2 {
        let error = client.get_balance().await.unwrap_err();
        assert!(!error.is_retryable());
        let Error::OtherTeam {
            origin,
            team,
            expected,
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!(origin, "DO_API_TOKEN");
        assert_eq!((&*team.uuid, &*team.name), ("b2b2", "Some team"));
        assert_eq!((&*expected.uuid, &*expected.name), (OURS, "Kestrel"));
    }
    let listed = client.list_projects().await;
    assert!(!listed.completeness.is_complete());
    assert!(matches!(listed.failure, Some(Error::OtherTeam { .. })));
    assert_eq!(paths(&simulator), [ACCOUNT; 3]);
    let error = client
        .check_team(&OneTeamGate::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::OtherTeam { .. }), "{error:?}");
}

#[tokio::test]
async fn the_team_of_a_replaced_token_is_checked() {
    const OLD: &str = "dop_v1_of_ours";
    const NEW: &str = "dop_v1_of_theirs";
    let mut account = account_of(OURS);
    account.accept_token(OLD, Scopes::all());
    let simulator = Simulator::start(account).await.unwrap();
    let (_directory, file) = token_file(OLD);
    let client = client_with_file(&simulator, &file).admitted_by(Arc::new(OneTeamGate::default()));
    client.get_balance().await.unwrap();
    std::fs::write(&file, NEW).unwrap();
    simulator.change(|account| {
        account.revoke_token(OLD);
        account.accept_token(NEW, Scopes::all());
        account.set_team("b2b2", "");
    });
    let error = client.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::OtherTeam { .. }), "{error:?}");
    assert_eq!(paths(&simulator), [ACCOUNT, BALANCE, BALANCE, ACCOUNT]);

    // A token of the expected team is used as soon as the file has it.
    std::fs::write(&file, OLD).unwrap();
    simulator.change(|account| {
        account.revoke_token(NEW);
        account.accept_token(OLD, Scopes::all());
        account.set_team(OURS, "");
    });
    client.get_balance().await.unwrap();
}

#[tokio::test]
async fn a_token_that_may_not_read_its_team_is_admitted() {
    let (simulator, client) = simulated(account_of("b2b2")).await;
    let gate = Arc::new(OneTeamGate::default());
    simulator.fail(Fault::new(FaultKind::Forbidden, ACCOUNT));
    let without_scope = client.clone().admitted_by(gate.clone());
    without_scope.get_balance().await.unwrap();
    without_scope.get_balance().await.unwrap();
    assert_eq!(paths(&simulator), [ACCOUNT, BALANCE, BALANCE]);
    assert_eq!(client.check_token().await.unwrap(), None);
    client.check_team(&*gate).await.unwrap();

    // An unexpected body has no team.
    for body in [
        json!({ "account": { "uuid": "c3", "status": "active" } }),
        json!({ "account": { "team": { "uuid": " ", "name": "x" } } }),
        json!({ "account": { "team": "x" } }),
        json!([]),
    ] {
        let response = body.clone();
        let server = Scripted::start(move |_, _| json_response(&response)).await;
        assert_eq!(server.client().check_token().await.unwrap(), None, "{body}");
    }
    assert_eq!(gate.calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_unknown_team_blocks_requests_and_is_rechecked() {
    let (simulator, client) = simulated(account_of(OURS)).await;
    let gate = Arc::new(OneTeamGate::default());
    let client = client.admitted_by(gate.clone());
    simulator.fail("server_error:/v2/account:times=1".parse().unwrap());
    let error = client.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::Server { .. }), "{error:?}");

    *gate.is_unavailable.lock().unwrap() = true;
    let error = client.get_balance().await.unwrap_err();
    assert!(error.is_retryable());
    assert!(
        matches!(&error, Error::TeamUnknown { problem, .. } if problem == "unavailable"),
        "{error:?}"
    );
    assert_eq!(paths(&simulator), [ACCOUNT; 2]);
    *gate.is_unavailable.lock().unwrap() = false;
    client.get_balance().await.unwrap();

    let page =
        Scripted::start(|_, _| (StatusCode::OK, "<html>Sign in</html>").into_response()).await;
    let client = page.client().admitted_by(gate);
    let error = client.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::UnexpectedBody { .. }), "{error:?}");
    assert_eq!(page.requests().len(), 1);
}
