//! `arcadia`: all programs of Arcadia Cloud as subcommands of one binary.
//!
//! This is a library so that the package of system tests can build the shipped program too
//! (`tests/src/bin/arcadia-under-test.rs`).

mod api;
mod configuration;
mod dev;
mod doctor;
mod export;
mod failure;
mod instance;
mod logging;
mod migrate;
mod operator;
mod purge;
mod schedule_status;
mod schedules;
mod signing;
mod simulator;
mod status;
mod stop;
mod token;
mod traces;
mod verify;
mod worker;
mod workflow_starter;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::stop::Stop;

/// A mirror of a DigitalOcean account's inventory and billing in PostgreSQL.
#[derive(Parser)]
#[command(
    name = "arcadia",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = "Configured by environment variables, listed in .env.example.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Dev(dev::Arguments),
    Worker(worker::Arguments),
    Api(api::Arguments),
    Migrate(migrate::Arguments),
    Schedules(schedules::Arguments),
    Doctor(doctor::Arguments),
    Status(status::Arguments),
    Token(token::Arguments),
    Export(export::Arguments),
    Purge(purge::Arguments),
    Verify(verify::Arguments),
    Simulator(simulator::Arguments),
}

/// Runs the command of the command line and returns the process's exit code.
///
/// Starts the async runtime here, so that callers do not compile the commands again. The commands
/// are not a spawned task: workflow code runs on the thread that polls the worker, which is this
/// thread.
#[tokio::main]
pub async fn main() -> ExitCode {
    // `status` and `schedules` report their finding by the exit code.
    let mut success = ExitCode::SUCCESS;
    let command = configuration::without_empty_variables(Arguments::command());
    let arguments =
        Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let outcome = match Stop::listen() {
        Ok(stop) => match arguments.command {
            Command::Dev(arguments) => Box::pin(dev::run(arguments, stop)).await,
            Command::Worker(arguments) => Box::pin(worker::run(arguments, stop)).await,
            Command::Api(arguments) => Box::pin(api::run(arguments, stop)).await,
            Command::Migrate(arguments) => stop.or_abort(Box::pin(migrate::run(arguments))).await,
            Command::Schedules(arguments) => stop
                .or_abort(Box::pin(schedules::run(arguments)))
                .await
                .map(|code| success = code),
            Command::Status(arguments) => stop
                .or_abort(Box::pin(status::run(arguments)))
                .await
                .map(|code| success = code),
            Command::Doctor(arguments) => stop.or_abort(Box::pin(doctor::run(arguments))).await,
            Command::Token(arguments) => stop.or_abort(Box::pin(token::run(arguments))).await,
            Command::Export(arguments) => stop.or_abort(Box::pin(export::run(arguments))).await,
            Command::Purge(arguments) => stop.or_abort(Box::pin(purge::run(arguments))).await,
            Command::Verify(arguments) => verify::run(&arguments),
            Command::Simulator(arguments) => simulator::run(arguments, stop).await,
        },
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => success,
        Err(error) => {
            eprintln!("error: {}", failure::one_line(&error));
            ExitCode::FAILURE
        }
    }
}
