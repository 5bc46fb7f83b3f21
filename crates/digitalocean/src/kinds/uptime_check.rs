//! Uptime checks.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::UPTIME_CHECK,
    also: &[],
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
    let target = body.text("target").map(|target| plain(&target));
    let body = body.with("target", target)?;
    Ok(body.resource(ResourceKind::UPTIME_CHECK, id)?.into())
}

/// A URL without a password and without its query, where people put tokens.
fn plain(target: &str) -> String {
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
    fn a_target_is_kept_without_what_may_be_secret() {
        for (target, expected) in [
            ("https://www.example.com", "https://www.example.com"),
            (
                "https://user:password@example.com:8443/health?token=abc#top",
                "https://example.com:8443/health",
            ),
            ("192.0.2.7", "192.0.2.7"),
            ("example.com?key=abc", "example.com"),
        ] {
            assert_eq!(plain(target), expected);
        }
    }
}
