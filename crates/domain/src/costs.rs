//! Whose a charge is: by time, to the cent.

mod owners;
mod split;

pub use owners::{
    Basis, Charge, Interval, Overrides, Owned, Projects, ResourceHistory, Share, owners_of,
};
pub use split::{SpreadRule, split, spread};
