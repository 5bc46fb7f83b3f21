//! Checks that every table states its bound.

use super::MIGRATOR;

/// Returns the name of the table that a line creates; partitions have the bound of their table.
fn created(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("create ")?;
    let rest = rest.strip_prefix("unlogged ").unwrap_or(rest);
    let name = rest.strip_prefix("table ")?.split(' ').next()?;
    (!name.starts_with("history.")).then_some(name)
}

/// Returns the tables without a bound in the comment directly above them.
fn without_bound(sql: &str) -> Vec<&str> {
    let mut unbounded = Vec::new();
    let mut is_stated = false;
    for line in sql.lines() {
        if let Some(comment) = line.strip_prefix("--") {
            is_stated |= comment.starts_with(" Bound: ");
            continue;
        }
        let table = created(line);
        unbounded.extend(table.filter(|_| !is_stated));
        is_stated = false;
    }
    unbounded
}

#[test]
fn every_table_states_its_bound() {
    for migration in MIGRATOR.iter() {
        let unbounded = without_bound(migration.sql.as_str());
        assert!(
            unbounded.is_empty(),
            "migration {}: state the bound of {unbounded:?} as `-- Bound: ...` above it",
            migration.version
        );
    }
}

#[test]
fn a_bound_counts_only_directly_above_its_table() {
    let sql = "-- Bound: one row.\ncreate table a (\n);\n-- Text.\ncreate unlogged table b (\n";
    assert_eq!(without_bound(sql), ["b"]);
}
