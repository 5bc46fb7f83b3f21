//! What this system enumerates is refused where it is unknown; what the account's data holds gets
//! an answer with a note.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{TestApi, UNKNOWN, bearing, rows};

fn codes(answer: &Value) -> Vec<&str> {
    let notes = answer["meta"]["notes"].as_array();
    let notes = notes.map(Vec::as_slice).unwrap_or_default();
    notes
        .iter()
        .map(|note| {
            assert!(!note["detail"].as_str().unwrap().is_empty(), "{note}");
            note["code"].as_str().unwrap()
        })
        .collect()
}

#[tokio::test]
async fn an_unknown_enumerated_value_is_refused_with_the_values() {
    let api = TestApi::with_account().await;
    for (path, expected) in [
        (
            "inventory?kind=droplets",
            &[
                "kind: ",
                "\"droplets\"",
                "dns_zone, droplet, ",
                "did you mean droplet?",
            ][..],
        ),
        ("inventory?kind=Droplet", &["did you mean droplet?"]),
        ("inventory?kind=domain", &["did you mean dns_zone?"]),
        ("inventory?kind=project", &["unknown kind"]),
        (
            "inventory?state=Deleted",
            &["state: ", "live, deleted or all", "did you mean deleted?"],
        ),
        (
            "billing/cost-lines?period=2026-04&kind=volumes",
            &["kind: ", "did you mean volume?"],
        ),
        (
            "billing/cost-lines?period=2026-04&match_rule=names",
            &[
                "match_rule: ",
                "uuid, id, group, name",
                "did you mean name?",
            ],
        ),
        (
            "billing/costs?group_by=tenants&from=2026-04&to=2026-04",
            &[
                "group_by: ",
                "tenant, project, kind",
                "did you mean tenant?",
            ],
        ),
        (
            "billing/costs?group_by=&from=2026-04&to=2026-04",
            &["group_by: ", "tenant, project, kind"],
        ),
        (
            "billing/unmatched?period=2026-04&include=historical",
            &["include: ", "did you mean historic?"],
        ),
        (
            "inventory?project=alpha",
            &["project: ", "invalid UUID \"alpha\""],
        ),
        (
            "billing/cost-lines?period=2026-04&resource=web-1",
            &["resource: ", "invalid UUID \"web-1\""],
        ),
        (
            "inventory?kinds=droplet",
            &["unknown parameter \"kinds\"", "did you mean kind?"],
        ),
        (
            "billing/statements?month=2026-04",
            &["unknown parameter \"month\"", "period, limit or cursor"],
        ),
        (
            "billing/statements",
            &["missing parameter \"period\"", "add it"],
        ),
        (
            "inventory?limit=1&limit=2",
            &["parameter \"limit\" is given twice"],
        ),
    ] {
        let answer = api.get(&api.admin, &format!("/api/v1/{path}")).await;
        let detail = answer.problem(400);
        for part in expected {
            assert!(detail.contains(part), "no {part:?} in {detail} of {path}");
        }
    }
    for kind in ["droplet", "vpc_peering", "spaces_bucket", "droplet_backup"] {
        let path = format!("/api/v1/inventory?kind={kind}");
        api.get(&api.admin, &path).await.ok();
    }
}

#[tokio::test]
async fn every_kind_that_is_listed_can_be_asked_for() {
    let api = TestApi::empty().await;
    for listing in digitalocean::kinds::listings() {
        for kind in listing.kinds() {
            let path = format!("/api/v1/inventory?kind={kind}");
            api.get(&api.admin, &path).await.ok();
        }
    }
}

/// A parameter that has no effect would be relied on by whoever gave it.
#[tokio::test]
async fn every_route_refuses_a_parameter_that_it_does_not_know() {
    let api = TestApi::with_account().await;
    let document = api.get("", "/api/v1/openapi.json").await.ok();
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            // Probes and the description itself are read by machines that may add what they like.
            if operation["tags"] == json!(["health"]) {
                continue;
            }
            let path = path
                .replace("{period}", "2026-04")
                .replace("{valid_from}", "2026-04")
                .replace("{version}", "1")
                .replace("{id}", UNKNOWN)
                .replace("{uuid}", UNKNOWN);
            assert!(!path.contains('{'), "{path}");
            let method = method.to_uppercase();
            let request = Request::builder()
                .method(method.as_str())
                .uri(format!("{path}?no_such_parameter=1"))
                .header("content-type", "application/json");
            let request = bearing(&api.admin, request).body(Body::from("{}"));
            let detail = api.send(request).await.problem(400);
            assert!(
                detail.contains("unknown parameter \"no_such_parameter\""),
                "{method} {path}: {detail}"
            );
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

#[tokio::test]
async fn a_filter_that_names_something_unknown_gets_an_empty_answer_with_a_note() {
    let api = TestApi::with_account().await;
    for (path, code) in [
        ("inventory?tenant=acne".to_owned(), "unknown_tenant"),
        (format!("inventory?project={UNKNOWN}"), "unknown_project"),
        (
            "billing/cost-lines?period=2026-04&tenant=acne".to_owned(),
            "unknown_tenant",
        ),
        (
            format!("billing/cost-lines?period=2026-04&resource={UNKNOWN}"),
            "unknown_resource",
        ),
    ] {
        let answer = api.get(&api.admin, &format!("/api/v1/{path}")).await.ok();
        assert_eq!(rows(&answer), [] as [Value; 0], "{path}");
        assert_eq!(codes(&answer), [code], "{path}");
    }
    let answer = api
        .get(&api.admin, "/api/v1/inventory?tenant=acne")
        .await
        .ok();
    let detail = answer["meta"]["notes"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("did you mean acme?") && detail.contains("/api/v1/tenants"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_filter_that_names_something_known_gets_no_note() {
    let api = TestApi::with_account().await;
    let (project, droplet) = (
        api.project_id("alpha").await,
        api.resource_id("gone-1").await,
    );
    for path in [
        "inventory?tenant=acme".to_owned(),
        "inventory?tenant=globex&kind=volume".to_owned(),
        format!("inventory?project={project}&state=deleted"),
        "billing/cost-lines?period=2026-04&tenant=acme".to_owned(),
        format!("billing/cost-lines?period=2026-04&resource={droplet}"),
    ] {
        let answer = api.get(&api.admin, &format!("/api/v1/{path}")).await.ok();
        assert_eq!(answer["meta"]["notes"], Value::Null, "{path}");
    }
}

#[tokio::test]
async fn a_tenant_learns_nothing_of_other_tenants_from_notes() {
    let api = TestApi::with_account().await;
    let others = api.project_id("beta").await;
    let own = api.project_id("alpha").await;
    let ask = async |project: &str| {
        let path = format!("/api/v1/inventory?project={project}");
        api.get(&api.acme, &path).await.ok()
    };
    let (others, unknown) = (ask(&others).await, ask(UNKNOWN).await);
    assert_eq!(codes(&others), ["unknown_project"]);
    assert_eq!(codes(&unknown), ["unknown_project"]);
    assert_eq!(codes(&ask(&own).await), [] as [&str; 0]);
    let own_tenant = api
        .get(&api.acme, "/api/v1/inventory?tenant=acme")
        .await
        .ok();
    assert_eq!(codes(&own_tenant), [] as [&str; 0]);
}

#[tokio::test]
async fn an_unknown_type_of_entry_is_noted_with_the_types_there_are() {
    let api = TestApi::with_account().await;
    let entries = "/api/v1/billing/entries";
    let none = api.get(&api.admin, entries).await.ok();
    assert_eq!(codes(&none), ["no_entries"]);
    let entry = crate::support::entry("Payment", "-5.00", "2026-04-02T00:00:00Z");
    api.store.store_ledger(&[entry], true).await.unwrap();
    let unknown = api
        .get(&api.admin, &format!("{entries}?type=payment"))
        .await
        .ok();
    assert_eq!(codes(&unknown), ["unknown_type"]);
    let detail = unknown["meta"]["notes"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("did you mean Payment?"), "{detail}");
    let known = api
        .get(&api.admin, &format!("{entries}?type=Payment"))
        .await
        .ok();
    assert_eq!(codes(&known), [] as [&str; 0]);
}
