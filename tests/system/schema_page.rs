//! Checks `docs/schema.md` against the database: every table and column, and every query.

use std::collections::{BTreeMap, BTreeSet};

use simulator::Account;
use sqlx::{AssertSqlSafe, PgPool};
use store::Store;

use crate::support::TestSystem;

const PAGE: &str = include_str!("../../docs/schema.md");

type Columns = BTreeMap<String, BTreeSet<String>>;

/// Returns the texts in backquotes.
fn names(cell: &str) -> BTreeSet<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// Returns the first cell of a table row if it starts with a name in backquotes.
fn first_cell(line: &str) -> Option<&str> {
    let cell = line.strip_prefix('|')?.split('|').next()?.trim();
    cell.starts_with('`').then_some(cell)
}

/// Returns the columns of each table that the page describes, and the tables that it only names.
fn described() -> (Columns, BTreeSet<String>) {
    let (mut tables, mut internal) = (Columns::new(), BTreeSet::new());
    let mut table = None;
    for line in PAGE.lines() {
        if line.starts_with('#') {
            let name = line.strip_prefix("### ");
            table = name.map(|name| name.trim_matches('`').to_owned());
            tables.extend(table.clone().map(|table| (table, BTreeSet::new())));
        } else if let Some(cell) = first_cell(line) {
            match &table {
                Some(table) => tables.entry(table.clone()).or_default().extend(names(cell)),
                None => internal.extend(names(cell)),
            }
        }
    }
    (tables, internal)
}

#[tokio::test]
async fn the_schema_page_names_every_table_and_column() {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 2).await.unwrap();
    store.migrate().await.unwrap();
    let pool = PgPool::connect(&database.url()).await.unwrap();
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select table_name::text, column_name::text from information_schema.columns where table_schema = 'public'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let mut catalogue = Columns::new();
    for (table, column) in columns {
        catalogue.entry(table).or_default().insert(column);
    }

    let (described, internal) = described();
    let mut faults = Vec::new();
    for (table, columns) in &catalogue {
        let Some(known) = described.get(table) else {
            if !internal.contains(table) {
                faults.push(format!("no section or internal row for the table {table}"));
            }
            continue;
        };
        let missing = columns.difference(known);
        faults.extend(missing.map(|column| format!("no row for the column {table}.{column}")));
        let unknown = known.difference(columns);
        faults.extend(unknown.map(|column| format!("the column {table}.{column} does not exist")));
    }
    let tables = described.keys().chain(&internal);
    let unknown = tables.filter(|table| !catalogue.contains_key(*table));
    faults.extend(unknown.map(|table| format!("the table {table} does not exist")));
    assert!(faults.is_empty(), "docs/schema.md:\n{}", faults.join("\n"));
}

/// Returns each query of a page with its documented number of rows for the demo account.
pub(crate) fn queries(page: &str) -> Vec<(usize, String)> {
    let blocks = page.split("<!-- demo: ").skip(1);
    let queries = blocks.map(|block| {
        let rows = block.split(' ').next().unwrap().parse().unwrap();
        let (_, rest) = block.split_once("```sql\n").unwrap();
        let (query, _) = rest.split_once("```").unwrap();
        (rows, query.trim().trim_end_matches(';').to_owned())
    });
    queries.collect()
}

#[tokio::test]
async fn the_queries_of_the_schema_page_run_on_the_demo_account() {
    let blocks = PAGE.matches("```sql").count();
    let queries = queries(PAGE);
    assert_eq!(
        queries.len(),
        blocks,
        "a query without `<!-- demo: N rows -->`"
    );
    let system = TestSystem::start(Account::demo()).await;
    system.run_every_schedule_once().await;
    for (expected, query) in &queries {
        let rows = sqlx::raw_sql(AssertSqlSafe(query.clone()))
            .fetch_all(&system.pool)
            .await;
        let rows = rows.unwrap_or_else(|error| panic!("{error}: {query}"));
        assert_eq!(rows.len(), *expected, "{query}");
    }
    // The lines of a month with their tenants total its invoice.
    let (_, lines) = &queries[1];
    let total = format!("select sum(amount_usd)::text from ({lines}) lines");
    let total: String = sqlx::query_scalar(AssertSqlSafe(total))
        .fetch_one(&system.pool)
        .await
        .unwrap();
    assert_eq!(total, "86.92");
}
