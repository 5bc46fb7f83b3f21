//! How DigitalOcean divides a list.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paging {
    /// Into pages: `page` and `per_page`.
    Pages,
    /// Not at all: the endpoint has no pages.
    Whole,
}
