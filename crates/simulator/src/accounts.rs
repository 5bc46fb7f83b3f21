//! The accounts that the simulator can serve by name.

mod demo;
mod demo_fleet;
mod demo_invoices;
mod demo_life;
mod every_cent;
mod everything;
mod many;
mod random_bills;

pub use every_cent::{EveryCent, LineTruth, ResourceName, Traps, Truth};

use crate::Account;

impl Account {
    /// The names that [`Account::named`] accepts.
    pub const NAMES: &[&str] = &[
        "demo",
        "empty",
        "one-droplet",
        "everything",
        "every-cent",
        "20000-droplets",
        "100000-resources",
        "10000-invoices",
        "large",
    ];

    /// Creates the account with a name of [`Account::NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "demo" => Some(Self::demo()),
            "empty" => Some(Self::empty()),
            "one-droplet" => Some(Self::one_droplet()),
            "everything" => Some(Self::everything()),
            "every-cent" => Some(Self::every_cent()),
            "100000-resources" => Some(Self::with_resources(100_000)),
            "10000-invoices" => Some(Self::with_invoices(10_000)),
            "large" => Some(Self::large()),
            "20000-droplets" => Some(Self::with_droplets(20_000)),
            _ => None,
        }
    }

    /// Creates an account with one droplet in the default project.
    pub fn one_droplet() -> Self {
        let mut account = Self::empty();
        account.add_droplet("web-1", "s-1vcpu-1gb", "nyc3");
        account
    }
}
