//! An account with ambiguities and errors in every invoice, and the expected result of every line:
//! no line is matched to a wrong resource, and all totals reconcile to the cent.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use simulator::{EveryCent, Fault, FaultKind, LineTruth, ResourceName, Truth};
use sqlx::Row as _;
use uuid::Uuid;
use workflows::invoices::EstimateStored;

use crate::support::TestSystem;

/// The stored match of a line.
struct Stored {
    rule: String,
    resource: Option<(String, String)>,
    item: Option<String>,
    candidates: Vec<String>,
    described: String,
}

async fn stored_lines(system: &TestSystem) -> BTreeMap<(Uuid, i32), Stored> {
    let rows = sqlx::query(
        "select i.invoice_uuid, l.line_no, l.match_rule, r.kind, r.provider_id,
             coalesce(l.item_resource_uuid, l.item_resource_id) as item,
             array(select c.kind || ' ' || c.provider_id from cloud_resources c where c.id = any(l.match_candidates)) as candidates,
             concat_ws(' | ', to_char(l.bill_period, 'YYYY-MM'), l.product, l.group_description, l.description, l.match_note) as described
         from cloud_cost_lines l join cloud_invoices i on i.id = l.invoice_id
         left join cloud_resources r on r.id = l.resource_id",
    )
    .fetch_all(&system.pool)
    .await
    .unwrap();
    rows.into_iter()
        .map(|row| {
            let kind: Option<String> = row.get("kind");
            let stored = Stored {
                rule: row.get("match_rule"),
                resource: kind.map(|kind| (kind, row.get("provider_id"))),
                item: row.get("item"),
                candidates: row.get("candidates"),
                described: row.get("described"),
            };
            ((row.get("invoice_uuid"), row.get("line_no")), stored)
        })
        .collect()
}

fn is(stored: &Stored, named: &ResourceName) -> bool {
    stored
        .resource
        .as_ref()
        .is_some_and(|(kind, id)| kind == named.kind && *id == named.provider_id)
}

/// Compares the stored match of a line with its expected result. A line without sufficient data
/// must be unmatched.
fn check(truth: &LineTruth, stored: &Stored) -> Result<(), String> {
    let rule = stored.rule.as_str();
    let is_unknown = stored.resource.is_none() && rule == "unmatched";
    let is_right = match &truth.truth {
        Truth::Resource(named) if truth.named_by_json => {
            is(stored, named) && ["uuid", "id"].contains(&rule)
        }
        Truth::Resource(named) => {
            let by_group = truth.group.as_ref().is_some_and(|group| is(stored, group));
            (is(stored, named) || by_group) && ["name", "group"].contains(&rule)
        }
        Truth::Deleted(named) if truth.named_by_json => {
            stored.resource.is_none()
                && rule == "historic"
                && stored.item.as_deref() == Some(&named.provider_id)
        }
        Truth::Deleted(_) | Truth::Unknown => is_unknown,
        Truth::Account => stored.resource.is_none() && rule == "account",
        Truth::Ambiguous(candidates) => {
            let mut expected: Vec<String> = candidates
                .iter()
                .map(|named| format!("{} {}", named.kind, named.provider_id))
                .collect();
            let mut found = stored.candidates.clone();
            expected.sort();
            found.sort();
            rule == "ambiguous" && stored.resource.is_none() && expected == found
        }
    };
    if is_right {
        Ok(())
    } else {
        Err(format!(
            "{}: {rule} {:?} {:?}, expected {:?} (named by JSON: {})",
            stored.described, stored.resource, stored.candidates, truth.truth, truth.named_by_json
        ))
    }
}

#[tokio::test]
async fn every_line_is_matched_correctly_and_every_cent_reconciles() {
    let EveryCent {
        account,
        truth,
        traps,
    } = EveryCent::new();
    let invoices: BTreeMap<Uuid, Decimal> = account
        .invoices()
        .iter()
        .map(|invoice| (invoice.uuid, invoice.amount))
        .collect();
    let system = TestSystem::start(account).await;
    system.sync_projects().await.unwrap();
    system.sync_inventory().await.unwrap();
    system.sync_projects().await.unwrap();
    system.poll_balance().await.unwrap();
    let progress = system.billing_history().await.unwrap();
    assert_eq!(
        (progress.ingested, progress.failed, progress.pending),
        (invoices.len(), 0, invoices.len())
    );

    let stored = stored_lines(&system).await;
    let wrong: Vec<String> = truth
        .iter()
        .filter(|truth| invoices.contains_key(&truth.invoice))
        .filter_map(|truth| {
            let key = (truth.invoice, i32::try_from(truth.line_no).unwrap());
            match stored.get(&key) {
                Some(stored) => check(truth, stored).err(),
                None => Some(format!("{key:?} is not stored")),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    for (uuid, amount) in &invoices {
        let invoice = system.store.invoice(*uuid).await.unwrap();
        let off_by = if *uuid == traps.off_by_a_cent {
            Decimal::new(1, 2)
        } else {
            Decimal::ZERO
        };
        assert_eq!(
            (invoice.amount, invoice.off_by),
            (*amount, Some(off_by)),
            "{invoice:?}"
        );
        let verification = match uuid {
            uuid if [traps.off_by_a_cent, traps.summary_off_by_a_cent].contains(uuid) => {
                "unreconciled"
            }
            uuid if *uuid == traps.without_summary => "unverified",
            _ => "verified",
        };
        assert_eq!(
            (invoice.verification.as_deref(), invoice.is_final),
            (Some(verification), verification == "verified"),
            "{invoice:?}"
        );
        let sources = match uuid {
            uuid if *uuid == traps.without_csv => "items",
            uuid if [traps.without_items, traps.recreated_without_items].contains(uuid) => "csv",
            _ => "csv+items",
        };
        assert_eq!(invoice.sources.as_deref(), Some(sources));
        let has_note = sources != "csv+items" || *uuid == traps.without_summary;
        assert_eq!(invoice.source_note.is_some(), has_note, "{invoice:?}");
        let statements = system.store.statements(invoice.period).await.unwrap();
        let allocated: Decimal = statements
            .rows
            .iter()
            .map(store::costs::Statement::total)
            .sum();
        assert_eq!(allocated, statements.line_total);
        if *uuid != traps.off_by_a_cent {
            assert_eq!(allocated, statements.invoice_total);
        }
    }
    let summary_trap = system
        .store
        .invoice(traps.summary_off_by_a_cent)
        .await
        .unwrap();
    assert_eq!(summary_trap.summary_off_by, Some(Decimal::new(-1, 2)));
    assert!(system.store.cost_discrepancies().await.unwrap().is_empty());
    assert!(
        matches!(&progress.estimate, Some(EstimateStored::Estimated { off_by, .. }) if off_by == "0.00" || off_by == "0"),
        "{:?}",
        progress.estimate
    );
    let ledger = progress.ledger.unwrap();
    assert_eq!(
        ledger.off_balance_by.as_deref().map(str::parse::<Decimal>),
        Some(Ok(Decimal::ZERO)),
        "{ledger:?}"
    );

    reingest_all(&system, invoices.keys()).await;
}

/// Ingests all invoices again, which must neither double nor change a row.
async fn reingest_all(system: &TestSystem, invoices: impl Iterator<Item = &Uuid>) {
    let lines = "select l::text from cloud_cost_lines l order by id";
    let before = system.rows(lines).await;
    let again = system.billing_history().await.unwrap();
    assert_eq!((again.pending, again.failed), (0, 0));
    assert_eq!(
        again.ledger.map(|ledger| (ledger.new, ledger.missing)),
        Some((0, 0))
    );
    for uuid in invoices {
        system.ingest(*uuid).await.unwrap();
    }
    assert_eq!(system.rows(lines).await, before);
    assert_eq!(
        system
            .count("select count(*) from cloud_cost_line_changes")
            .await,
        0
    );
}

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn an_invoice_with_permanent_504s_fails_and_delays_no_other() {
    let account = simulator::Account::every_cent();
    let invoices = account.invoices().len();
    let [dead, late, ..] = account.invoices() else {
        panic!("at least two invoices are required")
    };
    let (dead, late) = (dead.uuid, late.uuid);
    let system = TestSystem::start(account).await;
    let timeout = || FaultKind::HtmlError { status: 504 };
    let path = |uuid: Uuid| format!("/v2/customers/my/invoices/{uuid}");
    system
        .simulator
        .fail(Fault::new(timeout(), &format!("{}*", path(dead))));
    for part in ["", "/csv", "/summary"] {
        let fault = Fault::new(timeout(), &format!("{}{part}", path(late)));
        system.simulator.fail(fault.times(2));
    }
    let progress = system.billing_history().await.unwrap();
    assert_eq!((progress.ingested, progress.failed), (invoices - 1, 1));
    let failed = system.store.invoice(dead).await.unwrap();
    assert_eq!(failed.ingest_status, "failed");
    let reason = failed.last_error.unwrap();
    assert!(reason.contains("504"), "{reason}");
    assert_eq!(progress.failures[0].reason, reason);
    let recovered = system.store.invoice(late).await.unwrap();
    assert_eq!(
        (
            recovered.ingest_status.as_str(),
            recovered.sources.as_deref()
        ),
        ("ingested", Some("csv+items"))
    );
}
