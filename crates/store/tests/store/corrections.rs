//! Versions of an invoice, its totals and its documents.

use std::time::Duration;

use domain::invoices::{ChargePart, InvoiceSummary};
use rust_decimal::Decimal;
use store::inventory::Commit;
use store::invoices::{Document, Recheck};

use super::bills::{
    APRIL, april_lines, assert_balanced, correct, header, ingest, ingest_with, uuid,
};
use super::support::{Fixture, by, droplet, fixture};

async fn with_invoice(cents: i64) -> Fixture {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", cents)])
        .await
        .unwrap();
    fixture
}

fn summary(cents: i64, parts: &[(ChargePart, i64)]) -> InvoiceSummary {
    InvoiceSummary {
        invoice_uuid: Some(uuid(1)),
        invoice_id: None,
        period: "2026-04".parse().unwrap(),
        amount: Decimal::new(cents, 2),
        parts: parts
            .iter()
            .map(|(part, cents)| (*part, Decimal::new(*cents, 2)))
            .collect(),
        charged_products: Vec::new(),
    }
}

const NO_IDS: [Option<&str>; 3] = [None, None, None];

#[tokio::test]
async fn an_invoice_is_final_only_if_all_its_totals_are_verified() {
    let right = [
        (ChargePart::ProductCharges, 609),
        (ChargePart::Overages, 0),
        (ChargePart::Taxes, -100_110),
        (ChargePart::CreditsAndAdjustments, 0),
    ];
    let mut shifted = right;
    shifted[0].1 += 1;
    shifted[2].1 -= 1;
    for (header_cents, summary, verification) in [
        (-99_501, Some(summary(-99_501, &right)), "verified"),
        // A part that is not stated has no lines.
        (
            -99_501,
            Some(summary(-99_501, &[right[0], right[2]])),
            "verified",
        ),
        (-99_501, None, "unverified"),
        (-99_501, Some(summary(-99_501, &right[..2])), "unverified"),
        (-99_500, None, "unreconciled"),
        (-99_500, Some(summary(-99_500, &right)), "unreconciled"),
        (-99_501, Some(summary(-99_500, &right)), "unreconciled"),
        (-99_501, Some(summary(-99_501, &shifted)), "unreconciled"),
    ] {
        let fixture = with_invoice(header_cents).await;
        let outcome = ingest_with(&fixture, 1, APRIL, &NO_IDS, summary.as_ref()).await;
        let is_verified = verification == "verified";
        assert_eq!(
            (outcome.verification.as_str(), outcome.is_final),
            (verification, is_verified),
            "{header_cents} {summary:?}"
        );
        let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
        assert_eq!(invoice.verification.as_deref(), Some(verification));
        assert_eq!(
            (invoice.is_final, invoice.verified_at.is_some()),
            (is_verified, is_verified)
        );
        let month = fixture
            .statements("2026-04-01".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(month.is_final(), is_verified);
        assert_eq!(
            month.verification.unverified_invoices,
            i64::from(verification == "unverified")
        );
        assert_eq!(invoice.reconciled, Some(header_cents == -99_501));
        assert_eq!(
            invoice.summary_off_by,
            summary.map(|summary| Decimal::new(header_cents, 2) - summary.amount)
        );
    }
}

#[tokio::test]
async fn each_part_has_its_difference() {
    let fixture = with_invoice(-99_501).await;
    let summary = summary(
        -99_501,
        &[
            (ChargePart::ProductCharges, 610),
            (ChargePart::Taxes, -100_111),
        ],
    );
    ingest_with(&fixture, 1, APRIL, &NO_IDS, Some(&summary)).await;
    let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    let parts: Vec<_> = fixture
        .invoice_parts(invoice.id)
        .await
        .unwrap()
        .into_iter()
        .map(|part| (part.part, part.off_by))
        .collect();
    assert_eq!(
        parts,
        [
            ("credits_and_adjustments".to_owned(), None),
            ("overages".to_owned(), None),
            ("product_charges".to_owned(), Some(Decimal::new(1, 2))),
            ("taxes".to_owned(), Some(Decimal::new(-1, 2))),
        ]
    );
}

#[tokio::test]
async fn a_correction_is_a_new_version_and_keeps_the_old_lines_readable() {
    let fixture = with_invoice(-99_501).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    assert_eq!(ingest(&fixture, 1, APRIL).await.version, 1);
    let before = april_lines(&fixture).await;
    let corrected = APRIL.replace("$6.00", "$5.00");
    let outcome = correct(&fixture, 1, &corrected).await;
    assert_eq!((outcome.version, outcome.replaced), (2, true));
    let after = april_lines(&fixture).await;
    assert_eq!(after[0].amount, Decimal::new(500, 2));
    // The line is the same, so its id is too.
    assert_eq!(after[0].id, before[0].id);

    let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    let versions = fixture.invoice_versions(invoice.id).await.unwrap();
    assert_eq!(
        versions
            .iter()
            .map(|version| (
                version.version,
                version.line_total,
                version.superseded_at.is_some()
            ))
            .collect::<Vec<_>>(),
        [
            (2, Decimal::new(-99_601, 2), false),
            (1, Decimal::new(-99_501, 2), true)
        ]
    );
    let old = fixture.superseded_lines(&invoice, 1, 0, 10).await.unwrap();
    assert_eq!(old.len(), 3);
    assert_eq!(
        (
            old[0].amount,
            old[0].resource_id,
            old[0].match_rule.as_str()
        ),
        (Decimal::new(600, 2), before[0].resource_id, "name")
    );
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn a_superseded_line_stays_a_shared_cost() {
    let fixture = with_invoice(-99_501).await;
    ingest(&fixture, 1, APRIL).await;
    let line = april_lines(&fixture).await[1].id;
    fixture
        .override_match(line, None, false, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    correct(&fixture, 1, &APRIL.replace("$6.00", "$5.00")).await;
    let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    let old = fixture.superseded_lines(&invoice, 1, 0, 10).await.unwrap();
    let shared: Vec<_> = old.iter().map(|line| line.is_shared).collect();
    assert_eq!(shared, [false, true, true]);
}

#[tokio::test]
async fn a_summary_that_arrives_later_moves_lines_to_their_part() {
    let fixture = with_invoice(609).await;
    let lines: String = APRIL.split_inclusive('\n').take(2).collect();
    let lines = lines.replace("Droplets", "Droplet Bandwidth");
    ingest_with(&fixture, 1, &lines, &NO_IDS[..2], None).await;
    let parts = async || {
        let lines = april_lines(&fixture).await;
        let parts: Vec<_> = lines.into_iter().map(|line| line.part.unwrap()).collect();
        parts
    };
    assert_eq!(parts().await, ["overages", "overages"]);
    let mut summary = summary(609, &[(ChargePart::ProductCharges, 609)]);
    summary.charged_products = vec!["Droplet Bandwidth".to_owned()];
    let outcome = ingest_with(&fixture, 1, &lines, &NO_IDS[..2], Some(&summary)).await;
    assert_eq!((outcome.replaced, outcome.is_final), (false, true));
    assert_eq!(parts().await, ["product_charges", "product_charges"]);
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn a_csv_that_differs_only_in_line_ends_creates_no_version() {
    let fixture = with_invoice(-99_501).await;
    ingest(&fixture, 1, APRIL).await;
    let outcome = ingest(&fixture, 1, &APRIL.replace('\n', "\r\n")).await;
    assert_eq!((outcome.version, outcome.replaced), (1, false));
    // Both documents are stored as received.
    assert_eq!(
        fixture
            .count("select count(*) from cloud_invoice_documents")
            .await,
        2
    );
}

#[tokio::test]
async fn equal_rows_are_stored_separately_and_keep_their_ids() {
    let fixture = with_invoice(1_800).await;
    let row = APRIL.lines().next().unwrap();
    let lines = format!("{row}\n{row}\n{row}\n");
    ingest(&fixture, 1, &lines).await;
    let before: Vec<_> = april_lines(&fixture).await;
    assert_eq!(before.len(), 3);
    let mut ids: Vec<_> = before.iter().map(|line| line.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    ingest(&fixture, 1, &lines).await;
    assert_eq!(april_lines(&fixture).await, before);
}

#[tokio::test]
async fn invoices_of_the_last_months_are_rechecked_daily() {
    let fixture = with_invoice(-99_501).await;
    ingest(&fixture, 1, APRIL).await;
    let pending = async |since: &str, after: Duration| {
        let recheck = Recheck {
            since: since.parse().unwrap(),
            after,
        };
        let pending = fixture
            .pending_invoices(None, recheck, 10)
            .await
            .unwrap()
            .len();
        assert_eq!(
            fixture.count_pending_invoices(recheck).await.unwrap(),
            pending
        );
        pending
    };
    assert_eq!(pending("2026-04-01", Duration::ZERO).await, 1);
    assert_eq!(pending("2026-04-01", Duration::from_hours(20)).await, 0);
    assert_eq!(pending("2026-05-01", Duration::ZERO).await, 0);
}

#[tokio::test]
async fn a_failed_ingest_leaves_the_previous_lines() {
    let fixture = with_invoice(-99_501).await;
    ingest(&fixture, 1, APRIL).await;
    let before = april_lines(&fixture).await;
    // The last statement of the ingest fails and rolls back the transaction.
    sqlx::raw_sql(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
         create trigger refuse before insert on cloud_invoice_versions for each row execute function refuse()",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    let csv = format!(
        "{}\n{}",
        super::bills::HEADER,
        APRIL.replace("$6.00", "$5.00")
    );
    let file = domain::invoices::read_invoice_csv(csv.as_bytes()).unwrap();
    let csv = Document::csv(csv.as_bytes());
    let content = super::bills::csv_only(&csv, &file.lines);
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_601)])
        .await
        .unwrap();
    let refused = fixture.ingest_invoice(uuid(1), content).await;
    assert!(
        matches!(refused, Err(store::StoreError::Database(_))),
        "{refused:?}"
    );
    assert_eq!(april_lines(&fixture).await, before);
    assert_balanced(&fixture).await;
}
