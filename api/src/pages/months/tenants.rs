//! Tenants in the paths of statements.
//!
//! The last segment of `/months/{YYYY-MM}/statements/{tenant}` is the tenant, and `~unallocated`
//! for the unallocated costs, as in the API.

use std::fmt::Write as _;

use chrono::NaiveDate;

use crate::pages::format::month;
use crate::routes::statement::UNALLOCATED;

/// Returns the path of a statement.
pub(in crate::pages) fn statement_path(period: NaiveDate, tenant: Option<&str>) -> String {
    let mut path = format!("/months/{}/statements/", month(period));
    let Some(tenant) = tenant else {
        return path + UNALLOCATED;
    };
    if tenant.starts_with('~') {
        path.push('~');
    }
    for byte in tenant.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte));
            }
            _ => {
                // Writing into a string cannot fail.
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
    path
}

/// The name of a tenant, or of the unallocated costs.
pub(super) fn name_of(tenant: Option<&str>) -> String {
    tenant.unwrap_or("unallocated").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::statement::tenant_of;

    #[test]
    fn the_path_of_a_statement_names_each_tenant_and_the_unallocated_costs() {
        let april = "2026-04-01".parse().unwrap();
        for (tenant, segment) in [
            (None, "~unallocated"),
            (Some("acme"), "acme"),
            (Some("unallocated"), "unallocated"),
            (Some("~unallocated"), "~~unallocated"),
            (Some("~x"), "~~x"),
            (Some("a/b c?"), "a%2Fb%20c%3F"),
        ] {
            let path = statement_path(april, tenant);
            assert_eq!(path, format!("/months/2026-04/statements/{segment}"));
            let decoded = segment
                .replace("%2F", "/")
                .replace("%20", " ")
                .replace("%3F", "?");
            assert_eq!(tenant_of(&decoded), tenant);
        }
    }
}
