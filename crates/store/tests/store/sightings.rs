//! Sightings: their times are exact, and an unchanged sync writes a constant number of rows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::inventory::ObservedResource;
use domain::{Completeness, ResourceKind};
use proptest::prelude::*;
use store::inventory::{Guard, ListingFacts, Observations, Resource, SweepOutcome};

use super::support::{Fixture, droplet, fixture, incomplete, members, project};

fn droplets(count: u32) -> Vec<ObservedResource> {
    (0..count)
        .map(|id| droplet(id, &format!("web-{id}")))
        .collect()
}

impl Fixture {
    /// Returns the number of inserted and updated rows of each table since `transaction`.
    async fn written_since(&self, transaction: i64) -> BTreeMap<String, i64> {
        let tables: Vec<String> = sqlx::query_scalar(
            "select table_name::text from information_schema.tables
             where table_schema = 'public' and table_type = 'BASE TABLE'",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let mut written = BTreeMap::new();
        for table in tables {
            let count =
                format!("select count(*) from {table} where xmin::text::bigint > {transaction}");
            let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
                .fetch_one(&self.pool)
                .await
                .unwrap();
            if rows > 0 {
                written.insert(table, rows);
            }
        }
        written
    }

    async fn transaction(&self) -> i64 {
        self.count("select pg_current_xact_id()::text::bigint")
            .await
    }

    /// Sweeps these droplets in an incomplete listing.
    async fn sweep_part(&self, resources: &[ObservedResource]) {
        let facts = self.facts(incomplete()).await;
        self.sweep_with(&ResourceKind::DROPLET, resources, &facts)
            .await;
    }
}

#[tokio::test]
async fn an_unchanged_sweep_writes_as_many_rows_for_1000_as_for_100() {
    let mut written = Vec::new();
    for count in [100, 1000] {
        let fixture = fixture().await;
        let droplets = droplets(count);
        fixture.sweep(&droplets).await;
        let transaction = fixture.transaction().await;
        fixture.sweep(&droplets).await;
        written.push(fixture.written_since(transaction).await);
    }
    assert_eq!(written[0], written[1]);
    let rows = ["cloud_kind_freshness", "cloud_listings", "cloud_sightings"];
    assert_eq!(written[0], rows.map(|table| (table.to_owned(), 1)).into());
}

#[tokio::test]
async fn a_listing_that_stops_at_the_same_place_writes_few_rows() {
    let fixture = fixture().await;
    let droplets = droplets(400);
    fixture.sweep(&droplets).await;
    fixture.sweep_part(&droplets[..150]).await;
    let transaction = fixture.transaction().await;
    fixture.sweep_part(&droplets[..150]).await;
    fixture.sweep(&droplets).await;
    fixture.sweep_part(&droplets[..150]).await;
    let written = fixture.written_since(transaction).await;
    assert_eq!(written.get("cloud_resource_rows"), None, "{written:?}");
    assert_eq!(written["cloud_sightings"], 2);
}

#[tokio::test]
async fn a_missing_resource_and_its_return_write_one_row_each() {
    let fixture = fixture().await;
    let droplets = droplets(400);
    fixture.sweep(&droplets).await;
    for listed in [&droplets[1..], &droplets] {
        let transaction = fixture.transaction().await;
        fixture.sweep(listed).await;
        let written = fixture.written_since(transaction).await;
        assert_eq!(written["cloud_resource_rows"], 1, "{written:?}");
    }
}

#[tokio::test]
async fn an_unchanged_pass_writes_as_many_rows_for_1000_as_for_100() {
    let mut written = Vec::new();
    for count in [100, 1000] {
        let fixture = fixture().await;
        fixture
            .sweep_projects(&[project(1, "web"), project(2, "internal")])
            .await;
        fixture.sweep(&droplets(count)).await;
        let urns: Vec<String> = (0..count).map(|id| format!("do:droplet:{id}")).collect();
        let urns: Vec<&str> = urns.iter().map(String::as_str).collect();
        let members = [members(1, &urns[1..]), members(2, &urns[..1])];
        fixture.store_members(&members).await;
        let transaction = fixture.transaction().await;
        fixture.store_members(&members).await;
        written.push(fixture.written_since(transaction).await);
    }
    assert_eq!(written[0], written[1]);
    let rows = ["cloud_kind_freshness", "cloud_listings", "cloud_sightings"];
    assert_eq!(written[0], rows.map(|table| (table.to_owned(), 1)).into());
}

#[tokio::test]
async fn an_unchanged_list_of_projects_writes_a_constant_number_of_rows() {
    let mut written = Vec::new();
    for count in [20, 200] {
        let fixture = fixture().await;
        let projects: Vec<_> = (1..=count)
            .map(|id| project(id, &format!("team-{id}")))
            .collect();
        fixture.sweep_projects(&projects).await;
        let transaction = fixture.transaction().await;
        fixture.sweep_projects(&projects).await;
        written.push(fixture.written_since(transaction).await);
    }
    let rows = ["cloud_kind_freshness", "cloud_listings", "cloud_sightings"];
    for written in written {
        assert_eq!(written, rows.map(|table| (table.to_owned(), 1)).into());
    }
}

#[tokio::test]
async fn the_last_sighting_of_each_project_is_exact() {
    let fixture = fixture().await;
    let all = [project(1, "web"), project(2, "shop"), project(3, "data")];
    let seen = async || -> Vec<DateTime<Utc>> {
        let seen = "select last_seen_at from cloud_projects order by provider_id";
        let seen = sqlx::query_scalar(seen).fetch_all(&fixture.pool).await;
        seen.unwrap()
    };
    fixture.sweep_projects(&all).await;
    let mut expected = seen().await;
    // The last list restores the third project.
    for listed in [&all[..2], &all[..1], &all[..1], &all[..2], &all[..]] {
        let facts = fixture.facts(Completeness::Complete).await;
        fixture.sweep_projects_with(listed, &facts).await;
        expected[..listed.len()].fill(facts.finished_at);
        assert_eq!(seen().await, expected);
    }
}

/// A listing that has been read.
struct Read {
    seen: Observations,
    facts: ListingFacts,
}

impl Fixture {
    /// Reads a listing of these droplets, which is swept later.
    async fn read(&self, resources: &[ObservedResource], completeness: Completeness) -> Read {
        let mut seen = self.observe(&[ResourceKind::DROPLET]).await.unwrap();
        seen.add(resources.to_vec()).await.unwrap();
        let mut facts = self.facts(completeness).await;
        facts.evidence = seen.evidence();
        Read { seen, facts }
    }

    async fn sweep_read(&self, read: &Read) -> SweepOutcome {
        self.sweep_seen(&read.seen, &read.facts).await.unwrap()
    }
}

#[tokio::test]
async fn a_delayed_listing_shows_nothing_after_its_end() {
    let fixture = fixture().await;
    let droplets = droplets(3);
    fixture.sweep(&droplets).await;
    let delayed = fixture.read(&droplets, incomplete()).await;
    // Meanwhile, the first droplet is deleted and the second is renamed.
    let renamed = [droplet(1, "shop"), droplets[2].clone()];
    fixture.sweep_part(&renamed).await;
    let renamed_again = [droplet(1, "cart"), droplets[2].clone()];
    let later = fixture.read(&renamed_again, Completeness::Complete).await;
    fixture.sweep_read(&delayed).await;
    assert_eq!(
        fixture.resource("0").await.last_seen_at,
        delayed.facts.finished_at
    );
    for id in ["1", "2"] {
        assert!(fixture.resource(id).await.last_seen_at > delayed.facts.finished_at);
    }
    assert_eq!(fixture.resource("1").await.name, "shop");
    // A listing that began before this sweep, and after the delayed listing, is newer.
    let swept = fixture.sweep_read(&later).await;
    assert_eq!((swept.updated, swept.struck), (1, 1));
}

#[tokio::test]
async fn two_listings_that_overlap_add_one_strike() {
    let fixture = fixture().await;
    fixture.sweep(&droplets(2)).await;
    let left = droplets(1);
    let mut one = fixture.read(&left, Completeness::Complete).await;
    let mut two = fixture.read(&left, Completeness::Complete).await;
    let end = fixture.now().await.unwrap();
    (one.facts.finished_at, two.facts.finished_at) = (end, end);
    assert_eq!(fixture.sweep_read(&one).await.struck, 1);
    assert_eq!(fixture.sweep_read(&two).await.struck, 0);
    assert_eq!(fixture.sweep(&left).await.struck, 1);
}

const COUNT: u32 = 24;

/// A listing of the droplets with a bit in `shown`.
#[derive(Debug, Clone)]
struct Listing {
    shown: u32,
    is_complete: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Sweep(Listing),
    /// Reads a listing that is swept later.
    Read(Listing),
    /// Sweeps one of the listings that were read before.
    SweepRead(usize),
}

fn shown() -> impl Strategy<Value = u32> {
    let all = (1 << COUNT) - 1;
    prop_oneof![
        4 => Just(all),
        // A few are missing.
        4 => (0..COUNT, 0..COUNT).prop_map(move |(one, two)| all & !(1 << one) & !(1 << two)),
        // The listing stops early.
        3 => (0..COUNT).prop_map(|end| (1 << end) - 1),
        2 => 0..=all,
    ]
}

fn listing() -> impl Strategy<Value = Listing> {
    (shown(), any::<bool>()).prop_map(|(shown, is_complete)| Listing { shown, is_complete })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => listing().prop_map(Step::Sweep),
        2 => listing().prop_map(Step::Read),
        2 => (0_usize..4).prop_map(Step::SweepRead),
    ]
}

/// A row of the simplest mirror: each has its own time.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    last_seen_at: DateTime<Utc>,
    strikes: i32,
    last_strike_at: Option<DateTime<Utc>>,
    is_deleted: bool,
}

/// A listing that has been read but not swept.
struct Unswept {
    listing: Listing,
    read: Read,
    /// The droplets that were live when the listing began, which are recognised as unchanged.
    live: Vec<u32>,
}

struct World {
    fixture: Fixture,
    rows: BTreeMap<u32, Row>,
    unswept: Vec<Unswept>,
    /// The beginning of the latest complete listing, which supersedes earlier ones.
    latest_complete: Option<DateTime<Utc>>,
}

impl World {
    async fn take(&mut self, step: &Step) {
        match step {
            Step::Sweep(listing) => {
                let read = self.read(listing).await;
                self.sweep(read).await;
            }
            Step::Read(listing) => {
                let read = self.read(listing).await;
                self.unswept.push(read);
            }
            Step::SweepRead(index) if !self.unswept.is_empty() => {
                let read = self.unswept.remove(index % self.unswept.len());
                self.sweep(read).await;
            }
            Step::SweepRead(_) => {}
        }
    }

    async fn read(&self, listing: &Listing) -> Unswept {
        let shown = (0..COUNT).filter(|id| listing.shown & (1 << id) != 0);
        let shown: Vec<_> = shown.map(|id| droplet(id, &format!("web-{id}"))).collect();
        let completeness = if listing.is_complete {
            Completeness::Complete
        } else {
            incomplete()
        };
        let live = self.rows.iter().filter(|(_, row)| !row.is_deleted);
        let live = live.map(|(id, _)| *id).collect();
        let mut read = self.fixture.read(&shown, completeness).await;
        read.facts.rules.guard = Guard {
            percent: 100,
            rows: COUNT,
        };
        Unswept {
            listing: listing.clone(),
            read,
            live,
        }
    }

    async fn sweep(&mut self, unswept: Unswept) {
        let Unswept {
            listing,
            read,
            live,
        } = unswept;
        let before = self.stored().await;
        self.fixture.sweep_read(&read).await;
        let after = self.stored().await;
        let (began, ended) = (read.facts.evidence.began_at(), read.facts.finished_at);
        if self.latest_complete > Some(began) {
            return;
        }
        if listing.is_complete {
            self.latest_complete = Some(began);
        }
        for id in (0..COUNT).filter(|id| listing.shown & (1 << id) != 0) {
            let new = Row {
                last_seen_at: ended.max(after[&id].first_seen_at),
                strikes: 0,
                last_strike_at: None,
                is_deleted: false,
            };
            let Some(row) = self.rows.get_mut(&id) else {
                self.rows.insert(id, new);
                continue;
            };
            if row.is_deleted {
                let is_newer = row.last_seen_at <= began && before[&id].deleted_at <= Some(began);
                if is_newer && !live.contains(&id) {
                    *row = new;
                }
            } else if row.last_seen_at < ended {
                *row = new;
            }
        }
        if !listing.is_complete {
            return;
        }
        for row in self.rows.values_mut().filter(|row| !row.is_deleted) {
            let is_apart = row.last_strike_at.is_none_or(|struck| struck <= began);
            if row.last_seen_at < began && is_apart {
                row.strikes += 1;
                row.last_strike_at = Some(ended);
                row.is_deleted = row.strikes == 3;
            }
        }
    }

    async fn stored(&self) -> BTreeMap<u32, Resource> {
        let rows = self.fixture.all_resources().await.into_iter();
        rows.map(|row| (row.provider_id.parse().unwrap(), row))
            .collect()
    }

    async fn compare(&self) -> Result<(), String> {
        let struck: BTreeMap<String, Option<DateTime<Utc>>> =
            sqlx::query_as("select provider_id, last_struck_at from cloud_resources")
                .fetch_all(&self.fixture.pool)
                .await
                .unwrap()
                .into_iter()
                .collect();
        let stored = self.stored().await.into_iter();
        let stored: BTreeMap<u32, Row> = stored
            .map(|(id, row)| {
                let row = Row {
                    last_seen_at: row.last_seen_at,
                    strikes: row.stale_strike_count,
                    last_strike_at: struck[&row.provider_id],
                    is_deleted: row.deleted_at.is_some(),
                };
                (id, row)
            })
            .collect();
        if stored != self.rows {
            return Err(format!("{stored:#?}, not {:#?}", self.rows));
        }
        let sightings = "select count(*) from cloud_sightings";
        let sightings = self.fixture.count(sightings).await;
        if sightings > i64::from(COUNT) + 1 {
            return Err(format!("{sightings} sightings"));
        }
        Ok(())
    }
}

#[test]
fn sightings_equal_a_time_on_each_row_after_any_listings() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig {
        cases: 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in prop::collection::vec(step(), 10..32))| {
        let compared = runtime.block_on(async {
            let mut world = World {
                fixture: fixture().await,
                rows: BTreeMap::new(),
                unswept: Vec::new(),
                latest_complete: None,
            };
            for (number, step) in steps.iter().enumerate() {
                world.take(step).await;
                world
                    .compare()
                    .await
                    .map_err(|problem| format!("after step {number}, {step:?}: {problem}"))?;
            }
            Ok::<_, String>(())
        });
        compared.map_err(TestCaseError::fail)?;
    });
}
