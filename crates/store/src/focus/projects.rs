//! The projects of cost lines at the time of the charge.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::costs::{Interval, Projects};
use domain::focus::Project;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::invoices::histories::Histories;

/// A project with its names over time, the earliest first.
#[derive(Default)]
struct Known {
    provider_id: String,
    name: String,
    names: Vec<Interval<String>>,
}

/// All projects of the account. There are few.
pub(super) struct ProjectNames {
    histories: Projects,
    by_id: HashMap<Uuid, Known>,
}

impl ProjectNames {
    pub(super) async fn read(connection: &mut PgConnection) -> Result<Self, StoreError> {
        let rows = sqlx::query!(
            r#"select project.id, project.provider_id, project.name, had.name as "past_name?", had.valid_from as "valid_from?", had.valid_to
               from cloud_project_rows project left join cloud_project_names had on had.cloud_project_id = project.id
               order by had.valid_from"#
        )
        .fetch_all(&mut *connection)
        .await?;
        let mut by_id: HashMap<Uuid, Known> = HashMap::new();
        for row in rows {
            let known = by_id.entry(row.id).or_default();
            known.provider_id = row.provider_id;
            known.name = row.name;
            if let (Some(value), Some(from)) = (row.past_name, row.valid_from) {
                let to = row.valid_to;
                known.names.push(Interval { value, from, to });
            }
        }
        let histories = Histories::of_projects(connection).await?.projects;
        Ok(Self { histories, by_id })
    }

    /// Returns the project of a line at a time: the one with the name on the line, else the one
    /// that contained the resource.
    pub(super) fn of(
        &self,
        name: &str,
        membership: Option<Uuid>,
        time: DateTime<Utc>,
    ) -> Option<Project> {
        if let Some(named) = self.histories.named(name, time) {
            return Some(Project {
                id: self.by_id.get(&named)?.provider_id.clone(),
                name: name.to_owned(),
            });
        }
        let known = self.by_id.get(&membership?)?;
        let then = known.names.iter().rfind(|had| had.from <= time);
        let name = then.or(known.names.first()).map(|had| &had.value);
        Some(Project {
            id: known.provider_id.clone(),
            name: name.unwrap_or(&known.name).clone(),
        })
    }
}
