//! The listing of uptime checks.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::UPTIME_CHECK,
    included: &[],
    paths: &["/v2/uptime/checks"],
    envelope: "checks",
    scope: "uptime:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let target = body.text("target").map(|target| without_secrets(&target));
    let body = body.with("target", target)?;
    Ok(body.resource(ResourceKind::UPTIME_CHECK, id)?.into())
}

/// Removes the password and the query from a URL: users put tokens there.
fn without_secrets(target: &str) -> String {
    let end = target.find(['?', '#']).unwrap_or(target.len());
    let target = &target[..end];
    let Some((scheme, rest)) = target.split_once("://") else {
        return target.to_owned();
    };
    let path = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_kept_without_password_and_query() {
        for (target, expected) in [
            ("https://www.example.com", "https://www.example.com"),
            (
                "https://user:password@example.com:8443/health?token=abc#top",
                "https://example.com:8443/health",
            ),
            ("192.0.2.7", "192.0.2.7"),
            ("example.com?key=abc", "example.com"),
        ] {
            assert_eq!(without_secrets(target), expected);
        }
    }
}
