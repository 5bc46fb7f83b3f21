//! The steps of a sequence: changes to the account, syncs, and faults of the API.

use std::time::Duration;

use proptest::prelude::*;
use simulator::FaultKind;

/// The kinds of resources in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Droplet,
    Volume,
    Zone,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Droplet, Self::Volume, Self::Zone];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Droplet => "droplet",
            Self::Volume => "volume",
            Self::Zone => "dns_zone",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Droplet => "/v2/droplets",
            Self::Volume => "/v2/volumes",
            Self::Zone => "/v2/domains",
        }
    }

    pub(crate) fn urn(self, id: &str) -> String {
        let urn_kind = match self {
            Self::Droplet => "droplet",
            Self::Volume => "volume",
            Self::Zone => "domain",
        };
        format!("do:{urn_kind}:{id}")
    }

    /// DNS zones are in a project only if one lists them.
    pub(crate) fn uses_the_internal_project(self) -> bool {
        self != Self::Zone
    }
}

/// The client's timeout: far longer than a response takes, and short enough for a test to exceed.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The fault of the first request of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Unauthorized,
    Forbidden,
    RateLimited,
    ServerError,
    Html,
    CutOff,
    /// No response in time.
    Timeout,
    /// A complete response without items: DigitalOcean has been observed to return one.
    EmptyList,
    /// The last item is missing, but the total counts it.
    ShortPage,
    /// The separate list of GPU droplets answers 500, after the other droplets are read.
    SecondList,
}

impl Trouble {
    const ALL: [Self; 10] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::RateLimited,
        Self::ServerError,
        Self::Html,
        Self::CutOff,
        Self::Timeout,
        Self::EmptyList,
        Self::ShortPage,
        Self::SecondList,
    ];

    pub(crate) fn fault(self) -> FaultKind {
        match self {
            Self::Unauthorized => FaultKind::Unauthorized,
            Self::Forbidden => FaultKind::Forbidden,
            Self::RateLimited => FaultKind::RateLimited { retry_after: 1 },
            Self::ServerError | Self::SecondList => FaultKind::ServerError { status: 500 },
            Self::Html => FaultKind::HtmlError { status: 504 },
            Self::CutOff => FaultKind::CutOff,
            Self::Timeout => FaultKind::Slow {
                delay: RESPONSE_TIMEOUT * 2,
            },
            Self::EmptyList => FaultKind::EmptyList,
            Self::ShortPage => FaultKind::ShortPage,
        }
    }

    /// The requests with the fault.
    pub(crate) fn target(self, kind: Kind) -> &'static str {
        match self {
            Self::SecondList => "/v2/droplets?type=gpus",
            _ => kind.path(),
        }
    }
}

/// One step. Numbers are indexes of a resource or a project; if there is none, nothing happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Create(Kind),
    Remove(Kind, usize),
    Rename(Kind, usize),
    Retag(usize),
    Move(Kind, usize, usize),
    /// A complete listing and its sweep.
    Sync(Kind),
    SyncInTrouble(Kind, Trouble),
    /// The same run a second time, as after a worker that died when its work was done.
    Retry(Kind),
    /// An attempt that dies after this many microseconds, at any point, and the next attempt of the
    /// same run.
    SyncKilled(Kind, u64),
    /// Two concurrent runs.
    SyncTwice(Kind),
    SyncProjects,
    /// A sync of the projects in which the members of one project cannot be read.
    SyncProjectsInTrouble(usize),
    /// An operator assigns a project to a tenant, or removes the assignment.
    Assign(usize, Option<u8>),
    /// An operator overrides the project of a resource.
    Override(Kind, usize, usize),
    RemoveOverride(Kind, usize),
}

/// Mostly droplets: a deletion needs several syncs of one kind.
fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Droplet),
        1 => Just(Kind::Volume),
        1 => Just(Kind::Zone),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0_usize..6;
    prop_oneof![
        4 => kind().prop_map(Step::Create),
        4 => (kind(), place.clone()).prop_map(|(kind, place)| Step::Remove(kind, place)),
        1 => (kind(), place.clone()).prop_map(|(kind, place)| Step::Rename(kind, place)),
        1 => place.clone().prop_map(Step::Retag),
        2 => (kind(), place.clone(), place.clone()).prop_map(|(kind, place, project)| Step::Move(kind, place, project)),
        8 => kind().prop_map(Step::Sync),
        4 => (kind(), prop::sample::select(Trouble::ALL.to_vec())).prop_map(|(kind, trouble)| Step::SyncInTrouble(kind, trouble)),
        2 => kind().prop_map(Step::Retry),
        2 => (kind(), 0_u64..12_000).prop_map(|(kind, micros)| Step::SyncKilled(kind, micros)),
        2 => kind().prop_map(Step::SyncTwice),
        3 => Just(Step::SyncProjects),
        1 => place.clone().prop_map(Step::SyncProjectsInTrouble),
        1 => (place.clone(), prop::option::of(0_u8..3)).prop_map(|(project, tenant)| Step::Assign(project, tenant)),
        1 => (kind(), place.clone(), place.clone()).prop_map(|(kind, place, project)| Step::Override(kind, place, project)),
        1 => (kind(), place).prop_map(|(kind, place)| Step::RemoveOverride(kind, place)),
    ]
}

pub(crate) fn sequence(longest: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), longest / 4..=longest)
}
