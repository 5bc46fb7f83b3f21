//! An account: everything the simulator knows, as plain data.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    Balance, Bucket, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, Domain, Droplet,
    HistoryEntry, Invoice, NoneForm, Project, RateLimit, ReservedIp, Scopes, Volume,
    access::{SpacesKeys, Tokens},
    dates::month_start,
    identifiers::OWNER_UUID,
    identifiers::identifier,
    stock::Stock,
};

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
    /// What [`Account::named`] knows, for the help of a command line.
    pub const NAMES: &[&str] = &[
        "demo",
        "empty",
        "one-droplet",
        "everything",
        "every-cent",
        "20000-droplets",
        "100000-resources",
        "10000-invoices",
    ];

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

    /// An account on its first day: one droplet in the default project, and nothing else.
    pub fn one_droplet() -> Self {
        let mut account = Self::empty();
        account.add_droplet("web-1", "s-1vcpu-1gb", "nyc3");
        account
    }

    /// An account with so many droplets of various sizes and regions, spread over four projects, and nothing else.
    pub fn with_droplets(count: usize) -> Self {
        const SIZES: &[&str] = &["s-1vcpu-1gb", "s-2vcpu-4gb", "s-4vcpu-8gb", "g-2vcpu-8gb"];
        const REGIONS: &[&str] = &["nyc3", "syd1", "fra1"];
        let mut account = Self::empty();
        let projects =
            ["storefront", "analytics", "platform"].map(|name| account.add_project(name));
        for number in 0..count {
            let size = SIZES[number % SIZES.len()];
            let region = REGIONS[number % REGIONS.len()];
            let name = format!("node-{number:06}.{region}");
            let mut droplet = account.new_droplet(&name, size, region);
            droplet.tags = vec!["env:production".to_owned(), format!("rack-{}", number % 40)];
            let project = projects.get(number % 4).copied();
            let project = project.unwrap_or_else(|| account.default_project());
            account.insert_droplet_into(project, droplet);
        }
        account
    }

    /// The account of a name among [`Account::NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "demo" => Some(Self::demo()),
            "empty" => Some(Self::empty()),
            "one-droplet" => Some(Self::one_droplet()),
            "everything" => Some(Self::everything()),
            "every-cent" => Some(Self::every_cent()),
            "100000-resources" => Some(Self::with_resources(100_000)),
            "10000-invoices" => Some(Self::with_invoices(10_000)),
            "20000-droplets" => Some(Self::with_droplets(20_000)),
            _ => None,
        }
    }

    /// Lets a token in, with these scopes from now on.
    pub fn accept_token(&mut self, token: &str, scopes: Scopes) {
        self.tokens.accept(token, scopes);
    }

    /// Refuses a token from now on.
    pub fn revoke_token(&mut self, token: &str) {
        self.tokens.revoke(token);
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
