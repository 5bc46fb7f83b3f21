//! Tests of the `arcadia` binary as a process.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod audit;
mod configuration;
mod dev;
mod doctor;
mod instance;
mod receiver;
mod status;
mod supervision;
mod support;
mod traces;
mod verify;
mod worker;
