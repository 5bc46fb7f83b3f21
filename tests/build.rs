//! Finds out which tests can run here.

fn main() {
    prerequisites::program("go");
    prerequisites::long_tests();
}
