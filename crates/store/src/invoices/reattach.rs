//! Moves overrides to the lines of a corrected invoice.
//!
//! The id of a line contains its times, so a correction of the hours creates a new line. The
//! override of the old line moves to it if exactly one line that the correction added has the same
//! product, group, description and ids, and no other override without a line has them.
//!
//! Lines of equal text and times are numbered in the order of the file, so that the id of one can
//! become that of another one. An override follows its item among them.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use domain::invoices::InvoiceLine;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bill::Bill;
use crate::StoreError;

/// The text of a line that a correction keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Text<'a> {
    product: &'a str,
    group_description: &'a str,
    description: &'a str,
}

/// An override without a line.
struct Orphan {
    line_id: Uuid,
    /// The id that the line had.
    former_id: Uuid,
    product: String,
    group_description: String,
    description: String,
    item_resource_id: Option<String>,
    item_resource_uuid: Option<String>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
}

impl Orphan {
    fn text(&self) -> Text<'_> {
        Text {
            product: &self.product,
            group_description: &self.group_description,
            description: &self.description,
        }
    }

    /// Returns true if the line cannot charge another resource. A reading without items has no ids.
    fn may_be(&self, line: &InvoiceLine) -> bool {
        let equal = |one: Option<&str>, other: Option<&str>| {
            one.zip(other).is_none_or(|(one, other)| one == other)
        };
        let (id, uuid) = (&line.item.resource_id, &line.item.resource_uuid);
        equal(self.item_resource_id.as_deref(), id.as_deref())
            && equal(self.item_resource_uuid.as_deref(), uuid.as_deref())
    }

    /// Returns true if the line charges the same resource, by an id, for the same time.
    fn is(&self, line: &InvoiceLine) -> bool {
        let has_id = self.item_resource_id.is_some() && line.item.resource_id.is_some();
        let has_uuid = self.item_resource_uuid.is_some() && line.item.resource_uuid.is_some();
        let has_times = (self.start_at, self.end_at) == (line.start_at, line.end_at);
        has_times && (has_id || has_uuid) && self.may_be(line)
    }
}

/// Moves the overrides of an invoice that have none of the new lines. The lines before the
/// correction must still be stored. The caller shares the lock [`crate::locks::Lock::CostLines`].
pub(super) async fn reattach_overrides(
    tx: &mut PgConnection,
    bill: &Bill,
    lines: &[InvoiceLine],
) -> Result<(), StoreError> {
    let all = sqlx::query_as!(
        Orphan,
        "select line_id, line_id as former_id, product, group_description, description, item_resource_id, item_resource_uuid,
             start_at, end_at
         from cloud_cost_line_overrides where invoice_id = $1 order by line_id for update",
        bill.id.any(),
    )
    .fetch_all(&mut *tx)
    .await?;
    if all.is_empty() {
        return Ok(());
    }
    let ids = bill.line_ids(lines);
    let new: HashMap<Uuid, &InvoiceLine> = ids.iter().copied().zip(lines).collect();
    let (attached, mut orphans): (Vec<Orphan>, Vec<Orphan>) = all.into_iter().partition(|stored| {
        let line = new.get(&stored.line_id);
        line.is_some_and(|line| stored.may_be(line))
    });
    for orphan in &mut orphans {
        if new.contains_key(&orphan.line_id) {
            orphan.line_id = detach_override(tx, orphan.line_id).await?;
        }
    }
    let mut attached: Vec<Uuid> = attached.iter().map(|stored| stored.line_id).collect();
    let kept: HashSet<Uuid> = sqlx::query_scalar!(
        "select id from cloud_cost_lines where invoice_id = $1",
        bill.id.any()
    )
    .fetch_all(&mut *tx)
    .await?
    .into_iter()
    .collect();
    let mut by_text: HashMap<Text<'_>, Vec<usize>> = HashMap::new();
    for (place, line) in lines.iter().enumerate() {
        let text = Text {
            product: &line.product,
            group_description: &line.group_description,
            description: &line.description,
        };
        by_text.entry(text).or_default().push(place);
    }
    let fits = |orphan: &Orphan, place: usize| {
        if kept.contains(&ids[place]) {
            orphan.is(&lines[place])
        } else {
            orphan.may_be(&lines[place])
        }
    };
    for orphan in &orphans {
        let places = by_text.get(&orphan.text()).into_iter().flatten();
        let fitting: Vec<&usize> = places.filter(|place| fits(orphan, **place)).collect();
        let [place] = *fitting else { continue };
        let rivals = orphans
            .iter()
            .filter(|other| other.text() == orphan.text() && fits(other, *place));
        let is_free = !attached.contains(&ids[*place]);
        if rivals.count() == 1 && is_free {
            move_override(tx, orphan, ids[*place], &lines[*place]).await?;
            attached.push(ids[*place]);
        }
    }
    sqlx::query!(
        "update cloud_cost_line_overrides
         set orphaned_at = case when line_id = any($2) then null else coalesce(orphaned_at, now()) end
         where invoice_id = $1",
        bill.id.any(),
        &attached,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives an override an id without a line, because its former one is that of another item now.
async fn detach_override(tx: &mut PgConnection, line: Uuid) -> Result<Uuid, StoreError> {
    let detached = Uuid::new_v4();
    sqlx::query!(
        "update cloud_cost_line_overrides
         set line_id = $2, moved_from = coalesce(moved_from, line_id), moved_at = coalesce(moved_at, now())
         where line_id = $1",
        line,
        detached,
    )
    .execute(tx)
    .await?;
    Ok(detached)
}

async fn move_override(
    tx: &mut PgConnection,
    from: &Orphan,
    to: Uuid,
    line: &InvoiceLine,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update cloud_cost_line_overrides set
             line_id = $2, moved_from = nullif(coalesce(moved_from, line_id), $2),
             moved_at = case when coalesce(moved_from, line_id) <> $2 then now() end, start_at = $3, end_at = $4, amount = $5,
             item_resource_id = coalesce($6, item_resource_id), item_resource_uuid = coalesce($7, item_resource_uuid)
         where line_id = $1",
        from.line_id,
        to,
        line.start_at,
        line.end_at,
        line.amount,
        line.item.resource_id.as_deref(),
        line.item.resource_uuid.as_deref(),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cloud_cost_line_changes (line_id, changes, cause) values ($1, $2, 'ingest')",
        to,
        json!({ "override_of": { "before": from.former_id, "after": to } }),
    )
    .execute(tx)
    .await?;
    Ok(())
}
