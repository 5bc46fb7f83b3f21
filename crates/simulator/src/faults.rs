//! Failures on request: which requests they meet, how often, and what happens to them.

use std::time::Duration;

/// A failure to come. Written as text (`--fault`, `POST /simulator/faults`) it reads
/// `KIND:TARGET[:times=N][:retry_after=SECONDS][:status=CODE][:delay=2s|250ms]`, for example
/// `rate_limited:/v2/droplets:times=3:retry_after=2` or `server_error:/v2/projects/*/resources?page=2:status=503`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(crate) kind: FaultKind,
    /// The path; every `*` stands for any run of characters.
    pub(crate) path: String,
    /// Parameters that must be present with exactly this value, as they are written in the query.
    pub(crate) query: Vec<String>,
    /// How many requests it still meets; `None` for ever.
    pub(crate) times: Option<u32>,
}

/// What happens to a request that meets a [`Fault`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// `rate_limited`: 429 with a `retry-after` of so many seconds.
    RateLimited {
        /// Seconds; as text `retry_after=`, 1 when not given.
        retry_after: u64,
    },
    /// `server_error`: a JSON error with this 5xx status.
    ServerError {
        /// As text `status=`, 500 when not given.
        status: u16,
    },
    /// `html_error`: a page such as Cloudflare shows, not JSON, with this status: 5xx, or 200 for a page in place of the answer.
    HtmlError {
        /// As text `status=`, 504 when not given.
        status: u16,
    },
    /// `slow`: the usual answer, later.
    Slow {
        /// As text `delay=2s` or `delay=250ms`, one second when not given.
        delay: Duration,
    },
    /// `drip`: the usual answer, its body a tenth at a time.
    Drip {
        /// Over how long; as text `delay=2s` or `delay=250ms`, one second when not given.
        delay: Duration,
    },
    /// `cut_off`: the usual answer and its `content-length`, but the connection closes half-way through the body.
    CutOff,
    /// `reset`: the request is heard, and the connection closes without an answer.
    Reset,
    /// `unauthorized`: 401, as for a revoked token.
    Unauthorized,
    /// `forbidden`: 403, as for a token without the scope.
    Forbidden,
    /// `not_found`: 404, as for a resource created a moment ago, or a path that is not there (any more).
    NotFound,
    /// `empty_list`: 200 with no items and a total of 0. DigitalOcean has been seen doing this for seconds after a
    /// resource was created.
    EmptyList,
    /// `item_moves_between_pages`: by the time page 2 is read, the last item of page 1 has become the first of
    /// page 2, so that it is seen twice and another is missed, while the total stays. Only requests for page 2
    /// meet it.
    ItemMovesBetweenPages,
    /// `short_page`: 200, but the last item of the page asked for is left out, while the total still counts it. A
    /// list that has no pages lacks its last item.
    ShortPage,
    /// `renamed_column`: a CSV whose column `USD` is called `EUR`. Other answers are as usual.
    RenamedColumn,
    /// `last_line_missing`: 200, but the text ends before its last line, and its announced length fits.
    LastLineMissing,
    /// `lagging_list`: 200, but the last item of the list is not there yet, and not counted.
    LaggingList,
}

impl Fault {
    /// A failure for every request to `target`: a path in which `*` stands for anything, and optionally a query
    /// whose parameters must be present: `/v2/droplets`, `/v2/customers/*`, `/v2/droplets?page=2`.
    pub fn new(kind: FaultKind, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            kind,
            path: path.to_owned(),
            query: parameters(query).map(str::to_owned).collect(),
            times: None,
        }
    }

    /// Only for the next so many requests that it meets.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn meets(&self, path: &str, query: &str) -> bool {
        let moves = self.kind == FaultKind::ItemMovesBetweenPages;
        self.times != Some(0)
            && matches(&self.path, path)
            && self
                .query
                .iter()
                .all(|wanted| parameters(query).any(|given| given == wanted))
            && (!moves || parameters(query).any(|given| given == "page=2"))
    }
}

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|parameter| !parameter.is_empty())
}

/// Whether `path` is what `pattern` describes, `*` standing for any run of characters.
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

/// The failures to come, in the order in which they were asked for.
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

    /// The first failure that meets this request. It is counted down, and dropped with its last request.
    pub(crate) fn take(&mut self, path: &str, query: &str) -> Option<FaultKind> {
        let position = self.0.iter().position(|fault| fault.meets(path, query))?;
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
    fn a_fault_is_used_up_and_the_next_one_takes_its_place() {
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
    fn a_path_is_met_exactly_unless_it_has_a_star() {
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
    fn the_query_of_a_target_must_be_part_of_the_requests_query() {
        let mut faults = Faults::default();
        faults.add(Fault::new(FaultKind::CutOff, "/v2/droplets?page=2"));
        assert_eq!(faults.take("/v2/droplets", "page=20"), None);
        assert_eq!(
            faults.take("/v2/droplets", "per_page=5&page=2"),
            Some(FaultKind::CutOff)
        );
    }

    #[test]
    fn an_item_moves_only_when_the_second_page_is_read() {
        let mut faults = Faults::default();
        faults.add(Fault::new(FaultKind::ItemMovesBetweenPages, "/v2/droplets").times(1));
        assert_eq!(faults.take("/v2/droplets", "page=1"), None);
        assert!(faults.take("/v2/droplets", "page=2").is_some());
        assert_eq!(faults.take("/v2/droplets", "page=2"), None);
    }
}
