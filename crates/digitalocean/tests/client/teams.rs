//! Whose a token is, asked before anything else is asked with it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use digitalocean::{Client, Error, NotAdmitted, Team, TeamGate};
use futures::future::{BoxFuture, FutureExt as _, join_all};
use simulator::{Account, Fault, FaultKind, Scopes, Simulator};

use serde_json::json;

use crate::scripted::{Scripted, json as answer};
use crate::simulated;
use crate::tokens::{client_with_file, token_file};

const OURS: &str = "a1a1";

/// Admits one team, and counts how often it is asked.
#[derive(Default)]
struct Ours {
    asked: AtomicUsize,
    is_away: Mutex<bool>,
}

impl TeamGate for Ours {
    fn admit<'a>(&'a self, team: &'a Team) -> BoxFuture<'a, Result<(), NotAdmitted>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let is_away = *self.is_away.lock().unwrap();
        let outcome = if is_away {
            Err(NotAdmitted::Unknown("nobody is there".to_owned()))
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
async fn a_token_is_asked_once_whose_it_is_however_many_requests_begin_at_once() {
    let (simulator, client) = simulated(account_of(OURS)).await;
    let gate = Arc::new(Ours::default());
    let client = client.admitted_by(gate.clone());
    let delay = Duration::from_millis(100);
    simulator.fail(Fault::new(FaultKind::Slow { delay }, ACCOUNT).times(1));
    let clones: Vec<Client> = (0..6).map(|_| client.clone()).collect();
    for balance in join_all(clones.iter().map(Client::get_balance)).await {
        balance.unwrap();
    }
    let asked = paths(&simulator);
    assert_eq!(asked[0], ACCOUNT);
    assert_eq!(asked[1..], [BALANCE; 6]);
    assert_eq!(gate.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn nothing_else_is_asked_with_a_token_of_another_team() {
    let (simulator, client) = simulated(account_of("b2b2")).await;
    let client = client.admitted_by(Arc::new(Ours::default()));
    for _ in 0..2 {
        let error = client.get_balance().await.unwrap_err();
        assert!(matches!(error, Error::OtherTeam { .. }), "{error:?}");
        assert!(!error.is_retryable());
        assert_eq!(
            error.to_string(),
            "the token of DO_API_TOKEN is one of the team \"Some team\" (b2b2), and what is read here is the team \"Kestrel\" (a1a1)'s: \
             put a token of that team there, or read \"Some team\" (b2b2) into a database of its own"
        );
    }
    let listed = client.list_projects().await;
    assert!(!listed.completeness.is_complete());
    assert!(matches!(listed.failure, Some(Error::OtherTeam { .. })));
    assert_eq!(paths(&simulator), [ACCOUNT; 3]);
    let error = client.check_team(&Ours::default()).await.unwrap_err();
    assert!(matches!(error, Error::OtherTeam { .. }), "{error:?}");
}

#[tokio::test]
async fn a_successor_is_asked_as_well() {
    const OLD: &str = "dop_v1_of_ours";
    const NEW: &str = "dop_v1_of_theirs";
    let mut account = account_of(OURS);
    account.accept_token(OLD, Scopes::all());
    let simulator = Simulator::start(account).await.unwrap();
    let (_directory, file) = token_file(OLD);
    let client = client_with_file(&simulator, &file).admitted_by(Arc::new(Ours::default()));
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

    // One of the right team is used as soon as it is there, and the old one would be still.
    std::fs::write(&file, OLD).unwrap();
    simulator.change(|account| {
        account.revoke_token(NEW);
        account.accept_token(OLD, Scopes::all());
        account.set_team(OURS, "");
    });
    client.get_balance().await.unwrap();
}

#[tokio::test]
async fn a_token_that_does_not_tell_whose_it_is_is_used_all_the_same() {
    let (simulator, client) = simulated(account_of("b2b2")).await;
    let gate = Arc::new(Ours::default());
    simulator.fail(Fault::new(FaultKind::Forbidden, ACCOUNT));
    let without_scope = client.clone().admitted_by(gate.clone());
    without_scope.get_balance().await.unwrap();
    without_scope.get_balance().await.unwrap();
    assert_eq!(paths(&simulator), [ACCOUNT, BALANCE, BALANCE]);
    assert_eq!(client.check_token().await.unwrap(), None);
    client.check_team(&*gate).await.unwrap();

    // What is not as in the spec tells of no team.
    for body in [
        json!({ "account": { "uuid": "c3", "status": "active" } }),
        json!({ "account": { "team": { "uuid": " ", "name": "x" } } }),
        json!({ "account": { "team": "x" } }),
        json!([]),
    ] {
        let told = body.clone();
        let server = Scripted::start(move |_, _| answer(&told)).await;
        assert_eq!(server.client().check_token().await.unwrap(), None, "{body}");
    }
    assert_eq!(gate.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn where_it_cannot_be_found_out_nothing_is_asked_and_it_may_be_later() {
    let (simulator, client) = simulated(account_of(OURS)).await;
    let gate = Arc::new(Ours::default());
    let client = client.admitted_by(gate.clone());
    simulator.fail("server_error:/v2/account:times=1".parse().unwrap());
    let error = client.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::Server { .. }), "{error:?}");

    *gate.is_away.lock().unwrap() = true;
    let error = client.get_balance().await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "whether the token of DO_API_TOKEN is one of the right team is not known: nobody is there"
    );
    assert_eq!(paths(&simulator), [ACCOUNT; 2]);
    *gate.is_away.lock().unwrap() = false;
    client.get_balance().await.unwrap();

    let page =
        Scripted::start(|_, _| (StatusCode::OK, "<html>Sign in</html>").into_response()).await;
    let client = page.client().admitted_by(gate);
    let error = client.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::UnexpectedBody { .. }), "{error:?}");
    assert_eq!(page.asked().len(), 1);
}
