//! Syncs of projects, and creation of the internal project.

use futures::future::join_all;
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, Scopes};

use crate::support::{INTERNAL_PROJECT, TestSystem};

const INTERNAL_PROJECTS_STORED: &str = "select count(*) from cloud_projects where is_internal";

/// Returns the method and status of every request to the list of projects.
fn project_requests(system: &TestSystem) -> Vec<String> {
    let requests = system.simulator.requests();
    let about_projects = requests
        .into_iter()
        .filter(|request| request.path == "/v2/projects");
    about_projects
        .map(|request| format!("{} {}", request.method, request.status))
        .collect()
}

#[tokio::test]
async fn eight_concurrent_syncs_create_the_internal_project_once() {
    let system = TestSystem::start(Account::demo()).await;
    let reports = join_all((0..8).map(|_| system.sync_projects())).await;
    let created: Vec<bool> = reports
        .into_iter()
        .map(|report| report.unwrap().projects.created_internal)
        .collect();
    assert_eq!(created.iter().filter(|created| **created).count(), 1);
    assert_eq!(system.requests("POST", "/v2/projects"), 1);
    assert_eq!(system.projects_named(INTERNAL_PROJECT), 1);
    assert_eq!(system.count(INTERNAL_PROJECTS_STORED).await, 1);
}

#[tokio::test]
async fn a_token_without_project_create_fails_but_mirrors_all_projects() {
    let mut account = Account::demo();
    account.accept_token(DEMO_TOKEN, Scopes::only(["project:read"]));
    let system = TestSystem::start(account).await;
    let error = system.sync_projects().await.unwrap_err();
    for part in [INTERNAL_PROJECT, "project:create", "403"] {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
    assert!(!error.contains("project:read"), "{error}");
    assert_eq!(system.requests("POST", "/v2/projects"), 1);
    let listed = system.simulator.change(|account| account.projects().len());
    let stored = system.count("select count(*) from cloud_projects").await;
    assert_eq!(stored, i64::try_from(listed).unwrap());
}

#[tokio::test]
async fn a_listing_that_fails_creates_no_project() {
    let system = TestSystem::start(Account::demo()).await;
    let unavailable = FaultKind::ServerError { status: 503 };
    system
        .simulator
        .fail(Fault::new(unavailable, "/v2/projects").times(2));
    let report = system.sync_projects().await.unwrap();
    assert!(report.projects.created_internal);
    let expected = [
        "GET 503", "GET 503", // Two attempts that create nothing.
        "GET 200", "GET 200", "POST 201",
        "GET 200", // A third one that creates the project after two listings without it.
    ];
    assert_eq!(project_requests(&system), expected);
}

#[tokio::test]
async fn an_incomplete_listing_creates_no_second_internal_project() {
    let mut account = Account::empty();
    for number in 0..250 {
        account.add_project(&format!("project {number}"));
    }
    account.add_project(INTERNAL_PROJECT);
    let system = TestSystem::start(account).await;
    let unavailable = FaultKind::HtmlError { status: 502 };
    system
        .simulator
        .fail(Fault::new(unavailable, "/v2/projects?page=2").times(2));
    let report = system.sync_projects().await.unwrap();
    assert!(!report.projects.created_internal);
    assert_eq!(report.projects.projects, 252);
    assert_eq!(system.requests("POST", "/v2/projects"), 0);
    assert_eq!(system.count(INTERNAL_PROJECTS_STORED).await, 1);
}

#[tokio::test]
async fn an_internal_project_missing_from_a_stale_list_is_not_duplicated() {
    let mut account = Account::demo();
    account.add_project(INTERNAL_PROJECT);
    let system = TestSystem::start(account).await;
    // Affects the listing and its repetition under the lock.
    system
        .simulator
        .fail(Fault::new(FaultKind::LaggingList, "/v2/projects").times(2));
    let report = system.sync_projects().await.unwrap();
    assert!(!report.projects.created_internal);
    assert_eq!(
        project_requests(&system),
        ["GET 200", "GET 200", "POST 409", "GET 200"]
    );
    assert_eq!(system.projects_named(INTERNAL_PROJECT), 1);
    assert_eq!(system.count(INTERNAL_PROJECTS_STORED).await, 1);
}
