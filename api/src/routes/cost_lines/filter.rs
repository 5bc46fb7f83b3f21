//! The filter of cost lines: its parameters and their values.

use std::str::FromStr;

use serde::Deserialize;
use store::invoices::CostLineFilter;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use crate::choices;
use crate::extract::{KnownKind, Period, Text, optional};
use crate::routes::costs::Grouping;

pub(crate) const UNMATCHED: &str = "unmatched";
pub(crate) const AMBIGUOUS: &str = "ambiguous";
pub(crate) const HISTORIC: &str = "historic";
pub(crate) const MATCH_RULES: [&str; 10] = [
    "operator", "uuid", "id", "group", "name", "project", HISTORIC, "account", AMBIGUOUS, UNMATCHED,
];

/// The rule by which a line was matched to its resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MatchRule(pub(crate) &'static str);

impl PartialSchema for MatchRule {
    fn schema() -> RefOr<Schema> {
        choices::schema(MATCH_RULES)
    }
}

impl ToSchema for MatchRule {}

impl FromStr for MatchRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rules = MATCH_RULES.map(|rule| (rule, rule));
        choices::one_of("match rule", text, &rules).map(Self)
    }
}

/// A resource of a line: its `id`, or `KIND:PROVIDER_ID` if the mirror has not observed it.
#[derive(Debug, Clone)]
pub(crate) enum LineResource {
    Stored(Uuid),
    Historic(Text),
}

impl PartialSchema for LineResource {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(
                r"^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[^:\x00]+:[^\x00]+)$",
            ))
            .examples(["22737513-0ea7-4206-8ceb-98a575af7681", "droplet:3164494"])
            .into()
    }
}

impl ToSchema for LineResource {}

impl FromStr for LineResource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = Uuid::try_parse(text) {
            return Ok(Self::Stored(id));
        }
        match text.split_once(':') {
            Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
                text.parse().map(Self::Historic).map_err(str::to_owned)
            }
            _ => Err(format!(
                "invalid UUID {text:?}: expected a form like 22737513-0ea7-4206-8ceb-98a575af7681, \
                 or KIND:PROVIDER_ID for a resource that the mirror has not observed"
            )),
        }
    }
}

/// The filter of cost lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CostLinesQuery {
    /// Month of the lines.
    #[param(inline, value_type = Period)]
    period: Period,
    /// Only lines for this kind of resource, such as `droplet`; the error for an unknown kind lists
    /// all kinds.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = KnownKind)]
    kind: Option<KnownKind>,
    /// Only lines with this match rule, such as `name`.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = MatchRule)]
    match_rule: Option<MatchRule>,
    /// Only lines that are attributed to this tenant, in full or in part; without shared costs.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    tenant: Option<Text>,
    /// Only lines of this product, as named on the invoice.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    product: Option<Text>,
    /// Only lines with this project name on the invoice. Case matters.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    project: Option<Text>,
    /// Only lines for the resource with this `id`, or `KIND:PROVIDER_ID` for a resource that was
    /// deleted before the mirror started.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = LineResource)]
    resource: Option<LineResource>,
    /// Only lines of the costs that have no group with this `group_by` in
    /// `GET /api/v1/billing/costs`; `tenant` for unallocated costs.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline)]
    without: Option<Grouping>,
}

impl CostLinesQuery {
    pub(super) fn into_filter(self) -> CostLineFilter {
        let filter = CostLineFilter {
            period: self.period.0,
            kind: self.kind.map(String::from),
            match_rules: self
                .match_rule
                .map(|MatchRule(rule)| rule.to_owned())
                .into_iter()
                .collect(),
            tenant_id: self.tenant.map(String::from),
            product: self.product.map(String::from),
            project_name: self.project.map(String::from),
            without: self.without.map(Into::into),
            ..CostLineFilter::default()
        };
        of_resource(filter, self.resource)
    }
}

/// Restricts a filter to a resource, if one is given.
pub(crate) fn of_resource(
    filter: CostLineFilter,
    resource: Option<LineResource>,
) -> CostLineFilter {
    match resource {
        None => filter,
        Some(LineResource::Stored(id)) => CostLineFilter {
            resource_id: Some(id),
            ..filter
        },
        Some(LineResource::Historic(key)) => CostLineFilter {
            historic_resource: Some(key.into()),
            ..filter
        },
    }
}
