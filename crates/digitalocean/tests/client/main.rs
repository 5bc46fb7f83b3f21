//! The client against the simulator, and against small servers that do what the simulator does not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod attributes;
mod billing;
mod examples;
mod failures;
mod handing_over;
mod ids;
mod invoices;
mod kinds;
mod listed;
mod none;
mod order;
mod pages;
mod projects;
mod rate_limit;
mod relations;
mod resumed;
mod scopes;
mod scripted;
mod secrets;
mod shown;
mod spaces;
mod teams;
mod tokens;
mod vault;

use digitalocean::{Client, ResourceListing};
use domain::ResourceKind;
use simulator::{Account, DEMO_TOKEN, Simulator};

fn client_of(url: &str) -> Client {
    Client::new(url, DEMO_TOKEN.into()).unwrap()
}

async fn simulated(account: Account) -> (Simulator, Client) {
    let simulator = Simulator::start(account).await.unwrap();
    let client = client_of(&simulator.url());
    (simulator, client)
}

fn listing(kind: &ResourceKind) -> &'static ResourceListing {
    digitalocean::kinds::listing(kind).unwrap()
}
