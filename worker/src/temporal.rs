//! The connection to Temporal.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use temporalio_client::envconfig::LoadClientConfigProfileOptions;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions, TlsOptions};

/// The least that is asked of Temporal before giving up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects as the SDK's environment variables and profiles say (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, ...).
pub async fn connect() -> anyhow::Result<Client> {
    connect_as(LoadClientConfigProfileOptions::default()).await
}

/// The same, with variables and profiles from where `options` says.
pub async fn connect_as(options: LoadClientConfigProfileOptions) -> anyhow::Result<Client> {
    let (mut connection, client) = settings(options)?;
    encrypt_or_refuse(&mut connection)?;
    connect_with(connection, client).await
}

/// The server and the namespace that the environment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// `HOST:PORT`.
    pub address: String,
    pub namespace: String,
    pub source: Source,
}

/// Which setting names a Temporal server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `TEMPORAL_ADDRESS`.
    Variable,
    /// A profile in Temporal's configuration file.
    Profile,
    /// Nothing: the SDK's default.
    Default,
}

/// Reads where [`connect`] would connect to, without connecting.
pub fn configured() -> anyhow::Result<Configured> {
    let (connection, client) = settings(LoadClientConfigProfileOptions::default())?;
    let is_set = |value: String| !value.trim().is_empty();
    let source = if std::env::var("TEMPORAL_ADDRESS").is_ok_and(is_set) {
        Source::Variable
    } else if connection.target.as_str() == DEFAULT_TARGET {
        Source::Default
    } else {
        Source::Profile
    };
    Ok(Configured {
        address: host_and_port(&connection.target),
        namespace: client.namespace,
        source,
    })
}

/// The SDK's target where no setting names one.
const DEFAULT_TARGET: &str = "http://localhost:7233/";

fn host_and_port(url: &temporalio_client::Url) -> String {
    let port = url.port_or_known_default().unwrap_or(7233);
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

fn settings(
    options: LoadClientConfigProfileOptions,
) -> anyhow::Result<(ConnectionOptions, ClientOptions)> {
    ClientOptions::load_from_config(options)
        // Its error cannot cross threads, and so does not convert into an anyhow error.
        .map_err(|error| anyhow!("the Temporal settings cannot be read ({error}): correct the TEMPORAL_... variables or the profile they name"))
}

/// Connects to this address and namespace, with TLS and credentials as the environment says.
pub async fn connect_at(address: &str, namespace: &str) -> anyhow::Result<Client> {
    let (mut connection, mut client) = settings(LoadClientConfigProfileOptions::default())?;
    connection.target = if address.contains("://") {
        address.parse()
    } else {
        format!("{}://{address}", connection.target.scheme()).parse()
    }
    .with_context(|| format!("invalid Temporal address: {address:?}"))?;
    namespace.clone_into(&mut client.namespace);
    encrypt_or_refuse(&mut connection)?;
    connect_with(connection, client).await
}

/// Connects to `host:port`, without TLS, in the namespace `default`: to a dev server of ours.
pub async fn connect_to(address: &str) -> anyhow::Result<Client> {
    let target: temporalio_client::Url = format!("http://{address}")
        .parse()
        .with_context(|| format!("{address:?} is no Temporal address"))?;
    connect_with(
        ConnectionOptions::new(target).build(),
        ClientOptions::new("default").build(),
    )
    .await
}

/// Never lets a connection be less secret than what is asked for: the client speaks plain text to any `http://` address, whatever is
/// said of TLS and of keys.
fn encrypt_or_refuse(connection: &mut ConnectionOptions) -> anyhow::Result<()> {
    let is_encrypted = connection.target.scheme() == "https";
    if is_encrypted && connection.tls_options.is_none() {
        connection.tls_options = Some(TlsOptions::default());
    }
    match connection.api_key.as_deref() {
        // The SDK would switch TLS on for it, and send it.
        Some("") => bail!("TEMPORAL_API_KEY is empty: give the key, or unset the variable"),
        Some(_) if !is_encrypted => bail!(
            "a Temporal API key is given, but it would be sent without TLS: leave http:// out of TEMPORAL_ADDRESS, and do not set TEMPORAL_TLS=false"
        ),
        _ => {}
    }
    if !is_encrypted && connection.tls_options.is_some() {
        bail!(
            "TLS to Temporal is asked for, but TEMPORAL_ADDRESS begins with http://: leave that out, or set TEMPORAL_TLS=false"
        );
    }
    Ok(())
}

/// By which people tell this process from others, as Temporal's own tools have it: in a container every process is the first.
fn identity() -> String {
    let host = gethostname::gethostname();
    format!("arcadia:{}@{}", std::process::id(), host.to_string_lossy())
}

async fn connect_with(
    mut connection: ConnectionOptions,
    client: ClientOptions,
) -> anyhow::Result<Client> {
    let target = connection.target.clone();
    connection.connect_timeout = Some(CONNECT_TIMEOUT);
    connection.identity = identity();
    let unreachable = |reason: String| {
        anyhow!(
            "Temporal cannot be reached at {target} ({reason}): start it there, set TEMPORAL_ADDRESS, or use `arcadia dev`"
        )
    };
    let connecting = Connection::connect(connection);
    let connection = match tokio::time::timeout(CONNECT_TIMEOUT * 2, connecting).await {
        Ok(Ok(connection)) => connection,
        // What lies at the bottom says what happened; what is wrapped around it, only that something did.
        Ok(Err(error)) => {
            let error = anyhow::Error::from(error);
            return Err(unreachable(error.root_cause().to_string()));
        }
        Err(_) => return Err(unreachable("no answer".to_owned())),
    };
    Ok(Client::new(connection, client)?)
}
