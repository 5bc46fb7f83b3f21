//! Tests of the OpenAPI document.

use std::collections::BTreeSet;

use insta::assert_json_snapshot;
use serde_json::Value;

use crate::support::TestApi;

async fn document() -> Value {
    let api = TestApi::empty().await;
    api.get("", "/api/v1/openapi.json").await.ok()
}

#[tokio::test]
async fn every_route_has_its_parameters_and_statuses() {
    let document = document().await;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters: Vec<_> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|parameter| {
                    let required = if parameter["required"] == true {
                        "!"
                    } else {
                        ""
                    };
                    format!("{}{required}", parameter["name"].as_str().unwrap())
                })
                .collect();
            let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().collect();
            operations.push(format!("{method} {path} {parameters:?} {statuses:?}"));
        }
    }
    assert_json_snapshot!(operations, @r#"
    [
      "get /api/v1 [] [\"200\", \"400\", \"500\", \"503\"]",
      "get /api/v1/audit [\"actor\", \"action\", \"object\", \"from\", \"to\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/audit/chain [] [\"200\", \"400\", \"401\", \"403\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/balance [] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/checks [\"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/cost-lines [\"period!\", \"kind\", \"match_rule\", \"tenant\", \"product\", \"project\", \"resource\", \"without\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/cost-lines/{id} [\"id!\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "delete /api/v1/billing/cost-lines/{id}/match [\"id!\", \"dry_run\", \"reason\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"409\", \"429\", \"500\", \"503\"]",
      "put /api/v1/billing/cost-lines/{id}/match [\"id!\", \"dry_run\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"409\", \"413\", \"415\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/costs [\"group_by!\", \"from!\", \"to!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/entries [\"type\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/estimates [\"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/estimates/{period}/variance [\"period!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/focus [\"period!\", \"dataset\", \"version\", \"rows\", \"format\", \"estimates\"] [\"200\", \"400\", \"401\", \"403\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/focus/metadata [\"period!\", \"version\", \"rows\"] [\"200\", \"400\", \"401\", \"403\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/invoices [\"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/invoices/{uuid} [\"uuid!\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/invoices/{uuid}/versions/{version}/cost-lines [\"uuid!\", \"version!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/months [\"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/months/{period} [\"period!\"] [\"200\", \"400\", \"401\", \"403\", \"429\", \"500\", \"503\"]",
      "post /api/v1/billing/months/{period}/close [\"period!\"] [\"202\", \"400\", \"401\", \"403\", \"409\", \"413\", \"415\", \"429\", \"500\", \"503\"]",
      "post /api/v1/billing/months/{period}/correction [\"period!\"] [\"200\", \"400\", \"401\", \"403\", \"409\", \"413\", \"415\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/months/{period}/files/{name} [\"period!\", \"name!\"] [\"200\", \"304\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "post /api/v1/billing/months/{period}/reopen [\"period!\"] [\"200\", \"400\", \"401\", \"403\", \"409\", \"413\", \"415\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/orphaned-overrides [\"period\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "delete /api/v1/billing/orphaned-overrides/{id} [\"id!\", \"dry_run\", \"reason\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "post /api/v1/billing/orphaned-overrides/{id}/apply [\"id!\", \"dry_run\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"409\", \"413\", \"415\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/reallocations [\"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/reallocations/{id} [\"id!\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/spread-rules [\"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "put /api/v1/billing/spread-rules/{valid_from} [\"valid_from!\", \"dry_run\"] [\"200\", \"400\", \"401\", \"403\", \"413\", \"415\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/statements [\"period!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/statements/{tenant} [\"tenant!\", \"period!\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/billing/unmatched [\"period!\", \"include\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/held-deletions [\"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/held-deletions/{id} [\"id!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "patch /api/v1/held-deletions/{id} [\"id!\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"409\", \"413\", \"415\", \"429\", \"500\", \"503\"]",
      "get /api/v1/inventory [\"kind\", \"project\", \"tenant\", \"state\", \"q\", \"region\", \"tag\", \"as_of\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/inventory/counts [\"kind\", \"project\", \"tenant\", \"state\", \"q\", \"region\", \"tag\", \"as_of\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/inventory/unclassified [\"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/inventory/{id} [\"id!\", \"as_of\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "patch /api/v1/inventory/{id} [\"id!\", \"dry_run\"] [\"200\", \"202\", \"400\", \"401\", \"403\", \"404\", \"409\", \"413\", \"415\", \"429\", \"500\", \"503\"]",
      "get /api/v1/inventory/{id}/events [\"id!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/inventory/{id}/memberships [\"id!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/inventory/{id}/relations [\"id!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/inventory/{id}/timeline [\"id!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/my/cost-lines [\"period!\", \"kind\", \"product\", \"project\", \"resource\", \"without\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/my/cost-lines/{id} [\"id!\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/my/costs [\"group_by!\", \"from!\", \"to!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/my/statement [\"period!\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"429\", \"500\", \"503\"]",
      "get /api/v1/my/statements [\"period!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/openapi.json [] [\"200\", \"500\", \"503\"]",
      "get /api/v1/projects [\"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/projects/{id} [\"id!\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "patch /api/v1/projects/{id} [\"id!\", \"dry_run\"] [\"200\", \"202\", \"400\", \"401\", \"403\", \"404\", \"409\", \"413\", \"415\", \"429\", \"500\", \"503\"]",
      "get /api/v1/projects/{id}/events [\"id!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/projects/{id}/tenants [\"id!\", \"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /api/v1/sync [] [\"200\", \"400\", \"401\", \"403\", \"429\", \"500\", \"503\"]",
      "get /api/v1/tenants [\"limit\", \"cursor\", \"format\"] [\"200\", \"400\", \"401\", \"403\", \"404\", \"429\", \"500\", \"503\"]",
      "get /healthz [] [\"200\", \"500\", \"503\"]",
      "get /metrics [] [\"200\", \"401\", \"403\", \"429\", \"500\", \"503\"]",
      "get /readyz [] [\"200\", \"500\", \"503\"]"
    ]
    "#);
}

#[tokio::test]
async fn every_operation_has_a_unique_id_and_describes_its_responses() {
    let document = document().await;
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "duplicate {id}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let description = response["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{path} {status}");
            }
        }
    }
}

#[tokio::test]
async fn every_reference_has_a_schema_and_every_error_is_a_problem() {
    let document = document().await;
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    assert!(references.contains("#/components/schemas/Problem"));
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_problem = response["content"]["application/problem+json"].is_object();
                assert_eq!(is_problem, status.as_str() >= "400", "{path} {status}");
            }
        }
    }
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    ("$ref", Value::String(reference)) => {
                        found.insert(reference.clone());
                    }
                    _ => collect_references(field, found),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_references(item, found);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn amounts_are_strings_and_access_is_by_bearer_token() {
    let document = document().await;
    let amount = &document["components"]["schemas"]["Usd"];
    assert_eq!(amount["type"], "string");
    let statement = &document["components"]["schemas"]["Statement"]["properties"];
    assert_eq!(statement["total"]["$ref"], "#/components/schemas/Usd");
    let bearer = &document["components"]["securitySchemes"]["bearer"];
    assert_eq!(
        (&bearer["type"], &bearer["scheme"]),
        (&"http".into(), &"bearer".into())
    );
}

#[tokio::test]
async fn links_lead_from_a_list_to_the_operations_of_its_rows() {
    let document = document().await;
    let operations: Vec<&Value> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .collect();
    let named = |id: &Value| {
        operations
            .iter()
            .find(|operation| operation["operationId"] == *id)
    };
    let mut linked = BTreeSet::new();
    for operation in &operations {
        let links = operation["responses"]["200"]["links"].as_object();
        for link in links.into_iter().flat_map(|links| links.values()) {
            let target = named(&link["operationId"]).unwrap();
            let parameters: Vec<_> = target["parameters"].as_array().unwrap().iter().collect();
            for name in link["parameters"].as_object().unwrap().keys() {
                let is_parameter = parameters
                    .iter()
                    .any(|parameter| parameter["name"] == **name);
                assert!(is_parameter, "{link}");
            }
            linked.insert(link["operationId"].as_str().unwrap());
        }
    }
    assert_eq!(linked.len(), 24);
}

#[tokio::test]
async fn the_schema_has_the_constraints_between_fields() {
    let schemas = document().await["components"]["schemas"].take();
    for (schema, keyword) in [
        ("ResourcePatch", "anyOf"),
        ("ProjectPatch", "anyOf"),
        ("NewSpreadRule", "oneOf"),
    ] {
        let alternatives = schemas[schema][keyword].as_array().unwrap();
        assert!(alternatives.len() > 1, "{schema}");
    }
}

#[tokio::test]
async fn the_index_leads_to_the_document_without_a_token() {
    let api = TestApi::empty().await;
    let index = api.get("", "/api/v1").await.ok();
    let address = index["data"]["openapi_url"].as_str().unwrap();
    assert_eq!(api.get("", address).await.ok()["openapi"], "3.1.0");
}
