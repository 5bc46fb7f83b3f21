//! The trait of observers of requests, for metrics and traces, and the path templates that they use
//! as labels.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use crate::kinds;
use crate::rate_limit::RateLimit;

/// A request to the API and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    pub method: &'static str,
    /// The path without its query, with `{id}` for ids and names: a bounded set of values.
    pub path: String,
    /// The status of the response; none without a response.
    pub status: Option<u16>,
    /// From the request to the headers of the response.
    pub duration: Duration,
    /// The token's hourly limit as the response reported it.
    pub rate_limit: Option<RateLimit>,
}

/// Observes every request of a client.
pub trait Observer: Send + Sync {
    /// Receives a completed request. Must not block.
    fn exchanged(&self, exchange: &Exchange);
}

/// The paths that this program requests in addition to the lists of the kinds.
const OTHER_PATHS: &[&str] = &[
    "/v2/account",
    "/v2/customers/my/balance",
    "/v2/customers/my/billing_history",
    "/v2/customers/my/invoices/preview/summary",
    "/v2/customers/my/invoices/preview/csv",
    "/v2/projects/resources",
    "/v2/domains/records",
    "/v2/databases/replicas",
];

/// The fixed segments of all paths: every other segment is an id or a name.
static FIXED_SEGMENTS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    kinds::listings()
        .iter()
        .flat_map(|listing| listing.paths.iter().copied())
        .chain(OTHER_PATHS.iter().copied())
        .flat_map(|path| without_query(path).split('/'))
        .collect()
});

fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// Replaces ids in a path; see [`Exchange::path`].
pub(crate) fn path_template(path: &str) -> String {
    let segments = without_query(path).split('/');
    let template = segments.map(|segment| {
        if FIXED_SEGMENTS.contains(segment) {
            segment
        } else {
            "{id}"
        }
    });
    template.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_template_has_no_query_and_no_ids() {
        for (path, template) in [
            ("/v2/droplets?type=gpus&page=3&per_page=200", "/v2/droplets"),
            ("/v2/apps?with_projects=true", "/v2/apps"),
            (
                "/v2/projects/4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679/resources?page=1",
                "/v2/projects/{id}/resources",
            ),
            (
                "/v2/domains/kestrel.example/records",
                "/v2/domains/{id}/records",
            ),
            (
                "/v2/customers/my/invoices/22737513-0ea7-4206-8ceb-98a575af7681/csv",
                "/v2/customers/my/invoices/{id}/csv",
            ),
            (
                "/v2/customers/my/invoices/preview/csv",
                "/v2/customers/my/invoices/preview/csv",
            ),
            ("/v2/account", "/v2/account"),
        ] {
            assert_eq!(path_template(path), template);
        }
    }

    #[test]
    fn the_list_paths_of_all_kinds_are_their_own_templates() {
        for listing in kinds::listings() {
            for path in listing.paths {
                assert_eq!(path_template(path), without_query(path));
            }
        }
    }
}
