//! The servers of `arcadia dev`: which ones it uses, which ones it starts, and keeping those running.

use std::future::pending;

use anyhow::{Context as _, bail};
use devstack::leftover_variables::{self, Named};
use devstack::{Postgres, Progress, StateDir, Temporal};
use digitalocean::{BaseUrl, Purpose, SpacesClient, SpacesKeys, Tokens};
use simulator::{Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, Simulator};
use temporalio_client::Client;
use tokio::sync::watch;
use worker::temporal;

use crate::configuration::{DigitalOcean, variable};
use crate::instance::quoted;

/// What `dev` started itself, and so stops.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) postgres: Option<Postgres>,
    pub(super) temporal: Option<Temporal>,
    /// Held for as long as it is to answer.
    pub(super) simulator: Option<Simulator>,
}

impl Servers {
    /// The DigitalOcean of the environment, or a simulated one.
    pub(super) async fn digitalocean(
        &mut self,
        progress: &Progress,
    ) -> anyhow::Result<DigitalOcean> {
        if DigitalOcean::has_token() {
            let digitalocean = DigitalOcean::from_environment(&Purpose::ALL)?;
            progress.step(format!("DigitalOcean: {}", digitalocean.url.as_str()));
            return Ok(digitalocean);
        }
        let simulator = Simulator::start(Account::demo())
            .await
            .context("the simulator could not start")?;
        progress.step(format!(
            "DigitalOcean: no DO_API_TOKEN, so a simulated demo account at {}",
            simulator.url()
        ));
        // The simulator's own: keys that happen to be set are for the real Spaces.
        let keys = SpacesKeys::new(
            Some(DEMO_SPACES_KEY.to_owned()),
            Some(DEMO_SPACES_SECRET.into()),
        )?;
        let spaces = keys.map(|keys| SpacesClient::new(&simulator.spaces_url(), keys));
        let spaces = spaces.transpose()?;
        let url = BaseUrl::parse(&simulator.url())?;
        self.simulator = Some(simulator);
        Ok(DigitalOcean {
            url,
            tokens: Tokens::one(DEMO_TOKEN.into()),
            spaces,
        })
    }

    /// The URL of the database: `DATABASE_URL`'s, unless that is left over from an earlier `dev`.
    pub(super) async fn database(
        &mut self,
        state: &StateDir,
        progress: &Progress,
    ) -> anyhow::Result<String> {
        if let Some(url) = variable("DATABASE_URL") {
            match leftover_variables::database(state, &url).await {
                Named::Foreign => {
                    progress.step("PostgreSQL: the server of DATABASE_URL");
                    return Ok(url);
                }
                Named::Own => progress.step(
                    "PostgreSQL: DATABASE_URL names this state directory's own database: starting it",
                ),
                Named::OwnOutdated => progress.step(
                    "PostgreSQL: DATABASE_URL names this state directory's own database with an old password: starting it with its \
                     present one; unset DATABASE_URL, or evaluate what `arcadia dev --print-env` prints",
                ),
                Named::Other(path) => bail!(
                    "DATABASE_URL names the database of the `arcadia dev` in {path}, and this is the one in {own}: unset DATABASE_URL, or \
                     run `arcadia dev --state-dir {path}`",
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

    /// Temporal and its address: `TEMPORAL_ADDRESS`'s, unless that is left over from an earlier `dev`.
    pub(super) async fn temporal(
        &mut self,
        state: &StateDir,
        progress: &Progress,
    ) -> anyhow::Result<(Client, String)> {
        if let Some(address) = variable("TEMPORAL_ADDRESS") {
            match leftover_variables::temporal(state, &address).await {
                Named::Foreign => {
                    progress.step(format!("Temporal: the server at {address}"));
                    let client = temporal::connect().await.context(
                        "TEMPORAL_ADDRESS names a server that `arcadia dev` does not start: unset it for one that it starts",
                    )?;
                    return Ok((client, address));
                }
                Named::Own => progress.step(
                    "Temporal: TEMPORAL_ADDRESS names this state directory's own server: starting it",
                ),
                Named::OwnOutdated => progress.step(format!(
                    "Temporal: TEMPORAL_ADDRESS names this state directory's own server, and another process listens at {address} now: \
                     starting the own one on another port; to use the other one, remove {} first",
                    state.path().join("temporal.port").display()
                )),
                Named::Other(path) => bail!(
                    "TEMPORAL_ADDRESS ({address}) names the server of the `arcadia dev` in {path}, which does not run, and this is the one in \
                     {own}: unset TEMPORAL_ADDRESS, or run `arcadia dev --state-dir {path}`",
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

    /// Starts the servers again that end by themselves, until one of them has done so too often.
    /// `temporal_is_back` runs after each restart of Temporal, from its beginning if that ends meanwhile.
    pub(super) async fn keep_running(
        &mut self,
        progress: &Progress,
        temporal_is_back: impl AsyncFn(),
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
                tracing::warn!("PostgreSQL ended by itself and was started again");
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
                tracing::warn!("Temporal ended by itself and was started again");
                restarts.send_modify(|restarts| *restarts += 1);
            }
        };
        // Beside the supervision, which must not wait for a server that has ended.
        let follow_up = async {
            while seen.changed().await.is_ok() {
                let mut again = seen.clone();
                tokio::select! {
                    biased;
                    _ = again.changed() => {}
                    () = temporal_is_back() => {}
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

    /// Stops them all, and waits for their end.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        drop(self.simulator);
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
