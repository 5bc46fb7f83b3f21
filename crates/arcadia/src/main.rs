//! See the library.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    arcadia::main().await
}
