//! `arcadia` as it is shipped, built for the tests of this package: Cargo tells a test where its own package's programs are.
//!
//! Where `ENDS_WITH_STANDARD_INPUT` is set it also ends with its standard input, and so with a test that is killed.

use std::io;
use std::process::{ExitCode, exit};
use std::thread;

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::var_os("ENDS_WITH_STANDARD_INPUT").is_some() {
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            exit(1)
        });
    }
    arcadia::main().await
}
