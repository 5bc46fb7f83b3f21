//! Tests projects and their members.

use digitalocean::Error;
use domain::ResourceKind;
use domain::projects::{MemberStatus, NewProject};
use serde_json::json;
use simulator::Account;

use crate::scripted::{self, Scripted};
use crate::simulated;

#[tokio::test]
async fn a_created_project_is_listed_as_it_was_created() {
    let (_simulator, client) = simulated(Account::empty()).await;
    let new = NewProject {
        name: "skyai-internal".to_owned(),
        description: "Kept by a test".to_owned(),
        purpose: "Operational / Developer tooling".to_owned(),
    };
    let created = client.create_project(&new).await.unwrap();
    assert_eq!((&created.name, created.is_default), (&new.name, false));
    assert_eq!(created.description, new.description);

    let listed = client.list_projects().await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    let attrs = &created.attrs;
    assert!(attrs.get("purpose").is_some() && attrs.get("name").is_none());
    assert!(listed.items.contains(&created));
    assert!(listed.items.iter().any(|project| project.is_default));

    let error = client.create_project(&new).await.unwrap_err();
    let Error::Conflict { response } = &error else {
        panic!("{error:?}")
    };
    let call = &response.call;
    assert_eq!((call.method, &*call.path), ("POST", "/v2/projects"));
    assert_eq!(response.status, 409);
}

#[tokio::test]
async fn members_have_our_kinds_and_unknown_kinds_are_kept() {
    let mut account = Account::empty();
    let project = account.add_project("storefront");
    account.add_domain("example.com");
    account.assign(project, "do:domain:example.com");
    account.add_member(
        project,
        "do:quantumcomputer:7",
        simulator::MemberStatus::NotFound,
    );
    let (_simulator, client) = simulated(account).await;
    let listed = client.list_project_resources(project).await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    let members: Vec<_> = listed
        .items
        .iter()
        .map(|member| (member.urn.kind.clone(), member.status.clone()))
        .collect();
    assert!(members.contains(&(ResourceKind::DNS_ZONE, MemberStatus::Ok)));
    assert!(members.contains(&(
        ResourceKind::named("quantumcomputer"),
        MemberStatus::NotFound
    )));
    assert!(
        listed
            .items
            .iter()
            .all(|member| member.assigned_at.is_some())
    );
}

#[tokio::test]
async fn an_invalid_urn_is_reported_and_other_members_are_kept() {
    let server = Scripted::start(|_, _| {
        let members = json!([
            { "urn": "nonsense", "status": "ok" },
            { "urn": "do:droplet:1", "assigned_at": "2023-01-15T14:11:08.470757Z", "status": "ok" },
            { "urn": "do:volume:2", "assigned_at": null },
        ]);
        scripted::json(&json!({ "resources": members, "meta": { "total": 3 } }))
    })
    .await;
    let listed = server
        .client()
        .list_project_resources(uuid::Uuid::nil())
        .await;
    assert_eq!(listed.items.len(), 2);
    assert!(listed.failure.is_none());
    let reason = listed.completeness.reason().unwrap();
    assert!(reason.contains("\"nonsense\""), "{reason}");
    assert_eq!(listed.items[1].status, MemberStatus::Unknown(String::new()));
}
