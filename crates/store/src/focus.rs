//! The bill of a month as rows of FOCUS, from one state of the database.

mod invoices;
mod lines;
mod month;
mod pages;
mod projects;
mod stamp;

pub use month::FocusMonth;
pub use pages::CostPages;

use chrono::NaiveDate;

use crate::{Store, StoreError};

impl Store {
    /// Begins the export of a month. All its rows and figures are of the state of the database at
    /// this moment.
    pub async fn focus_month(&self, period: NaiveDate) -> Result<FocusMonth, StoreError> {
        FocusMonth::begin(self, self.snapshot().await?, period).await
    }
}
