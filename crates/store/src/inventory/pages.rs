//! The pages of a long listing.

use std::collections::HashMap;

use domain::{ResourceKind, TakenPage};

use crate::Run;

/// The pages of a listing that a later attempt may go on with.
pub(super) struct Pages {
    pub(super) run_id: String,
    pub(super) kinds: Vec<String>,
    pub(super) is_written_down: bool,
    /// Not written down yet.
    pub(super) waiting: Vec<Page>,
    /// Of the attempts before, by path, until they are asked for.
    pub(super) before: HashMap<String, Vec<TakenPage>>,
}

impl Pages {
    pub(super) fn of(run: &Run, kinds: &[ResourceKind]) -> Self {
        Self {
            run_id: run.run_id.clone(),
            kinds: kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
            is_written_down: false,
            waiting: Vec::new(),
            before: HashMap::new(),
        }
    }
}

pub(super) struct Page {
    pub(super) path: String,
    pub(super) number: i32,
    pub(super) taken: TakenPage,
    /// The resources that were on it, by kind and DigitalOcean's id.
    pub(super) resources: Vec<(ResourceKind, String)>,
}
