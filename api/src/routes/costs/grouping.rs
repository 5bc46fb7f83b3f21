//! The properties by which costs are grouped.

use std::str::FromStr;

use serde::Serialize;
use store::costs::GroupBy;
use utoipa::ToSchema;

use crate::choices;

/// Property by which costs are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Grouping {
    Tenant,
    Project,
    Kind,
    Product,
    Resource,
}

impl Grouping {
    pub(crate) const ALL: [Self; 5] = [
        Self::Tenant,
        Self::Project,
        Self::Kind,
        Self::Product,
        Self::Resource,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Project => "project",
            Self::Kind => "kind",
            Self::Product => "product",
            Self::Resource => "resource",
        }
    }
}

impl FromStr for Grouping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let choices = Self::ALL.map(|grouping| (grouping.name(), grouping));
        choices::one_of("grouping", text, &choices)
    }
}

impl From<Grouping> for GroupBy {
    fn from(grouping: Grouping) -> Self {
        match grouping {
            Grouping::Tenant => Self::Tenant,
            Grouping::Project => Self::Project,
            Grouping::Kind => Self::Kind,
            Grouping::Product => Self::Product,
            Grouping::Resource => Self::Resource,
        }
    }
}
