//! Runs are found by search attributes, which are registered with the schedules.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use simulator::{Account, Invoice, InvoiceLine};
use temporalio_client::grpc::OperatorService;
use temporalio_client::schedules::{ScheduleOverlapPolicy, TriggerScheduleOptions};
use temporalio_client::tonic::IntoRequest as _;
use temporalio_client::{NamespacedClient as _, RpcOptions, WorkflowListOptions};
use temporalio_common::protos::temporal::api::enums::v1::IndexedValueType;
use temporalio_common::protos::temporal::api::operatorservice::v1::AddSearchAttributesRequest;
use worker::schedules::{Installation, Plan};

use crate::support::{TestSystem, eventually};

fn account() -> Account {
    let mut account = Account::empty();
    for number in 0..12 {
        account.add_droplet(&format!("web-{number}"), "s-1vcpu-1gb", "syd1");
    }
    for month in 3..=4 {
        let line = InvoiceLine::new("Droplets", "web-1 (s-1vcpu-1gb)", 6.into());
        account.add_invoice(Invoice::for_month(2026, month, vec![line]));
    }
    account
}

/// Waits until a query finds at least `runs` runs, and returns their workflow types. There may be
/// more runs, since the schedules are active.
async fn found(system: &TestSystem, query: &str, runs: usize) -> BTreeSet<String> {
    eventually(query, async || {
        let listed = system
            .client
            .list_workflows(query, WorkflowListOptions::default());
        let found: Vec<_> = listed.try_collect().await.unwrap();
        let types = found.iter().map(|run| run.workflow_type().to_owned());
        (found.len() >= runs).then(|| types.collect())
    })
    .await
}

/// Triggers a schedule and waits for the end of its run.
async fn run_once_more(system: &TestSystem, id: &str) {
    let schedule = system.client.get_schedule_handle(id);
    let runs = async || {
        let description = schedule.describe(RpcOptions::default()).await.unwrap();
        let has_ended = description.running_actions().is_empty();
        (description.action_count(), has_ended)
    };
    let (before, _) = runs().await;
    schedule
        .trigger(
            ScheduleOverlapPolicy::Skip,
            TriggerScheduleOptions::default(),
        )
        .await
        .unwrap();
    eventually(id, async || {
        let (count, has_ended) = runs().await;
        (count > before && has_ended).then_some(())
    })
    .await;
}

#[tokio::test]
async fn runs_are_found_by_invoice_month_kind_and_purpose() {
    let system = TestSystem::start(account()).await;
    system.run_every_schedule_once().await;
    let uuid = system.simulator.read(|account| account.invoices()[0].uuid);
    for (query, types, runs) in [
        (
            format!(r#"ArcadiaInvoiceUuid="{uuid}""#),
            &["IngestInvoice"][..],
            1,
        ),
        (
            r#"ArcadiaPeriod="2026-04""#.to_owned(),
            &["IngestInvoice"],
            1,
        ),
        (
            r#"ArcadiaPeriod STARTS_WITH "2026""#.to_owned(),
            &["IngestInvoice"],
            2,
        ),
        (r#"ArcadiaKind="volume""#.to_owned(), &["SyncInventory"], 1),
        (r#"ArcadiaKind="droplet""#.to_owned(), &["SyncInventory"], 2),
        (
            r#"ArcadiaPurpose="cloud-sync-fast""#.to_owned(),
            &["SyncInventory"],
            1,
        ),
        (
            r#"ArcadiaPurpose="cloud-sync-full""#.to_owned(),
            &["Maintain", "SyncInventory", "SyncProjects"],
            3,
        ),
        (
            r#"ArcadiaPurpose="cloud-billing""#.to_owned(),
            &["BillingHistory", "IngestInvoice", "PollBalance"],
            4,
        ),
        (
            r#"ArcadiaProvider="digitalocean""#.to_owned(),
            &[
                "BillingHistory",
                "IngestInvoice",
                "Maintain",
                "PollBalance",
                "SyncInventory",
                "SyncProjects",
            ],
            8,
        ),
    ] {
        let expected: BTreeSet<_> = types.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found(&system, &query, runs).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_held_deletion_is_found_by_its_kind() {
    let system = TestSystem::start(account()).await;
    system.run_every_schedule_once().await;
    system.simulator.change(|account| {
        for id in account.resource_ids("droplet").split_off(1) {
            account.remove_resource("droplet", &id);
        }
    });
    // Three strikes, each by a separate complete listing.
    for _ in 0..3 {
        run_once_more(&system, "sync-inventory").await;
    }
    let query = r#"WorkflowType="HeldDeletion" AND ArcadiaKind="droplet""#;
    let types = found(&system, query, 1).await;
    assert_eq!(types, BTreeSet::from(["HeldDeletion".to_owned()]));
}

#[tokio::test]
async fn runs_succeed_in_a_namespace_without_search_attributes() {
    let system = TestSystem::start(account()).await;
    let progress = system.billing_history().await.unwrap();
    assert_eq!((progress.ingested, progress.failed), (2, 0));
}

#[tokio::test]
async fn an_attribute_with_a_wrong_type_is_an_error_with_its_fix() {
    let system = TestSystem::start(Account::empty()).await;
    let request = AddSearchAttributesRequest {
        namespace: system.client.namespace(),
        search_attributes: [(
            "ArcadiaPeriod".to_owned(),
            IndexedValueType::Datetime.into(),
        )]
        .into(),
    };
    OperatorService::add_search_attributes(&mut system.client.clone(), request.into_request())
        .await
        .unwrap();
    let installation = Installation::of(&system.store).await.unwrap();
    let error = eventually("the server returns the attribute", async || {
        Plan::new(&system.client, &installation).await.err()
    })
    .await
    .to_string();
    for part in [
        "ArcadiaPeriod",
        "Datetime",
        "Keyword",
        "search-attribute remove",
    ] {
        assert!(error.contains(part), "{error}");
    }
}
