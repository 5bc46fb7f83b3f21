//! The tables of the demo account since 2014, from which its resources and invoices are made.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::dates::{Moment, moment};

/// A droplet; a resized one has a row for each of its sizes.
pub(crate) struct Machine {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) size: &'static str,
    pub(crate) project: &'static str,
    from: Moment,
    until: Option<Moment>,
}

impl Machine {
    pub(crate) fn from(&self) -> DateTime<Utc> {
        moment(self.from)
    }

    /// `None` while it is running.
    pub(crate) fn until(&self) -> Option<DateTime<Utc>> {
        self.until.map(moment)
    }
}

/// The default project.
pub(crate) const MAIN: &str = "Kestrel";
pub(crate) const WEBSITE: &str = "Kestrel Website";
pub(crate) const API: &str = "Customer API";
pub(crate) const TOOLING: &str = "Internal Tooling";

const fn machine(
    id: u64,
    name: &'static str,
    size: &'static str,
    project: &'static str,
    from: Moment,
    until: Option<Moment>,
) -> Machine {
    Machine {
        id,
        name,
        size,
        project,
        from,
        until,
    }
}

/// The long-lived droplets, oldest first. The last six rows are the five running ones.
#[rustfmt::skip]
pub(crate) const MACHINES: &[Machine] = &[
    machine(3_402_118, "blog", "512mb", MAIN, (2014, 12, 3, 4), Some((2016, 8, 20, 11))),
    machine(4_811_907, "www1", "512mb", WEBSITE, (2015, 3, 9, 2), Some((2017, 11, 14, 7))),
    machine(7_230_554, "db1", "1gb", WEBSITE, (2015, 9, 1, 22), Some((2018, 4, 23, 3))),
    machine(10_876_310, "www2", "1gb", WEBSITE, (2016, 2, 17, 5), Some((2019, 1, 13, 9))),
    machine(23_551_042, "mail", "512mb", MAIN, (2016, 8, 20, 10), Some((2020, 5, 4, 1))),
    machine(48_017_725, "jenkins", "2gb", TOOLING, (2017, 5, 22, 6), Some((2021, 3, 8, 8))),
    machine(90_114_876, "app-01", "s-1vcpu-2gb", API, (2018, 4, 19, 1), Some((2022, 2, 10, 4))),
    machine(90_114_902, "app-02", "s-1vcpu-2gb", API, (2018, 4, 19, 1), Some((2022, 2, 10, 5))),
    machine(127_405_331, "web-legacy", "s-1vcpu-1gb", WEBSITE, (2019, 1, 12, 20), Some((2023, 8, 15, 2))),
    machine(191_082_467, "api-legacy", "s-2vcpu-2gb", API, (2020, 5, 3, 23), Some((2024, 7, 3, 6))),
    machine(235_660_184, "ci-legacy", "s-2vcpu-4gb", TOOLING, (2021, 3, 7, 21), Some((2025, 11, 4, 0))),
    machine(264_930_015, "analytics", "s-2vcpu-4gb", MAIN, (2021, 9, 27, 3), Some((2023, 6, 30, 12))),
    machine(286_419_507, "pg-legacy", "s-1vcpu-2gb", API, (2022, 2, 9, 22), Some((2025, 2, 12, 3))),
    machine(302_557_640, "uptime-kuma", "s-1vcpu-1gb", WEBSITE, (2022, 6, 14, 9), Some((2025, 6, 20, 1))),
    machine(373_016_222, "staging-api", "s-1vcpu-2gb", API, (2023, 9, 5, 2), Some((2024, 12, 18, 5))),
    machine(368_240_117, "kestrel-web-01", "s-1vcpu-1gb", WEBSITE, (2023, 8, 14, 23), None),
    machine(429_811_250, "kestrel-api-01", "s-1vcpu-2gb", API, (2024, 7, 2, 4), None),
    machine(476_550_983, "postgres-primary", "s-1vcpu-1gb", API, (2025, 2, 11, 1), Some((2026, 4, 15, 0))),
    machine(503_203_341, "status-page", "s-1vcpu-512mb-10gb", WEBSITE, (2025, 6, 19, 6), None),
    machine(528_771_406, "ci-runner-01", "s-1vcpu-1gb", TOOLING, (2025, 11, 3, 5), None),
    machine(476_550_983, "postgres-primary", "s-1vcpu-2gb", API, (2026, 4, 15, 0), None),
];

/// Droplets with backups, at a fifth of their price.
pub(crate) const BACKED_UP: &[&str] = &["db1", "jenkins", "pg-legacy"];

/// The domains of each project.
pub(crate) const DOMAINS: &[(&str, &str)] = &[
    ("kestrel.example", WEBSITE),
    ("kestrel-blog.example", WEBSITE),
    ("kestrel-status.example", WEBSITE),
    ("kestrel-api.example", API),
    ("kestrel-docs.example", API),
    ("kestrel-builds.example", TOOLING),
    ("kestrel-parked.example", MAIN),
];

/// A product with a fixed monthly price (cents), other than droplets.
pub(crate) struct Subscription {
    pub(crate) product: &'static str,
    pub(crate) description: &'static str,
    pub(crate) cents: i64,
    /// Empty for products that DigitalOcean bills without a project, such as snapshots.
    pub(crate) project: Option<&'static str>,
    from: Moment,
    until: Option<Moment>,
}

impl Subscription {
    pub(crate) fn from(&self) -> DateTime<Utc> {
        moment(self.from)
    }

    pub(crate) fn until(&self) -> Option<DateTime<Utc>> {
        self.until.map(moment)
    }
}

pub(crate) const SUBSCRIPTIONS: &[Subscription] = &[
    Subscription {
        product: "Droplet Snapshots",
        description: "www1-before-upgrade",
        cents: 62,
        project: None,
        from: (2016, 2, 1, 0),
        until: Some((2019, 2, 1, 0)),
    },
    Subscription {
        product: "Spaces Subscription",
        description: "Spaces ($5/mo 250GB storage & 1TB bandwidth)",
        cents: 500,
        project: None,
        from: (2018, 2, 6, 3),
        until: None,
    },
    Subscription {
        product: "Volumes",
        description: "media-syd1 (syd1) 100GB",
        cents: 1000,
        project: Some(WEBSITE),
        from: (2019, 3, 2, 8),
        until: Some((2024, 12, 11, 7)),
    },
    Subscription {
        product: "Floating IPs",
        description: "Unused Floating IP - 198.18.4.20",
        cents: 400,
        project: None,
        from: (2020, 5, 4, 1),
        until: Some((2020, 7, 22, 18)),
    },
    Subscription {
        product: "Droplet Snapshots",
        description: "analytics-final",
        cents: 174,
        project: None,
        from: (2023, 6, 30, 12),
        until: Some((2025, 9, 1, 0)),
    },
    Subscription {
        product: "Floating IPs",
        description: "Unused Floating IP - 198.18.61.7",
        cents: 400,
        project: None,
        from: (2022, 2, 10, 5),
        until: Some((2022, 2, 28, 9)),
    },
];

/// A Spaces bucket. Invoices name buckets since August 2024; the cost (cents) grows each month.
pub(crate) struct Bucket {
    pub(crate) name: &'static str,
    pub(crate) region: &'static str,
    pub(crate) since: (i32, u32),
    pub(crate) first_cents: i64,
    pub(crate) growth_cents: i64,
}

const fn bucket(
    name: &'static str,
    region: &'static str,
    since: (i32, u32),
    first_cents: i64,
    growth_cents: i64,
) -> Bucket {
    Bucket {
        name,
        region,
        since,
        first_cents,
        growth_cents,
    }
}

pub(crate) const BUCKETS: &[Bucket] = &[
    bucket("kestrel-backups", "syd1", (2024, 8), 120, 9),
    bucket("kestrel-assets", "syd1", (2024, 8), 45, 4),
    bucket("kestrel-logs", "sgp1", (2024, 8), 80, 6),
    bucket("kestrel-media", "sgp1", (2024, 11), 60, 7),
    bucket("ci-artifacts", "syd1", (2025, 3), 30, 5),
    bucket("pg-wal-archive", "syd1", (2025, 6), 95, 11),
];

/// Preview droplets of April 2026: hours and size, chosen for an invoice total of $86.92.
#[rustfmt::skip]
pub(crate) const APRIL_2026_PREVIEWS: &[(u32, &str)] = &[
    (9, "s-1vcpu-1gb"), (26, "s-1vcpu-1gb"), (31, "s-1vcpu-1gb"), (44, "s-1vcpu-1gb"),
    (52, "s-1vcpu-1gb"), (70, "s-1vcpu-1gb"), (95, "s-1vcpu-1gb"), (118, "s-1vcpu-1gb"),
    (14, "s-1vcpu-2gb"), (22, "s-1vcpu-2gb"), (37, "s-1vcpu-2gb"), (58, "s-1vcpu-2gb"),
    (73, "s-1vcpu-2gb"), (91, "s-1vcpu-2gb"), (399, "s-1vcpu-2gb"),
    (11, "s-2vcpu-4gb"), (48, "s-2vcpu-4gb"), (66, "s-2vcpu-4gb"), (120, "s-2vcpu-4gb"),
];

/// The monthly price of a size. The prices of the Basic plans of 2018 rose in July 2022.
pub(crate) fn monthly_price(size: &str, month: DateTime<Utc>) -> Decimal {
    let raised = month >= moment((2022, 7, 1, 0));
    let cents = match (size, raised) {
        ("s-1vcpu-512mb-10gb", _) => 400,
        ("s-1vcpu-1gb", true) => 600,
        ("1gb", _) | ("s-1vcpu-2gb", false) => 1000,
        ("s-1vcpu-2gb", true) => 1200,
        ("s-2vcpu-2gb", false) => 1500,
        ("s-2vcpu-2gb", true) => 1800,
        ("2gb", _) | ("s-2vcpu-4gb", false) => 2000,
        ("s-2vcpu-4gb", true) => 2400,
        _ => 500,
    };
    Decimal::new(cents, 2)
}
