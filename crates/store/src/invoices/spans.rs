//! The tenants of a cost line over time.

use chrono::{DateTime, Utc};
use domain::costs::{Charge, spans};
use serde::Serialize;

use super::bill::{end_of_month, start_of_month};
use super::cost_lines::CostLine;
use super::histories::Histories;
use super::line_attribution::OPERATOR;
use crate::{Store, StoreError};

/// A part of the charge period with one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantSpan {
    pub from: DateTime<Utc>,
    /// Excluded.
    pub to: DateTime<Utc>,
    /// Null for an unallocated part.
    pub tenant_id: Option<String>,
    /// The source of the tenant: `resource`, `project_name`, `first_known` or `none`.
    pub attributed_by: &'static str,
}

impl Store {
    /// Lists the tenants of a line over the charge period, the earliest first, by the current
    /// histories of its resource and of projects. Empty for a shared or superseded line.
    pub async fn tenant_spans(&self, line: &CostLine) -> Result<Vec<TenantSpan>, StoreError> {
        if line.is_shared || line.superseded {
            return Ok(Vec::new());
        }
        let mut connection = self.pool.acquire().await?;
        let mut histories = Histories::of_projects(&mut connection).await?;
        histories
            .load_resources(&mut connection, line.resource_id.into_iter())
            .await?;
        let charge = Charge {
            amount: line.amount,
            start: line.start_at.unwrap_or_else(|| start_of_month(line.period)),
            end: line.end_at.unwrap_or_else(|| end_of_month(line.period)),
            resource: line.resource_id.and_then(|id| histories.resources.get(&id)),
            project_name: &line.project_name,
            is_matched_by_operator: line.match_rule == OPERATOR,
        };
        let spans = spans(&charge, &histories.projects);
        Ok(spans
            .into_iter()
            .map(|span| TenantSpan {
                from: span.from,
                to: span.to,
                tenant_id: span.tenant.map(str::to_owned),
                attributed_by: span.basis.as_str(),
            })
            .collect())
    }
}
