//! Sets a `cfg` for each missing prerequisite of tests, so that these are ignored.

fn main() {
    prerequisites::program("go");
    prerequisites::long_tests();
}
