//! Sets the cfg flags that disable tests with missing prerequisites.

fn main() {
    prerequisites::specification("../..");
}
