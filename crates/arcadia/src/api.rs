use std::net::SocketAddr;

use crate::configuration::{DEFAULT_API_BIND, asked_to_stop, connect_database, listen};
use crate::logging;

/// Serve the REST API.
#[derive(clap::Args)]
#[command(after_help = "Reads DATABASE_URL.")]
pub(crate) struct Arguments {
    /// Address to listen on.
    #[arg(long, env = "ARCADIA_API_BIND", default_value = DEFAULT_API_BIND, value_name = "ADDRESS:PORT")]
    api_bind: SocketAddr,
}

/// Requests are short: few connections serve many.
pub(crate) const CONNECTIONS: u32 = 10;

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    logging::to_stderr();
    let store = connect_database(CONNECTIONS).await?;
    store.check_ready().await?;
    let listener = listen(arguments.api_bind).await?;
    tracing::info!("serving the API on http://{}", listener.local_addr()?);
    api::serve(listener, store, asked_to_stop()).await?;
    Ok(())
}
