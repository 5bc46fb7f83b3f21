//! Where the pages of a list go, and what is remembered of them so that a list that was broken off goes on where it was.

use domain::TakenPage;

/// Where the items of a list go, a page at a time, while further pages are on their way.
pub trait PageSink<T>: Send {
    /// Why an item could not be taken; it ends the listing.
    type Error: Send;

    /// Takes what a page held. An item that was read before may come again, and then stands for the earlier one.
    fn take(&mut self, items: Vec<T>) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Is told which page the items that it just took were on.
    fn note(
        &mut self,
        _page: PageNote<'_>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// The pages from the first on that an earlier attempt took of this list, whose items are here already. Asked once, before the
    /// list's first request.
    fn taken_before(&mut self, _path: &str) -> Vec<TakenPage> {
        Vec::new()
    }

    /// The list is read from its start again, since its pages contradict each other or what was taken of them before: no page of it
    /// counts as taken.
    fn begin_again(&mut self, _path: &str) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }
}

/// Which page was taken.
#[derive(Debug)]
pub struct PageNote<'a> {
    /// Which list it is of.
    pub path: &'a str,
    /// From 1.
    pub number: u64,
    /// How many pages the list has by its total; 1 where it gives none.
    pub of: u64,
    /// What to remember of the page. None from the first page on that does not fit together with those before it, that has an item
    /// which cannot be read, or that tells no total: such a list is never gone on with.
    pub taken: Option<TakenPage>,
}
