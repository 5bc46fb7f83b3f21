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
    let file = cached("ARCADIA_AXE", "axe.min.js");
    println!("cargo::rustc-env=ARCADIA_AXE_SCRIPT={}", file.display());
    report_file("axe", &file);
}

/// Sets `missing_focus_toolkit` unless `focus-data-toolkit` is in the virtual environment of
/// `ARCADIA_FOCUS_TOOLKIT`, or in the cache of `.ci/run`. Sets the variable
/// `ARCADIA_FOCUS_TOOLKIT_DIR` to the environment.
pub fn focus_toolkit() {
    let directory = cached("ARCADIA_FOCUS_TOOLKIT", "focus-toolkit");
    let shown = directory.display();
    println!("cargo::rustc-env=ARCADIA_FOCUS_TOOLKIT_DIR={shown}");
    report_file("focus_toolkit", &directory.join("bin/focus-toolkit"));
}

/// Sets `missing_focus_validator` unless `focus-validator` is in the virtual environment of
/// `ARCADIA_FOCUS_VALIDATOR`, or in the cache of `.ci/run`. Sets the variable
/// `ARCADIA_FOCUS_VALIDATOR_DIR` to the environment.
pub fn focus_validator() {
    let directory = cached("ARCADIA_FOCUS_VALIDATOR", "focus-validator");
    let shown = directory.display();
    println!("cargo::rustc-env=ARCADIA_FOCUS_VALIDATOR_DIR={shown}");
    report_file("focus_validator", &directory.join("bin/focus-validator"));
}

/// Returns the path in a variable, or in the cache of `.ci/run`.
fn cached(variable: &str, name: &str) -> PathBuf {
    println!("cargo::rerun-if-env-changed={variable}");
    env::var_os(variable).map_or_else(
        || {
            let user = env::var_os("HOME").unwrap_or_default();
            Path::new(&user).join(".cache/arcadia-tests").join(name)
        },
        PathBuf::from,
    )
}

/// Sets `missing_long_tests` unless `ARCADIA_LONG_TESTS` is set. Long tests repeat, at a larger
/// scale, the checks of shorter ones.
pub fn long_tests() {
    println!("cargo::rerun-if-env-changed=ARCADIA_LONG_TESTS");
    report("long_tests", env::var_os("ARCADIA_LONG_TESTS").is_some());
}

fn report_file(name: &str, file: &Path) {
    println!("cargo::rerun-if-changed={}", file.display());
    report(name, file.is_file());
}

fn report(name: &str, is_present: bool) {
    println!("cargo::rustc-check-cfg=cfg(missing_{name})");
    if !is_present {
        println!("cargo::rustc-cfg=missing_{name}");
    }
}
