-- What version 0002 keeps beside: relations, pins, a hold, intervals that have ended.
insert into cloud_resource_relations (stated_by, relation, direction, other_kind, other_provider_id, is_owner)
select id, 'attached_to', 'to_other', 'droplet', (provider_id::int + 1)::text, true
from cloud_resources where kind = 'volume' and deleted_at is null;

insert into cloud_resource_pins (resource_id, tenant_id, cloud_project_id, pinned_by, pinned_at)
select id, 'tenant-9', null, 'ann', '2026-04-01T00:00:00Z' from cloud_resources where kind = 'volume' and deleted_at is null limit 5;
update cloud_resources set tenant_id = 'tenant-9', attribution = 'operator' where id in (select resource_id from cloud_resource_pins);

insert into cloud_held_deletions (id, kind, listing_id, listing_started_at, would_delete, live, held_at)
select '50000000-0000-0000-0000-000000000001', 'droplet', id, started_at, 30, 190, started_at
from cloud_listings where kind = 'droplet' and complete order by started_at desc limit 1;
insert into cloud_held_resources (hold_id, resource_id)
select '50000000-0000-0000-0000-000000000001', id from cloud_resources where kind = 'droplet' and deleted_at is null limit 30;

update cloud_project_memberships set valid_to = '2026-05-15T00:00:00Z'
where resource_id in (select id from cloud_resources where provider_id::int % 13 = 0 and deleted_at is null) and valid_from < '2026-05-15';
insert into cloud_project_memberships (resource_id, cloud_project_id, valid_from)
select resource_id, '00000000-0000-0000-0000-000000000002', '2026-05-15T00:00:00Z' from cloud_project_memberships
where valid_to = '2026-05-15T00:00:00Z';

-- A listing that a crash left.
insert into cloud_staged_resources (listing, id, kind, provider_id, name, tags, attrs, fingerprint)
select '60000000-0000-0000-0000-000000000001', gen_random_uuid(), 'droplet', n::text, 'new-' || n, '{}', '{}', sha256(convert_to(n::text, 'utf8'))
from generate_series(1001, 1050) n;
