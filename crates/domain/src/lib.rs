//! Types shared by all crates: ids, money, resource kinds, URNs and invoice lines. No I/O.
//!
//! Docs name the source of each fact about DigitalOcean: *spec* (DigitalOcean's public API
//! description), *observed* (seen in real accounts) or *rule of ours*.

pub mod balance;
pub mod costs;
pub mod focus;
mod fold_case;
pub mod ids;
pub mod inventory;
pub mod invoices;
pub mod kind;
pub mod ledger;
pub mod listing;
pub mod maintenance;
pub mod money;
pub mod projects;
pub mod proof;
mod provider_id;
mod regions;

pub use fold_case::fold_case;
pub use ids::{InvalidId, InvoiceUuid, TenantId};
pub use kind::{InvalidUrn, ResourceKind, Urn};
pub use listing::{Completeness, RecordedPage};
pub use provider_id::normalised_id;
