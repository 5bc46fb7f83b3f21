//! Changes of an account while it is served, by the test and by clients.

mod support;

use std::time::Duration;

use reqwest::{Method, StatusCode, header::ACCEPT};
use rust_decimal::Decimal;
use serde_json::json;
use simulator::{Account, DEMO_TOKEN, HistoryEntry, Invoice, InvoiceLine, MemberStatus};
use support::{TestClient, answered};
use tokio::time::timeout;
use uuid::Uuid;

#[tokio::test]
async fn a_second_project_with_the_same_name_conflicts() {
    let client = TestClient::of(Account::demo()).await;
    let expected = json!({ "name": "skyai-internal", "purpose": "shared tooling" });
    let (status, body) = client.post("/v2/projects", expected.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(body["project"]["purpose"], "Other: shared tooling");
    assert_eq!(body["project"]["is_default"], false);
    let path = format!("/v2/projects/{}", body["project"]["id"].as_str().unwrap());
    assert_eq!(client.ok(&path).await, body);
    let (status, body) = client.post("/v2/projects", expected).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .starts_with("name is already in use")
    );
    assert_eq!(client.ok("/v2/projects").await["meta"]["total"], 5);
}

#[tokio::test]
async fn a_project_without_a_name_or_purpose_is_refused() {
    let client = TestClient::of(Account::empty()).await;
    let long = "x".repeat(176);
    for expected in [
        json!({ "name": "a" }),
        json!({ "name": "", "purpose": "b" }),
        json!({ "name": long, "purpose": "b" }),
        json!({ "name": "a", "purpose": "b", "environment": "Moon" }),
    ] {
        let (status, body) = client.post("/v2/projects", expected).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
}

#[tokio::test]
async fn known_resources_are_assigned_and_unknown_ones_rejected() {
    let mut account = Account::empty();
    let project = account.add_project("web");
    let droplet = account.add_droplet("web", "c-2", "syd1");
    account.add_reserved_ip("198.18.0.7", "syd1", Some(droplet));
    let client = TestClient::of(account).await;
    let path = format!("/v2/projects/{project}/resources");
    let urn = format!("do:droplet:{droplet}");
    let (status, body) = client.post(&path, json!({ "resources": [urn] })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["resources"][0]["status"], "assigned");
    let (_, body) = client.post(&path, json!({ "resources": [urn] })).await;
    assert_eq!(body["resources"][0]["status"], "already_assigned");
    assert_eq!(client.ok(&path).await["resources"][0]["status"], "ok");
    let left = client.ok("/v2/projects/default/resources").await;
    assert_eq!(left["meta"]["total"], 0);
    let floating = client.ok("/v2/floating_ips/198.18.0.7").await;
    assert_eq!(floating["floating_ip"]["project_id"], project.to_string());

    let refused =
        async |path: &str, urn: &str| client.post(path, json!({ "resources": [urn] })).await.0;
    assert_eq!(refused(&path, "do:vpc:1").await, StatusCode::BAD_REQUEST);
    assert_eq!(refused(&path, "do:droplet:1").await, StatusCode::NOT_FOUND);
    let default = "/v2/projects/default/resources";
    let moved = refused(default, "do:floatingip:198.18.0.7").await;
    assert_eq!(moved, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn changes_are_in_the_next_response() {
    let client = TestClient::of(Account::empty()).await;
    let id = client.simulator.change(|account| {
        let id = account.add_droplet("web", "s-1vcpu-1gb", "syd1");
        let volume = account.add_volume("data", "syd1", 100);
        account.attach_volume(volume, id);
        account.rename_droplet(id, "web-1");
        account.tag_droplet(id, "blue");
        account.set_droplet_status(id, "off");
        account.resize_droplet(id, "s-2vcpu-4gb");
        id
    });
    let droplet = client.ok(&format!("/v2/droplets/{id}")).await["droplet"].take();
    assert_eq!(droplet["name"], "web-1");
    assert_eq!(droplet["tags"], json!(["blue"]));
    assert_eq!(droplet["status"], "off");
    assert_eq!(droplet["memory"], 4096);
    let volume = client.ok("/v2/volumes").await["volumes"][0].take();
    assert_eq!(droplet["volume_ids"], json!([volume["id"]]));
    assert_eq!(volume["droplet_ids"], json!([id]));
    client
        .simulator
        .change(|account| account.remove_droplet(id));
    let (status, body) = client.json(&format!("/v2/droplets/{id}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(body["id"], "not_found");
    assert!(
        client
            .simulator
            .read(|account| account.droplets().is_empty())
    );
}

#[tokio::test]
async fn a_project_can_have_unknown_kinds_and_deleted_members() {
    let mut account = Account::empty();
    let project = account.default_project();
    account.add_member(project, "do:teapot:1:2", MemberStatus::Ok);
    account.add_member(project, "do:droplet:404", MemberStatus::NotFound);
    let client = TestClient::of(account).await;
    let body = client.ok("/v2/projects/default/resources").await;
    assert_eq!(body["resources"][0]["urn"], "do:teapot:1:2");
    assert_eq!(body["resources"][1]["status"], "not_found");
    let url = client.simulator.url();
    let link = &body["resources"][1]["links"]["self"];
    assert_eq!(*link, format!("{url}/v2/droplets/404"));
}

#[tokio::test]
async fn a_set_csv_is_sent_unchanged_for_any_accept_header() {
    let mut account = Account::empty();
    let line = InvoiceLine::new("Droplets", "web (c-2)", Decimal::new(1234, 2));
    let uuid = account.add_invoice(Invoice::for_month(2020, 7, vec![line]));
    let broken = "\u{feff}USD,product\r\nmany,\"Drop";
    account.set_invoice_csv(uuid, broken);
    account.set_invoice_amount(uuid, Decimal::new(99, 0));
    let client = TestClient::of(account).await;
    let request = client
        .request(
            Method::GET,
            &format!("/v2/customers/my/invoices/{uuid}/csv"),
        )
        .header(ACCEPT, "application/json")
        .bearer_auth(DEMO_TOKEN);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/csv");
    let disposition = response.headers()["content-disposition"].to_str().unwrap();
    assert!(disposition.starts_with("attachment; filename=\"DigitalOcean Invoice 2020 Jul ("));
    assert_eq!(response.bytes().await.unwrap(), broken.as_bytes());
    let list = client.ok("/v2/customers/my/invoices").await;
    assert_eq!(list["invoices"][0]["amount"], "99.00");
    assert!(list.get("invoice_preview").is_none());
}

/// An account with one invoice of two lines: $6.00 for a droplet, $0.50 for taxes.
fn account_with_an_invoice() -> (Account, Uuid) {
    let mut account = Account::empty();
    let lines = vec![
        InvoiceLine::new("Droplets", "web (c-2)", Decimal::new(600, 2)).with_id(&7),
        InvoiceLine::new("Taxes", "GST (10%)", Decimal::new(50, 2)),
    ];
    let uuid = account.add_invoice(Invoice::for_month(2026, 4, lines));
    (account, uuid)
}

#[tokio::test]
async fn a_corrected_line_changes_all_parts_of_the_invoice_and_the_history() {
    let (mut account, uuid) = account_with_an_invoice();
    account.change_invoice(uuid, |invoice| {
        invoice.lines[1].amount = Decimal::new(55, 2);
    });
    let client = TestClient::of(account).await;
    let path = format!("/v2/customers/my/invoices/{uuid}");
    let list = client.ok("/v2/customers/my/invoices").await;
    assert_eq!(list["invoices"][0]["amount"], "6.55");
    let items = client.ok(&path).await;
    assert_eq!(items["invoice_items"][1]["amount"], "0.55");
    let summary = client.ok(&format!("{path}/summary")).await;
    assert_eq!(summary["amount"], "6.55");
    assert_eq!(summary["taxes"]["amount"], "0.55");
    let csv = client.get(&format!("{path}/csv")).await;
    assert!(csv.text().await.unwrap().contains(",$0.55,"));
    let history = client.ok("/v2/customers/my/billing_history").await;
    assert_eq!(history["billing_history"][1]["amount"], "6.55");
}

#[tokio::test]
async fn the_items_and_the_summary_can_differ_from_the_lines() {
    let (mut account, uuid) = account_with_an_invoice();
    account.change_invoice(uuid, |invoice| {
        let mut items = invoice.lines.clone();
        items.reverse();
        items.push(InvoiceLine::new("Widgets", "blue", Decimal::ONE));
        invoice.items = Some(items);
        invoice.summary_amount = Some(Decimal::new(651, 2));
        invoice.summary_parts.taxes = Some(Decimal::new(51, 2));
    });
    let client = TestClient::of(account).await;
    let path = format!("/v2/customers/my/invoices/{uuid}");
    let items = client.ok(&path).await;
    let products = ["Taxes", "Droplets", "Widgets"];
    for (item, product) in items["invoice_items"]
        .as_array()
        .unwrap()
        .iter()
        .zip(products)
    {
        assert_eq!(item["product"], product);
    }
    assert_eq!(items["meta"]["total"], 3);
    let summary = client.ok(&format!("{path}/summary")).await;
    assert_eq!(summary["amount"], "6.51");
    assert_eq!(summary["taxes"]["amount"], "0.51");
    assert_eq!(summary["product_charges"]["amount"], "6.00");
    let list = client.ok("/v2/customers/my/invoices").await;
    assert_eq!(list["invoices"][0]["amount"], "6.50");
}

#[tokio::test]
async fn an_invoice_can_lack_its_items_its_csv_or_its_summary() {
    let (mut account, uuid) = account_with_an_invoice();
    account.change_invoice(uuid, |invoice| invoice.lacks_items = true);
    let client = TestClient::of(account).await;
    let paths =
        ["", "/csv", "/summary"].map(|part| format!("/v2/customers/my/invoices/{uuid}{part}"));
    let missing = async |expected: &str| {
        for path in &paths {
            let response = client.get(path).await;
            if path == expected {
                let (status, body) = answered(response).await;
                assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
                assert_eq!(body["id"], "not_found", "{path}");
            } else {
                assert_eq!(response.status(), StatusCode::OK, "{path}");
            }
        }
    };
    let change = |change: fn(&mut Invoice)| {
        client
            .simulator
            .change(|account| account.change_invoice(uuid, change));
    };
    missing(&paths[0]).await;
    change(|invoice| (invoice.lacks_items, invoice.lacks_csv) = (false, true));
    missing(&paths[1]).await;
    change(|invoice| (invoice.lacks_csv, invoice.lacks_summary) = (false, true));
    missing(&paths[2]).await;
}

#[test]
fn the_amount_owed_excludes_failed_payments() {
    let (mut account, uuid) = account_with_an_invoice();
    assert_eq!(account.owed_by_history(), Decimal::ZERO);
    account.change_invoice(uuid, |invoice| invoice.paid_after = None);
    let date = account.history()[0].date;
    let alike = HistoryEntry::new("Credit", "Referral credit", Decimal::new(-100, 2), date);
    account.add_history(alike.clone());
    account.add_history(alike);
    let attempt = HistoryEntry::new("AttemptFailed", "Payment", Decimal::new(-650, 2), date);
    account.add_history(attempt);
    account.settle_balance();
    assert_eq!(account.balance().account_balance, Decimal::new(450, 2));
    assert_eq!(account.history().len(), 4);
}

#[tokio::test]
async fn a_second_invoice_for_a_month_has_another_uuid() {
    let mut account = Account::empty();
    let first = account.add_invoice(Invoice::for_month(2026, 3, Vec::new()));
    account.add_invoice(Invoice::for_month(2026, 4, Vec::new()));
    let second = account.add_invoice(Invoice::for_month(2026, 3, Vec::new()));
    assert_ne!(first, second);
    let periods: Vec<_> = account
        .invoices()
        .iter()
        .map(Invoice::period_text)
        .collect();
    assert_eq!(periods, ["2026-04", "2026-03", "2026-03"]);
}

#[tokio::test]
async fn unknown_paths_are_not_found_and_wrong_methods_not_allowed() {
    let client = TestClient::of(Account::empty()).await;
    for path in [
        "/v2/teapots",
        "/v2/customers/my/invoices/preview",
        "/v2/projects/1",
        "/nowhere",
    ] {
        let (status, body) = client.json(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(body["id"], "not_found", "{path}");
    }
    let (status, _) = client.post("/v2/droplets", json!({})).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_held_response_has_the_account_of_its_request() {
    let client = TestClient::of(Account::demo()).await;
    let simulator = &client.simulator;
    let count = simulator.read(|account| account.droplets().len());
    let mut hold = simulator.hold("/v2/droplets?page=1");
    let changing = async {
        hold.reached().await;
        simulator.change(|account| account.add_droplet("late", "c-2", "syd1"));
        // Only one response is held.
        let after = client.ok("/v2/droplets?page=1").await;
        assert_eq!(after["meta"]["total"], count + 1);
        drop(hold);
    };
    let (before, ()) = tokio::join!(client.ok("/v2/droplets?page=1"), changing);
    assert_eq!(before["meta"]["total"], count);
}

#[tokio::test]
async fn suspended_requests_read_the_account_when_they_continue() {
    let client = TestClient::of(Account::demo()).await;
    let simulator = &client.simulator;
    let count = simulator.read(|account| account.droplets().len());
    let suspension = simulator.suspend();
    let mut request = std::pin::pin!(client.ok("/v2/droplets"));
    let brief = Duration::from_millis(50);
    assert!(timeout(brief, &mut request).await.is_err());
    simulator.change(|account| account.add_droplet("late", "c-2", "syd1"));
    drop(suspension);
    assert_eq!(request.await["meta"]["total"], count + 1);
}
