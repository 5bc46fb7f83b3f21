//! A DigitalOcean API v2 in memory: stateful, deterministic, and able to fail on request.
//!
//! It speaks JSON in the shape of DigitalOcean's public specification and shares no code with our own client,
//! so that what the client reads here is a second opinion and not an echo. `arcadia dev` shows the demo account
//! through it, the tests of other crates change an [`Account`] while it is being read, and people start it with
//! `arcadia simulator`.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use simulator::{Account, Fault, FaultKind, Simulator};
//!
//! let simulator = Simulator::start(Account::demo()).await?;
//! simulator.fail(Fault::new(FaultKind::RateLimited { retry_after: 2 }, "/v2/droplets").times(1));
//! let id = simulator.change(|account| account.add_droplet("web-9", "s-1vcpu-1gb", "syd1"));
//! simulator.change(|account| account.remove_droplet(id));
//! # Ok(())
//! # }
//! ```
//!
//! # Resources
//! Every kind that is billed, or that decides who pays, is listed where DigitalOcean lists it, in the style and under
//! the scope of its specification. [`Account::add_resource`] and its neighbours take our word for a kind;
//! [`Account::everything`] has some of each, and [`SECRETS`] are the secrets in its bodies. What a token's scopes do
//! not cover is left out of bodies without a word: `project_id` without `project:read`, and the credentials of
//! databases without `database:view_credentials`.
//!
//! # Empty lists
//! DigitalOcean says "none" as an empty list, as null, or by leaving the list out. Each list does so in the form that clients of the
//! live API report of it; [`Account::answer_none_as`] gives one [`NoneForm`] to all. [`Account::one_droplet`] is a real account's
//! first day: one list has an item, and all others are in such forms.
//!
//! # Invoices
//! The header, the JSON items, the summary and the CSV of an [`Invoice`] all follow from its lines, unless it says
//! otherwise: [`Invoice::items`], [`Invoice::csv_form`], [`Invoice::summary_parts`], [`Invoice::lacks_csv`] and their
//! neighbours. [`Account::change_invoice`] corrects one that was issued. [`EveryCent`] is an account with a trap in
//! every invoice and the truth about every line, and [`Account::add_random_invoices`] makes invoices that nobody
//! thought of.
//!
//! # Spaces
//! Under `/spaces/{region}` the buckets of a region are listed as S3 does it ([`Simulator::spaces_url`] is the template
//! for all regions), for requests that the secret of an accepted key has signed: [`DEMO_SPACES_KEY`] everywhere, and
//! what [`Account::accept_spaces_key`] lets in.
//!
//! # Faults
//! A [`Fault`] meets any path under `/v2` and `/spaces`. [`FaultKind`] says what can happen: errors (`rate_limited`, `server_error`,
//! `html_error`, `unauthorized`, `forbidden`, `not_found`), answers that are late or broken off (`slow`, `drip`,
//! `cut_off`, `reset`),
//! and lists that are not what they should be (`empty_list`, `item_moves_between_pages`, `short_page`,
//! `lagging_list`).
//!
//! A fault without `times` lasts until it is cleared, and each path is met by itself: for one invoice
//!
//! - `html_error:/v2/customers/my/invoices/UUID*` answers for its items, summary and CSV with Cloudflare's 504 for ever;
//! - `html_error:/v2/customers/my/invoices/UUID/csv:times=2` lets its CSV fail twice and then work. With a `*` in the
//!   path the two failures are those of the first two requests, whichever they are for.
//!
//! # The control endpoint
//! The same address answers under `/simulator/`, without a token, for processes that cannot call the Rust API:
//!
//! | request | effect |
//! |---|---|
//! | `POST /simulator/faults` | body: one fault a line, as [`Fault`] is written; they are added |
//! | `GET /simulator/faults` | the faults still to come, one a line |
//! | `DELETE /simulator/faults` | forget them all |
//! | `GET /simulator/requests` | what has been asked so far: `[{"method","path","query","status"}]`, oldest first |

mod access;
mod account;
mod accounts;
mod answers;
mod bodies;
mod caller;
mod catalogue;
mod dates;
mod delivery;
mod errors;
mod fault_text;
mod faults;
mod gate;
mod identifiers;
mod kinds;
mod none_form;
mod paging;
mod paging_styles;
mod rate_limit;
mod requests;
mod routes;
mod secrets;
mod server;
mod state;
mod stock;

pub use access::{DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, Scopes};
pub use account::{
    Account, Balance, Bucket, CsvForm, Domain, Droplet, HistoryEntry, Invoice, InvoiceLine, Member,
    MemberStatus, Project, ReservedIp, SummaryParts, Volume,
};
pub use accounts::{EveryCent, LineTruth, ResourceName, Traps, Truth};
pub use fault_text::FaultTextError;
pub use faults::{Fault, FaultKind};
pub use none_form::NoneForm;
pub use rate_limit::RateLimit;
pub use requests::ReceivedRequest;
pub use secrets::SECRETS;
pub use server::Simulator;
