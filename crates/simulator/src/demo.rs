//! The demo account.

use crate::Account;

/// A token that [`Account::demo`] and [`Account::empty`] accept. It opens nothing outside the simulator.
pub const DEMO_TOKEN: &str = "dop_v1_simulator_demo_token_that_opens_nothing_else";

impl Account {
    /// The demo.
    pub fn demo() -> Self {
        Self::empty()
    }
}
