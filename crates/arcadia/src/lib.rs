//! `arcadia`: everything of Arcadia Cloud in one program.
//!
//! A library, so that the tests can run the program that is shipped without being its package (`tests/src/bin/arcadia-under-test.rs`).

mod api;
mod configuration;
mod dev;
mod doctor;
mod failure;
mod instance;
mod logging;
mod migrate;
mod schedule_status;
mod schedules;
mod simulator;
mod status;
mod stop;
mod token;
mod traces;
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::stop::Stop;

/// A durable mirror of a DigitalOcean account and its bill.
#[derive(Parser)]
#[command(
    name = "arcadia",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = "Configuration is by environment; .env.example lists all of it.")]
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
    Simulator(simulator::Arguments),
}

/// Does what the command line says.
///
/// Not to be spawned: workflow code runs on the thread that polls the worker, which is this one.
pub async fn main() -> ExitCode {
    // Some commands report with their exit status what they found.
    let mut success = ExitCode::SUCCESS;
    let command = configuration::without_empty_variables(Arguments::command());
    let arguments =
        Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let outcome = match Stop::listen() {
        Ok(stop) => match arguments.command {
            Command::Dev(arguments) => Box::pin(dev::run(arguments, stop)).await,
            Command::Worker(arguments) => Box::pin(worker::run(arguments, stop)).await,
            Command::Api(arguments) => Box::pin(api::run(arguments, stop)).await,
            Command::Migrate(arguments) => {
                stop.or_break_off(Box::pin(migrate::run(arguments))).await
            }
            Command::Schedules(arguments) => stop
                .or_break_off(Box::pin(schedules::run(arguments)))
                .await
                .map(|found| success = found),
            Command::Status(arguments) => stop
                .or_break_off(Box::pin(status::run(arguments)))
                .await
                .map(|found| success = found),
            Command::Doctor(arguments) => stop.or_break_off(Box::pin(doctor::run(arguments))).await,
            Command::Token(arguments) => stop.or_break_off(Box::pin(token::run(arguments))).await,
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
