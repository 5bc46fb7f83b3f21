//! The forms of empty lists. DigitalOcean's lists differ in them.

/// A form of an empty list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoneForm {
    /// `{"droplets": [], "links": {}, "meta": {"total": 0}}`, as in the specification.
    EmptyList,
    /// `{"databases": null}`, with links and total if the list has them.
    Null,
    /// `{"links": {"pages": {}}, "meta": {"total": 0}}`. A list without a total is null instead.
    NoKey,
}

/// As reported by clients of the live API: `DigitalOceanPHP/Client` #331 and #367, and others.
const OBSERVED: &[(&str, NoneForm)] = &[
    ("/v2/apps", NoneForm::NoKey),
    ("/v2/databases", NoneForm::Null),
    ("/v2/vpc_nat_gateways", NoneForm::Null),
];

/// The forms of lists below a single resource, such as a cluster's replicas.
const OBSERVED_BELOW: &[(&str, NoneForm)] = &[("/v2/databases/", NoneForm::Null)];

impl NoneForm {
    /// The observed form of the list at a path, or else the specification's.
    pub(crate) fn observed(path: &str) -> Self {
        let own = OBSERVED.iter().find(|(list, _)| *list == path);
        let below = OBSERVED_BELOW
            .iter()
            .find(|(parent, _)| path.starts_with(parent));
        own.or(below).map_or(Self::EmptyList, |(_, form)| *form)
    }
}
