//! Every answer against DigitalOcean's own specification, so that the simulator is no echo of our client.
//!
//! The specification is not part of this repository. It is looked for beside it (`../shared/digitalocean/` from the
//! workspace's root) or in the directory that `ARCADIA_SHARED_DIR` names; without it the check says so and is skipped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(clippy::print_stdout, reason = "it says why it is skipped")]

mod support;

use std::{env, fs, path::PathBuf};

use jsonschema::Validator;
use reqwest::Response;
use serde_json::{Map, Value, json};
use simulator::{
    Account, DEMO_TOKEN, Fault, FaultKind, Invoice, InvoiceLine, MemberStatus, Scopes,
};
use support::{Asker, answered};

struct Specification(Value);

impl Specification {
    fn at_hand() -> Option<Self> {
        let shared = env::var_os("ARCADIA_SHARED_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
            PathBuf::from,
        );
        let path = shared.join("digitalocean/openapi-subset.json");
        let Ok(text) = fs::read_to_string(&path) else {
            println!(
                "skipped: DigitalOcean's specification is not at {}; set ARCADIA_SHARED_DIR to the directory that \
                 holds digitalocean/openapi-subset.json",
                path.display()
            );
            return None;
        };
        let mut document: Value = serde_json::from_str(&text).unwrap();
        as_json_schema(&mut document);
        // The projects API returns kinds of resources that the pattern lacks, such as `app`.
        document["components"]["schemas"]["urn"]["pattern"] = json!("^do:[a-z_]+:.*");
        let region = document["components"]["schemas"]["region_slug"].as_object_mut();
        region
            .unwrap()
            .remove("enum")
            .expect("the enum of regions, which lacks atl1");
        Some(Self(document))
    }

    /// What a path's answer of this status must look like.
    fn validator(&self, method: &str, template: &str, status: u16) -> Validator {
        let responses = &self.0["paths"][template][method]["responses"];
        let answer = responses
            .get(status.to_string())
            .or(responses.get("default"));
        let answer = answer.unwrap_or_else(|| panic!("{method} {template} has no {status}"));
        let schema = &self.resolve(answer)["content"]["application/json"]["schema"];
        assert!(
            schema.is_object(),
            "{method} {template} {status} has no schema"
        );
        let root = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "components": self.0["components"],
            "allOf": [schema],
        });
        jsonschema::options()
            .should_validate_formats(true)
            .build(&root)
            .unwrap()
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    #[track_caller]
    fn check(&self, method: &str, template: &str, status: u16, body: &Value) {
        let validator = self.validator(method, template, status);
        let errors: Vec<String> = validator
            .iter_errors(body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{method} {template} {status}: {errors:#?}"
        );
    }
}

/// `OpenAPI` 3.0 marks what may be null with a word of its own; JSON Schema lists `null` among the types.
fn as_json_schema(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(as_json_schema),
        Value::Object(object) => {
            if object.remove("nullable") == Some(Value::Bool(true)) {
                allow_null(object);
            }
            object.values_mut().for_each(as_json_schema);
        }
        _ => {}
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get("type").filter(|kind| kind.is_string()).cloned() {
        schema.insert("type".to_owned(), json!([kind, "null"]));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

/// The demo account with one of everything that it lacks.
fn account_of_everything() -> Account {
    let mut account = Account::demo();
    let droplet = account.add_droplet("atlanta", "c-2", "atl1");
    account.add_gpu_droplet("trainer", "gpu-h100x1-80gb", "tor1");
    let volume = account.add_volume("data", "syd1", 100);
    account.attach_volume(volume, droplet);
    account.add_volume("spare", "nyc3", 10);
    account.add_reserved_ip("198.18.0.7", "atl1", Some(droplet));
    account.add_reserved_ip("198.18.0.8", "syd1", None);
    let project = account.default_project();
    account.add_member(project, "do:app:c2a4", MemberStatus::Ok);
    account.add_member(project, "do:droplet:1", MemberStatus::NotFound);
    account.add_member(project, "do:space:gone", MemberStatus::ServiceDown);
    let bare = InvoiceLine::new("Discounts", "Contract", rust_decimal::Decimal::new(-100, 2));
    account.add_invoice(Invoice::for_month(2014, 11, vec![bare]));
    account
}

const LISTS: &[(&str, &str)] = &[
    ("/v2/projects", "projects"),
    ("/v2/projects/default/resources", "resources"),
    ("/v2/droplets", "droplets"),
    ("/v2/domains", "domains"),
    ("/v2/volumes", "volumes"),
    ("/v2/floating_ips", "floating_ips"),
    ("/v2/reserved_ips", "reserved_ips"),
    ("/v2/customers/my/billing_history", "billing_history"),
    ("/v2/customers/my/invoices", "invoices"),
];

#[tokio::test]
async fn every_page_of_every_list_is_as_specified() {
    let Some(specification) = Specification::at_hand() else {
        return;
    };
    let asker = Asker::of(account_of_everything()).await;
    for (path, key) in LISTS {
        let mut items = 0;
        for page in 1.. {
            let body = asker.ok(&format!("{path}?page={page}&per_page=3")).await;
            specification.check("get", path, 200, &body);
            items += body[key].as_array().unwrap().len();
            if body["links"]["pages"]["next"].is_null() {
                assert_eq!(body["meta"]["total"], items, "{path}");
                break;
            }
        }
        assert!(
            items > 0,
            "{path} is empty, so that nothing of its items was checked"
        );
    }
    let gpus = asker.ok("/v2/droplets?type=gpus").await;
    assert_eq!(gpus["meta"]["total"], 1);
    specification.check("get", "/v2/droplets", 200, &gpus);
}

#[tokio::test]
async fn every_single_thing_is_as_specified() {
    let Some(specification) = Specification::at_hand() else {
        return;
    };
    let account = account_of_everything();
    let droplet = account.droplets()[0].id;
    let project = account.default_project();
    let volume = account.volumes()[0].id;
    let asker = Asker::of(account).await;
    for (template, path) in [
        ("/v2/account", "/v2/account".to_owned()),
        (
            "/v2/customers/my/balance",
            "/v2/customers/my/balance".to_owned(),
        ),
        ("/v2/projects/default", "/v2/projects/default".to_owned()),
        (
            "/v2/projects/{project_id}",
            format!("/v2/projects/{project}"),
        ),
        (
            "/v2/projects/{project_id}/resources",
            format!("/v2/projects/{project}/resources"),
        ),
        (
            "/v2/droplets/{droplet_id}",
            format!("/v2/droplets/{droplet}"),
        ),
        (
            "/v2/domains/{domain_name}",
            "/v2/domains/kestrel.example".to_owned(),
        ),
        ("/v2/volumes/{volume_id}", format!("/v2/volumes/{volume}")),
        (
            "/v2/floating_ips/{floating_ip}",
            "/v2/floating_ips/198.18.0.7".to_owned(),
        ),
        (
            "/v2/floating_ips/{floating_ip}",
            "/v2/floating_ips/198.18.0.8".to_owned(),
        ),
        (
            "/v2/reserved_ips/{reserved_ip}",
            "/v2/reserved_ips/198.18.0.7".to_owned(),
        ),
    ] {
        specification.check("get", template, 200, &asker.ok(&path).await);
    }
}

#[tokio::test]
async fn the_items_and_summary_of_every_invoice_are_as_specified() {
    let Some(specification) = Specification::at_hand() else {
        return;
    };
    let template = "/v2/customers/my/invoices/{invoice_uuid}";
    let account = account_of_everything();
    let uuids = account
        .invoices()
        .iter()
        .map(|invoice| invoice.uuid.to_string());
    let uuids: Vec<String> = uuids.chain(["preview".to_owned()]).collect();
    let asker = Asker::of(account).await;
    let items = specification.validator("get", template, 200);
    let summary = specification.validator("get", &format!("{template}/summary"), 200);
    for uuid in uuids {
        let path = format!("/v2/customers/my/invoices/{uuid}");
        for page in ["?per_page=10", "?per_page=10&page=2"] {
            let body = asker.ok(&format!("{path}{page}")).await;
            items
                .validate(&body)
                .unwrap_or_else(|error| panic!("{path}{page}: {error}"));
        }
        let body = asker.ok(&format!("{path}/summary")).await;
        summary
            .validate(&body)
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let csv = asker.get(&format!("{path}/csv")).await;
        assert_eq!(csv.headers()["content-type"], "text/csv");
        assert!(csv.headers().contains_key("content-disposition"));
    }
}

#[tokio::test]
async fn creating_and_assigning_answer_as_specified() {
    let Some(specification) = Specification::at_hand() else {
        return;
    };
    let account = Account::demo();
    let urn = account.droplets()[0].urn();
    let asker = Asker::of(account).await;
    let wanted = json!({ "name": "new", "purpose": "Service or API" });
    let (status, created) = asker.post("/v2/projects", wanted.clone()).await;
    specification.check("post", "/v2/projects", status.as_u16(), &created);
    let (status, conflict) = asker.post("/v2/projects", wanted).await;
    specification.check("post", "/v2/projects", status.as_u16(), &conflict);
    let path = format!(
        "/v2/projects/{}/resources",
        created["project"]["id"].as_str().unwrap()
    );
    let (status, assigned) = asker.post(&path, json!({ "resources": [urn] })).await;
    let template = "/v2/projects/{project_id}/resources";
    specification.check("post", template, status.as_u16(), &assigned);
}

#[tokio::test]
async fn errors_and_the_headers_of_every_answer_are_as_specified() {
    let Some(specification) = Specification::at_hand() else {
        return;
    };
    let mut account = Account::empty();
    account.accept_token("dop_v1_nothing", Scopes::only([]));
    let asker = Asker::of(account).await;
    let template = "/v2/droplets";
    let kinds = [
        FaultKind::RateLimited { retry_after: 1 },
        FaultKind::ServerError { status: 500 },
        FaultKind::ServerError { status: 503 },
        FaultKind::Unauthorized,
        FaultKind::Forbidden,
    ];
    for kind in kinds {
        asker.simulator.fail(Fault::new(kind, template).times(1));
        check_error(&specification, template, asker.get(template).await).await;
    }
    check_error(
        &specification,
        template,
        asker.get_with(template, "dop_v1_nothing").await,
    )
    .await;
    check_error(
        &specification,
        template,
        asker.get_with(template, "dop_v1_wrong").await,
    )
    .await;
    check_error(
        &specification,
        template,
        asker.get("/v2/droplets?per_page=201").await,
    )
    .await;
    let single = "/v2/droplets/{droplet_id}";
    check_error(
        &specification,
        single,
        asker.get_with("/v2/droplets/1", DEMO_TOKEN).await,
    )
    .await;
}

async fn check_error(specification: &Specification, template: &str, response: Response) {
    for name in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"] {
        let value = response.headers()[name].to_str().unwrap();
        assert!(value.parse::<u64>().is_ok(), "{name}: {value}");
    }
    let (status, body) = answered(response).await;
    assert!(status.is_client_error() || status.is_server_error());
    specification.check("get", template, status.as_u16(), &body);
}

#[test]
fn the_check_itself_refuses_what_is_not_as_specified() {
    let Some(specification) = Specification::at_hand() else {
        return;
    };
    let validator = specification.validator("get", "/v2/droplets", 200);
    let wrong = json!({ "droplets": [{ "id": "a string" }], "links": {}, "meta": { "total": 1 } });
    let found: Vec<String> = validator
        .iter_errors(&wrong)
        .map(|e| e.to_string())
        .collect();
    assert!(
        found.iter().any(|error| error.contains("integer")),
        "{found:?}"
    );
    assert!(
        !validator.is_valid(&json!({ "droplets": [] })),
        "meta is required"
    );
}
