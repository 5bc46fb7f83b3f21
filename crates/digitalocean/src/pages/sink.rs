//! The receiver of the pages of a list, and the record of pages with which an interrupted listing
//! resumes.

use domain::RecordedPage;

/// Receives the items of a list a page at a time, while further pages are being requested.
pub trait PageSink<T>: Send {
    /// The error of a page that the sink cannot process. It ends the listing.
    type Error: Send;

    /// Receives the items of a page. An item that was read before may be passed again, and then
    /// replaces the earlier version.
    fn take(&mut self, items: Vec<T>) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Receives the position of the page with the items of the last [`PageSink::take`].
    fn record_page(
        &mut self,
        _page: PageRecord<'_>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// Returns the consecutive pages, from the first, that an earlier attempt recorded of this list
    /// and with items that are stored. Called once, before the first request for the list.
    fn resumable_pages(&mut self, _path: &str) -> Vec<RecordedPage> {
        Vec::new()
    }

    /// Discards the recorded pages of this list: it is read from its start again, because its pages
    /// contradict each other or their records.
    fn restart_list(
        &mut self,
        _path: &str,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }
}

/// The position and the record of a page.
#[derive(Debug)]
pub struct PageRecord<'a> {
    /// The path of its list.
    pub path: &'a str,
    /// The page number, from 1.
    pub number: u64,
    /// The number of pages of the list according to its total; 1 without a total.
    pub page_count: u64,
    /// The record of the page, to resume the listing later. None for a list without a total. None
    /// also from the first page that contradicts an earlier one or has an invalid item: such a list
    /// is not resumed.
    pub record: Option<RecordedPage>,
}
