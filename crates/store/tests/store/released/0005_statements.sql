-- What a worker and an API of version 0005 do all day, with the values written in. Each must go on to work after the next migration.

-- A sighting.
update cloud_resources set last_seen_at = clock_timestamp(), stale_strike_count = 0, last_struck_at = null
where provider = 'digitalocean' and kind = 'droplet' and last_seen_at < clock_timestamp() and deleted_at is null;

-- A new resource.
insert into cloud_resources (id, kind, provider_id, name, region, status, tags, attrs, fingerprint, body_project_id, first_seen_at,
    last_seen_at)
values (gen_random_uuid(), 'droplet', gen_random_uuid()::text, 'new', 'nyc3', 'active', '{}', '{}', sha256('x'), null, now(), now());

-- Its event.
insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
select id, 'updated', '{"status": {"before": "off", "after": "active"}}', clock_timestamp(), 'sync', 'run-old' from cloud_resources limit 1;

-- A strike.
update cloud_resources set stale_strike_count = stale_strike_count + 1, last_struck_at = clock_timestamp()
where kind = 'volume' and provider_id = '1';

-- A listing and the kind's freshness.
insert into cloud_listings (kind, workflow_id, run_id, started_at, finished_at, complete, reason, items, total, requests, has_struck, state)
values ('droplet', 'sync', gen_random_uuid()::text, now(), now(), true, null, 1, 1, 1, true, 'complete');

insert into cloud_kind_freshness (kind, last_complete_at, last_attempt_at, last_state, last_reason, last_items, last_requests,
    last_workflow_id, last_run_id)
values ('droplet', now(), now(), 'complete', null, 1, 1, 'sync', 'run-old')
on conflict (provider, kind) do update set last_complete_at = excluded.last_complete_at, last_attempt_at = excluded.last_attempt_at;

-- What is staged, and gone again.
insert into cloud_staged_resources (listing, id, kind, provider_id, name, region, status, tags, attrs, fingerprint, body_project_id)
values ('60000000-0000-0000-0000-000000000002', gen_random_uuid(), 'droplet', '1', 'web-1', 'nyc3', 'active', '{}', '{}', sha256('y'), null);

delete from cloud_staged_resources where listing = '60000000-0000-0000-0000-000000000002';

-- A long listing is begun, a page of it taken, and another attempt goes on with it.
insert into cloud_begun_listings (listing, run_id, kinds, started_at)
values ('60000000-0000-0000-0000-000000000003', 'run-old', '{droplet}', now());

insert into cloud_taken_pages (listing, path, number, total, has_next, item_ids, kinds, provider_ids)
values ('60000000-0000-0000-0000-000000000003', '/v2/droplets', 1, 1, false, '{1}', '{droplet}', '{1}');

update cloud_begun_listings set listing = '60000000-0000-0000-0000-000000000004', taken_at = clock_timestamp()
where listing = '60000000-0000-0000-0000-000000000003' returning started_at;

delete from cloud_begun_listings where listing = '60000000-0000-0000-0000-000000000004';

-- An ingest: lines are replaced, and the totals follow.
with gone as (delete from cloud_cost_lines where invoice_id = '30000000-0000-0000-0000-000000000011')
update cloud_invoices set ingest_status = 'ingested', line_count = 0, line_total = 0 where id = '30000000-0000-0000-0000-000000000011';

insert into cloud_cost_lines (id, invoice_id, bill_period, line_no, product, kind, identified_kind, group_description, description, amount,
    project_name, match_rule, part, attributed_by)
select gen_random_uuid(), id, period, 1, 'Droplets', 'droplet', 'droplet', '', 'web', 1.5, 'project 1', 'unmatched', 'product_charges', 'none'
from cloud_invoices where id = '30000000-0000-0000-0000-000000000011';

update cloud_invoices set line_count = 1, line_total = 1.5, off_by = amount - 1.5, reconciled = false, checked_at = now(), updated_at = now()
where id = '30000000-0000-0000-0000-000000000011';

-- The balance, and the requests.
insert into cloud_balance_snapshots (month_to_date_balance, account_balance, month_to_date_usage, generated_at) values (1, 2, 3, now())
on conflict (provider, generated_at, month_to_date_balance, account_balance, month_to_date_usage) do update set last_polled_at = now();

update cloud_request_budgets set minute_full_at = clock_timestamp(), hour_full_at = clock_timestamp(), used_at = clock_timestamp()
where token_sha256 = sha256('token');

-- What the API reads.
select * from cloud_resource_homes where listing is null;

select period, tenant_id, sum(amount) from cloud_cost_totals group by 1, 2;

select * from cloud_relations limit 100;

select * from cloud_cost_line_matches limit 20;

select * from cloud_cost_discrepancies;
