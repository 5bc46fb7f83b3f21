//! Stores, rematches and deletes the lines of a bill.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::ResourceKind;
use domain::costs::{Attribution, Charge, attribute};
use domain::invoices::{InvoiceLine, line_total};
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bill::Bill;
use super::histories::Histories;
use super::line_attribution::{self, sole_tenant};
use super::matching::{self, Match};
use crate::StoreError;
use crate::json_rows::json_rows;

/// Returns the exact total of lines; USD.
pub(super) fn exact_total(lines: &[InvoiceLine]) -> Result<Decimal, StoreError> {
    line_total(lines).ok_or_else(|| {
        StoreError::Database(sqlx::Error::Encode(
            "the total of the lines exceeds 28 digits".into(),
        ))
    })
}

/// Lines are matched, attributed and inserted in chunks of this size, to bound memory.
const LINES_PER_INSERT: usize = 5_000;

/// Inserts the lines of a bill that has none, with their matches and tenants. The caller shares the
/// lock [`crate::locks::Lock::CostLines`].
pub(super) async fn insert_lines(
    tx: &mut PgConnection,
    bill: &Bill,
    lines: &[InvoiceLine],
) -> Result<(), StoreError> {
    let ids = bill.line_ids(lines);
    let mut histories = Histories::of_projects(tx).await?;
    for (lines, ids) in lines
        .chunks(LINES_PER_INSERT)
        .zip(ids.chunks(LINES_PER_INSERT))
    {
        let matches = matching::find(tx, bill, lines, ids).await?;
        let resources = matches.iter().filter_map(|found| found.resource_id);
        histories.load_resources(tx, resources).await?;
        insert_chunk(tx, bill, lines, ids, &matches, &histories).await?;
    }
    Ok(())
}

async fn insert_chunk(
    tx: &mut PgConnection,
    bill: &Bill,
    lines: &[InvoiceLine],
    ids: &[Uuid],
    matches: &[Match],
    histories: &Histories,
) -> Result<(), StoreError> {
    let attribution: Vec<Option<Attribution>> = lines
        .iter()
        .zip(matches)
        .map(|(line, found)| {
            (!found.is_shared).then(|| attribute_line(bill, line, found, histories))
        })
        .collect();
    let rows: Vec<Row<'_>> = lines
        .iter()
        .zip(ids)
        .zip(matches.iter().zip(&attribution))
        .map(|((line, id), (found, attribution))| {
            Row::new(bill, line, *id, found, attribution.as_ref())
        })
        .collect();
    sqlx::query!(
        "insert into cloud_cost_lines
            (id, invoice_id, estimate_id, bill_period, line_no, product, kind, group_description, description, hours, start_at,
             end_at, amount, project_name, category, part, is_for_account, resource_name, is_named_by_group, described_region,
             described_size, item_resource_id, item_resource_uuid, identified_kind, resource_id, match_rule, match_note,
             match_candidates, is_shared, is_split, tenant_id, attributed_by)
         select id, invoice_id, estimate_id, bill_period, line_no, product, kind, group_description, description, hours, start_at,
             end_at, amount, project_name, category, part, is_for_account, resource_name, is_named_by_group, described_region,
             described_size, item_resource_id, item_resource_uuid, identified_kind, resource_id, match_rule, match_note,
             match_candidates, is_shared, is_split, tenant_id, attributed_by
         from json_populate_recordset(null::cloud_cost_lines, $1::text::json)",
        json_rows(&rows)?,
    )
    .execute(&mut *tx)
    .await?;
    let split = ids.iter().zip(&attribution);
    let split = split
        .filter_map(|(id, attribution)| attribution.as_ref().map(|attribution| (*id, attribution)));
    line_attribution::store_shares(tx, split).await
}

fn attribute_line(
    bill: &Bill,
    line: &InvoiceLine,
    found: &Match,
    histories: &Histories,
) -> Attribution {
    let charge = Charge {
        amount: line.amount,
        start: bill.start_of(line),
        end: bill.end_of(line),
        resource: found
            .resource_id
            .and_then(|resource| histories.resources.get(&resource)),
        project_name: &line.project_name,
        is_matched_by_operator: found.rule == line_attribution::OPERATOR,
    };
    attribute(&charge, &histories.projects)
}

/// A row of `cloud_cost_lines`. The fields have the names of its columns.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "one field a column")]
struct Row<'a> {
    id: Uuid,
    invoice_id: Option<Uuid>,
    estimate_id: Option<Uuid>,
    bill_period: NaiveDate,
    line_no: i32,
    product: &'a str,
    kind: Option<&'a str>,
    group_description: &'a str,
    description: &'a str,
    hours: Option<Decimal>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    amount: Decimal,
    project_name: &'a str,
    category: Option<&'a str>,
    part: &'static str,
    is_for_account: bool,
    resource_name: Option<&'a str>,
    is_named_by_group: bool,
    described_region: Option<&'a str>,
    described_size: Option<&'a str>,
    item_resource_id: Option<&'a str>,
    item_resource_uuid: Option<&'a str>,
    identified_kind: Option<&'a str>,
    resource_id: Option<Uuid>,
    match_rule: &'a str,
    match_note: Option<&'a str>,
    match_candidates: Option<&'a [Uuid]>,
    is_shared: bool,
    is_split: bool,
    tenant_id: Option<&'a str>,
    attributed_by: &'static str,
}

impl<'a> Row<'a> {
    fn new(
        bill: &Bill,
        line: &'a InvoiceLine,
        id: Uuid,
        found: &'a Match,
        attribution: Option<&'a Attribution>,
    ) -> Self {
        Self {
            id,
            invoice_id: bill.id.invoice(),
            estimate_id: bill.id.estimate(),
            bill_period: bill.period,
            line_no: line.line_no,
            product: &line.product,
            kind: line.kind.as_ref().map(ResourceKind::as_str),
            group_description: &line.group_description,
            description: &line.description,
            hours: line.hours,
            start_at: line.start_at,
            end_at: line.end_at,
            amount: line.amount,
            project_name: &line.project_name,
            category: line.category.as_deref(),
            part: line.part.as_str(),
            is_for_account: line.for_account,
            resource_name: line.resource_name.as_deref(),
            is_named_by_group: line.is_named_by_group,
            described_region: line.region.as_deref(),
            described_size: line.size.as_deref(),
            item_resource_id: line.item.resource_id.as_deref(),
            item_resource_uuid: line.item.resource_uuid.as_deref(),
            identified_kind: line.identified_kind.as_ref().map(ResourceKind::as_str),
            resource_id: found.resource_id,
            match_rule: &found.rule,
            match_note: found.note.as_deref(),
            match_candidates: found.candidates.as_deref(),
            is_shared: found.is_shared,
            is_split: attribution.is_some_and(|attribution| attribution.shares.len() > 1),
            tenant_id: attribution.and_then(sole_tenant),
            attributed_by: attribution.map_or("shared", |attribution| attribution.basis.as_str()),
        }
    }
}

/// Deletes all lines of a bill.
pub(super) async fn delete_lines(tx: &mut PgConnection, bill: &Bill) -> Result<(), StoreError> {
    // Shares are deleted first, because their trigger reads the line for its keys in the totals.
    sqlx::query!(
        "delete from cloud_cost_line_shares share using cloud_cost_lines line
         where line.id = share.line_id and line.is_split and (line.invoice_id = $1 or line.estimate_id = $2)",
        bill.id.invoice(),
        bill.id.estimate(),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from cloud_cost_lines where invoice_id = $1 or estimate_id = $2",
        bill.id.invoice(),
        bill.id.estimate(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Rematches and reallocates all lines of a bill. The caller shares the lock
/// [`crate::locks::Lock::CostLines`], and no other transaction writes this bill.
pub(super) async fn match_bill(tx: &mut PgConnection, bill: &Bill) -> Result<(), StoreError> {
    let lines = sqlx::query_scalar!(
        "select id from cloud_cost_lines where invoice_id = $1 or estimate_id = $2",
        bill.id.invoice(),
        bill.id.estimate(),
    )
    .fetch_all(&mut *tx)
    .await?;
    matching::set_cause(tx, "ingest", None, None).await?;
    matching::rematch_lines(tx, &lines).await?;
    line_attribution::reallocate_lines(tx, &lines).await?;
    Ok(())
}

/// Updates the parts of stored lines with the same content. A summary that could not be read before
/// can change them.
pub(super) async fn set_parts(
    tx: &mut PgConnection,
    invoice: Uuid,
    lines: &[InvoiceLine],
) -> Result<(), StoreError> {
    let numbers: Vec<i32> = lines.iter().map(|line| line.line_no).collect();
    let parts: Vec<&str> = lines.iter().map(|line| line.part.as_str()).collect();
    sqlx::query!(
        "update cloud_cost_lines line set part = read.part
         from unnest($2::int[], $3::text[]) as read (line_no, part)
         where line.invoice_id = $1 and line.line_no = read.line_no and line.part is distinct from read.part",
        invoice,
        &numbers,
        &parts as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the number of lines by match rule.
pub(super) async fn lines_by_rule(
    tx: &mut PgConnection,
    bill: &Bill,
) -> Result<BTreeMap<String, usize>, StoreError> {
    let rules = sqlx::query!(
        r#"select match_rule, count(*) as "lines!" from cloud_cost_lines
           where invoice_id = $1 or estimate_id = $2 group by match_rule"#,
        bill.id.invoice(),
        bill.id.estimate(),
    )
    .fetch_all(tx)
    .await?;
    Ok(rules
        .into_iter()
        .map(|rule| {
            (
                rule.match_rule,
                usize::try_from(rule.lines).unwrap_or_default(),
            )
        })
        .collect())
}

/// Checks that the totals that the database maintains equal the lines, by tenant, project, kind and
/// product. Aborts the transaction otherwise.
pub(super) async fn check_total(
    tx: &mut PgConnection,
    bill: &Bill,
    total: Decimal,
) -> Result<(), StoreError> {
    let counted = sqlx::query_scalar!(
        r#"select coalesce(sum(amount), 0) as "amount!" from cloud_cost_totals where bill_id = $1"#,
        bill.id.any(),
    )
    .fetch_one(&mut *tx)
    .await?;
    if counted != total {
        return Err(StoreError::Unbalanced {
            counted: counted.to_string(),
            lines: total.to_string(),
        });
    }
    let differing = sqlx::query!(
        r#"select line_amount as "lines!", total_amount as "counted!" from cloud_cost_total_discrepancies
           where invoice_id = $1 or estimate_id = $2 limit 1"#,
        bill.id.invoice(),
        bill.id.estimate(),
    )
    .fetch_optional(tx)
    .await?;
    match differing {
        None => Ok(()),
        Some(group) => Err(StoreError::Unbalanced {
            counted: group.counted.to_string(),
            lines: group.lines.to_string(),
        }),
    }
}
