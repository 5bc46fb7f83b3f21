//! The DigitalOcean API v2 as typed calls.
//!
//! [`Client`] asks and decodes; it never retries, follows no link and no redirect, and keeps nothing but the latest
//! [`RateLimit`]. A list comes back as a [`Listing`], which says how much of what there is it saw: only a complete one may count
//! as evidence that something is gone. One page loop (`pages`) reads every list; `kinds` describes each kind of resource.
//!
//! A fact's source is named where it is written: *spec* (DigitalOcean's public API description), *observed* (seen in real
//! accounts) or *rule of ours*.

mod answer_text;
mod balance;
mod base_url;
mod billing_history;
pub mod budget;
mod client;
mod decode;
mod error;
mod http;
mod inventory;
mod invoices;
pub mod kinds;
mod listing;
mod observer;
mod pages;
mod paging;
mod projects;
mod rate_limit;
mod scopes;
pub mod spaces;
mod team;
mod tokens;

pub use base_url::BaseUrl;
pub use budget::RequestBudget;
pub use client::Client;
pub use error::{Answer, Call, Error};
pub use inventory::ListedKind;
pub use invoices::{InvoiceItemRead, InvoiceItemsListed, InvoiceKey, InvoiceList};
pub use kinds::ResourceListing;
pub use listing::Listing;
pub use observer::{Exchange, Observer};
pub use pages::{PageNote, PageSink};
pub use rate_limit::RateLimit;
pub use scopes::Need;
pub use spaces::{SpacesClient, SpacesError, SpacesKeys};
pub use team::{NotAdmitted, Team, TeamGate};
pub use tokens::{
    MissingTokens, Purpose, TokenError, TokenSettingsError, TokenSource, Tokens, VaultError,
};
