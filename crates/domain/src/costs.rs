//! Whose a charge is: by time, to the cent.

mod owners;
mod split;

pub use owners::{Basis, Charge, Owned, Projects, ResourceHistory, Share, Spell, owners_of};
pub use split::{SpreadRule, split, spread};
