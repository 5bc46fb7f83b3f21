//! An account: all data that the simulator serves.

mod balance;
mod buckets;
mod domains;
mod droplet_body;
mod droplets;
mod history;
mod invoice_lines;
mod invoices;
mod projects;
mod relations;
mod reserved_ips;
mod resources;
mod volumes;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, NoneForm, RateLimit, Scopes,
    access::{SpacesKeys, Tokens},
    dates::month_start,
    identifiers::{OWNER_UUID, identifier},
    stock::Stock,
};
pub use balance::Balance;
pub use buckets::Bucket;
pub use domains::Domain;
pub(crate) use droplet_body::DropletBody;
pub use droplets::Droplet;
pub use history::HistoryEntry;
pub use invoice_lines::{CsvForm, InvoiceLine};
pub use invoices::{Invoice, SummaryParts};
pub use projects::{Member, MemberStatus, Project};
pub use reserved_ips::ReservedIp;
pub use volumes::Volume;

/// A DigitalOcean account. It changes only by calls, before the server starts or, with
/// [`crate::Simulator::change`], while it runs. The same calls always produce the same ids, dates
/// and bodies.
#[derive(Clone, Debug)]
pub struct Account {
    pub(crate) tokens: Tokens,
    pub(crate) spaces_keys: SpacesKeys,
    pub(crate) rate_limit: RateLimit,
    pub(crate) team: Team,
    pub(crate) projects: Vec<Project>,
    /// The project of each member, by URN.
    pub(crate) projects_by_urn: HashMap<String, Uuid>,
    /// The project of new resources, if it differs from the default project.
    pub(crate) project_override: Option<Uuid>,
    pub(crate) droplets: Vec<Droplet>,
    pub(crate) gpu_droplets: Vec<Droplet>,
    pub(crate) domains: Vec<Domain>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) reserved_ips: Vec<ReservedIp>,
    pub(crate) buckets: Vec<Bucket>,
    /// The objects of buckets, by bucket and name.
    pub(crate) objects: BTreeMap<(String, String), Vec<u8>>,
    /// All other kinds of resources.
    pub(crate) stock: Stock,
    pub(crate) balance: Balance,
    /// Newest first.
    pub(crate) invoices: Vec<Invoice>,
    pub(crate) preview: Option<Invoice>,
    pub(crate) other_history: Vec<HistoryEntry>,
    /// The form of all empty lists; `None` for the form observed of each list.
    pub(crate) none_form: Option<NoneForm>,
    /// The latest number that [`Account::next_number`] returned.
    last_number: u64,
    moment: DateTime<Utc>,
}

/// The team that owns the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Team {
    pub(crate) uuid: String,
    pub(crate) name: String,
}

impl Account {
    /// Creates an account that has a default project and no resources or invoices, and accepts
    /// [`DEMO_TOKEN`] and [`DEMO_SPACES_KEY`]. Empty lists have the form observed of each, so that
    /// all of [`NoneForm`] occur.
    pub fn empty() -> Self {
        let founded = month_start(2026, 5);
        let mut account = Self {
            tokens: Tokens::default(),
            spaces_keys: SpacesKeys::default(),
            rate_limit: RateLimit::GENEROUS,
            team: Team {
                uuid: OWNER_UUID.to_owned(),
                name: "Kestrel".to_owned(),
            },
            projects: Vec::new(),
            projects_by_urn: HashMap::new(),
            project_override: None,
            droplets: Vec::new(),
            gpu_droplets: Vec::new(),
            domains: Vec::new(),
            volumes: Vec::new(),
            reserved_ips: Vec::new(),
            buckets: Vec::new(),
            objects: BTreeMap::new(),
            stock: Stock::default(),
            balance: Balance::zero(founded),
            invoices: Vec::new(),
            preview: None,
            other_history: Vec::new(),
            none_form: None,
            last_number: 0,
            moment: founded,
        };
        account.accept_token(DEMO_TOKEN, Scopes::all());
        account.accept_spaces_key(DEMO_SPACES_KEY, DEMO_SPACES_SECRET);
        account.insert_project(Project {
            id: identifier("default project", 0),
            name: "Default".to_owned(),
            description: "Default project".to_owned(),
            purpose: "Just trying out DigitalOcean".to_owned(),
            environment: "Development".to_owned(),
            is_default: true,
            created_at: founded,
            updated_at: founded,
            members: Vec::new(),
        });
        account
    }

    /// Accepts a token with these scopes.
    pub fn accept_token(&mut self, token: &str, scopes: Scopes) {
        self.tokens.accept(token, scopes);
    }

    /// Rejects a token from now on.
    pub fn revoke_token(&mut self, token: &str) {
        self.tokens.revoke(token);
    }

    /// Accepts a Spaces key: requests signed with its secret can list the buckets.
    pub fn accept_spaces_key(&mut self, access_key_id: &str, secret: &str) {
        self.spaces_keys.accept(access_key_id, secret);
    }

    /// Sets the team that `GET /v2/account` returns.
    pub fn set_team(&mut self, uuid: &str, name: &str) {
        self.team = Team {
            uuid: uuid.to_owned(),
            name: name.to_owned(),
        };
    }

    /// Sets the rate limit of each token. Accounts start with [`RateLimit::GENEROUS`].
    pub fn set_rate_limit(&mut self, limit: RateLimit) {
        self.rate_limit = limit;
    }

    /// Sets one form for all empty lists.
    pub fn set_none_form(&mut self, form: NoneForm) {
        self.none_form = Some(form);
    }

    pub(crate) fn none_form_of(&self, path: &str) -> NoneForm {
        self.none_form.unwrap_or_else(|| NoneForm::observed(path))
    }

    /// Returns a number that was not returned before, for ids.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Returns the latest date of [`Account::next_moment`].
    pub(crate) fn latest_moment(&self) -> DateTime<Utc> {
        self.moment
    }

    /// Sets the date after which those of [`Account::next_moment`] follow.
    pub(crate) fn continue_at(&mut self, moment: DateTime<Utc>) {
        self.moment = moment;
    }

    /// Returns a date one second after the previous one, so that dates do not depend on the clock.
    pub(crate) fn next_moment(&mut self) -> DateTime<Utc> {
        self.moment += TimeDelta::seconds(1);
        self.moment
    }
}
