//! Faults, for real: workers that are killed, servers that stop, DigitalOcean that fails, clocks that are wrong. Whatever happens, the
//! tables in the end are those of a run in which nothing did.
//!
//! `cargo test -p tests faults` takes a minute or so. By hand, with the table that `docs/reliability.md` shows:
//!
//! | variable | meaning |
//! |---|---|
//! | `ARCADIA_FAULT_RUNS` | so many runs, each with faults in about half of its chapters |
//! | `ARCADIA_FAULT_SEED` | the seed of the first run: it decides the account, the faults and their moments |
//! | `ARCADIA_FAULT_LANES` | runs at a time, 5 unless said otherwise |
//! | `ARCADIA_SOAK_MINUTES` | how long the soak lasts |

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "../system/support"]
mod support {
    pub(crate) mod namespaces;
    pub(crate) mod waiting;
}

// What `cargo test faults` runs are tests whose names begin so.
#[path = "."]
mod faults {
    mod backups;
    mod books;
    mod chance;
    mod clock;
    mod dice;
    mod proxy;
    mod report;
    mod restore;
    mod restored_holds;
    mod rolling;
    mod run;
    mod shutdown;
    mod silence;
    mod site;
    mod soak;
    mod story;
    mod syncs;
    mod trouble;
    mod worker;
}
