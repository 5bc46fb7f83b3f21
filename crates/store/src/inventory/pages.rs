//! The pages of a long listing that a later attempt can resume.

use std::collections::HashMap;

use domain::{RecordedPage, ResourceKind};

use crate::Run;

/// The recorded and the pending pages of a listing that a later attempt can resume.
pub(super) struct Pages {
    pub(super) run_id: String,
    pub(super) kinds: Vec<String>,
    pub(super) is_recorded: bool,
    /// Pages that are not recorded yet.
    pub(super) waiting: Vec<Page>,
    /// Pages of earlier attempts, by path, until they are taken from here.
    pub(super) earlier: HashMap<String, Vec<RecordedPage>>,
}

impl Pages {
    pub(super) fn new(run: &Run, kinds: &[ResourceKind]) -> Self {
        Self {
            run_id: run.run_id.clone(),
            kinds: kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
            is_recorded: false,
            waiting: Vec::new(),
            earlier: HashMap::new(),
        }
    }
}

pub(super) struct Page {
    pub(super) path: String,
    pub(super) number: i32,
    pub(super) taken: RecordedPage,
    /// The resources on the page, by kind and DigitalOcean's id.
    pub(super) resources: Vec<(ResourceKind, String)>,
}
