//! Empty library. The system tests are in `system/`, the fault tests in `faults/`.
