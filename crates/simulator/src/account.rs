//! An account: everything the simulator knows, as plain data.

mod balance;
mod buckets;
mod domains;
mod droplet_body;
mod droplets;
mod history;
mod invoice_csv;
mod invoice_lines;
mod invoices;
mod projects;
mod relations;
mod reserved_ips;
mod resources;
mod volumes;

use std::collections::HashMap;

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
pub use invoice_csv::CsvForm;
pub use invoice_lines::InvoiceLine;
pub use invoices::{Invoice, SummaryParts};
pub use projects::{Member, MemberStatus, Project};
pub use reserved_ips::ReservedIp;
pub use volumes::Volume;

/// A DigitalOcean account. It is changed before the server starts or, with [`crate::Simulator::change`], while it
/// runs; it never changes by itself, and the same calls always give the same ids, dates and bodies.
#[derive(Clone, Debug)]
pub struct Account {
    pub(crate) tokens: Tokens,
    pub(crate) spaces_keys: SpacesKeys,
    pub(crate) rate_limit: RateLimit,
    pub(crate) team: Team,
    pub(crate) projects: Vec<Project>,
    /// Which project each member's URN is in.
    pub(crate) homes: HashMap<String, Uuid>,
    /// Where new resources go when that is not the default project.
    pub(crate) new_home: Option<Uuid>,
    pub(crate) droplets: Vec<Droplet>,
    pub(crate) gpu_droplets: Vec<Droplet>,
    pub(crate) domains: Vec<Domain>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) reserved_ips: Vec<ReservedIp>,
    pub(crate) buckets: Vec<Bucket>,
    /// Every other kind of resource.
    pub(crate) stock: Stock,
    pub(crate) balance: Balance,
    /// Newest first.
    pub(crate) invoices: Vec<Invoice>,
    pub(crate) preview: Option<Invoice>,
    pub(crate) other_history: Vec<HistoryEntry>,
    /// The form in which every list says that nothing is in it; none for the form that was observed of each.
    pub(crate) none_form: Option<NoneForm>,
    /// How many numbers have been given out.
    last_number: u64,
    moment: DateTime<Utc>,
}

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Team {
    pub(crate) uuid: String,
    pub(crate) name: String,
}

impl Account {
    /// A new account: the default project, nothing in it, no invoices, and [`DEMO_TOKEN`] and
    /// [`DEMO_SPACES_KEY`] accepted. Each list says so in the form that was observed of it, so that all of [`NoneForm`] occur.
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
            homes: HashMap::new(),
            new_home: None,
            droplets: Vec::new(),
            gpu_droplets: Vec::new(),
            domains: Vec::new(),
            volumes: Vec::new(),
            reserved_ips: Vec::new(),
            buckets: Vec::new(),
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

    /// Lets a token in, with these scopes from now on.
    pub fn accept_token(&mut self, token: &str, scopes: Scopes) {
        self.tokens.accept(token, scopes);
    }

    /// Refuses a token from now on.
    pub fn revoke_token(&mut self, token: &str) {
        self.tokens.revoke(token);
    }

    /// Lets a key list the buckets by S3, when its secret has signed the request.
    pub fn accept_spaces_key(&mut self, access_key_id: &str, secret: &str) {
        self.spaces_keys.accept(access_key_id, secret);
    }

    /// Says from now on that it is this team's, as `GET /v2/account` tells it.
    pub fn set_team(&mut self, uuid: &str, name: &str) {
        self.team = Team {
            uuid: uuid.to_owned(),
            name: name.to_owned(),
        };
    }

    /// How many requests each token may make. Accounts start with [`RateLimit::GENEROUS`].
    pub fn set_rate_limit(&mut self, limit: RateLimit) {
        self.rate_limit = limit;
    }

    /// Gives every list this form of "none", in place of the one that was observed of it.
    pub fn answer_none_as(&mut self, form: NoneForm) {
        self.none_form = Some(form);
    }

    pub(crate) fn none_form_of(&self, path: &str) -> NoneForm {
        self.none_form.unwrap_or_else(|| NoneForm::observed(path))
    }

    /// A number not given out before, for ids.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// What [`Account::next_moment`] gave last.
    pub(crate) fn latest_moment(&self) -> DateTime<Utc> {
        self.moment
    }

    /// Lets the moments that follow come after this one.
    pub(crate) fn continue_at(&mut self, moment: DateTime<Utc>) {
        self.moment = moment;
    }

    /// A moment one second after the one before, so that dates do not depend on the clock.
    pub(crate) fn next_moment(&mut self) -> DateTime<Utc> {
        self.moment += TimeDelta::seconds(1);
        self.moment
    }
}
