//! Connects to Temporal with the SDK's environment variables and profiles, and refuses settings
//! that would send secrets without TLS.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use temporalio_client::envconfig::LoadClientConfigProfileOptions;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions, TlsOptions};

/// Timeout of the TCP connection to Temporal; the whole handshake may take twice as long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects with the SDK's environment variables and profiles (`TEMPORAL_ADDRESS`,
/// `TEMPORAL_NAMESPACE`, ...).
pub async fn connect() -> anyhow::Result<Client> {
    connect_as(LoadClientConfigProfileOptions::default()).await
}

/// Like [`connect`], with variables and profiles loaded as `options` specify.
pub async fn connect_as(options: LoadClientConfigProfileOptions) -> anyhow::Result<Client> {
    let (mut connection, client) = settings(options)?;
    encrypt_or_refuse(&mut connection)?;
    connect_with(connection, client).await
}

/// The server and namespace that the environment configures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// `HOST:PORT`.
    pub address: String,
    pub namespace: String,
    pub source: Source,
}

/// The origin of the Temporal address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `TEMPORAL_ADDRESS`.
    Variable,
    /// A profile in Temporal's configuration file.
    Profile,
    /// The SDK's default, since neither is set.
    Default,
}

/// Returns the server and namespace that [`connect`] would use, without connecting.
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

/// The SDK's target if no setting provides one.
const DEFAULT_TARGET: &str = "http://localhost:7233/";

fn host_and_port(url: &temporalio_client::Url) -> String {
    let port = url.port_or_known_default().unwrap_or(7233);
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

fn settings(
    options: LoadClientConfigProfileOptions,
) -> anyhow::Result<(ConnectionOptions, ClientOptions)> {
    ClientOptions::load_from_config(options)
        // Not converted into an anyhow error, since it is not `Send`.
        .map_err(|error| {
            anyhow!(
                "could not read the Temporal settings ({error}): correct the TEMPORAL_... \
                 variables or the profile that they select"
            )
        })
}

/// Connects to the given address and namespace, with TLS and credentials from the environment.
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

/// Connects to a local dev server at `host:port`, without TLS, in the namespace `default`.
pub async fn connect_to(address: &str) -> anyhow::Result<Client> {
    let target: temporalio_client::Url = format!("http://{address}")
        .parse()
        .with_context(|| format!("invalid Temporal address: {address:?}"))?;
    connect_with(
        ConnectionOptions::new(target).build(),
        ClientOptions::new("default").build(),
    )
    .await
}

/// Rejects settings that request TLS or an API key but name an `http://` address: the SDK's client
/// would connect in plain text and ignore them.
fn encrypt_or_refuse(connection: &mut ConnectionOptions) -> anyhow::Result<()> {
    let is_encrypted = connection.target.scheme() == "https";
    if is_encrypted && connection.tls_options.is_none() {
        connection.tls_options = Some(TlsOptions::default());
    }
    match connection.api_key.as_deref() {
        // The SDK would enable TLS and send the empty key.
        Some("") => bail!("TEMPORAL_API_KEY is empty: set the key or unset the variable"),
        Some(_) if !is_encrypted => bail!(
            "the Temporal API key would be sent without TLS: remove http:// from \
             TEMPORAL_ADDRESS and do not set TEMPORAL_TLS=false"
        ),
        _ => {}
    }
    if !is_encrypted && connection.tls_options.is_some() {
        bail!(
            "TLS to Temporal is enabled, but TEMPORAL_ADDRESS begins with http://: remove http:// \
             or set TEMPORAL_TLS=false"
        );
    }
    Ok(())
}

/// Returns this process's identity in Temporal, in the form of Temporal's own tools. It includes
/// the host name, since process ids are the same in every container.
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
            "could not connect to Temporal at {target} ({reason}): start it there, set \
             TEMPORAL_ADDRESS, or use `arcadia dev`"
        )
    };
    let connecting = Connection::connect(connection);
    let connection = match tokio::time::timeout(CONNECT_TIMEOUT * 2, connecting).await {
        Ok(Ok(connection)) => connection,
        // Report the root cause: wrapping errors only add context.
        Ok(Err(error)) => {
            let error = anyhow::Error::from(error);
            return Err(unreachable(error.root_cause().to_string()));
        }
        Err(_) => return Err(unreachable("timed out".to_owned())),
    };
    Ok(Client::new(connection, client)?)
}
