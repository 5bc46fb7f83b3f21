//! How a list says that nothing is in it. DigitalOcean has several forms for that, by list.

/// A form of "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoneForm {
    /// `{"droplets": [], "links": {}, "meta": {"total": 0}}`, as the specification shows it.
    EmptyList,
    /// `{"databases": null}`, with links and total where the list has them.
    Null,
    /// `{"links": {"pages": {}}, "meta": {"total": 0}}`. A list without a total has null instead, since nothing would be left.
    NoKey,
}

/// What clients of the live API report: `DigitalOceanPHP/Client` #331 and #367, and others.
const OBSERVED: &[(&str, NoneForm)] = &[
    ("/v2/apps", NoneForm::NoKey),
    ("/v2/databases", NoneForm::Null),
    ("/v2/vpc_nat_gateways", NoneForm::Null),
];

/// Of what is listed below a single resource, such as a cluster's replicas.
const OBSERVED_BELOW: &[(&str, NoneForm)] = &[("/v2/databases/", NoneForm::Null)];

impl NoneForm {
    /// The form in which the list at a path was observed; the specification's where nobody reported another.
    pub(crate) fn observed(path: &str) -> Self {
        let own = OBSERVED.iter().find(|(list, _)| *list == path);
        let below = OBSERVED_BELOW
            .iter()
            .find(|(parent, _)| path.starts_with(parent));
        own.or(below).map_or(Self::EmptyList, |(_, form)| *form)
    }
}
