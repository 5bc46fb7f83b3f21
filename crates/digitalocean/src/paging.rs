//! Whether an endpoint divides its list into pages.

/// The paging of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paging {
    /// The list has pages: `page` and `per_page`.
    Pages,
    /// The endpoint returns the whole list at once.
    Whole,
}
