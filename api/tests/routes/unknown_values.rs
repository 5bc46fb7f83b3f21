//! Tests of unknown values: those of an enumeration are refused; those from the data of the
//! account get a response with a note.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use store::Role;

use crate::support::{TestApi, UNKNOWN, rows, token_with_costs, with_token};

fn codes(response: &Value) -> Vec<&str> {
    let notes = response["meta"]["notes"].as_array();
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
async fn the_error_for_an_unknown_enumerated_value_has_the_values() {
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
            &[
                "unknown parameter \"month\"",
                "period, limit, cursor or format",
            ],
        ),
        (
            "billing/statements",
            &["missing parameter \"period\"", "add it"],
        ),
        ("inventory?limit=1&limit=2", &["parameter \"limit\""]),
    ] {
        let response = api.get(&api.admin, &format!("/api/v1/{path}")).await;
        let detail = response.problem(400);
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
async fn every_listed_kind_is_accepted_as_a_filter() {
    let api = TestApi::empty().await;
    for listing in digitalocean::kinds::listings() {
        for kind in listing.kinds() {
            let path = format!("/api/v1/inventory?kind={kind}");
            api.get(&api.admin, &path).await.ok();
        }
    }
}

/// A caller could rely on a parameter that has no effect.
#[tokio::test]
async fn every_route_refuses_an_unknown_parameter() {
    let api = TestApi::with_account().await;
    let document = api.get("", "/api/v1/openapi.json").await.ok();
    let acme = Role::Tenant("acme".parse().unwrap());
    let acme = token_with_costs(&api.store, &acme).await.1;
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            // Monitoring systems may add parameters to health checks, metrics and the document.
            if operation["tags"] == json!(["health"]) {
                continue;
            }
            let path = path
                .replace("{period}", "2026-04")
                .replace("{valid_from}", "2026-04")
                .replace("{version}", "1")
                .replace("{name}", "manifest.json")
                .replace("{tenant}", "acme")
                .replace("{id}", UNKNOWN)
                .replace("{uuid}", UNKNOWN);
            assert!(!path.contains('{'), "{path}");
            let method = method.to_uppercase();
            let request = Request::builder()
                .method(method.as_str())
                .uri(format!("{path}?no_such_parameter=1"))
                .header("content-type", "application/json");
            let token = if path.contains("/my/") {
                &acme
            } else {
                &api.admin
            };
            let request = with_token(token, request).body(Body::from("{}"));
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
async fn a_filter_with_an_unknown_value_gets_an_empty_list_with_a_note() {
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
        (
            "billing/cost-lines?period=2026-04&resource=droplet:7".to_owned(),
            "unknown_resource",
        ),
        (
            "billing/cost-lines?period=2026-04&product=Droplet".to_owned(),
            "unknown_product",
        ),
        (
            "billing/cost-lines?period=2026-04&project=Alpha".to_owned(),
            "unknown_project",
        ),
    ] {
        let response = api.get(&api.admin, &format!("/api/v1/{path}")).await.ok();
        assert_eq!(rows(&response), [] as [Value; 0], "{path}");
        assert_eq!(codes(&response), [code], "{path}");
    }
    let response = api
        .get(&api.admin, "/api/v1/inventory?tenant=acne")
        .await
        .ok();
    let detail = response["meta"]["notes"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("did you mean acme?") && detail.contains("/api/v1/tenants"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_filter_with_a_known_value_gets_no_note() {
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
        "billing/cost-lines?period=2026-04&product=Droplets&project=beta".to_owned(),
        "billing/cost-lines?period=2026-04&product=Taxes&project=beta".to_owned(),
    ] {
        let response = api.get(&api.admin, &format!("/api/v1/{path}")).await.ok();
        assert_eq!(response["meta"]["notes"], Value::Null, "{path}");
    }
}

#[tokio::test]
async fn notes_do_not_reveal_projects_of_other_tenants() {
    let api = TestApi::with_account().await;
    let others = api.project_id("beta").await;
    let own = api.project_id("alpha").await;
    let get = async |project: &str| {
        let path = format!("/api/v1/inventory?project={project}");
        api.get(&api.acme, &path).await.ok()
    };
    let (others, unknown) = (get(&others).await, get(UNKNOWN).await);
    assert_eq!(codes(&others), ["unknown_project"]);
    assert_eq!(codes(&unknown), ["unknown_project"]);
    assert_eq!(codes(&get(&own).await), [] as [&str; 0]);
    let own_tenant = api
        .get(&api.acme, "/api/v1/inventory?tenant=acme")
        .await
        .ok();
    assert_eq!(codes(&own_tenant), [] as [&str; 0]);
}

#[tokio::test]
async fn the_note_on_an_unknown_entry_type_has_a_suggestion() {
    let api = TestApi::with_account().await;
    let entries = "/api/v1/billing/entries";
    let none = api.get(&api.admin, entries).await.ok();
    assert_eq!(codes(&none), ["no_entries"]);
    let entry = crate::support::entry("Payment", "-5.00", "2026-04-02T00:00:00Z");
    api.ledger(&[entry]).await;
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
