//! Detects missing prerequisites of the tests.

fn main() {
    prerequisites::specification("../..");
}
