//! Rate limits of a token: the budget that permits each request, and the limits that responses
//! report.

mod budget;
mod headers;

pub(crate) use budget::take;
pub use budget::{BudgetExhausted, RequestBudget, TokenKey, as_one_unit_of_work};
pub use headers::RateLimit;
pub(crate) use headers::{retry_after, retry_after_outage};
