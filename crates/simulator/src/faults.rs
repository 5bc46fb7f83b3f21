//! Faults: failures that are injected into matching requests.

use std::time::Duration;

/// A failure of future requests.
///
/// Its text form (`--fault`, `POST /simulator/faults`) is
/// `KIND:TARGET[:times=N][:retry_after=SECONDS][:status=CODE][:delay=2s|250ms]`, e.g.
/// `rate_limited:/v2/droplets:times=3:retry_after=2` or
/// `server_error:/v2/projects/*/resources?page=2:status=503`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) target: Target,
    /// The remaining number of requests that it applies to; `None` for all.
    pub(crate) times: Option<u32>,
}

/// The effect of a [`Fault`] on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// `rate_limited`: 429 with a `retry-after`.
    RateLimited {
        /// Seconds; as text `retry_after=`, by default 1.
        retry_after: u64,
    },
    /// `server_error`: a JSON error with this 5xx status.
    ServerError {
        /// As text `status=`, by default 500.
        status: u16,
    },
    /// `html_error`: an HTML page as from Cloudflare with this status: 5xx, or 200 for a page
    /// instead of the data.
    HtmlError {
        /// As text `status=`, by default 504.
        status: u16,
    },
    /// `slow`: the regular response after a delay.
    Slow {
        /// As text `delay=2s` or `delay=250ms`, by default one second.
        delay: Duration,
    },
    /// `drip`: the regular response with its body in ten pieces.
    Drip {
        /// The total time; as text `delay=2s` or `delay=250ms`, by default one second.
        delay: Duration,
    },
    /// `cut_off`: the regular response with its `content-length`, but the connection closes after
    /// half of the body.
    CutOff,
    /// `reset`: the request is received, and the connection closes without a response.
    Reset,
    /// `unauthorized`: 401, as for a revoked token.
    Unauthorized,
    /// `forbidden`: 403, as for a token without the scope.
    Forbidden,
    /// `not_found`: 404, as for a resource created a moment ago, or an unknown or removed path.
    NotFound,
    /// `empty_list`: 200 with no items and a total of 0, as observed of DigitalOcean for some
    /// seconds after the creation of a resource.
    EmptyList,
    /// `item_moves_between_pages`: when page 2 is read, the last item of page 1 has become the
    /// first of page 2. It is therefore listed twice and another is missed; the total is unchanged.
    /// Applies only to requests for page 2.
    ItemMovesBetweenPages,
    /// `short_page`: 200, but the last item of the page is missing although the total counts it. A
    /// list without pages lacks its last item.
    ShortPage,
    /// `renamed_column`: a CSV with the column `USD` named `EUR`. Other responses are not changed.
    RenamedColumn,
    /// `last_line_missing`: 200, but the text and its `content-length` lack the last line.
    LastLineMissing,
    /// `lagging_list`: 200, but the last item of the list is missing and not counted.
    LaggingList,
}

impl Fault {
    /// Creates a fault for all requests to `target`: a path in which `*` matches any characters,
    /// and optionally query parameters that must be present: `/v2/droplets`, `/v2/customers/*`,
    /// `/v2/droplets?page=2`.
    pub fn new(kind: FaultKind, target: &str) -> Self {
        Self {
            kind,
            target: Target::parse(target),
            times: None,
        }
    }

    /// Limits the fault to this number of matching requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn applies_to(&self, path: &str, query: &str) -> bool {
        let moves = self.kind == FaultKind::ItemMovesBetweenPages;
        self.times != Some(0)
            && self.target.matches(path, query)
            && (!moves || parameters(query).any(|parameter| parameter == "page=2"))
    }
}

/// The requests that a fault or a hold applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The path; every `*` matches any characters.
    pub(crate) path: String,
    /// Parameters that must be in the query, as written.
    pub(crate) query: Vec<String>,
}

impl Target {
    pub(crate) fn parse(text: &str) -> Self {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        Self {
            path: path.to_owned(),
            query: parameters(query).map(str::to_owned).collect(),
        }
    }

    pub(crate) fn matches(&self, path: &str, query: &str) -> bool {
        matches(&self.path, path)
            && self
                .query
                .iter()
                .all(|expected| parameters(query).any(|parameter| parameter == expected))
    }
}

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|parameter| !parameter.is_empty())
}

/// Returns true if `path` matches `pattern`, in which `*` matches any characters.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == path;
    };
    let Some(path) = path.strip_prefix(start) else {
        return false;
    };
    (0..=path.len())
        .any(|skipped| path.is_char_boundary(skipped) && matches(rest, &path[skipped..]))
}

/// The active faults in the order in which they were added.
#[derive(Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn pending(&self) -> &[Fault] {
        &self.0
    }

    /// Returns the first fault that applies to this request, and removes it if this is its last
    /// request.
    pub(crate) fn take(&mut self, path: &str, query: &str) -> Option<FaultKind> {
        let position = self
            .0
            .iter()
            .position(|fault| fault.applies_to(path, query))?;
        let fault = &mut self.0[position];
        let kind = fault.kind.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                self.0.remove(position);
            }
        }
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_last_request_of_a_fault_the_next_one_applies() {
        use FaultKind::{CutOff, Forbidden};
        let mut faults = Faults::default();
        faults.add(Fault::new(CutOff, "/v2/droplets").times(2));
        faults.add(Fault::new(Forbidden, "/v2/droplets"));
        let taken: Vec<_> = (0..4)
            .filter_map(|_| faults.take("/v2/droplets", ""))
            .collect();
        assert_eq!(taken, [CutOff, CutOff, Forbidden, Forbidden]);
        assert_eq!(faults.pending().len(), 1);
    }

    #[test]
    fn a_path_without_a_star_matches_exactly() {
        assert!(matches("/v2/droplets", "/v2/droplets"));
        assert!(!matches("/v2/droplets", "/v2/droplets/1"));
        assert!(matches("/v2/droplets*", "/v2/droplets/1"));
        assert!(matches(
            "/v2/projects/*/resources",
            "/v2/projects/abc/resources"
        ));
        assert!(!matches("/v2/projects/*/resources", "/v2/projects/abc"));
    }

    #[test]
    fn the_targets_parameters_must_be_in_the_requests_query() {
        let mut faults = Faults::default();
        faults.add(Fault::new(FaultKind::CutOff, "/v2/droplets?page=2"));
        assert_eq!(faults.take("/v2/droplets", "page=20"), None);
        assert_eq!(
            faults.take("/v2/droplets", "per_page=5&page=2"),
            Some(FaultKind::CutOff)
        );
    }

    #[test]
    fn an_item_moves_only_for_requests_of_page_2() {
        let mut faults = Faults::default();
        faults.add(Fault::new(FaultKind::ItemMovesBetweenPages, "/v2/droplets").times(1));
        assert_eq!(faults.take("/v2/droplets", "page=1"), None);
        assert!(faults.take("/v2/droplets", "page=2").is_some());
        assert_eq!(faults.take("/v2/droplets", "page=2"), None);
    }
}
