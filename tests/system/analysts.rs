//! `docs/analysts.md`: its role reads the views and nothing else, and its queries run.

use simulator::Account;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::schema_page::queries;
use crate::support::TestSystem;

const PAGE: &str = include_str!("../../docs/analysts.md");

/// Creates the role of the page with a unique name, since roles are of the whole server, and
/// connects as this role.
async fn connect(system: &TestSystem) -> PgConnection {
    let name = format!("analyst_{}", Uuid::new_v4().simple());
    let (_, rest) = PAGE.split_once("<!-- role -->\n```sql\n").unwrap();
    let (statements, _) = rest.split_once("```").unwrap();
    let statements = statements.replace("arcadia_analyst", &name);
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(&system.pool)
        .await
        .unwrap();
    let options = system.pool.connect_options();
    let options = (*options).clone().username(&name).password("change-me");
    PgConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn the_role_of_analysts_reads_every_view_and_nothing_else() {
    let system = TestSystem::start(Account::demo()).await;
    system.run_every_schedule_once().await;
    let mut analyst = connect(&system).await;
    for (expected, query) in queries(PAGE) {
        let rows = sqlx::raw_sql(AssertSqlSafe(query.clone()))
            .fetch_all(&mut analyst)
            .await;
        let rows = rows.unwrap_or_else(|error| panic!("{error}: {query}"));
        assert_eq!(rows.len(), expected, "{query}");
    }
    let views: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'analytics' order by 1",
    )
    .fetch_all(&mut analyst)
    .await
    .unwrap();
    assert!(views.len() > 15, "{views:?}");
    for view in views {
        let named = PAGE.contains(&format!("`{view}`"));
        assert!(named, "docs/analysts.md lacks {view}");
        let all = format!("select * from {view}");
        sqlx::raw_sql(AssertSqlSafe(all))
            .fetch_all(&mut analyst)
            .await
            .unwrap_or_else(|error| panic!("{view}: {error}"));
    }

    for refused in [
        "select * from public.cloud_resource_rows",
        "select * from public.api_tokens",
        "select * from public.audit_entries",
    ] {
        let error = sqlx::raw_sql(refused).fetch_all(&mut analyst).await;
        let error = error.unwrap_err().into_database_error().unwrap();
        assert_eq!(error.code().as_deref(), Some("42501"), "{refused}: {error}");
    }
}

#[tokio::test]
async fn the_views_of_analysts_agree_with_the_bill_and_the_inventory() {
    let system = TestSystem::start(Account::demo()).await;
    system.run_every_schedule_once().await;
    for total in [
        "select sum(amount_usd)::text from analytics.cost_lines where month = '2026-04-01' and not is_estimate",
        "select sum(amount_usd)::text from analytics.costs_by_month where month = '2026-04-01' and not is_estimate",
    ] {
        assert_eq!(system.rows(total).await, ["86.92"], "{total}");
    }
    let live = "select kind || ' ' || count(*) from cloud_resources where deleted_at is null group by kind order by 1";
    let today = "select kind || ' ' || sum(resources) from analytics.daily_inventory
                 where day = (now() at time zone 'UTC')::date group by kind order by 1";
    assert_eq!(system.rows(today).await, system.rows(live).await);
}
