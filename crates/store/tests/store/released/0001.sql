-- An account as version 0001 kept it: 4 projects, 600 resources with their events, a year of invoices with their lines.
insert into cloud_projects (id, provider_id, name, description, environment, is_default, is_internal, tenant_id, attrs,
    first_seen_at, last_seen_at, deleted_at)
select ('00000000-0000-0000-0000-00000000000' || n)::uuid, ('10000000-0000-0000-0000-00000000000' || n), 'project ' || n, '',
    'Production', n = 1, n = 2, case when n > 2 then 'tenant-' || n end, '{"owner_id": 7}',
    '2026-01-01T00:00:00Z', '2026-06-01T00:00:00Z', case when n = 4 then timestamptz '2026-05-01T00:00:00Z' end
from generate_series(1, 4) n;

insert into cloud_resources (id, kind, provider_id, name, region, status, tags, attrs, fingerprint, body_project_id,
    cloud_project_id, tenant_id, attribution, first_seen_at, last_seen_at, stale_strike_count, last_struck_at, deleted_at)
select ('20000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, (array['droplet', 'volume', 'database_cluster'])[n % 3 + 1],
    n::text, 'web-' || n, 'nyc3', 'active', array['web'], jsonb_build_object('memory', n, 'created_at', '2026-01-01T00:00:00Z'),
    sha256(convert_to(n::text, 'utf8')), null,
    ('00000000-0000-0000-0000-00000000000' || n % 3 + 1)::uuid, case when n % 3 = 2 then 'tenant-3' end, 'membership',
    '2026-01-01T00:00:00Z', '2026-06-01T00:00:00Z', case when n % 50 = 0 then 2 else 0 end,
    case when n % 50 = 0 then timestamptz '2026-06-01T00:00:00Z' end,
    case when n % 60 = 0 then timestamptz '2026-05-01T00:00:00Z' end
from generate_series(1, 600) n;

insert into cloud_project_members (kind, provider_id, cloud_project_id, status, assigned_at, last_seen_at)
select kind, provider_id, cloud_project_id, 'ok', first_seen_at, last_seen_at from cloud_resources where deleted_at is null;

insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
select id, 'discovered', '{}', first_seen_at, 'sync-inventory', 'run-1' from cloud_resources;
insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
select id, 'updated', jsonb_build_object('name', jsonb_build_object('before', 'old-' || provider_id, 'after', name)),
    '2026-03-01T00:00:00Z', 'sync-inventory', 'run-2'
from cloud_resources where provider_id::int % 7 = 0;
insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
select id, 'drift_detected', jsonb_build_object('cloud_project_id', jsonb_build_object('before', null, 'after', cloud_project_id)),
    '2026-02-01T00:00:00Z', 'sync-projects', 'run-3'
from cloud_resources where provider_id::int % 11 = 0;

insert into cloud_listings (kind, workflow_id, run_id, started_at, finished_at, complete, reason, items, total, requests, has_struck)
select kind, 'sync-inventory', 'run-' || n, timestamptz '2026-06-01T00:00:00Z' + n * interval '15 minutes',
    timestamptz '2026-06-01T00:00:10Z' + n * interval '15 minutes', n % 10 <> 0, case when n % 10 = 0 then 'cut off' end, 200, 200, 1,
    n % 10 <> 0
from generate_series(1, 96) n, unnest(array['droplet', 'volume', 'database_cluster', 'project', 'project_member']) kind;

insert into cloud_balance_snapshots (month_to_date_balance, account_balance, month_to_date_usage, generated_at)
select n, 12.34 + n, n + 0.5, timestamptz '2026-06-01T00:00:00Z' + n * interval '1 hour' from generate_series(1, 48) n;

insert into cloud_invoices (id, invoice_uuid, invoice_id, period, amount, ingest_status)
select ('30000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, ('40000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid,
    n::text, (date '2025-06-01' + n * interval '1 month')::date, 0, case when n = 12 then 'failed' when n = 11 then 'pending' else 'ingested' end
from generate_series(1, 12) n;
insert into cloud_cost_lines (id, invoice_id, line_no, product, kind, group_description, description, hours, start_at, end_at, amount,
    project_name, category, resource_name, resource_id, match_rule, tenant_id)
select gen_random_uuid(), invoice.id, n,
    case when n = 100 then 'Taxes' when n % 5 = 0 then 'Backups' else 'Droplets' end,
    case when n = 100 then null when n % 5 = 0 then 'droplet_backup' else 'droplet' end, '', 'web-' || n * 3 || ' (s-1vcpu-1gb)', 720,
    invoice.period, invoice.period + interval '1 month', round((n * 1.37 + extract(month from invoice.period)) / 7, 2),
    'project ' || n % 3 + 1, 'iaas', case when n < 100 then 'web-' || n * 3 end,
    case when n < 90 then ('20000000-0000-0000-0000-' || lpad((n * 3)::text, 12, '0'))::uuid end,
    case when n < 90 then 'name' when n < 95 then 'ambiguous' when n < 100 then 'unmatched' else 'account' end,
    case when n < 90 and n % 3 = 2 then 'tenant-3' end
from cloud_invoices invoice, generate_series(1, 100) n where invoice.ingest_status = 'ingested';
update cloud_invoices invoice set line_count = lines.count, line_total = lines.total, amount = lines.total + case when invoice_id = '3' then 0.01 else 0 end,
    reconciled = invoice_id <> '3', off_by = case when invoice_id = '3' then 0.01 else 0 end, ingested_at = '2026-06-01T00:00:00Z',
    csv_sha256 = sha256(convert_to(invoice_id, 'utf8'))
from (select invoice_id as id, count(*) as count, sum(amount) as total from cloud_cost_lines group by 1) lines where lines.id = invoice.id;

insert into api_tokens (id, name, role, tenant_id, token_sha256) values
    (gen_random_uuid(), 'ann', 'platform_admin', null, sha256('a')), (gen_random_uuid(), 'tenant', 'tenant', 'tenant-3', sha256('b'));
