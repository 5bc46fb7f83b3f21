//! Attributes charges to tenants by time, and allocates shared costs, exact to the cent.

mod attribution;
mod split;

pub use attribution::{
    Attribution, Basis, Charge, Interval, Overrides, Projects, ResourceHistory, Share, Span,
    attribute, spans,
};
pub use split::{AllocationRule, LineAllocation, allocate, allocate_each, split, weights};
