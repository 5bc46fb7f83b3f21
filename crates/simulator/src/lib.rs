//! A DigitalOcean API v2 in memory: stateful, deterministic, and with faults on request.
//!
//! It implements DigitalOcean's public specification and shares no code with our client, so that
//! tests of the client check it against an independent implementation. `arcadia dev` reads the
//! demo account from it, tests of other crates change an [`Account`] while it is served, and
//! `arcadia simulator` starts it on its own.
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
//! # The demo account
//! [`Account::demo`] never changes. `arcadia dev` serves [`Account::demo_at`]: its preview follows
//! the clock ([`Account::bill_demo`]), and its resources change once ([`Account::change_demo`]).
//!
//! # Resources
//! Every kind of resource that is billed, or that affects attribution, is listed under the path, in
//! the style and with the scope of the specification. [`Account::add_resource`] creates resources
//! by kind; [`Account::everything`] has some of each; [`SECRETS`] are the secrets in bodies. As in
//! the live API, bodies omit fields that the token's scopes do not cover: `project_id` without
//! `project:read`, and database credentials without `database:view_credentials`.
//!
//! # Empty lists
//! DigitalOcean sends an empty list as an empty array, as null, or without the key. Each list has
//! the form that clients of the live API report; [`Account::set_none_form`] sets one [`NoneForm`]
//! for all. In [`Account::one_droplet`] one list has an item, and all others are empty.
//!
//! # Invoices
//! The header, the JSON items, the summary and the CSV of an [`Invoice`] follow from its lines
//! unless set otherwise, for example by [`Invoice::items`], [`Invoice::csv_form`],
//! [`Invoice::summary_parts`] or [`Invoice::lacks_csv`]. [`Account::change_invoice`] corrects an
//! issued invoice. [`EveryCent`] is an account with a trap in every invoice and the expected
//! attribution of every line; [`Account::add_random_invoices`] issues generated invoices.
//!
//! # Spaces
//! `/spaces/{region}` lists the buckets of a region as S3 does ([`Simulator::spaces_url`] is the
//! template for all regions). Requests must be signed with the secret of an accepted key:
//! [`DEMO_SPACES_KEY`], or a key of [`Account::accept_spaces_key`].
//!
//! # Faults
//! A [`Fault`] applies to paths under `/v2` and `/spaces`. The [`FaultKind`]s are errors
//! (`rate_limited`, `server_error`, `html_error`, `unauthorized`, `forbidden`, `not_found`), slow
//! or incomplete answers (`slow`, `drip`, `cut_off`, `reset`), wrong lists (`empty_list`,
//! `item_moves_between_pages`, `short_page`, `lagging_list`) and wrong CSVs (`renamed_column`,
//! `last_line_missing`).
//!
//! A fault without `times` applies until it is removed. For one invoice:
//!
//! - `html_error:/v2/customers/my/invoices/UUID*` answers requests for its items, summary and CSV
//!   with Cloudflare's 504;
//! - `html_error:/v2/customers/my/invoices/UUID/csv:times=2` fails the first two requests for its
//!   CSV. If the path has a `*`, these are the first two requests for any matching path.
//!
//! [`Simulator::hold`] delays the response to one request until a test releases it, and so
//! separates the time at which the account is read from the time at which the client stores it.
//! [`Simulator::suspend`] makes all requests wait.
//!
//! # The control endpoint
//! The same address serves `/simulator/`, without a token, for other processes:
//!
//! | request | effect |
//! |---|---|
//! | `POST /simulator/faults` | adds faults: one a line, in the text form of [`Fault`] |
//! | `GET /simulator/faults` | lists the remaining faults, one a line |
//! | `DELETE /simulator/faults` | removes all faults |
//! | `GET /simulator/requests` | `[{"method","path","query","status"}]`, the oldest request first |

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
mod holds;
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
pub use holds::{Hold, Suspension};
pub use none_form::NoneForm;
pub use rate_limit::RateLimit;
pub use requests::ReceivedRequest;
pub use secrets::SECRETS;
pub use server::Simulator;
