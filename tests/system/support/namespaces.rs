//! Creates a Temporal namespace for one test.

use std::time::Duration;

use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::IntoRequest as _;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, WorkflowCountOptions,
};
use temporalio_common::protos::temporal::api::workflowservice::v1::RegisterNamespaceRequest;
use uuid::Uuid;

use super::waiting::eventually;

pub(crate) async fn connect(address: &str, namespace: &str) -> anyhow::Result<Client> {
    let target: temporalio_client::Url = format!("http://{address}").parse()?;
    let options = ConnectionOptions::new(target)
        .identity("arcadia-tests".to_owned())
        .build();
    let connection = Connection::connect(options).await?;
    Ok(Client::new(
        connection,
        ClientOptions::new(namespace).build(),
    )?)
}

/// Creates a namespace and a client for it. Tests are isolated by namespace, since the names of
/// task queues, schedules and ad-hoc ingests are fixed.
pub(crate) async fn new_namespace(address: &str) -> (Client, String) {
    let namespace = format!("test-{}", Uuid::new_v4());
    let client = connect(address, &namespace).await.unwrap();
    register(&client, &namespace).await;
    (client, namespace)
}

/// Creates a namespace and waits until it is usable.
pub(crate) async fn register(client: &Client, namespace: &str) {
    let request = RegisterNamespaceRequest {
        namespace: namespace.to_owned(),
        workflow_execution_retention_period: Duration::from_hours(24).try_into().ok(),
        ..Default::default()
    };
    WorkflowService::register_namespace(&mut client.clone(), request.into_request())
        .await
        .unwrap();
    // The parts of the server receive the new namespace at different times.
    eventually("the namespace is usable", async || {
        let counted = client
            .count_workflows("", WorkflowCountOptions::default())
            .await;
        counted.is_ok().then_some(())
    })
    .await;
}
