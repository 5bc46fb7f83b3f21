//! The words of Arcadia Cloud: ids, money, resource kinds, URNs and invoice lines.
//!
//! Nothing here does I/O; every other crate speaks in these types. A fact's source is named where it is written:
//! *spec* (DigitalOcean's public API description), *observed* (seen in real accounts) or *rule of ours*.

pub mod balance;
pub mod costs;
pub mod ids;
pub mod inventory;
pub mod invoices;
pub mod kind;
pub mod ledger;
pub mod listing;
pub mod money;
pub mod projects;
mod provider_id;

pub use ids::{InvalidId, InvoiceUuid, TenantId};
pub use kind::{InvalidUrn, ResourceKind, Urn};
pub use listing::{Completeness, TakenPage};
pub use provider_id::normalised_id;
