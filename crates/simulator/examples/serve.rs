//! Serves an account on 127.0.0.1 until it is killed:
//! `cargo run -p simulator --example serve -- demo 18080`.

use std::{env, io};

use simulator::{Account, DEMO_TOKEN, Simulator};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "prints its address")]
async fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "demo".to_owned());
    let port: u16 = arguments
        .next()
        .map_or(Ok(0), |port| port.parse())
        .map_err(io::Error::other)?;
    let account = Account::named(&name).ok_or_else(|| {
        io::Error::other(format!(
            "unknown account {name}: expected one of {:?}",
            Account::NAMES
        ))
    })?;
    let simulator = Simulator::bind(account, ([127, 0, 0, 1], port).into()).await?;
    println!(
        "DIGITALOCEAN_API_URL={} DIGITALOCEAN_TOKEN={DEMO_TOKEN}",
        simulator.url()
    );
    simulator.serve_until_stopped(std::future::pending()).await
}
