//! `arcadia simulator`: serves a simulated DigitalOcean account until it is stopped.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use simulator::{Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, Fault, Simulator};

use crate::stop::Stop;

/// Serve a simulated DigitalOcean account.
#[derive(clap::Args)]
#[command(
    after_help = "Prints the variables that connect `arcadia worker` and `arcadia dev` to it.\n\n\
        A fault is permanent unless it has times=N; * in its path matches any text:\n  \
        html_error:/v2/customers/my/invoices/UUID*              one invoice always times out\n  \
        html_error:/v2/customers/my/invoices/UUID/csv:times=2   its CSV fails twice and then works"
)]
pub(crate) struct Arguments {
    /// Account to simulate.
    #[arg(long, default_value = "demo", value_parser = clap::builder::PossibleValuesParser::new(Account::NAMES))]
    account: String,
    /// Port on 127.0.0.1; 0 for a free port.
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// Fault to inject, such as `rate_limited:/v2/droplets:times=3:retry_after=2`; may be repeated.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
}

pub(crate) async fn run(arguments: Arguments, mut stop: Stop) -> anyhow::Result<()> {
    let account = Account::named(&arguments.account)
        .ok_or_else(|| anyhow!("unknown account {:?}", arguments.account))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let simulator = Simulator::bind(account, address).await.with_context(|| {
        format!("the simulator cannot listen on {address}: choose another port with --port")
    })?;
    for fault in arguments.fault {
        simulator.fail(fault);
    }
    let mut out = std::io::stdout();
    writeln!(out, "DIGITALOCEAN_API_URL={}", simulator.url())?;
    writeln!(out, "DO_API_TOKEN={DEMO_TOKEN}")?;
    writeln!(out, "SPACES_ENDPOINT_URL={}", simulator.spaces_url())?;
    writeln!(out, "SPACES_ACCESS_KEY_ID={DEMO_SPACES_KEY}")?;
    writeln!(out, "SPACES_SECRET_ACCESS_KEY={DEMO_SPACES_SECRET}")?;
    simulator
        .serve_until_stopped(async move { stop.requested().await })
        .await?;
    Ok(())
}
