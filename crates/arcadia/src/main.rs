//! The `arcadia` program; the library holds all code.

fn main() -> std::process::ExitCode {
    arcadia::main()
}
