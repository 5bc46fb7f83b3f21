//! Storing the lines of a bill.

use std::collections::BTreeMap;

use domain::costs::{Charge, Owned, owners_of};
use domain::invoices::{InvoiceLine, line_total};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bill::Bill;
use super::matching::{self, Match};
use super::owners::{self, Histories, sole_tenant};
use crate::StoreError;
use crate::copy::{CopyIn, array_literal};

/// The exact sum of lines, USD.
pub(super) fn exact_total(lines: &[InvoiceLine]) -> Result<Decimal, StoreError> {
    line_total(lines).ok_or_else(|| {
        StoreError::Database(sqlx::Error::Encode(
            "the lines' sum has more than 28 digits".into(),
        ))
    })
}

/// A bound on memory: so many lines are matched, owned and written at a time.
const CHUNK: usize = 5_000;

/// Stores lines where none are: matches each and says whose it is. The caller shares the matching's lock.
pub(super) async fn insert_lines(
    tx: &mut PgConnection,
    bill: &Bill,
    lines: &[InvoiceLine],
) -> Result<(), StoreError> {
    let ids = bill.line_ids(lines);
    let mut histories = Histories::of_projects(tx).await?;
    for (lines, ids) in lines.chunks(CHUNK).zip(ids.chunks(CHUNK)) {
        let matches = matching::find(tx, bill, lines, ids).await?;
        let resources = matches.iter().filter_map(|found| found.resource_id);
        histories.turn_to(tx, resources).await?;
        copy_lines(tx, bill, lines, ids, &matches, &histories).await?;
    }
    Ok(())
}

async fn copy_lines(
    tx: &mut PgConnection,
    bill: &Bill,
    lines: &[InvoiceLine],
    ids: &[Uuid],
    matches: &[Match],
    histories: &Histories,
) -> Result<(), StoreError> {
    let mut copy = CopyIn::start(
        tx,
        "cloud_cost_lines (id, invoice_id, estimate_id, bill_period, line_no, product, kind, group_description, description, hours,
             start_at, end_at, amount, project_name, category, resource_name, is_named_by_group, described_region, described_size, part, is_for_account,
             item_resource_id, item_resource_uuid, identified_kind, resource_id, match_rule, match_note, match_candidates,
             is_shared, tenant_id, is_split, attributed_by)",
    )
    .await?;
    let mut split: Vec<(Uuid, Owned)> = Vec::new();
    for ((line, id), found) in lines.iter().zip(ids).zip(matches) {
        let owned = (!found.is_shared).then(|| owner(bill, line, found, histories));
        write_row(&mut copy, bill, line, *id, found, owned.as_ref());
        copy.end_row().await?;
        split.extend(
            owned
                .filter(|owned| owned.shares.len() > 1)
                .map(|owned| (*id, owned)),
        );
    }
    copy.finish().await?;
    owners::store_shares(tx, split.iter().map(|(id, owned)| (*id, owned))).await
}

fn owner(bill: &Bill, line: &InvoiceLine, found: &Match, histories: &Histories) -> Owned {
    let charge = Charge {
        amount: line.amount,
        start: bill.start_of(line),
        end: bill.end_of(line),
        resource: found
            .resource_id
            .and_then(|resource| histories.resources.get(&resource)),
        project_name: &line.project_name,
        is_matched_by_operator: found.rule == owners::OPERATOR,
    };
    owners_of(&charge, &histories.projects)
}

fn write_row(
    row: &mut CopyIn<'_>,
    bill: &Bill,
    line: &InvoiceLine,
    id: Uuid,
    found: &Match,
    owned: Option<&Owned>,
) {
    row.value(Some(id));
    row.value(bill.id.invoice());
    row.value(bill.id.estimate());
    row.value(Some(bill.period));
    row.value(Some(line.line_no));
    row.text(Some(&line.product));
    row.text(line.kind.as_ref().map(domain::ResourceKind::as_str));
    row.text(Some(&line.group_description));
    row.text(Some(&line.description));
    row.value(line.hours);
    row.time(line.start_at);
    row.time(line.end_at);
    row.value(Some(line.amount));
    row.text(Some(&line.project_name));
    row.text(line.category.as_deref());
    row.text(line.resource_name.as_deref());
    row.value(Some(line.is_named_by_group));
    row.text(line.region.as_deref());
    row.text(line.size.as_deref());
    row.value(Some(line.part.as_str()));
    row.value(Some(line.for_account));
    row.text(line.item.resource_id.as_deref());
    row.text(line.item.resource_uuid.as_deref());
    row.text(
        line.identified_kind
            .as_ref()
            .map(domain::ResourceKind::as_str),
    );
    row.value(found.resource_id);
    row.text(Some(&found.rule));
    row.text(found.note.as_deref());
    let candidates = found.candidates.as_ref().map(|candidates| {
        let ids: Vec<String> = candidates.iter().map(Uuid::to_string).collect();
        array_literal(&ids)
    });
    row.text(candidates.as_deref());
    row.value(Some(found.is_shared));
    row.text(owned.and_then(sole_tenant));
    row.value(Some(owned.is_some_and(|owned| owned.shares.len() > 1)));
    row.text(Some(owned.map_or("shared", |owned| owned.basis.as_str())));
}

/// Takes all lines of a bill away.
pub(super) async fn delete_lines(tx: &mut PgConnection, bill: &Bill) -> Result<(), StoreError> {
    // The shares first, while their lines still say what they count under.
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

/// Matches all lines of a bill again and sets anew whose they are. The caller shares the matching's lock, and nobody else writes
/// this bill.
pub(super) async fn match_bill(tx: &mut PgConnection, bill: &Bill) -> Result<(), StoreError> {
    let lines = sqlx::query_scalar!(
        "select id from cloud_cost_lines where invoice_id = $1 or estimate_id = $2",
        bill.id.invoice(),
        bill.id.estimate(),
    )
    .fetch_all(&mut *tx)
    .await?;
    matching::note_cause(tx, "ingest", None, None).await?;
    matching::rematch_lines(tx, &lines).await?;
    owners::reallocate(tx, owners::Affected::Lines(&lines)).await
}

/// How many lines each rule matched.
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

/// The books are closed only where they balance: what the database counted is what the lines came to.
pub(super) async fn check_total(
    tx: &mut PgConnection,
    bill: &Bill,
    total: Decimal,
) -> Result<(), StoreError> {
    let counted = sqlx::query_scalar!(
        r#"select coalesce(sum(amount), 0) as "amount!" from cloud_cost_totals where bill_id = $1"#,
        bill.id.any(),
    )
    .fetch_one(tx)
    .await?;
    if counted == total {
        Ok(())
    } else {
        Err(StoreError::Unbalanced {
            counted: counted.to_string(),
            lines: total.to_string(),
        })
    }
}
