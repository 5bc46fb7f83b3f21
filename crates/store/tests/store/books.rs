//! After any sequence of changes in a random account, the statements of each month total its lines,
//! all totals reconcile, and a repeated ingest changes nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use domain::costs::AllocationRule;
use rust_decimal::Decimal;
use store::costs::Statement;
use store::inventory::{Commit, OverrideChange};
use store::projects::ProjectChange;
use uuid::Uuid;

use super::bills::{assert_balanced, estimate, header, ingest_with, lines_of};
use super::line_totals::{check_filters, check_groups};
use super::own_costs::check_own_costs;
use super::reallocations::recomputed;
use super::support::{Fixture, by, droplet, fixture, members, project};

/// The number of random accounts; `ARCADIA_BOOKS_SEEDS` overrides it.
const SEEDS: u64 = 10;
const STEPS: usize = 40;

/// A deterministic random number generator, so that a failure can be reproduced by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % count
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }
}

const TENANTS: [&str; 3] = ["acme", "beta", "gamma"];
const NAMES: [&str; 4] = ["web", "db", "Web", "mail"];
const PROJECTS: [&str; 4] = ["Shop", "Data", "Old", "shop"];
const DROPLETS: u32 = 5;

/// The last ingested content of a bill.
#[derive(Clone)]
struct Bill {
    period: String,
    lines: String,
    ids: Vec<Option<String>>,
}

struct World {
    fixture: Fixture,
    random: Random,
    bills: BTreeMap<u128, Bill>,
    steps: String,
}

/// The current month and two past ones.
fn periods() -> [NaiveDate; 3] {
    let today = Utc::now().date_naive();
    let this = today.with_day(1).unwrap();
    [
        this,
        this - chrono::Months::new(1),
        this - chrono::Months::new(7),
    ]
}

impl World {
    async fn step(&mut self) {
        let step = self.random.below(14);
        let _ = write!(self.steps, " {step}");
        match step {
            0 => self.sweep().await,
            1 | 11..=13 => self.store_members().await,
            2 | 3 => self.assign().await,
            4 => self.override_tenant().await,
            5 => self.rename_projects().await,
            6 | 7 => self.bill().await,
            8 => self.estimate().await,
            9 => self.override_a_line().await,
            _ => self.set_rule().await,
        }
    }

    async fn sweep(&mut self) {
        let mut seen = Vec::new();
        for id in 1..=DROPLETS {
            if self.random.below(4) > 0 {
                seen.push(droplet(id, self.random.pick(&NAMES)));
            }
        }
        self.fixture.sweep(&seen).await;
    }

    async fn store_members(&mut self) {
        let mut urns: [Vec<String>; 3] = Default::default();
        for id in 1..=DROPLETS {
            let place = self.random.below(4);
            if let Some(urns) = urns.get_mut(place) {
                urns.push(format!("do:droplet:{id}"));
            }
        }
        let passes: Vec<_> = (1..)
            .zip(&urns)
            .map(|(number, urns)| {
                let urns: Vec<&str> = urns.iter().map(String::as_str).collect();
                members(number, &urns)
            })
            .collect();
        self.fixture.store_members(&passes).await;
    }

    async fn assign(&mut self) {
        let ids: Vec<Uuid> =
            sqlx::query_scalar("select id from cloud_projects order by provider_id")
                .fetch_all(&self.fixture.pool)
                .await
                .unwrap();
        let id = self.random.pick(&ids);
        let change = ProjectChange {
            tenant_id: Some(self.tenant().map(|tenant| tenant.parse().unwrap())),
            tenant_since: self.since(),
            purpose: None,
        };
        self.fixture
            .change_project(id, &change, &by("ann"), Commit::Keep)
            .await
            .unwrap();
    }

    /// Returns the current time, or a time within the last year.
    fn since(&mut self) -> Option<DateTime<Utc>> {
        let days = i64::try_from(self.random.below(365)).unwrap();
        (self.random.below(2) == 0).then(|| Utc::now() - chrono::TimeDelta::days(days))
    }

    fn tenant(&mut self) -> Option<&'static str> {
        let place = self.random.below(TENANTS.len() + 1);
        TENANTS.get(place).copied()
    }

    async fn override_tenant(&mut self) {
        let ids: Vec<Uuid> =
            sqlx::query_scalar("select id from cloud_resources order by provider_id")
                .fetch_all(&self.fixture.pool)
                .await
                .unwrap();
        if ids.is_empty() {
            return;
        }
        let id = self.random.pick(&ids);
        let change = OverrideChange {
            tenant_id: Some(self.tenant().map(|tenant| tenant.parse().unwrap())),
            cloud_project_id: None,
            since: self.since(),
        };
        self.fixture
            .change_override(id, &change, &by("ann"), Commit::Keep)
            .await
            .unwrap();
    }

    async fn rename_projects(&mut self) {
        let mut names = PROJECTS.to_vec();
        let mut projects = Vec::new();
        for number in 1..=3 {
            let name = names.remove(self.random.below(names.len()));
            projects.push(project(number, name));
        }
        self.fixture.sweep_projects(&projects).await;
    }

    fn lines(&mut self, period: NaiveDate) -> (String, Vec<Option<String>>, i64) {
        let (mut lines, mut ids, mut total) = (String::new(), Vec::new(), 0);
        let [this, ..] = periods();
        for _ in 0..=self.random.below(6) {
            let cents = i64::try_from(self.random.below(2_000)).unwrap() - 300;
            total += cents;
            let sign = if cents < 0 { "-" } else { "" };
            let (dollars, rest) = (cents.abs() / 100, cents.abs() % 100);
            let amount = format!("{sign}${dollars}.{rest:02}");
            let times = if period == this {
                // The changes of a test happen within a second, so the charges must begin and end
                // within it.
                let now = Utc::now();
                let around = |milliseconds: usize| {
                    chrono::TimeDelta::milliseconds(i64::try_from(milliseconds).unwrap())
                };
                let start = now - around(self.random.below(1_000));
                let end = now + around(self.random.below(1_000));
                format!("{},{}", start.to_rfc3339(), end.to_rfc3339())
            } else {
                let next = period + chrono::Months::new(1);
                format!("{period} 00:00:00 +0000,{next} 00:00:00 +0000")
            };
            if self.random.below(5) == 0 {
                let _ = writeln!(lines, "Taxes,,GST,,{times},{amount},,iaas");
                ids.push(None);
                continue;
            }
            let name = self.random.pick(&NAMES);
            let project = self.random.pick(&["Shop", "Data", "Old", "", "gone"]);
            let _ = writeln!(lines, "Droplets,,{name},1,{times},{amount},{project},iaas");
            let id = 1 + self.random.below(6);
            ids.push((self.random.below(4) > 0).then(|| id.to_string()));
        }
        (lines, ids, total)
    }

    async fn bill(&mut self) {
        let number = u128::try_from(1 + self.random.below(4)).unwrap();
        let period = match self.bills.get(&number) {
            Some(bill) => bill.period.parse().unwrap(),
            None => self.random.pick(&periods()),
        };
        let (lines, ids, total) = self.lines(period);
        self.fixture
            .discover_invoices(&[header(number, &period.format("%Y-%m").to_string(), total)])
            .await
            .unwrap();
        let bill = Bill {
            period: period.to_string(),
            lines,
            ids,
        };
        self.ingest(number, &bill).await;
        self.bills.insert(number, bill);
    }

    async fn ingest(&self, number: u128, bill: &Bill) {
        let ids: Vec<Option<&str>> = bill.ids.iter().map(Option::as_deref).collect();
        ingest_with(&self.fixture, number, &bill.lines, &ids, None).await;
    }

    async fn estimate(&mut self) {
        let [this, ..] = periods();
        let (lines, _, total) = self.lines(this);
        estimate(
            &self.fixture,
            &this.format("%Y-%m").to_string(),
            total,
            &lines,
        )
        .await;
    }

    async fn override_a_line(&mut self) {
        let lines: Vec<Uuid> = sqlx::query_scalar(
            "select id from cloud_cost_lines where invoice_id is not null order by id",
        )
        .fetch_all(&self.fixture.pool)
        .await
        .unwrap();
        let resources: Vec<Uuid> =
            sqlx::query_scalar("select id from cloud_resources order by provider_id")
                .fetch_all(&self.fixture.pool)
                .await
                .unwrap();
        if lines.is_empty() {
            return;
        }
        let line = self.random.pick(&lines);
        if self.random.below(3) == 0 {
            self.fixture
                .withdraw_override(line, &by("ann"), Commit::Keep)
                .await
                .unwrap();
            return;
        }
        let resource = resources
            .get(self.random.below(resources.len() + 1))
            .copied();
        self.fixture
            .override_match(line, resource, true, &by("ann"), Commit::Keep)
            .await
            .unwrap();
    }

    async fn set_rule(&mut self) {
        let weights = || {
            TENANTS
                .map(|tenant| (tenant.to_owned(), Decimal::new(7, 1)))
                .into()
        };
        let rule = match self.random.below(3) {
            0 => AllocationRule::Proportional,
            1 => AllocationRule::Even,
            _ => AllocationRule::Fixed(weights()),
        };
        let from = self.random.pick(&periods());
        self.fixture
            .set_allocation_rule(from, &rule, &by("ann"), Commit::Keep)
            .await
            .unwrap();
    }

    async fn check(&self) {
        assert_balanced(&self.fixture).await;
        for period in periods() {
            let statements = self.fixture.statements(period).await.unwrap();
            let total: Decimal = statements.rows.iter().map(Statement::total).sum();
            let lines = lines_of(&self.fixture, &period.to_string()).await;
            let line_total: Decimal = lines.iter().map(|line| line.amount).sum();
            assert_eq!(total, line_total, "statements of {period}");
            if !statements.is_estimate {
                assert_eq!(line_total, statements.invoice_total, "invoices of {period}");
            }
        }
    }

    async fn every_line(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select line::text || (select coalesce(string_agg(share::text, ',' order by tenant_id), '')
                 from cloud_cost_line_shares share where share.line_id = line.id)
             from cloud_cost_lines line where invoice_id is not null order by id",
        )
        .fetch_all(&self.fixture.pool)
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn the_books_balance_after_any_sequence_of_changes() {
    let seeds = std::env::var("ARCADIA_BOOKS_SEEDS").ok();
    let seeds = seeds.map_or(SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        let fixture = fixture().await;
        fixture
            .sweep_projects(&[project(1, "Shop"), project(2, "Data"), project(3, "Old")])
            .await;
        let mut world = World {
            fixture,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            bills: BTreeMap::new(),
            steps: String::new(),
        };
        for _ in 0..STEPS {
            world.step().await;
            // Printed if a check fails.
            println!("seed {seed}, steps{}", world.steps);
            world.check().await;
        }
        for period in periods() {
            check_own_costs(&world.fixture, &TENANTS, period).await;
            check_filters(&world.fixture, period).await;
        }
        let [this, _, first] = periods();
        check_groups(&world.fixture, first, this).await;
        // Each change reallocated every line that it affects.
        assert_eq!(recomputed(&world.fixture).await, 0, "seed {seed}");
        let before = world.every_line().await;
        for (number, bill) in &world.bills {
            world.ingest(*number, bill).await;
        }
        assert_eq!(
            world.every_line().await,
            before,
            "seed {seed}, steps{}",
            world.steps
        );
    }
}
