//! A Temporal namespace for one test.

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

/// The names of task queues, schedules and ad-hoc ingests are fixed, so what keeps tests apart is the namespace.
pub(crate) async fn namespace_of_its_own(address: &str) -> (Client, String) {
    let namespace = format!("test-{}", Uuid::new_v4());
    let client = connect(address, &namespace).await.unwrap();
    register(&client, &namespace).await;
    (client, namespace)
}

/// Creates the namespace, and waits until the server serves it.
pub(crate) async fn register(client: &Client, namespace: &str) {
    let request = RegisterNamespaceRequest {
        namespace: namespace.to_owned(),
        workflow_execution_retention_period: Duration::from_hours(24).try_into().ok(),
        ..Default::default()
    };
    WorkflowService::register_namespace(&mut client.clone(), request.into_request())
        .await
        .unwrap();
    // Every part of the server learns of it in its own time.
    eventually("the namespace is known", async || {
        let counted = client
            .count_workflows("", WorkflowCountOptions::default())
            .await;
        counted.is_ok().then_some(())
    })
    .await;
}
