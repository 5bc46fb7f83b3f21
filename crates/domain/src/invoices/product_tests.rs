//! Tests of reading products and descriptions of invoice lines.

use rust_decimal::Decimal;

use super::*;
use crate::invoices::lines_of_items;
use crate::invoices::samples::item;

fn charge(product: &str, group: &str, description: &str) -> Charge {
    charged_for(product, group, description)
}

fn name(product: &str, description: &str) -> Option<String> {
    charge(product, "", description)
        .resource_name
        .map(String::from)
}

#[test]
fn kind_and_name_are_read_from_the_description() {
    for (product, description, kind, name) in [
        (
            "Droplets",
            "web-1 (s-1vcpu-2gb)",
            ResourceKind::DROPLET,
            "web-1",
        ),
        ("Droplets", "web-1", ResourceKind::DROPLET, "web-1"),
        (
            " dROPLETS ",
            "Web-1 (s-1vcpu-2gb)",
            ResourceKind::DROPLET,
            "Web-1",
        ),
        (
            "GPU Droplets",
            "train (gpu-h100x1-80gb)",
            ResourceKind::DROPLET,
            "train",
        ),
        (
            "Droplet Backups",
            "web-1",
            ResourceKind::DROPLET_BACKUP,
            "web-1",
        ),
        ("Volumes", "data (sfo2) 100GB", ResourceKind::VOLUME, "data"),
        (
            "Spaces",
            "assets (nyc3)",
            ResourceKind::SPACES_BUCKET,
            "assets",
        ),
        (
            "Load Balancers",
            "front",
            ResourceKind::LOAD_BALANCER,
            "front",
        ),
        (
            "NAT Gateways",
            "way-out",
            ResourceKind::NAT_GATEWAY,
            "way-out",
        ),
        ("Custom Images", "base", ResourceKind::IMAGE, "base"),
        (
            "Floating IPs",
            "Unused Floating IP - 192.0.2.7",
            ResourceKind::RESERVED_IP,
            "192.0.2.7",
        ),
    ] {
        let charge = charge(product, "", description);
        assert_eq!(charge.kind, Some(kind), "{product}");
        assert_eq!(charge.resource_name.as_deref(), Some(name), "{product}");
        assert!(
            !charge.is_named_by_group && !charge.for_account,
            "{product}"
        );
        assert_eq!(charge.part, ChargePart::ProductCharges, "{product}");
    }
}

#[test]
fn a_name_with_brackets_keeps_them() {
    for (product, description, expected) in [
        ("Volumes", "data (old) (sfo2) 100GB", "data (old)"),
        ("Droplets", "web (1) (s-1vcpu-2gb)", "web (1)"),
        (
            "Snapshots",
            "db (before the upgrade)",
            "db (before the upgrade)",
        ),
        ("Snapshots", "db (old) (2.5 GB)", "db (old)"),
        ("Droplet Snapshots", "db (old) (nyc3)", "db (old)"),
        ("Snapshots", "(x)", "(x)"),
    ] {
        assert_eq!(name(product, description).as_deref(), Some(expected));
    }
}

#[test]
fn size_and_region_are_read_from_the_last_brackets() {
    let droplet = charge("Droplets", "", "web (x) (s-1vcpu-2gb)");
    assert_eq!(droplet.size.as_deref(), Some("s-1vcpu-2gb"));
    assert_eq!(droplet.region, None);
    for (product, description) in [
        ("Volumes", "data (old) (sfo2) 100GB"),
        ("Spaces", "assets (sfo2)"),
    ] {
        let charge = charge(product, "", description);
        assert_eq!(charge.region.as_deref(), Some("sfo2"), "{product}");
        assert_eq!(charge.size, None, "{product}");
    }
    for (product, description) in [
        ("Droplets", "web"),
        ("Droplets", "web ()"),
        ("Droplet Backups", "web"),
        ("Volumes", "data"),
    ] {
        let charge = charge(product, "", description);
        assert_eq!((charge.size, charge.region), (None, None), "{description}");
    }
}

#[test]
fn other_words_in_brackets_are_neither_region_nor_size() {
    let words = [
        "10 GiB",
        "10GiB",
        "2.5 GB",
        "100GB",
        "old",
        "web1",
        "abc1",
        "nyc",
        "nyc33",
        "NYC3",
        "nyc3 ",
        "sfo-2",
        "New York 3",
        "1",
        "",
        "x",
        "$5/mo",
        "s",
        "-",
        "s-",
        "-1gb",
        "gb",
        "web-1",
        "db-primary",
        "100 GiB @ $0.02",
        "inf-gb",
        "infgb",
        "nan-1",
        "\u{1F600}",
        "ämß1",
        "s 1vcpu 1gb",
    ];
    let sizes = ["1gb", "512mb", "s-1vcpu-1gb"];
    for product in PRODUCTS {
        for word in words.into_iter().chain(sizes) {
            for description in [
                format!("data ({word})"),
                format!("data ({word}) 100GB"),
                format!("data (old) ({word})"),
                format!("({word})"),
                format!("data ({word}"),
                format!("data - {word}"),
            ] {
                let charge = charge(product, "", &description);
                // The text in the brackets is trimmed.
                let region = (word.trim() == "nyc3").then_some("nyc3");
                assert!(
                    charge.region.is_none() || charge.region.as_deref() == region,
                    "{product}: {description}: {:?}",
                    charge.region
                );
                assert!(
                    charge
                        .size
                        .as_deref()
                        .is_none_or(|size| sizes.contains(&size)),
                    "{product}: {description}: {:?}",
                    charge.size
                );
            }
        }
    }
}

/// Products with every form of a description, one without a resource, and an unknown one.
const PRODUCTS: [&str; 14] = [
    "Droplets",
    "GPU Droplets",
    "Droplet Backups",
    "Snapshots",
    "Volume Snapshots",
    "Custom Images",
    "Volumes",
    "Load Balancers",
    "Kubernetes Clusters",
    "Database Clusters",
    "Spaces",
    "Floating IPs",
    "Taxes",
    "Mystery",
];

#[test]
fn every_region_and_the_usual_forms_of_sizes_are_read() {
    for (region, _) in regions::REGIONS {
        for product in ["Volumes", "Spaces", "Spaces Buckets"] {
            let charge = charge(product, "", &format!("data ({region}) 100GB"));
            assert_eq!(charge.region.as_deref(), Some(region), "{product}");
        }
    }
    for size in [
        "512mb",
        "1gb",
        "16gb",
        "s-1vcpu-512mb-10gb",
        "s-1vcpu-1gb-35gb-intel",
        "c-2",
        "c2-2vcpu-4gb",
        "g-2vcpu-8gb",
        "gd-2vcpu-8gb",
        "m-16gb",
        "m3-2vcpu-16gb",
        "m6-2vcpu-16gb",
        "so-2vcpu-16gb",
        "so1_5-2vcpu-16gb",
        "gpu-h100x1-80gb",
        "gpu-h100x1-base",
        "gpu-mi300x8-1536gb-contracted",
    ] {
        let charge = charge("Droplets", "", &format!("web ({size})"));
        assert_eq!(charge.size.as_deref(), Some(size));
    }
}

#[test]
fn clusters_and_databases_are_named_by_their_group() {
    for (product, kind) in [
        ("Kubernetes Clusters", ResourceKind::KUBERNETES_CLUSTER),
        ("Database Clusters", ResourceKind::DATABASE_CLUSTER),
        (
            "Managed Databases: PostgreSQL",
            ResourceKind::DATABASE_CLUSTER,
        ),
    ] {
        let grouped = charge(product, " prod ", "3 nodes - 4 GB");
        assert_eq!(grouped.kind.as_ref(), Some(&kind));
        assert_eq!(grouped.resource_name.as_deref(), Some("prod"));
        assert!(grouped.is_named_by_group);
        let single = charge(product, "", "prod (db-s-1vcpu-1gb)");
        assert_eq!(single.resource_name.as_deref(), Some("prod"));
        assert!(!single.is_named_by_group);
    }
    let balancer = charge("Load Balancers", "prod", "a56e086a317d");
    assert_eq!(balancer.resource_name.as_deref(), Some("a56e086a317d"));
    assert!(!balancer.is_named_by_group);
}

#[test]
fn a_numeric_item_id_identifies_the_named_kind() {
    for (product, kind) in [
        ("Droplets", Some(ResourceKind::DROPLET)),
        ("Droplet Backups", Some(ResourceKind::DROPLET)),
        ("Backups", Some(ResourceKind::DROPLET)),
        ("Droplet Snapshots", Some(ResourceKind::SNAPSHOT)),
        ("Volume Snapshots", Some(ResourceKind::SNAPSHOT)),
        ("Custom Images", Some(ResourceKind::IMAGE)),
        ("Volumes", Some(ResourceKind::VOLUME)),
        ("Quantum Computers", None),
        ("Taxes", None),
        ("Spaces Subscription", None),
    ] {
        assert_eq!(charge(product, "", "x").identified_kind, kind, "{product}");
    }
}

#[test]
fn account_charges_have_a_part_and_no_resource() {
    for (product, description, part) in [
        ("Taxes", "STATE SALES TAX (6.25%)", ChargePart::Taxes),
        (
            "Credits",
            "Referral (web-1)",
            ChargePart::CreditsAndAdjustments,
        ),
        (
            "Discounts",
            "iaas contract",
            ChargePart::CreditsAndAdjustments,
        ),
        (
            "Promotional Credit",
            "2026",
            ChargePart::CreditsAndAdjustments,
        ),
        ("Adjustments", "for May", ChargePart::CreditsAndAdjustments),
        ("Droplet Bandwidth", "2825.36GB", ChargePart::Overages),
        (
            "Droplet bandwidth overage",
            "2825.36GB @ $0.01/GB",
            ChargePart::Overages,
        ),
        (
            "Bandwidth",
            "Droplet Bandwidth Overage (2825.36GB @ $0.01/GB)",
            ChargePart::Overages,
        ),
        (
            "Spaces Subscription",
            "Spaces ($5/mo 250GB storage & 1TB bandwidth)",
            ChargePart::ProductCharges,
        ),
        (
            "Premier Support Subscription",
            "",
            ChargePart::ProductCharges,
        ),
    ] {
        let charge = charge(product, "", description);
        assert!(charge.for_account, "{product}");
        assert_eq!((charge.kind, charge.resource_name), (None, None));
        assert_eq!(charge.part, part, "{product}");
    }
}

#[test]
fn a_resource_named_overage_is_a_product_charge() {
    let droplet = charge("Droplets", "", "overage (s-1vcpu-1gb)");
    assert_eq!(droplet.part, ChargePart::ProductCharges);
    let database = charge("Database Clusters", "prod", "Storage overage");
    assert_eq!(database.part, ChargePart::Overages);
    assert_eq!(
        charge("Coverage", "", "coverage").part,
        ChargePart::ProductCharges
    );
}

#[test]
fn an_unknown_product_has_no_kind_and_no_name() {
    let charge = charge("Quantum Computers", "lab", "q-1 (big)");
    assert_eq!((charge.kind, charge.resource_name), (None, None));
    assert!(!charge.for_account && !charge.is_named_by_group);
    assert_eq!(charge.part, ChargePart::ProductCharges);
}

#[test]
fn a_line_without_a_description_has_no_name() {
    assert_eq!(name("Droplets", ""), None);
    assert_eq!(name("Droplets", " (s-1vcpu-1gb)"), None);
}

#[test]
fn the_summary_decides_which_lines_are_product_charges() {
    let products = ["Droplet Bandwidth", "Taxes", "Quantum Computers"];
    let items = products.map(|product| item(product, "x", Decimal::ONE));
    let mut lines = lines_of_items(&items);
    let before = lines.clone();
    let summary = |products: &[&str]| InvoiceSummary {
        invoice_uuid: None,
        invoice_id: None,
        period: "2026-04".parse().unwrap(),
        amount: Decimal::ONE,
        parts: Vec::new(),
        charged_products: products.iter().map(|&product| product.to_owned()).collect(),
    };
    part_by_summary(&mut lines, &summary(&["Droplets"]));
    assert_eq!(lines, before);
    part_by_summary(&mut lines, &summary(&["droplet BANDWIDTH"]));
    let parts: Vec<ChargePart> = lines.iter().map(|line| line.part).collect();
    assert_eq!(
        parts,
        [
            ChargePart::ProductCharges,
            ChargePart::Taxes,
            ChargePart::ProductCharges
        ]
    );
}
