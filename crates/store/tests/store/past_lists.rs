//! Lists of resources as of a time, compared with undoing all events since then.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use store::inventory::{AfterResource, KindCount, Resource, ResourceFilter, State};
use uuid::Uuid;

use super::support::{Fixture, fixture};

const RESOURCES: i32 = 60;
const EVENTS: i32 = 900;
const QUERIES: u64 = 120;

/// Inserts resources, and events in several statements. Events of one statement change the same
/// field of a resource several times, and some have earlier times than events before them.
const HISTORY: &str = r#"
    insert into cloud_project_rows (id, provider_id, name, description, is_default, attrs, first_seen_at, sighting_id)
    select md5('project' || project)::uuid, project::text, 'project', '', false, '{}', now(), 1 from generate_series(0, 2) project;
    insert into cloud_sightings (kind, seen_at) values ('droplet', now());
    insert into cloud_resource_rows (id, kind, provider_id, name, region, status, tags, attrs, fingerprint, cloud_project_id, tenant_id,
        first_seen_at, sighting_id)
    select md5('resource' || number)::uuid, (array['droplet', 'volume', 'dns_zone'])[1 + number % 3], 'ID-' || number,
        'Node-' || number % 20, (array['nyc3', 'ams3'])[1 + number % 2], 'active',
        case number % 4 when 0 then '{}'::text[] when 1 then array['Env:1', 'k8s'] when 2 then array[repeat('long', 300), 'env:2']
            else array['env:10'] end,
        '{"memory": 1, "disk": 2}', decode(md5(number::text), 'hex'), md5('project' || number % 3)::uuid, 'tenant-' || number % 2,
        now() - make_interval(mins => 1000 - number * 5), 1
    from generate_series(1, $RESOURCES) number;
    do $$
    begin
        perform setseed($SEED);
        for part in 1..10 loop
            insert into cloud_resource_events (resource_id, event, changes, occurred_at)
            select md5('resource' || resource)::uuid, case when field = 'all' then 'discovered' else 'updated' end,
                case field
                    when 'all' then '{"name": {"before": null, "after": "x"}, "tags": {"before": null, "after": []}}'
                    when 'deleted' then jsonb_build_object('deleted_at', jsonb_build_object('before', at))
                    when 'restored' then '{"deleted_at": {"before": null}, "region": {"before": null}}'
                    when 'tags' then jsonb_build_object('tags', jsonb_build_object('before', array['env:' || value, 'K8S']))
                    when 'untagged' then '{"tags": {"before": []}, "status": {"before": "off"}}'
                    when 'project' then jsonb_build_object('cloud_project_id',
                        jsonb_build_object('before', case when value < 3 then md5('project' || value)::uuid end))
                    when 'attrs' then jsonb_build_object('attrs.memory', jsonb_build_object('before', value),
                        'attrs.gone', jsonb_build_object('before', null))
                    else jsonb_build_object(field, jsonb_build_object('before', field || '-' || value)) end,
                at
            from (
                select 1 + floor(random() * $RESOURCES) as resource, floor(random() * 4) as value,
                    now() - make_interval(mins => 1000 - part * 100 - floor(random() * 110)::int) as at,
                    (array['all', 'deleted', 'restored', 'tags', 'untagged', 'project', 'attrs', 'name', 'name', 'region', 'tenant_id', 'status'])
                        [1 + floor(random() * 12)] as field
                from generate_series(1, $EVENTS / 10)
            ) random order by random();
        end loop;
    end
    $$;
"#;

/// The rule: of each field, the first event after the time has the value at the time.
const STATES: &str = r"
    with undone as (
        select distinct on (e.resource_id, c.key) e.resource_id, c.key as field, c.value -> 'before' as value
        from cloud_resource_events e cross join lateral jsonb_each(e.changes) c
        where e.occurred_at > $1 and e.event <> 'discovered'
        order by e.resource_id, c.key, e.id
    ), undo as (
        select resource_id, jsonb_object_agg(field, value) as was from undone group by resource_id
    ), state as (
        select r.id, r.kind, r.provider_id,
            case when was ? 'name' then was ->> 'name' else r.name end as name,
            case when was ? 'region' then was ->> 'region' else r.region end as region,
            case when was ? 'tags' then array(select jsonb_array_elements_text(was -> 'tags')) else r.tags end as tags,
            case when was ? 'cloud_project_id' then (was ->> 'cloud_project_id')::uuid else r.cloud_project_id end as cloud_project_id,
            case when was ? 'tenant_id' then was ->> 'tenant_id' else r.tenant_id end as tenant_id,
            case when was ? 'deleted_at' then was ->> 'deleted_at' else r.deleted_at::text end is not null as is_deleted
        from cloud_resources r left join undo on undo.resource_id = r.id where r.first_seen_at <= $1
    )
    select id, kind, name, tags from state
    where ($2::text is null or kind = $2) and ($3::uuid is null or cloud_project_id = $3) and ($4::text is null or tenant_id = $4)
      and ($5::bool is null or is_deleted = $5) and ($6::text is null or region = $6)
      and ($7::text is null or exists (select from unnest(tags) tag where lower(tag) = lower($7)))
      and ($8::text is null or strpos(lower(name), lower($8)) > 0 or strpos(lower(provider_id), lower($8)) > 0
           or exists (select from unnest(tags) tag where strpos(lower(tag), lower($8)) > 0))
    order by kind, name, id";

type Row = (Uuid, String, String, Vec<String>);

async fn expected(pool: &PgPool, at: DateTime<Utc>, filter: &ResourceFilter) -> Vec<Row> {
    let is_deleted = match filter.state {
        State::Live => Some(false),
        State::Deleted => Some(true),
        State::All => None,
    };
    sqlx::query_as(STATES)
        .bind(at)
        .bind(&filter.kind)
        .bind(filter.project)
        .bind(&filter.tenant)
        .bind(is_deleted)
        .bind(&filter.region)
        .bind(&filter.tag)
        .bind(&filter.text)
        .fetch_all(pool)
        .await
        .unwrap()
}

fn row(resource: Resource) -> Row {
    (resource.id, resource.kind, resource.name, resource.tags)
}

fn counts(rows: &[Row]) -> Vec<KindCount> {
    let mut counts: Vec<KindCount> = Vec::new();
    for (_, kind, ..) in rows {
        match counts.last_mut() {
            Some(last) if last.kind == *kind => last.resources += 1,
            _ => counts.push(KindCount {
                kind: kind.clone(),
                resources: 1,
            }),
        }
    }
    counts
}

/// Returns a filter that depends on the number of the query: each field is set in a third of them.
fn filter(number: u64) -> ResourceFilter {
    let choose = |prime: u64, choices: &[&str]| {
        let turn = number * 7919 / prime;
        let choice = usize::try_from(turn / 3).unwrap() % choices.len();
        turn.is_multiple_of(3).then(|| choices[choice].to_owned())
    };
    let states = [State::Live, State::Deleted, State::All];
    ResourceFilter {
        kind: choose(11, &["droplet", "volume"]),
        project: choose(
            13,
            &[
                "eeb28b69-4e17-8d22-952b-f92a025a892c",
                "00000000-0000-0000-0000-000000000000",
            ],
        )
        .map(|id| id.parse().unwrap()),
        tenant: choose(17, &["tenant-0", "tenant-1", "tenant_id-2"]),
        state: states[usize::try_from(number % 3).unwrap()],
        region: choose(19, &["nyc3", "region-1", "ams3"]),
        tag: choose(23, &["ENV:1", "k8s", "env:2", "env", "long"]),
        text: choose(
            29,
            &[
                "NODE-1", "env:1", "d-2", "name-2", "k8", "longlong", "-1", "\n",
            ],
        ),
    }
}

async fn with_history(seed: &str) -> Fixture {
    let fixture = fixture().await;
    let history = HISTORY
        .replace("$RESOURCES", &RESOURCES.to_string())
        .replace("$EVENTS", &EVENTS.to_string())
        .replace("$SEED", seed);
    sqlx::raw_sql(sqlx::AssertSqlSafe(history))
        .execute(&fixture.pool)
        .await
        .unwrap();
    fixture
}

#[tokio::test]
async fn lists_as_of_a_time_equal_undoing_all_later_events() {
    let mut found = 0;
    for seed in ["0.1", "0.7"] {
        let fixture = with_history(seed).await;
        let now = fixture.now().await.unwrap();
        for number in 0..QUERIES {
            let minutes = i64::try_from(number * 37 % 1010).unwrap();
            let at = now - TimeDelta::minutes(minutes);
            // Most filters together select nothing, so each is also used alone.
            let all = filter(number);
            let alone = match number % 6 {
                0 => ResourceFilter {
                    kind: all.kind.clone(),
                    project: all.project,
                    ..Default::default()
                },
                1 => ResourceFilter {
                    tenant: all.tenant.clone(),
                    ..Default::default()
                },
                2 => ResourceFilter {
                    state: all.state,
                    ..Default::default()
                },
                3 => ResourceFilter {
                    region: all.region.clone(),
                    state: State::All,
                    ..Default::default()
                },
                4 => ResourceFilter {
                    tag: all.tag.clone(),
                    state: State::All,
                    ..Default::default()
                },
                _ => ResourceFilter {
                    text: all.text.clone(),
                    state: State::All,
                    ..Default::default()
                },
            };
            for filter in [all, alone] {
                let expected = expected(&fixture.pool, at, &filter).await;
                let rows = fixture
                    .resources_as_of(at, &filter, None, 1000)
                    .await
                    .unwrap();
                let rows: Vec<Row> = rows.into_iter().map(row).collect();
                assert_eq!(rows, expected, "{at} {filter:?}");
                let counted = fixture.resource_counts_as_of(at, &filter).await.unwrap();
                assert_eq!(counted, counts(&expected), "{at} {filter:?}");
                found += rows.len();
            }
        }
    }
    assert!(found > 2_000, "the filters select only {found} rows");
}

#[tokio::test]
async fn pages_as_of_a_time_have_each_resource_once() {
    let fixture = with_history("0.3").await;
    let at = fixture.now().await.unwrap() - TimeDelta::minutes(300);
    let filter = ResourceFilter {
        state: State::All,
        ..ResourceFilter::default()
    };
    let expected = expected(&fixture.pool, at, &filter).await;
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = fixture
            .resources_as_of(at, &filter, after.as_ref(), 7)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(AfterResource {
            kind: last.kind.clone(),
            name: last.name.clone(),
            id: last.id,
        });
        pages.extend(page.into_iter().map(row));
    }
    assert_eq!(pages, expected);
}

#[tokio::test]
async fn a_list_finds_texts_that_are_too_long_for_the_index() {
    let fixture = with_history("0.5").await;
    for (filter, expected) in [
        (
            ResourceFilter {
                text: Some("LONGlong".to_owned()),
                ..Default::default()
            },
            15,
        ),
        (
            ResourceFilter {
                text: Some("env:1".to_owned()),
                ..Default::default()
            },
            30,
        ),
        (
            ResourceFilter {
                text: Some("id-7".to_owned()),
                ..Default::default()
            },
            1,
        ),
        (
            ResourceFilter {
                text: Some("1\nid".to_owned()),
                ..Default::default()
            },
            0,
        ),
        (
            ResourceFilter {
                tag: Some("ENV:2".to_owned()),
                ..Default::default()
            },
            15,
        ),
        (
            ResourceFilter {
                tag: Some("env:1".to_owned()),
                ..Default::default()
            },
            15,
        ),
        (
            ResourceFilter {
                tag: Some("env".to_owned()),
                ..Default::default()
            },
            0,
        ),
    ] {
        let listed = fixture.resources(&filter, None, 100).await.unwrap();
        assert_eq!(listed.len(), expected, "{filter:?}");
        let counted = fixture.resource_counts(&filter).await.unwrap();
        let counted: i64 = counted.iter().map(|count| count.resources).sum();
        assert_eq!(counted, i64::try_from(expected).unwrap(), "{filter:?}");
    }
}
