//! Tests the client with the simulator, and with scripted servers for responses that the simulator
//! does not send.

#![expect(clippy::unwrap_used, reason = "a test stops at an unexpected error")]

mod attributes;
mod billing;
mod empty_lists;
mod examples;
mod failures;
mod ids;
mod invoices;
mod kinds;
mod listed;
mod order;
mod page_delivery;
mod pages;
mod projects;
mod published_examples;
mod rate_limit;
mod relations;
mod resumed;
mod scopes;
mod scripted;
mod secrets;
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
