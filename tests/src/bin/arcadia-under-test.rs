//! The `arcadia` program, built as part of this package so that Cargo provides its path to the
//! tests.
//!
//! If `ENDS_WITH_STANDARD_INPUT` is set, it exits at the end of its standard input, and therefore
//! when the test process is killed.

use std::io;
use std::process::{ExitCode, exit};
use std::thread;

fn main() -> ExitCode {
    if std::env::var_os("ENDS_WITH_STANDARD_INPUT").is_some() {
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            exit(1)
        });
    }
    arcadia::main()
}
