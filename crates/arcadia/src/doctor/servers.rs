//! Checks the database, Temporal with its schedules, and the addresses that servers listen on.

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

/// Checks the database and its schema. Returns the store if both are usable.
pub(super) async fn check_database(
    report: &mut Report,
    instance: &InstanceArguments,
) -> anyhow::Result<Option<Store>> {
    let database = match instance.database(CONNECTIONS).await {
        Ok(database) => database,
        Err(error) => return report.error("database", error).map(|()| None),
    };
    report.ok(
        "database",
        format_args!("connected to {}", database.description),
    )?;
    match database.store.check_ready().await {
        Ok(()) => report.ok("schema", "up to date")?,
        Err(error) => return report.error("schema", error).map(|()| None),
    }
    check_audit(report, &database.store).await?;
    Ok(Some(database.store))
}

/// Verifies the chain of the audit.
async fn check_audit(report: &mut Report, store: &Store) -> anyhow::Result<()> {
    const CHECK: &str = "audit";
    let chain = match store.verify_audit().await {
        Ok(chain) => chain,
        Err(error) => return report.error(CHECK, error),
    };
    match chain.broken_at {
        None if chain.entries == 0 => report.ok(CHECK, "no entries yet"),
        None => report.ok(
            CHECK,
            format_args!(
                "{} entries, none changed or removed; the hash of the last one is {}",
                chain.entries, chain.last_hash
            ),
        ),
        Some(broken) => report.fail(
            CHECK,
            format_args!(
                "{broken} outside this program: compare the table audit_entries with a backup and with \
                 the log of the API, which has the number and the hash of each entry"
            ),
        ),
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
    report.ok(
        "temporal",
        format_args!("connected to {}", temporal.description),
    )?;
    let client = temporal.client;
    if check_namespace(report, &client).await? {
        check_search_attributes(report, &client).await?;
        let installation = match store {
            Some(store) => Installation::of(store).await.ok(),
            // The missing database was reported; schedules are compared without their installation.
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
                    "namespace {namespace} does not exist: correct TEMPORAL_NAMESPACE, or create it with \
                     `temporal operator namespace create --namespace {namespace}`"
                ),
            )?;
            Ok(false)
        }
        Err(status) => {
            report.fail(
                "namespace",
                format_args!(
                    "namespace {namespace} cannot be read ({}: {}): check TEMPORAL_API_KEY, the \
                     TEMPORAL_TLS... variables and their permissions in this namespace",
                    status.code(),
                    status.message()
                ),
            )?;
            Ok(false)
        }
    }
}

async fn check_search_attributes(report: &mut Report, client: &Client) -> anyhow::Result<()> {
    const CHECK: &str = "search attributes";
    let findings = match search_attributes::check(client).await {
        Ok(findings) => findings,
        Err(error) => return report.error(CHECK, error),
    };
    if let Some(reason) = findings.denied {
        return report.warn(
            CHECK,
            format_args!(
                "this client may not list search attributes ({reason}): with permission to do so, run \
                 `temporal operator search-attribute list` and check that it shows {}",
                names(&search_attributes::all())
            ),
        );
    }
    if findings.missing.is_empty() {
        return report.ok(
            CHECK,
            format_args!("{} are registered", names(&search_attributes::all())),
        );
    }
    report.warn(
        CHECK,
        format_args!(
            "the namespace lacks {}, so runs cannot be found by them: run `arcadia schedules apply`, or \
             `{}`",
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
                "{} in namespace {} belong to another installation ({owner}) and do not sync this \
                 database: correct DATABASE_URL, TEMPORAL_ADDRESS or TEMPORAL_NAMESPACE, so that database \
                 and Temporal belong to the same installation, or, if the other installation has been \
                 removed, run `arcadia schedules apply --take-over`",
                ids.join(", "),
                client.namespace()
            ),
        );
    }
    let ids = |matches: &dyn Fn(&schedules::ScheduleStatus) -> bool| {
        let ids: Vec<_> = statuses
            .iter()
            .filter(|status| matches(status))
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
            format_args!("missing in Temporal: {ids}; run `arcadia schedules apply`"),
        )?;
    }
    if let Some(ids) = &differing {
        report.warn(
            "schedules",
            format_args!(
                "different from this version's definition: {ids}; run `arcadia schedules apply`"
            ),
        )?;
    }
    if let Some(ids) = &paused {
        report.warn(
            "schedules",
            format_args!(
                "paused: {ids}; to resume, run `temporal schedule toggle --unpause --schedule-id ID`"
            ),
        )?;
    }
    if let Some(ids) = &used_up {
        report.warn(
            "schedules",
            format_args!(
                "no remaining actions: {ids}; to re-create them, run `temporal schedule delete \
                 --schedule-id ID`, then `arcadia schedules apply`"
            ),
        )?;
    }
    if [&missing, &differing, &paused, &used_up]
        .into_iter()
        .all(Option::is_none)
    {
        report.ok(
            "schedules",
            format_args!("all {} exist and are up to date", statuses.len()),
        )?;
    }
    Ok(())
}

/// Checks that the API of a running `arcadia dev` can be reached.
pub(super) async fn check_api(report: &mut Report, url: &str) -> anyhow::Result<()> {
    let address = url.trim_start_matches("http://");
    match TcpStream::connect(address).await {
        Ok(_) => report.ok("api", format_args!("{url} accepts connections")),
        Err(error) => report.fail(
            "api",
            format_args!("{url} cannot be reached ({error}): restart its `arcadia dev`"),
        ),
    }
}

/// An address that a server of ours listens on.
pub(super) struct Address {
    /// The name of the check.
    pub(super) check: &'static str,
    pub(super) variable: &'static str,
    /// The command that listens on it.
    pub(super) command: &'static str,
}

impl Address {
    pub(super) const API: Self = Self {
        check: "api address",
        variable: "ARCADIA_API_BIND",
        command: "arcadia api",
    };
    pub(super) const METRICS: Self = Self {
        check: "metrics address",
        variable: "ARCADIA_METRICS_BIND",
        command: "arcadia api` or `arcadia worker",
    };

    pub(super) async fn check(
        self,
        report: &mut Report,
        address: SocketAddr,
    ) -> anyhow::Result<()> {
        let Self {
            check,
            variable,
            command,
        } = self;
        match TcpListener::bind(address).await {
            Ok(_) => report.ok(check, format_args!("{address} is free")),
            Err(error) if error.kind() == ErrorKind::AddrInUse => report.warn(
                check,
                format_args!(
                    "{address} is in use: unless that is a running `{command}`, free the port or set \
                     another with {variable}"
                ),
            ),
            Err(error) => report.fail(
                check,
                format_args!(
                    "{address} cannot be listened on ({error}): set {variable} to an address of this \
                     machine"
                ),
            ),
        }
    }
}
