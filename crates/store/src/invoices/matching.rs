//! Which resource a cost line paid for. The rule itself is the SQL function `resource_named`.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::listings::{lock, lock_shared};

/// What lines of one kind and name are matched to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) resource_id: Option<Uuid>,
    pub(super) tenant_id: Option<String>,
    pub(super) rule: String,
}

/// New lines see every resource that is committed, and a sweep that commits resources sees every line that is: a sweep takes
/// this lock alone, ingests share it.
const LOCK: &str = "match cost lines";

pub(super) async fn share_lock(tx: &mut PgConnection) -> Result<(), StoreError> {
    lock_shared(tx, LOCK).await
}

/// The match of each (kind, name), in the order given.
pub(super) async fn find(
    tx: &mut PgConnection,
    wanted: &[(&str, &str)],
) -> Result<Vec<Match>, StoreError> {
    let kinds: Vec<&str> = wanted.iter().map(|(kind, _)| *kind).collect();
    let names: Vec<&str> = wanted.iter().map(|(_, name)| *name).collect();
    let matches = sqlx::query_as!(
        Match,
        r#"
        select m.resource_id as "resource_id?", m.tenant_id as "tenant_id?", m.match_rule as "rule!"
        from unnest($1::text[], $2::text[]) with ordinality as wanted (kind, name, place)
        cross join lateral resource_named(wanted.kind, wanted.name) m
        order by wanted.place
        "#,
        &kinds as &[&str],
        &names as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(matches)
}

/// Matches the lines of these names again, since resources of these names came, went or changed.
pub(crate) async fn match_again(
    tx: &mut PgConnection,
    kind: &str,
    names: &BTreeSet<String>,
) -> Result<(), StoreError> {
    if names.is_empty() {
        return Ok(());
    }
    lock(tx, LOCK).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    sqlx::query!(
        "update cloud_cost_lines line set
             resource_id = found.resource_id, match_rule = found.match_rule, tenant_id = found.tenant_id
         from (
             select name, m.* from unnest($2::text[]) as wanted (name) cross join lateral resource_named($1, name) m
             where exists (
                 select 1 from cloud_cost_lines named where named.kind = $1 and lower(named.resource_name) = wanted.name)
         ) found
         where line.kind = $1 and lower(line.resource_name) = found.name
           and (line.resource_id, line.match_rule, line.tenant_id)
               is distinct from (found.resource_id, found.match_rule, found.tenant_id)",
        kind,
        &names as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Lines belong to whom their resource belongs to.
pub(crate) async fn follow_tenants(
    tx: &mut PgConnection,
    resources: &[Uuid],
) -> Result<(), StoreError> {
    if resources.is_empty() {
        return Ok(());
    }
    lock(tx, LOCK).await?;
    sqlx::query!(
        "update cloud_cost_lines line set tenant_id = r.tenant_id
         from cloud_resources r
         where r.id = any($1) and line.resource_id = r.id and line.tenant_id is distinct from r.tenant_id",
        resources,
    )
    .execute(tx)
    .await?;
    Ok(())
}
