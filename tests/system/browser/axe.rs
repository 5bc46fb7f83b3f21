//! axe-core, which checks the accessibility of a page.

use std::sync::OnceLock;

/// The script of axe-core, from `ARCADIA_AXE` or the cache of `.ci/run`.
pub(super) fn script() -> &'static str {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    SCRIPT.get_or_init(|| std::fs::read_to_string(env!("ARCADIA_AXE_SCRIPT")).unwrap())
}
