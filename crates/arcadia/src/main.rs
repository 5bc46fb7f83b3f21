//! The `arcadia` program; the library holds all code.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    arcadia::main().await
}
