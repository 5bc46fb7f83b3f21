//! Detects in build scripts which prerequisites of tests this machine lacks.
//!
//! Each missing prerequisite sets the configuration `missing_NAME`. Tests that need it are ignored,
//! and the test runner reports them as such:
//!
//! ```text
//! #[cfg_attr(missing_go, ignore = "needs go")]
//! ```

#![expect(clippy::print_stdout, reason = "Cargo reads it")]

use std::env;
use std::path::{Path, PathBuf};

/// Sets `missing_specification` unless DigitalOcean's API specification is in `ARCADIA_SHARED_DIR`,
/// or in the directory `shared` next to the project. `to_root` is the path from the package to the
/// project.
pub fn specification(to_root: &str) {
    println!("cargo::rerun-if-env-changed=ARCADIA_SHARED_DIR");
    let shared = env::var_os("ARCADIA_SHARED_DIR").map_or_else(
        || {
            let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
            Path::new(&package).join(to_root).join("../shared")
        },
        PathBuf::from,
    );
    let file = shared.join("digitalocean/openapi-subset.json");
    println!("cargo::rerun-if-changed={}", file.display());
    report("specification", file.is_file());
}

/// Sets `missing_NAME` unless the program is on `PATH`.
pub fn program(name: &str) {
    println!("cargo::rerun-if-env-changed=PATH");
    let path = env::var_os("PATH").unwrap_or_default();
    let is_present = env::split_paths(&path).any(|directory| directory.join(name).is_file());
    report(name, is_present);
}

/// Sets `missing_axe` unless axe-core is in the file of `ARCADIA_AXE`, or in the cache of
/// `.ci/run`. Sets the variable `ARCADIA_AXE_SCRIPT` to the file.
pub fn axe() {
    println!("cargo::rerun-if-env-changed=ARCADIA_AXE");
    let file = env::var_os("ARCADIA_AXE").map_or_else(
        || {
            let user = env::var_os("HOME").unwrap_or_default();
            Path::new(&user).join(".cache/arcadia-tests/axe.min.js")
        },
        PathBuf::from,
    );
    println!("cargo::rerun-if-changed={}", file.display());
    println!("cargo::rustc-env=ARCADIA_AXE_SCRIPT={}", file.display());
    report("axe", file.is_file());
}

/// Sets `missing_long_tests` unless `ARCADIA_LONG_TESTS` is set. Long tests repeat, at a larger
/// scale, the checks of shorter ones.
pub fn long_tests() {
    println!("cargo::rerun-if-env-changed=ARCADIA_LONG_TESTS");
    report("long_tests", env::var_os("ARCADIA_LONG_TESTS").is_some());
}

fn report(name: &str, is_present: bool) {
    println!("cargo::rustc-check-cfg=cfg(missing_{name})");
    if !is_present {
        println!("cargo::rustc-cfg=missing_{name}");
    }
}
