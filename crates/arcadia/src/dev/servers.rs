//! The servers of `arcadia dev`: chooses, starts and supervises them.

use std::future::pending;
use std::rc::Rc;

use anyhow::{Context as _, bail};
use devstack::leftover_variables::{self, Named};
use devstack::{Postgres, Progress, StateDir, Temporal};
use digitalocean::{BaseUrl, Purpose, SpacesClient, SpacesKeys, Tokens};
use simulator::{DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN};
use temporalio_client::Client;
use tokio::sync::watch;
use worker::temporal;

use super::demo::Demo;
use crate::configuration::{DigitalOcean, variable};
use crate::instance::quoted;

/// The servers that `dev` started, and therefore stops.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) postgres: Option<Postgres>,
    pub(super) temporal: Option<Temporal>,
    /// Shared with the task that changes the account.
    pub(super) demo: Option<Rc<Demo>>,
}

impl Servers {
    /// Returns the DigitalOcean of the environment if it has a token; else starts a simulator.
    pub(super) async fn digitalocean(
        &mut self,
        state: &StateDir,
        progress: &Progress,
    ) -> anyhow::Result<DigitalOcean> {
        if DigitalOcean::has_token() {
            let digitalocean = DigitalOcean::from_environment(&Purpose::ALL)?;
            progress.step(format!("DigitalOcean: {}", digitalocean.url.as_str()));
            return Ok(digitalocean);
        }
        let demo = Demo::start(state).await?;
        let simulator = &demo.simulator;
        progress.step(format!(
            "DigitalOcean: DO_API_TOKEN is not set; using a simulated demo account at {}",
            simulator.url()
        ));
        // The simulator's keys: those of the environment are for the real Spaces.
        let keys = SpacesKeys::new(
            Some(DEMO_SPACES_KEY.to_owned()),
            Some(DEMO_SPACES_SECRET.into()),
        )?;
        let spaces = keys.map(|keys| SpacesClient::new(&simulator.spaces_url(), keys));
        let spaces = spaces.transpose()?;
        let url = BaseUrl::parse(&simulator.url())?;
        self.demo = Some(Rc::new(demo));
        Ok(DigitalOcean {
            url,
            tokens: Tokens::one(DEMO_TOKEN.into()),
            spaces,
        })
    }

    /// Returns the URL of the database: `DATABASE_URL`, unless it was printed by an earlier `dev`
    /// in this state directory; else starts PostgreSQL.
    pub(super) async fn database(
        &mut self,
        state: &StateDir,
        progress: &Progress,
    ) -> anyhow::Result<String> {
        if let Some(url) = variable("DATABASE_URL") {
            match leftover_variables::database(state, &url).await {
                Named::Foreign => {
                    progress.step("PostgreSQL: using the server of DATABASE_URL");
                    return Ok(url);
                }
                Named::Own => progress.step(
                    "PostgreSQL: DATABASE_URL is this state directory's own database: starting it",
                ),
                Named::OwnOutdated => progress.step(
                    "PostgreSQL: DATABASE_URL is this state directory's own database with an outdated \
                     password: starting it with the current one; unset DATABASE_URL, or evaluate the \
                     output of `arcadia dev --print-env`",
                ),
                Named::Other(path) => bail!(
                    "DATABASE_URL is the database of the `arcadia dev` in {path}, not of this one in \
                     {own}: unset DATABASE_URL, or run `arcadia dev --state-dir {path}`",
                    path = quoted(&path.to_string_lossy()),
                    own = state.path().display()
                ),
            }
        }
        let postgres = Postgres::start(state, progress).await?;
        let url = postgres.url();
        self.postgres = Some(postgres);
        Ok(url)
    }

    /// Returns a Temporal client and the server's address: `TEMPORAL_ADDRESS`, unless it was
    /// printed by an earlier `dev` in this state directory; else starts Temporal.
    pub(super) async fn temporal(
        &mut self,
        state: &StateDir,
        progress: &Progress,
    ) -> anyhow::Result<(Client, String)> {
        if let Some(address) = variable("TEMPORAL_ADDRESS") {
            match leftover_variables::temporal(state, &address).await {
                Named::Foreign => {
                    progress.step(format!(
                        "Temporal: using the server of TEMPORAL_ADDRESS ({address})"
                    ));
                    let client = temporal::connect().await.context(
                        "cannot use the server of TEMPORAL_ADDRESS: correct it, or unset it so that \
                         `arcadia dev` starts a server",
                    )?;
                    return Ok((client, address));
                }
                Named::Own => progress.step(
                    "Temporal: TEMPORAL_ADDRESS is this state directory's own server: starting it",
                ),
                Named::OwnOutdated => progress.step(format!(
                    "Temporal: TEMPORAL_ADDRESS is this state directory's own server, but another process \
                     listens on {address}: starting the own server on another port; to use the other \
                     process instead, remove {} first",
                    state.path().join("temporal.port").display()
                )),
                Named::Other(path) => bail!(
                    "TEMPORAL_ADDRESS ({address}) is the server of the `arcadia dev` in {path}, which is \
                     not running, not of this one in {own}: unset TEMPORAL_ADDRESS, or run `arcadia dev \
                     --state-dir {path}`",
                    path = quoted(&path.to_string_lossy()),
                    own = state.path().display()
                ),
            }
        }
        let temporal = Temporal::start(state, progress).await?;
        let address = temporal.address();
        self.temporal = Some(temporal);
        Ok((temporal::connect_to(&address).await?, address))
    }

    /// Restarts servers that end unexpectedly. Returns the error when one of them has ended too
    /// often.
    ///
    /// Runs `after_restart` after each restart of Temporal, and from its beginning if Temporal
    /// restarts during it.
    pub(super) async fn keep_running(
        &mut self,
        progress: &Progress,
        after_restart: impl AsyncFn(),
    ) -> anyhow::Error {
        let restarts = watch::Sender::new(0_u32);
        let mut seen = restarts.subscribe();
        let postgres = async {
            let Some(postgres) = &mut self.postgres else {
                return pending().await;
            };
            loop {
                if let Err(error) = postgres.restarted(progress).await {
                    return error;
                }
                tracing::warn!("PostgreSQL ended unexpectedly and was restarted");
            }
        };
        let temporal = async {
            let Some(temporal) = &mut self.temporal else {
                return pending().await;
            };
            loop {
                if let Err(error) = temporal.restarted(progress).await {
                    return error;
                }
                tracing::warn!("Temporal ended unexpectedly and was restarted");
                restarts.send_modify(|restarts| *restarts += 1);
            }
        };
        // Concurrent with the supervision: it would wait for a server that only supervision
        // restarts.
        let follow_up = async {
            while seen.changed().await.is_ok() {
                let mut again = seen.clone();
                tokio::select! {
                    biased;
                    _ = again.changed() => {}
                    () = after_restart() => {}
                }
            }
            pending().await
        };
        let error: devstack::Error = tokio::select! {
            error = postgres => error,
            error = temporal => error,
            never = follow_up => never,
        };
        error.into()
    }

    /// Stops all servers and waits until they have ended.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        drop(self.demo);
        let temporal = match self.temporal {
            Some(temporal) => temporal.stop().await,
            None => Ok(()),
        };
        let postgres = match self.postgres {
            Some(postgres) => postgres.stop().await,
            None => Ok(()),
        };
        temporal?;
        postgres?;
        Ok(())
    }
}
