//! Tests of the mapping of cost lines to rows.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use proptest::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::*;
use crate::invoices::ChargePart;

const INVOICE: &str = "3f0f3c0e-6f0b-4b7e-8f4e-000000000001";

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn april() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 4, 1).unwrap()
}

fn account() -> Account {
    Account {
        team_uuid: "0b1fd4d1-6d5e-4b9f-9d0a-1f6f0c2f7a11".to_owned(),
        name: Some("Kestrel".to_owned()),
    }
}

fn mapper(is_estimate: bool) -> Mapper {
    Mapper::new(Bill {
        account: account(),
        period: april(),
        invoice: (!is_estimate).then(|| BilledInvoice {
            uuid: INVOICE.parse().unwrap(),
            number: Some("489977".to_owned()),
            version: 2,
        }),
    })
}

/// A droplet of the whole month.
fn line() -> Line {
    Line {
        line_no: 1,
        product: "Droplets".to_owned(),
        group_description: String::new(),
        description: "web-1 (s-1vcpu-1gb)".to_owned(),
        hours: Some(decimal("720")),
        start_at: Some(time("2026-04-01T00:00:00Z")),
        end_at: Some(time("2026-05-01T00:00:00Z")),
        amount: decimal("6.00"),
        project_name: "web".to_owned(),
        category: Some("iaas".to_owned()),
        part: ChargePart::ProductCharges,
        resource_name: Some("web-1".to_owned()),
        region: None,
        size: Some("s-1vcpu-1gb".to_owned()),
        identified_kind: Some("droplet".to_owned()),
        item_id: Some("1001".to_owned()),
        match_rule: "id".to_owned(),
        attributed_by: "resource".to_owned(),
        tenant_id: Some("acme".to_owned()),
        resource: Some(Resource {
            kind: "droplet".to_owned(),
            provider_id: "1001".to_owned(),
            name: "web-1".to_owned(),
            region: Some("nyc3".to_owned()),
            tags: vec!["Prod".to_owned(), "a\"b".to_owned()],
            size: Some("s-1vcpu-1gb".to_owned()),
            monthly_price: Some(decimal("6")),
        }),
        project: Some(Project {
            id: "2f6f3a52-7d0c-4d7c-8a8e-1c9d5b1f0001".to_owned(),
            name: "web".to_owned(),
        }),
    }
}

/// A line without a resource.
fn unmatched(product: &str, description: &str, amount: &str, part: ChargePart) -> Line {
    Line {
        product: product.to_owned(),
        description: description.to_owned(),
        amount: decimal(amount),
        part,
        hours: None,
        resource_name: None,
        size: None,
        identified_kind: None,
        item_id: None,
        resource: None,
        project: None,
        tenant_id: None,
        match_rule: "account".to_owned(),
        ..line()
    }
}

/// The values of a row by column, as text; columns with null are omitted.
fn values(row: &CostRow, version: Version) -> BTreeMap<&'static str, String> {
    Column::of(COST_AND_USAGE, version)
        .into_iter()
        .filter_map(|column| {
            let text = match column.value(row) {
                Value::Null => {
                    assert!(column.is_nullable, "{}", column.id);
                    return None;
                }
                Value::Text(text) => text.to_owned(),
                Value::Time(time) => time.to_rfc3339(),
                Value::Decimal(decimal) => decimal.to_string(),
                Value::Integer(number) => number.to_string(),
                Value::Boolean(boolean) => boolean.to_string(),
            };
            Some((column.id, text))
        })
        .collect()
}

fn mapped(line: Line) -> BTreeMap<&'static str, String> {
    values(&mapper(false).row(line), Version::V1_4)
}

/// Checks some columns of a row; `None` is null.
#[track_caller]
fn check(row: &BTreeMap<&'static str, String>, expected: &[(&str, Option<&str>)]) {
    for (column, value) in expected {
        assert_eq!(row.get(column).map(String::as_str), *value, "{column}");
    }
}

#[test]
fn a_droplet_has_a_price_by_size_and_at_most_672_hours() {
    check(
        &mapped(line()),
        &[
            ("BilledCost", Some("6.00")),
            ("EffectiveCost", Some("6.00")),
            (
                "BillingAccountId",
                Some("do:team:0b1fd4d1-6d5e-4b9f-9d0a-1f6f0c2f7a11"),
            ),
            ("ChargeCategory", Some("Usage")),
            ("ChargeClass", None),
            ("ChargeFrequency", Some("Usage-Based")),
            ("ConsumedQuantity", Some("720")),
            ("PricingQuantity", Some("672")),
            ("PricingUnit", Some("Hours")),
            ("ListUnitPrice", Some("0.008928571429")),
            ("ListCost", Some("6.000000000288")),
            ("ContractedCost", Some("6.000000000288")),
            ("SkuId", Some("do:droplets")),
            ("SkuPriceId", Some("do:droplets:s-1vcpu-1gb")),
            ("SkuMeter", Some("Droplet Hours")),
            ("SkuPriceDetails", Some(r#"{"x_SizeSlug":"s-1vcpu-1gb"}"#)),
            ("ResourceId", Some("do:droplet:1001")),
            ("ResourceType", Some("Droplet")),
            ("RegionName", Some("New York 3")),
            ("Tags", Some(r#"{"Prod":true,"a\"b":true}"#)),
            ("SubAccountName", Some("web")),
            ("InvoiceId", Some(INVOICE)),
            ("ServiceSubcategory", Some("Virtual Machines")),
            ("x_InvoiceNumber", Some("489977")),
            ("x_UnitPriceSource", Some("size")),
            ("AllocatedMethodId", None),
        ],
    );
    let resized = Line {
        size: Some("s-2vcpu-4gb".to_owned()),
        hours: Some(decimal("446")),
        amount: decimal("13.27"),
        ..line()
    };
    check(
        &mapped(resized),
        &[
            ("x_UnitPriceSource", Some("cost")),
            ("ListUnitPrice", Some("0.029753363229")),
            ("PricingQuantity", Some("446")),
        ],
    );
}

#[test]
fn volumes_and_overages_have_the_quantities_in_their_description() {
    let volume = Line {
        product: "Volumes".to_owned(),
        description: "data (sfo2) 100GB".to_owned(),
        amount: decimal("10.00"),
        region: Some("sfo2".to_owned()),
        size: None,
        end_at: Some(time("2026-04-30T23:59:59Z")),
        resource: None,
        identified_kind: Some("volume".to_owned()),
        item_id: Some("5F1B0C3E-0000-4000-8000-000000000001".to_owned()),
        ..line()
    };
    check(
        &mapped(volume),
        &[
            ("PricingQuantity", Some("67200")),
            ("PricingUnit", Some("GB-Hours")),
            ("ConsumedQuantity", Some("720")),
            ("ConsumedUnit", Some("Hours")),
            ("SkuPriceId", Some("do:volumes:gb-month")),
            ("SkuPriceDetails", Some(r#"{"x_SizeGigabytes":100}"#)),
            ("RegionName", Some("San Francisco 2")),
            (
                "ResourceId",
                Some("do:volume:5f1b0c3e-0000-4000-8000-000000000001"),
            ),
            ("ChargePeriodEnd", Some("2026-05-01T00:00:00+00:00")),
            ("Tags", None),
        ],
    );
    let overage = "Droplet Bandwidth Overage (2825.36GB @ $0.01/GB)";
    let overage = unmatched("Bandwidth", overage, "28.25", ChargePart::Overages);
    check(
        &mapped(overage),
        &[
            ("PricingQuantity", Some("2825.36")),
            ("PricingUnit", Some("GB")),
            ("ListUnitPrice", Some("0.01")),
            ("ListCost", Some("28.2536")),
            ("SkuMeter", Some("Outbound Transfer")),
            ("x_UnitPriceSource", Some("line")),
            ("ResourceId", None),
            ("RegionId", None),
        ],
    );
}

#[test]
fn charges_without_a_price_have_neither_sku_nor_quantity() {
    let none = [
        ("SkuId", None),
        ("SkuPriceId", None),
        ("SkuPriceDetails", None),
        ("ListUnitPrice", None),
        ("PricingQuantity", None),
        ("PricingUnit", None),
        ("ConsumedQuantity", None),
        ("ConsumedUnit", None),
    ];
    let earlier = |line: Line| Line {
        start_at: Some(time("2026-03-01T00:00:00Z")),
        end_at: Some(time("2026-03-31T23:59:59Z")),
        ..line
    };
    let (taxes, credits) = (ChargePart::Taxes, ChargePart::CreditsAndAdjustments);
    for (line, category, class, frequency) in [
        (
            unmatched("Taxes", "GST", "0.16", taxes),
            "Tax",
            None,
            "Recurring",
        ),
        (
            unmatched("Credits", "", "-5.00", credits),
            "Credit",
            None,
            "One-Time",
        ),
        (
            unmatched("Discounts", "Promo", "-5.00", credits),
            "Credit",
            None,
            "One-Time",
        ),
        (
            unmatched("Adjustments", "x", "1.00", credits),
            "Adjustment",
            None,
            "One-Time",
        ),
        (
            unmatched("Droplets", "x", "-1.00", ChargePart::ProductCharges),
            "Adjustment",
            None,
            "One-Time",
        ),
        (
            earlier(unmatched("Droplets Refund", "x", "-1.00", credits)),
            "Usage",
            Some("Correction"),
            "One-Time",
        ),
        (
            earlier(unmatched("Taxes", "GST", "0.16", taxes)),
            "Tax",
            Some("Correction"),
            "Recurring",
        ),
    ] {
        let (product, amount) = (line.product.clone(), line.amount.to_string());
        let row = mapped(line);
        check(&row, &none);
        check(
            &row,
            &[
                ("ChargeCategory", Some(category)),
                ("ChargeClass", class),
                ("ChargeFrequency", Some(frequency)),
                ("ListCost", Some(&amount)),
                ("ServiceName", Some(&product)),
            ],
        );
    }
}

#[test]
fn a_subscription_is_one_month_of_a_purchase() {
    let spaces = "Spaces ($5/mo 250GB storage & 1TB bandwidth)";
    let part = ChargePart::ProductCharges;
    let spaces = unmatched("Spaces Subscription", spaces, "5.00", part);
    check(
        &mapped(spaces),
        &[
            ("ChargeCategory", Some("Purchase")),
            ("ChargeFrequency", Some("Recurring")),
            ("PricingQuantity", Some("1")),
            ("PricingUnit", Some("Months")),
            ("ConsumedQuantity", None),
            ("ConsumedUnit", None),
            ("SkuPriceId", Some("do:spaces-subscription:base")),
            ("ServiceSubcategory", Some("Object Storage")),
        ],
    );
}

#[test]
fn a_line_without_dates_hours_or_text_has_defaults() {
    let empty = Line {
        start_at: None,
        end_at: None,
        ..unmatched("", "", "1.50", ChargePart::ProductCharges)
    };
    check(
        &mapped(empty),
        &[
            ("ChargePeriodStart", Some("2026-04-01T00:00:00+00:00")),
            ("ChargePeriodEnd", Some("2026-05-01T00:00:00+00:00")),
            ("PricingQuantity", Some("1")),
            ("PricingUnit", Some("Units")),
            ("ChargeDescription", None),
            ("ServiceName", Some("Other")),
            ("SkuId", Some("do:other")),
        ],
    );
    let grouped = Line {
        group_description: "prod".to_owned(),
        description: "3 nodes - 4 GB".to_owned(),
        hours: Some(Decimal::ZERO),
        ..unmatched(
            "Kubernetes Clusters",
            "",
            "1.50",
            ChargePart::ProductCharges,
        )
    };
    let grouped = mapped(grouped);
    check(
        &grouped,
        &[
            ("ChargeDescription", Some("prod: 3 nodes - 4 GB")),
            ("x_GroupDescription", Some("prod")),
            // An amount for no hours.
            ("PricingUnit", Some("Units")),
        ],
    );
}

#[test]
fn an_estimate_has_no_invoice() {
    check(
        &values(&mapper(true).row(line()), Version::V1_4),
        &[
            ("InvoiceId", None),
            ("InvoiceDetailId", None),
            ("x_InvoiceVersion", None),
            ("x_IsEstimate", Some("true")),
        ],
    );
}

#[test]
fn a_share_has_its_tenant_and_the_tags_of_the_resource() {
    let shares = vec![
        TenantShare {
            tenant_id: None,
            amount: decimal("2.00"),
        },
        TenantShare {
            tenant_id: Some("acme".to_owned()),
            amount: decimal("4.00"),
        },
    ];
    let line = Line {
        tenant_id: None,
        ..line()
    };
    let rows: Vec<_> = mapper(false)
        .shares(line, shares, AllocationMethod::Time)
        .map(|row| values(&row, Version::V1_4))
        .collect();
    let [unallocated, acme] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    check(
        unallocated,
        &[
            ("AllocatedResourceId", Some("unallocated")),
            ("AllocatedTags", Some(r#"{"Prod":true,"a\"b":true}"#)),
            ("x_TenantId", None),
            ("BilledCost", Some("2.00")),
            ("PricingQuantity", Some("224.00")),
        ],
    );
    check(
        acme,
        &[
            ("AllocatedMethodId", Some("arcadia-time-in-project")),
            ("AllocatedResourceId", Some("acme")),
            (
                "AllocatedTags",
                Some(r#"{"Prod":true,"a\"b":true,"arcadia/tenant":"acme"}"#),
            ),
            (
                "AllocatedMethodDetails",
                Some(r#"{"Elements":[{"AllocatedRatio":0.6666666667}]}"#),
            ),
            ("PricingQuantity", Some("448.00")),
            ("ConsumedQuantity", Some("480.00")),
            ("ListUnitPrice", Some("0.008928571429")),
            ("Tags", Some(r#"{"Prod":true,"a\"b":true}"#)),
        ],
    );
}

#[test]
fn each_version_has_its_columns_with_ours_last() {
    for (version, count, has, lacks) in [
        (Version::V1_4, 57, "ServiceProviderName", "ProviderName"),
        (Version::V1_2, 54, "ProviderName", "InvoiceDetailId"),
    ] {
        let ids: Vec<&str> = Column::of(COST_AND_USAGE, version)
            .into_iter()
            .map(|column| column.id)
            .collect();
        assert_eq!(ids.len(), count, "{version:?}");
        assert!(ids.contains(&has) && !ids.contains(&lacks), "{version:?}");
        assert!(
            ids.is_sorted_by_key(|id| (id.starts_with("x_"), *id)),
            "{ids:?}"
        );
    }
}

#[test]
fn types_of_resources_have_their_usual_spelling() {
    for (kind, expected) in [
        ("droplet", "Droplet"),
        ("database_cluster", "Database Cluster"),
        ("reserved_ipv6", "Reserved IPv6"),
        ("vpc_peering", "VPC Peering"),
        ("nat_gateway", "NAT Gateway"),
        ("resource", "Resource"),
    ] {
        assert_eq!(types::resource_type(kind), expected);
    }
}

#[test]
fn the_issue_date_of_an_unknown_entry_is_the_end_of_the_month() {
    let row = |created_at: &str, issued_at: Option<&str>| {
        let facts = InvoiceFacts {
            account: &account(),
            period: april(),
            uuid: Uuid::nil(),
            created_at: time(created_at),
            updated_at: time(created_at),
            issued_at: issued_at.map(time),
        };
        let key = DetailKey {
            part: ChargePart::ProductCharges,
            product: "Droplets".into(),
            category: Category::Usage,
        };
        InvoiceDetail::new(&facts, key, Decimal::ONE).issued_at
    };
    let (late, early) = ("2026-07-01T00:00:00Z", "2026-04-17T00:00:00Z");
    assert_eq!(row(late, None), time("2026-05-01T00:00:00Z"));
    assert_eq!(row(early, None), time(early));
    assert_eq!(
        row(late, Some("2026-05-01T06:00:00Z")),
        time("2026-05-01T06:00:00Z")
    );
}

proptest! {
    #[test]
    fn the_rows_of_the_shares_total_the_row_of_the_line(
        cents in -1_000_000_i64..1_000_000,
        hours in prop::option::of((0_i64..2_000_000, 0_u32..5)),
        weights in prop::collection::vec(0_i64..100, 1..6),
        part in 0_usize..4,
        product in "(Droplets|Volumes|Spaces Subscription|Credits|Unheard)",
    ) {
        let amount = Decimal::new(cents, 2);
        let weights: Vec<Decimal> = weights.into_iter().map(Decimal::from).collect();
        let shares = crate::costs::split(amount, &weights)
            .into_iter()
            .enumerate()
            .map(|(place, amount)| TenantShare { tenant_id: Some(format!("tenant-{place}")), amount })
            .collect();
        let line = Line {
            hours: hours.map(|(units, scale)| Decimal::new(units, scale)),
            part: ChargePart::ALL[part],
            product,
            description: "data (sfo2) 100GB".to_owned(),
            amount,
            ..line()
        };
        let whole = mapper(false).row(line.clone());
        let rows: Vec<_> = mapper(false).shares(line, shares, AllocationMethod::Time).collect();
        let total = |value: fn(&CostRow) -> Option<Decimal>| -> Option<Decimal> {
            rows.iter().map(value).sum()
        };
        prop_assert_eq!(total(|row| Some(row.billed_cost)), Some(whole.billed_cost));
        prop_assert_eq!(total(|row| Some(row.list_cost)), Some(whole.list_cost));
        prop_assert_eq!(total(|row| row.quantity), whole.quantity);
        prop_assert_eq!(total(|row| row.consumed), whole.consumed);
        for row in rows.iter().chain([&whole]) {
            let row = values(row, Version::V1_4);
            let number = |column: &str| row.get(column).map(|text| decimal(text));
            if let (Some(price), Some(quantity)) = (number("ListUnitPrice"), number("PricingQuantity")) {
                prop_assert_eq!(number("ListCost"), Some(price * quantity));
                prop_assert!(!price.is_sign_negative() && !quantity.is_sign_negative());
                prop_assert!((price * quantity).scale() <= u32::from(SCALE));
            }
        }
    }
}
