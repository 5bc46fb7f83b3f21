//! Sets a `cfg` for each missing prerequisite of tests, so that these are ignored.

fn main() {
    prerequisites::program("go");
    prerequisites::program("chromedriver");
    prerequisites::axe();
    prerequisites::focus_toolkit();
    prerequisites::focus_validator();
    prerequisites::long_tests();
}
