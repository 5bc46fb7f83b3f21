use std::net::SocketAddr;
use std::sync::Arc;

use store::Store;

use crate::configuration::{DEFAULT_API_BIND, asked_to_stop, connect_database, listen};
use crate::logging;
use crate::schedule_status::Schedules;

/// Serve the REST API.
#[derive(clap::Args)]
#[command(
    after_help = "Reads DATABASE_URL, and Temporal's own variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, ...) to show how the \
                  schedules stand; it serves all else without Temporal."
)]
pub(crate) struct Arguments {
    /// Address to listen on.
    #[arg(long, env = "ARCADIA_API_BIND", default_value = DEFAULT_API_BIND, value_name = "ADDRESS:PORT")]
    api_bind: SocketAddr,
    #[command(flatten)]
    ui: UiArguments,
}

/// Where people look at runs.
#[derive(clap::Args)]
pub(crate) struct UiArguments {
    /// Base of the Temporal UI: answers to admins link to runs there.
    #[arg(long, env = "ARCADIA_TEMPORAL_UI_URL", value_name = "URL", value_parser = ui_url)]
    temporal_ui_url: Option<String>,
}

impl UiArguments {
    pub(crate) fn url(self) -> Option<String> {
        self.temporal_ui_url.filter(|url| !url.is_empty())
    }
}

/// An empty one counts as unset, as compose files leave it.
fn ui_url(text: &str) -> Result<String, &'static str> {
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    if is_web || text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err("expected an address that starts with http:// or https://")
    }
}

/// What the API is served with.
pub(crate) fn settings(
    store: Store,
    schedules: Schedules,
    temporal_ui_url: Option<String>,
) -> api::Settings {
    api::Settings {
        store,
        temporal_ui: temporal_ui_url.map(|url| schedules.ui(url)),
        schedules: Some(Arc::new(schedules)),
    }
}

/// Requests are short: few connections serve many.
pub(crate) const CONNECTIONS: u32 = 10;

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    logging::to_stderr();
    let store = connect_database(CONNECTIONS).await?;
    store.check_ready().await?;
    let listener = listen(arguments.api_bind).await?;
    tracing::info!("serving the API on http://{}", listener.local_addr()?);
    let schedules = Schedules::from_environment();
    let settings = settings(store, schedules, arguments.ui.url());
    api::serve(listener, settings, asked_to_stop()).await?;
    Ok(())
}
