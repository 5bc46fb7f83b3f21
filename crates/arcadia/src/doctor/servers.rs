//! The database, Temporal, and the address of the API.

use std::io::ErrorKind;
use std::net::SocketAddr;

use store::Store;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, IntoRequest as _};
use temporalio_client::{Client, NamespacedClient as _};
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest;
use tokio::net::{TcpListener, TcpStream};
use worker::schedules::{self, Installation, Stopped};
use worker::search_attributes::{self, Attribute};

use super::Report;
use crate::instance::InstanceArguments;

const CONNECTIONS: u32 = 2;

/// The database, if it can be worked with.
pub(super) async fn check_database(
    report: &mut Report,
    instance: &InstanceArguments,
) -> anyhow::Result<Option<Store>> {
    let database = match instance.database(CONNECTIONS).await {
        Ok(database) => database,
        Err(error) => return report.error("database", error).map(|()| None),
    };
    report.ok("database", format_args!("{} answers", database.place))?;
    match database.store.check_ready().await {
        Ok(()) => report
            .ok("schema", "up to date")
            .map(|()| Some(database.store)),
        Err(error) => report.error("schema", error).map(|()| None),
    }
}

pub(super) async fn check_temporal(
    report: &mut Report,
    instance: &InstanceArguments,
    store: Option<&Store>,
) -> anyhow::Result<()> {
    let temporal = match instance.temporal().await {
        Ok(temporal) => temporal,
        Err(error) => return report.error("temporal", error),
    };
    report.ok("temporal", format_args!("{} answers", temporal.place))?;
    let client = temporal.client;
    if check_namespace(report, &client).await? {
        check_search_attributes(report, &client).await?;
        let installation = match store {
            Some(store) => Installation::of(store).await.ok(),
            // Reported by now: what is left can be compared all the same.
            None => None,
        };
        check_schedules(report, &client, installation.as_ref()).await?;
    }
    Ok(())
}

async fn check_namespace(report: &mut Report, client: &Client) -> anyhow::Result<bool> {
    let namespace = client.namespace();
    let request = DescribeNamespaceRequest {
        namespace: namespace.clone(),
        ..Default::default()
    };
    let described =
        WorkflowService::describe_namespace(&mut client.clone(), request.into_request()).await;
    match described {
        Ok(_) => {
            report.ok("namespace", format_args!("{namespace} exists"))?;
            Ok(true)
        }
        Err(status) if status.code() == Code::NotFound => {
            report.fail(
                "namespace",
                format_args!(
                    "Temporal has no namespace {namespace}: correct TEMPORAL_NAMESPACE, or create it with `temporal operator namespace \
                     create --namespace {namespace}`"
                ),
            )?;
            Ok(false)
        }
        Err(status) => {
            report.fail(
                "namespace",
                format_args!(
                    "Temporal does not tell about the namespace {namespace} ({}: {}): look at TEMPORAL_API_KEY, the TEMPORAL_TLS... \
                     variables and what they may do there",
                    status.code(),
                    status.message()
                ),
            )?;
            Ok(false)
        }
    }
}

async fn check_search_attributes(report: &mut Report, client: &Client) -> anyhow::Result<()> {
    const WHAT: &str = "search attributes";
    let findings = match search_attributes::look(client).await {
        Ok(findings) => findings,
        Err(error) => return report.error(WHAT, error),
    };
    if let Some(reason) = findings.not_told {
        return report.warn(
            WHAT,
            format_args!(
                "Temporal does not tell this client which there are ({reason}): `temporal operator search-attribute list` by somebody who \
                 may see them shows whether {} are among them",
                names(&search_attributes::all())
            ),
        );
    }
    if findings.missing.is_empty() {
        return report.ok(
            WHAT,
            format_args!("{} are there", names(&search_attributes::all())),
        );
    }
    report.warn(
        WHAT,
        format_args!(
            "the namespace lacks {}, so that runs cannot be found by them: run `arcadia schedules apply`, or `{}`",
            names(&findings.missing),
            search_attributes::command(&client.namespace(), &findings.missing)
        ),
    )
}

fn names(attributes: &[Attribute]) -> String {
    let names: Vec<_> = attributes.iter().map(|attribute| attribute.name).collect();
    names.join(", ")
}

async fn check_schedules(
    report: &mut Report,
    client: &Client,
    installation: Option<&Installation>,
) -> anyhow::Result<()> {
    let statuses = match schedules::list(client, installation).await {
        Ok(statuses) => statuses,
        Err(error) => return report.error("schedules", error),
    };
    let foreign = |status: &schedules::ScheduleStatus| status.on_server.as_ref()?.foreign.clone();
    if let Some(owner) = statuses.iter().find_map(foreign) {
        let ids: Vec<_> = statuses
            .iter()
            .filter(|status| foreign(status).is_some())
            .map(|status| status.id)
            .collect();
        return report.fail(
            "schedules",
            format_args!(
                "{} in the namespace {} belong to another installation ({owner}), and start nothing here: correct DATABASE_URL, \
                 TEMPORAL_ADDRESS or TEMPORAL_NAMESPACE, so that database and Temporal belong together; `arcadia schedules apply \
                 --take-over` replaces them where that installation has ended",
                ids.join(", "),
                client.namespace()
            ),
        );
    }
    let ids = |which: &dyn Fn(&schedules::ScheduleStatus) -> bool| {
        let ids: Vec<_> = statuses
            .iter()
            .filter(|status| which(status))
            .map(|status| status.id)
            .collect();
        (!ids.is_empty()).then(|| ids.join(", "))
    };
    let missing = ids(&|status| status.on_server.is_none());
    let on_server = |status: &schedules::ScheduleStatus| status.on_server.clone();
    let differing = ids(&|status| on_server(status).is_some_and(|server| !server.is_current));
    let stopped = |status: &schedules::ScheduleStatus| on_server(status)?.stopped;
    let paused = ids(&|status| matches!(stopped(status), Some(Stopped::Paused(_))));
    let used_up = ids(&|status| stopped(status) == Some(Stopped::NoStartsLeft));
    if let Some(ids) = &missing {
        report.fail(
            "schedules",
            format_args!(
                "Temporal lacks {ids}, so that nothing starts them: run `arcadia schedules apply`"
            ),
        )?;
    }
    if let Some(ids) = &differing {
        report.warn(
            "schedules",
            format_args!(
                "{ids} differ from what this program would have: run `arcadia schedules apply`"
            ),
        )?;
    }
    if let Some(ids) = &paused {
        report.warn(
            "schedules",
            format_args!("{ids} are paused and start nothing: `temporal schedule toggle --unpause --schedule-id ID` ends that"),
        )?;
    }
    if let Some(ids) = &used_up {
        report.warn(
            "schedules",
            format_args!("{ids} have used up the starts that they were given and start nothing: `temporal schedule delete --schedule-id ID` and `arcadia schedules apply` begin anew"),
        )?;
    }
    if [&missing, &differing, &paused, &used_up]
        .into_iter()
        .all(Option::is_none)
    {
        report.ok(
            "schedules",
            format_args!("all {} are there and as they should be", statuses.len()),
        )?;
    }
    Ok(())
}

/// Whether a running instance's API can be reached.
pub(super) async fn check_api(report: &mut Report, url: &str) -> anyhow::Result<()> {
    let address = url.trim_start_matches("http://");
    match TcpStream::connect(address).await {
        Ok(_) => report.ok("api", format_args!("{url} answers")),
        Err(error) => report.fail(
            "api",
            format_args!("{url} does not answer ({error}): restart that `arcadia dev`"),
        ),
    }
}

/// An address that is to be listened on.
pub(super) struct Address {
    pub(super) what: &'static str,
    pub(super) variable: &'static str,
    /// Whose it is while it runs.
    pub(super) command: &'static str,
}

impl Address {
    pub(super) const API: Self = Self {
        what: "api address",
        variable: "ARCADIA_API_BIND",
        command: "arcadia api",
    };
    pub(super) const METRICS: Self = Self {
        what: "metrics address",
        variable: "ARCADIA_METRICS_BIND",
        command: "arcadia worker",
    };

    pub(super) async fn check(
        self,
        report: &mut Report,
        address: SocketAddr,
    ) -> anyhow::Result<()> {
        let Self {
            what,
            variable,
            command,
        } = self;
        match TcpListener::bind(address).await {
            Ok(_) => report.ok(what, format_args!("{address} is free")),
            Err(error) if error.kind() == ErrorKind::AddrInUse => report.warn(
                what,
                format_args!(
                    "{address} is in use: if that is not `{command}` itself, free it, or choose another with {variable}"
                ),
            ),
            Err(error) => report.fail(
                what,
                format_args!(
                    "nothing can listen on {address} ({error}): choose an address of this machine with {variable}"
                ),
            ),
        }
    }
}
