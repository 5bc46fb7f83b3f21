//! `arcadia` as it is shipped, built for the tests of this package: Cargo tells a test where its own package's programs are.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    arcadia::main().await
}
