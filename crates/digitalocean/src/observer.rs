//! Who is told of each request: for metrics, and for whatever else counts what goes out.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use crate::kinds;
use crate::rate_limit::RateLimit;

/// A request to the API and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    pub method: &'static str,
    /// The path without its query, and with `{id}` for whatever is not a word of the API: there are only so many of them.
    pub path: String,
    /// The answer's status; none where no answer came.
    pub status: Option<u16>,
    /// From the request to the head of the answer.
    pub took: Duration,
    /// What the answer's headers told of the token's hourly limit.
    pub rate_limit: Option<RateLimit>,
}

/// Is told of every request of a client; must not wait.
pub trait Observer: Send + Sync {
    fn exchanged(&self, exchange: &Exchange);
}

/// Where this program asks beside the kinds' own lists.
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

/// Every segment that is a word of the API and not somebody's id or name.
static WORDS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
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

/// See [`Exchange::path`].
pub(crate) fn path_template(path: &str) -> String {
    let segments = without_query(path).split('/');
    let known = segments.map(|segment| {
        if WORDS.contains(segment) {
            segment
        } else {
            "{id}"
        }
    });
    known.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_without_its_query_and_its_ids() {
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
    fn every_kinds_list_keeps_its_words() {
        for listing in kinds::listings() {
            for path in listing.paths {
                assert_eq!(path_template(path), without_query(path));
            }
        }
    }
}
