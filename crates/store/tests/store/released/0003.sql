-- What version 0003 keeps beside: documents and versions, the open month, split lines, the ledger, operators' words.
insert into cloud_invoice_documents (sha256, source, gzip, bytes)
select sha256(convert_to(invoice_id, 'utf8')), 'csv', '\x1f8b', 2 from cloud_invoices where csv_sha256 is not null;
insert into cloud_invoice_versions (invoice_id, version, amount, line_count, line_total, csv_sha256, ingested_at)
select id, 1, amount, line_count, line_total, csv_sha256, ingested_at from cloud_invoices where line_count is not null;
insert into cloud_invoice_parts (invoice_id, part, stated, lines)
select id, 'product_charges', line_total, line_total from cloud_invoices where line_count is not null;

insert into cloud_estimates (id, period, amount, line_count, line_total, off_by, sources, lines_sha256, first_estimated_at, estimated_at)
values ('70000000-0000-0000-0000-000000000001', '2026-07-01', 10, 2, 10, 0, 'csv+items', sha256('e'), now(), now());
insert into cloud_cost_lines (id, estimate_id, bill_period, line_no, product, kind, identified_kind, group_description, description, amount,
    project_name, match_rule, tenant_id, attributed_by)
values
    ('71000000-0000-0000-0000-000000000001', '70000000-0000-0000-0000-000000000001', '2026-07-01', 1, 'Droplets', 'droplet', 'droplet', '', 'web-3',
        7.5, 'project 1', 'unmatched', 'tenant-3', 'project_name'),
    ('71000000-0000-0000-0000-000000000002', '70000000-0000-0000-0000-000000000001', '2026-07-01', 2, 'Droplets', 'droplet', 'droplet', '', 'web-6',
        2.5, 'project 1', 'unmatched', null, 'none');
-- The second is two tenants'.
begin;
update cloud_cost_lines set is_split = true, attributed_by = 'resource' where id = '71000000-0000-0000-0000-000000000002';
insert into cloud_cost_line_shares (line_id, tenant_id, amount) values
    ('71000000-0000-0000-0000-000000000002', 'tenant-3', 1.25), ('71000000-0000-0000-0000-000000000002', null, 1.25);
commit;

insert into cloud_cost_line_overrides (line_id, resource_id, reason, set_by)
select id, resource_id, 'by the contract', 'ann' from cloud_cost_lines where match_rule = 'name' limit 3;
insert into cloud_spread_rules (valid_from, rule, weights, set_by) values
    ('2026-01-01', 'even', null, 'ann'), ('2026-03-01', 'fixed', '{"tenant-3": 2, "tenant-9": 1}', 'ann');
insert into cloud_billing_entries (id, entry_key, ordinal, entry_type, amount, description, date, moves_money, first_seen_at, last_seen_at)
select gen_random_uuid(), sha256(convert_to(n::text, 'utf8')), 1, case when n % 2 = 0 then 'Payment' else 'Invoice' end,
    case when n % 2 = 0 then -10 else 10 end, 'entry ' || n, timestamptz '2026-01-01T00:00:00Z' + n * interval '1 day', true, now(), now()
from generate_series(1, 40) n;
