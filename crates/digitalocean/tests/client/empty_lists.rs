//! Tests that every list accepts each form of an empty list, and refuses similar bodies.

use std::convert::Infallible;

use axum::http::StatusCode;
use axum::response::Response;
use digitalocean::{Client, Error, InvoiceItemRead, InvoiceKey, PageSink, Purpose, kinds};
use domain::{Completeness, ResourceKind};
use serde_json::{Value, json};
use simulator::{Account, NoneForm};
use uuid::Uuid;

use crate::examples::fixture;
use crate::listed::{Listed, list};
use crate::scripted::{self, Scripted};
use crate::{listing, simulated};

/// The result of reading a list.
#[derive(Debug)]
struct Outcome {
    items: usize,
    completeness: Completeness,
    failure: Option<Error>,
}

impl From<Listed> for Outcome {
    fn from(listed: Listed) -> Self {
        Self {
            items: listed.items.len(),
            completeness: listed.completeness,
            failure: listed.failure,
        }
    }
}

impl<T> From<digitalocean::Listing<T>> for Outcome {
    fn from(listed: digitalocean::Listing<T>) -> Self {
        Self {
            items: listed.items.len(),
            completeness: listed.completeness,
            failure: listed.failure,
        }
    }
}

#[derive(Default)]
struct Counted(usize);

impl PageSink<InvoiceItemRead> for Counted {
    type Error = Infallible;

    async fn take(&mut self, items: Vec<InvoiceItemRead>) -> Result<(), Infallible> {
        self.0 += items.len();
        Ok(())
    }
}

/// The lists of other objects than resources, by the key of their items.
const OTHER_LISTS: [&str; 4] = ["resources", "invoices", "invoice_items", "billing_history"];

async fn read_other(client: &Client, key: &str) -> Outcome {
    match key {
        "resources" => client.list_project_resources(Uuid::nil()).await.into(),
        "invoices" => client.list_invoices().await.invoices.into(),
        "billing_history" => client.list_billing_history().await.into(),
        _ => {
            let mut items = Counted::default();
            let Ok(listed) = client.get_invoice(InvoiceKey::Preview, &mut items).await;
            Outcome {
                items: items.0,
                completeness: listed.completeness,
                failure: listed.failure,
            }
        }
    }
}

/// Starts a server that sends the same response to every request.
async fn serving(body: Value) -> Scripted {
    Scripted::start(move |_, _| scripted::json(&body)).await
}

/// Reads each list from a server that sends the response that `body` creates for the key of the
/// list.
async fn read_each(
    body: impl Fn(&str) -> Response + Clone + Send + Sync + 'static,
) -> Vec<(String, Outcome)> {
    let mut outcomes = Vec::new();
    for listing in kinds::listings() {
        let own = body.clone();
        let server = Scripted::start(move |_, _| own(listing.envelope)).await;
        let listed = list(&server.client(), listing).await;
        for included in &listed.included {
            assert!(included.items.is_empty());
            assert_eq!(
                included.completeness, listed.completeness,
                "{}",
                included.kind
            );
        }
        outcomes.push((listing.kind.to_string(), listed.into()));
    }
    let with_children = kinds::listings()
        .iter()
        .chain([kinds::zones_with_records()]);
    for listing in with_children {
        let Some(children) = &listing.children else {
            continue;
        };
        let (own, parents) = (body.clone(), fixture(&listing.kind));
        let path = listing.paths[0];
        let server = Scripted::start(move |_, request| {
            let is_parents = request.target.split('?').next() == Some(path);
            if is_parents {
                scripted::json(&parents)
            } else {
                own(children.envelope)
            }
        })
        .await;
        let mut listed = list(&server.client(), listing).await;
        assert!(listed.completeness.is_complete());
        outcomes.push((children.kind.to_string(), listed.included.remove(0).into()));
    }
    for key in OTHER_LISTS {
        let own = body.clone();
        let server = Scripted::start(move |_, _| own(key)).await;
        let outcome = read_other(&server.client(), key).await;
        outcomes.push((key.to_owned(), outcome));
    }
    outcomes
}

#[tokio::test]
async fn every_form_of_an_empty_list_is_complete_for_every_list() {
    let forms: [fn(&str) -> Value; 10] = [
        |key| json!({ key: [] }),
        |key| json!({ key: [], "links": {}, "meta": { "total": 0 } }),
        |key| json!({ key: [], "links": null, "meta": null }),
        |key| json!({ key: null }),
        |key| json!({ key: null, "links": {}, "meta": { "total": 0 } }),
        |key| json!({ key: null, "links": { "pages": null }, "meta": {} }),
        |key| json!({ key: null, "links": null, "meta": null }),
        |key| json!({ key: null, "total": 0 }),
        |_| json!({ "links": { "pages": {} }, "meta": { "total": 0 } }),
        |_| json!({ "total": 0 }),
    ];
    for form in forms {
        for (list, outcome) in read_each(move |key| scripted::json(&form(key))).await {
            let text = form("KEY");
            assert!(
                outcome.completeness.is_complete(),
                "{list} {text}: {outcome:?}"
            );
            assert!(outcome.failure.is_none(), "{list} {text}: {outcome:?}");
            assert_eq!(outcome.items, 0, "{list} {text}");
        }
    }
}

#[tokio::test]
async fn bodies_similar_to_an_empty_list_are_refused_by_every_list() {
    let error = json!({ "id": "server_error", "message": "Unexpected server-side error" });
    let with = |more: Value| {
        let mut body = error.clone();
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        body
    };
    let (error_with_total, error_of_tags) = (
        with(json!({ "meta": { "total": 0 } })),
        json!({ "error": "Unprocessable Entity", "messages": ["no"], "root_causes": [] }),
    );
    let bodies: Vec<Value> = vec![
        error.clone(),
        error_with_total,
        with(json!({ "KEY": null })),
        with(json!({ "KEY": [], "meta": { "total": 0 } })),
        error_of_tags,
        json!({ "message": "Server Error", "meta": { "total": 0 } }),
        json!({}),
        json!({ "links": {}, "meta": {} }),
        json!({ "links": { "pages": {} } }),
        json!({ "meta": { "total": 1 } }),
        json!({ "KEY": null, "meta": { "total": 1 } }),
        json!({ "KEY": null, "total": 7 }),
        json!({ "KEY": {}, "meta": { "total": 0 } }),
        json!({ "KEY": "", "meta": { "total": 0 } }),
        json!({ "KEY": [], "meta": { "total": "none" } }),
        json!({ "other": null, "total": null }),
        json!(null),
        json!([]),
    ];
    for body in bodies {
        let template = body.to_string();
        let response = template.clone();
        let read = read_each(move |key| {
            let body = response.replace("\"KEY\"", &format!("{key:?}"));
            scripted::with_type(StatusCode::OK, "application/json", &body)
        });
        for (list, outcome) in read.await {
            assert!(!outcome.completeness.is_complete(), "{list} {template}");
            assert!(
                matches!(outcome.failure, Some(Error::UnexpectedBody { .. })),
                "{list} {template}: {outcome:?}"
            );
        }
    }
    let html = |_: &str| {
        let page = "<!DOCTYPE html><html><title>Just a moment...</title></html>";
        scripted::with_type(StatusCode::OK, "text/html", page)
    };
    for (list, outcome) in read_each(html).await {
        assert!(outcome.failure.is_some(), "{list}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_error_with_status_200_is_reported_with_its_text() {
    let body = json!({ "id": "server_error", "message": "Unexpected server-side error" });
    let server = serving(body).await;
    let listed = list(&server.client(), listing(&ResourceKind::APP)).await;
    let reason = listed.completeness.reason().unwrap();
    assert!(reason.contains("server_error"), "{reason}");
    assert!(listed.failure.unwrap().is_retryable());
}

/// Lists two zones on the first page, with the given second page.
async fn with_second_page(first: Value, second: Value) -> Listed {
    let server = Scripted::start(move |_, request| {
        let page = if request.page() == Some(1) {
            &first
        } else {
            &second
        };
        scripted::json(page)
    })
    .await;
    list(&server.client(), listing(&ResourceKind::DNS_ZONE)).await
}

#[tokio::test]
async fn an_empty_later_page_does_not_complete_a_list_below_its_total() {
    let zones = json!([{ "name": "a.example" }, { "name": "b.example" }]);
    let next = json!({ "pages": { "next": "https://api.digitalocean.com/v2/domains?page=2" } });
    let total = |total: u64| json!({ "domains": zones, "links": next, "meta": { "total": total } });
    let no_total = json!({ "domains": zones, "links": next });
    for (first, second) in [
        (total(3), json!({ "domains": null, "meta": { "total": 3 } })),
        (total(3), json!({ "domains": null, "meta": { "total": 0 } })),
        (total(3), json!({ "domains": null })),
        (total(3), json!({ "links": {}, "meta": { "total": 3 } })),
        (total(3), json!({ "links": {}, "meta": { "total": 0 } })),
        (total(3), json!({ "domains": [], "meta": { "total": 3 } })),
        (no_total.clone(), json!({ "domains": null })),
        (no_total.clone(), json!({ "meta": { "total": 0 } })),
        (no_total, json!({ "id": "server_error", "message": "no" })),
    ] {
        let text = second.to_string();
        let listed = with_second_page(first, second).await;
        assert!(!listed.completeness.is_complete(), "{text}: {listed:?}");
        assert_eq!(listed.items.len(), 2, "{text}");
    }
    // The total is reached.
    let second = json!({ "domains": null, "meta": { "total": 2 } });
    let listed = with_second_page(total(2), second).await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
}

#[tokio::test]
async fn a_project_list_without_the_default_project_is_never_complete() {
    let other = json!({ "id": Uuid::nil(), "name": "storefront", "is_default": false });
    for projects in [
        json!({ "projects": [], "meta": { "total": 0 } }),
        json!({ "projects": null, "meta": { "total": 0 } }),
        json!({ "projects": null }),
        json!({ "links": {}, "meta": { "total": 0 } }),
        json!({ "projects": [other], "meta": { "total": 1 } }),
    ] {
        let text = projects.to_string();
        let server = serving(projects).await;
        let listed = server.client().list_projects().await;
        let reason = listed.completeness.reason().unwrap();
        assert!(reason.contains("default project"), "{text}: {reason}");
        assert!(listed.failure.is_none(), "{text}");
    }
}

#[tokio::test]
async fn a_probe_accepts_the_same_responses_as_a_sync() {
    let purposes = [
        Purpose::CloudSyncFull,
        Purpose::CloudSyncFast,
        Purpose::CloudBilling,
    ];
    for (body, is_read) in [
        (json!({ "meta": { "total": 0 } }), true),
        (json!({ "id": "server_error", "message": "no" }), false),
        (json!({}), false),
    ] {
        let server = serving(body.clone()).await;
        let client = server.client();
        for need in purposes.into_iter().flat_map(Purpose::needs) {
            let outcome = client.probe(&need).await;
            // The balance is not a list.
            let is_list = !need.path().ends_with("/balance");
            let expected = is_read || !is_list;
            assert_eq!(outcome.is_ok(), expected, "{} {body}", need.path());
        }
    }
}

#[tokio::test]
async fn every_simulated_list_is_read_in_every_empty_form() {
    let forms = [NoneForm::EmptyList, NoneForm::Null, NoneForm::NoKey].map(Some);
    for form in forms.into_iter().chain([None]) {
        let mut account = Account::empty();
        if let Some(form) = form {
            account.set_none_form(form);
        }
        let default = account.default_project();
        let (_simulator, client) = simulated(account).await;
        for listing in kinds::listings() {
            let listed = list(&client, listing).await;
            let kind = &listing.kind;
            assert!(
                listed.completeness.is_complete(),
                "{form:?} {kind}: {listed:?}"
            );
        }
        for purpose in [Purpose::CloudSyncFull, Purpose::CloudBilling] {
            for need in purpose.needs() {
                client.probe(&need).await.unwrap();
            }
        }
        assert!(client.list_projects().await.completeness.is_complete());
        let members = client.list_project_resources(default).await;
        assert!(members.completeness.is_complete(), "{form:?}: {members:?}");
        for key in ["invoices", "billing_history"] {
            let outcome = read_other(&client, key).await;
            assert!(outcome.completeness.is_complete(), "{form:?}: {outcome:?}");
        }
    }
}
