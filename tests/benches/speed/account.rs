//! An account of years, inserted by SQL: resources with their history, and bills of each month.

use crate::database::Database;

/// The size of the account. Lines are those of all months.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) resources: usize,
    /// Events after the discoveries, over the last 400 days. A fifth of them changes a field by
    /// which resources are filtered.
    pub(crate) changes: usize,
    pub(crate) lines: usize,
    pub(crate) months: usize,
}

/// Fifty projects and their tenants, and resources of ten kinds with bodies of about 1 kB. One in
/// twenty is deleted.
const RESOURCES: &str = r"
    insert into cloud_project_rows (id, provider_id, name, description, is_default, tenant_id, attrs, first_seen_at, sighting_id)
    select md5('project' || project)::uuid, project::text, 'project ' || project, '', project = 1, 'tenant-' || project, '{}',
        now() - interval '500 days', 1
    from generate_series(0, 49) project;
    insert into cloud_project_names (cloud_project_id, name, valid_from) select id, name, first_seen_at from cloud_projects;
    insert into cloud_project_tenants (cloud_project_id, tenant_id, valid_from, assigned_by)
    select id, tenant_id, first_seen_at, 'benchmark' from cloud_projects;
    insert into cloud_sightings (kind, seen_at) values ('droplet', now());
    insert into cloud_resource_rows (id, kind, provider_id, name, region, status, tags, attrs, fingerprint, provider_project_id,
        cloud_project_id, tenant_id, attribution, first_seen_at, sighting_id, seen_before_deletion_at, deleted_at)
    select md5('resource' || n)::uuid,
        (array['droplet', 'volume', 'dns_zone', 'snapshot', 'load_balancer', 'vpc', 'firewall', 'certificate', 'reserved_ip',
            'uptime_check'])[1 + n % 10],
        n::text, 'node-' || lpad((n::bigint * 7919 % 200000)::text, 6, '0') || '.gone', (array['nyc1', 'nyc3', 'ams3', 'fra1'])[1 + n % 4],
        'active', array['k8s:' || md5((n % 300)::text), 'env:' || n % 5], jsonb_build_object('memory', 1024, 'disk', n,
            'size', jsonb_build_object('slug', 's-1vcpu-1gb', 'price_monthly', 6), 'networks', networks.all),
        decode(md5(n::text), 'hex'), md5('project' || n % 50)::uuid, md5('project' || n % 50)::uuid, 'tenant-' || n % 50, 'membership',
        now() - interval '400 days' - (n % 1000) * interval '1 minute', case when n % 20 <> 0 then 1 end,
        case when n % 20 = 0 then now() - interval '10 days' end, case when n % 20 = 0 then now() - interval '10 days' end
    from generate_series(1, $RESOURCES) n
    cross join lateral (
        select jsonb_agg(jsonb_build_object('ip', md5((n + x)::text), 'gateway', md5((n * x)::text), 'type', 'public')) as all
        from generate_series(1, 8) x
    ) networks;
    insert into cloud_sightings (kind, seen_at) values ('project_member', now());
    insert into cloud_project_members (kind, provider_id, cloud_project_id, status, assigned_at, first_seen_at, sighting_id, is_unmatched)
    select kind, provider_id, cloud_project_id, 'ok', first_seen_at, first_seen_at, 2, false from cloud_resource_rows where deleted_at is null;
    insert into cloud_project_memberships (resource_id, cloud_project_id, valid_from)
    select id, cloud_project_id, first_seen_at from cloud_resource_rows;
    insert into cloud_resource_events (resource_id, event, changes, occurred_at)
    select id, 'discovered', jsonb_build_object('name', jsonb_build_object('before', null, 'after', name),
        'attrs', jsonb_build_object('before', null, 'after', attrs)), first_seen_at
    from cloud_resource_rows";

const CHANGES: &str = r"
    insert into cloud_resource_events (resource_id, event, changes, occurred_at)
    select md5('resource' || resource)::uuid, 'updated', case field
            when 0 then jsonb_build_object('name', jsonb_build_object('before', 'old-' || value, 'after', 'new'))
            when 1 then jsonb_build_object('tags', jsonb_build_object('before', array['env:' || value % 5], 'after', '[]'::jsonb))
            when 2 then jsonb_build_object(
                'tenant_id', jsonb_build_object('before', 'tenant-' || value % 50, 'after', 'tenant-0'),
                'cloud_project_id', jsonb_build_object('before', md5('project' || value % 50)::uuid, 'after', null))
            when 3 then jsonb_build_object('deleted_at', jsonb_build_object('before', null, 'after', at))
            else jsonb_build_object('status', jsonb_build_object('before', 'off', 'after', 'active'),
                'attrs.memory', jsonb_build_object('before', value, 'after', 1024)) end,
        at
    from (
        select 1 + floor(random() * $RESOURCES)::int as resource, floor(random() * 20)::int as field, floor(random() * 100000)::int as value,
            now() - interval '400 days' * ($CHANGES - change) / $CHANGES as at
        from generate_series(1, $CHANGES) change
    ) change";

/// An invoice a month, the latest of the last month; one line in a hundred is shared and one
/// unmatched.
const BILLS: &str = r"
    insert into cloud_invoices (invoice_uuid, period, amount, listed_at, ingest_status, ingested_at, version, sources, line_count,
        line_total, off_by, reconciled)
    select md5('invoice' || month)::uuid, (date_trunc('month', now()) - make_interval(months => month))::date, 0, now(), 'ingested', now(),
        1, 'csv+items', 0, 0, 0, true
    from generate_series(1, $MONTHS) month;
    insert into cloud_cost_lines (id, invoice_id, bill_period, line_no, product, kind, identified_kind, group_description, description,
        hours, start_at, end_at, amount, project_name, resource_name, part, is_for_account, is_shared, match_rule, match_note, resource_id,
        tenant_id, attributed_by)
    select gen_random_uuid(), invoice.id, invoice.period, line, 'Product ' || line % 10, case when line % 100 > 0 then 'droplet' end,
        case when line % 100 > 0 then 'droplet' end, '', 'node (s-1vcpu-1gb)', 720, invoice.period, invoice.period + interval '1 month',
        (line % 900)::numeric / 100, 'project ' || line % 50, case when line % 100 > 0 then 'node-' || line end, 'product_charges',
        line % 100 = 0, line % 100 = 0, case line % 100 when 0 then 'account' when 1 then 'unmatched' else 'id' end,
        case when line % 100 = 1 then 'no droplet of this name is known' end,
        case when line % 100 > 1 then md5('resource' || 1 + (line::bigint * 31 + extract(month from invoice.period)::int * 7) % $RESOURCES)::uuid end,
        case when line % 100 > 0 then 'tenant-' || line % 50 end,
        case when line % 100 > 0 then 'resource' else 'shared' end
    from cloud_invoices invoice cross join generate_series(1, $LINES / $MONTHS) line order by invoice.period, line;
    update cloud_invoices invoice set line_count = sums.lines, line_total = sums.total, amount = sums.total, verification = 'verified',
        verified_at = now(), verified_amount = sums.total, is_final = true
    from (select bill_id, sum(line_and_share_count) as lines, sum(amount) as total from cloud_cost_totals group by 1) sums
    where sums.bill_id = invoice.id;
    insert into cloud_kind_freshness (kind, last_complete_at, last_attempt_at, last_state, last_items, last_requests, last_workflow_id,
        last_run_id)
    select distinct kind, now(), now(), 'complete', 1, 1, 'sync-inventory', 'run' from cloud_resource_rows;
    insert into cloud_balance_snapshots (month_to_date_balance, account_balance, month_to_date_usage, generated_at, captured_at,
        last_polled_at)
    values (1, 1, 1, now(), now(), now())";

/// Inserts the account and analyses the tables.
pub(crate) async fn insert(database: &Database, size: Size) -> anyhow::Result<()> {
    for statements in [RESOURCES, CHANGES, BILLS] {
        let statements = statements
            .replace("$RESOURCES", &size.resources.to_string())
            .replace("$CHANGES", &size.changes.to_string())
            .replace("$LINES", &size.lines.to_string())
            .replace("$MONTHS", &size.months.to_string());
        database.execute(&statements).await?;
    }
    database.execute("vacuum analyze").await
}
