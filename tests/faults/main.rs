//! Fault injection tests: workers are killed, servers stop, DigitalOcean fails, clocks are wrong.
//! In the end, the database must equal that of a run without faults.
//!
//! `cargo test -p tests faults` takes about a minute. These variables select longer runs, which
//! print the table in `docs/reliability.md`:
//!
//! | variable | meaning |
//! |---|---|
//! | `ARCADIA_FAULT_RUNS` | number of runs, each with faults in about half of its phases |
//! | `ARCADIA_FAULT_SEED` | seed of the first run: determines account, faults and their times |
//! | `ARCADIA_FAULT_LANES` | number of concurrent runs, 5 by default |
//! | `ARCADIA_SOAK_MINUTES` | duration of the soak test |

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "../system/support"]
mod support {
    pub(crate) mod namespaces;
    pub(crate) mod waiting;
}

// The module name matches the filter of `cargo test faults`.
#[path = "."]
mod faults {
    mod backups;
    mod chance;
    mod clock;
    mod injector;
    mod proxy;
    mod report;
    mod restore;
    mod restored_holds;
    mod rng;
    mod rolling;
    mod run;
    mod scenario;
    mod shutdown;
    mod site;
    mod snapshot;
    mod soak;
    mod stale;
    mod stalls;
    mod syncs;
    mod worker;
}
