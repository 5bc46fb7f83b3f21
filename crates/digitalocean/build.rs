//! Finds out which tests can run here.

fn main() {
    prerequisites::specification("../..");
}
