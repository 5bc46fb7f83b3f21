//! Typed client for the DigitalOcean API v2.
//!
//! [`Client`] sends requests and decodes responses. It does not retry, except once with a replaced
//! token after a 401. It follows no links or redirects, and its only state is the token and the
//! latest [`RateLimit`]. A list is returned as a [`Listing`] with its completeness: only a complete
//! list is evidence that a resource is missing. One page loop (`pages`) reads every list; `kinds`
//! describes each kind of resource.
//!
//! Comments name the source of a fact: *spec* (DigitalOcean's public API description), *observed*
//! (in real accounts) or *rule of ours*.

mod balance;
mod base_url;
mod billing_history;
mod client;
mod decode;
mod error;
mod http;
mod inventory;
mod invoices;
pub mod kinds;
mod listing;
mod nul;
mod observer;
mod pages;
mod paging;
mod projects;
pub mod rate_limit;
mod response_text;
mod scopes;
pub mod spaces;
mod team;
mod tokens;

pub use base_url::BaseUrl;
pub use client::Client;
pub use error::{Call, Error, ErrorResponse};
pub use inventory::ListedKind;
pub use invoices::{InvoiceItemRead, InvoiceItemsListed, InvoiceKey, InvoiceList};
pub use kinds::ResourceListing;
pub use listing::Listing;
pub use observer::{Exchange, Observer};
pub use pages::{PageRecord, PageSink};
pub use rate_limit::{RateLimit, RequestBudget};
pub use scopes::Need;
pub use spaces::{SpacesClient, SpacesError, SpacesKeys};
pub use team::{NotAdmitted, Team, TeamGate};
pub use tokens::{
    MissingTokens, Purpose, TokenError, TokenSettingsError, TokenSource, Tokens, VaultError,
};
