//! Runs a command with `DATABASE_URL` of an empty PostgreSQL database, which is removed afterwards.

use std::process::{Command, ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: throw_away_database COMMAND [ARGUMENT ...]");
        return ExitCode::from(2);
    };
    let database = devstack::testing::database().await;
    let status = Command::new(&program)
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot run {}: {error}", program.display());
            ExitCode::FAILURE
        }
    }
}
