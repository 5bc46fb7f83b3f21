-- Resources: the mirror of everything in the account, with its history.

-- Returns the text in which resources are searched, in lower case: NAME, a line feed,
-- DigitalOcean's id, a line feed and the tags, each between a tab and a line feed. Names and ids
-- are searched with blanks instead of tabs and line feeds.
-- In PL/pgSQL, because calls of an SQL function that is not inlined take twenty times as long.
create function resource_search_text(name text, provider_id text, tags text[]) returns text language plpgsql immutable parallel safe as $$
begin
    return lower(translate(name, E'\n\t', '  ') || E'\n' || translate(provider_id, E'\n\t', '  ') || E'\n\t'
        || array_to_string(tags, E'\n\t') || E'\n');
end
$$;

-- Returns resource_search_text, or null if it has more than 1,000 bytes, which an index might
-- refuse.
create function indexed_search_text(name text, provider_id text, tags text[]) returns text language plpgsql immutable parallel safe as $$
declare
    -- With the schema, because pg_restore sets an empty search path.
    searched text := public.resource_search_text(name, provider_id, tags);
begin
    return case when octet_length(searched) <= 1000 then searched end;
end
$$;

-- Bound: one row per resource that a listing ever showed. Kept forever, because costs refer to
-- them.
create table cloud_resource_rows (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    kind text not null,
    provider_id text not null,
    name text not null,
    region text,
    status text,
    tags text[] not null,
    -- DigitalOcean's body, without secrets and without copies of other resources.
    attrs jsonb not null,
    -- The first 16 bytes of a SHA-256 over kind, provider_id, body_project_id and all fields with
    -- changes that are recorded as events. A sync compares it instead of the bodies.
    fingerprint bytea not null check (octet_length(fingerprint) = 16),
    -- DigitalOcean's id of the project, for the few kinds with a body that contains it.
    body_project_id text,
    -- Our id of the project by DigitalOcean's evidence, or by our fallback, without overrides.
    -- Memberships are derived from it.
    provider_project_id uuid references cloud_project_rows,
    -- The resource with overrides that also apply to this one: the cluster of a node, the droplet
    -- of a snapshot. Not a foreign key: rows are never deleted, so the check could not fail, and it
    -- would lock the row of the parent.
    parent_id uuid,
    -- The resource with the override that applies to this one: itself or the nearest ancestor with
    -- one. Null without an override.
    overridden_by uuid,
    -- The same, of overrides of the project only.
    project_overridden_by uuid,
    -- The current project and tenant: those of the overrides, else of provider_project_id.
    cloud_project_id uuid references cloud_project_rows,
    tenant_id text check (tenant_id <> ''),
    -- The source of cloud_project_id and tenant_id, by the rules of 0004_attribution.sql:
    --   operator    an override of this resource
    --   parent      an override of an ancestor; node, made, part, claimed
    --   membership, body, fallback
    -- Null if no rule applies, and for a new resource of a cluster until the project of the cluster
    -- is known.
    attribution text check (attribution in ('operator', 'membership', 'body', 'parent', 'fallback')),
    first_seen_at timestamptz not null,
    -- The last sighting: a row of cloud_sightings while the resource is live, and its time after
    -- that. Not a foreign key, because sightings are never deleted.
    sighting_id bigint,
    seen_before_deletion_at timestamptz,
    -- The strikes: complete listings in a row without the resource, each begun at least
    -- ARCADIA_STRIKE_INTERVAL (ten minutes) after the end of the one before. last_struck_at is the
    -- end of the latest one; for a held deletion, the time of the approval.
    stale_strike_count integer not null default 0,
    last_struck_at timestamptz,
    deleted_at timestamptz,
    -- Null if it is too long for the index; filters then compute it.
    search_text text generated always as (indexed_search_text(name, provider_id, tags)) stored,
    -- With the columns by which a listing compares all its resources, so that it reads the index
    -- alone where the visibility map permits.
    unique (provider, kind, provider_id) include (fingerprint, sighting_id, deleted_at),
    check ((deleted_at is null) = (sighting_id is not null)),
    check ((deleted_at is null) = (seen_before_deletion_at is null))
);
-- For lists of the resources of a project.
create index cloud_resources_project on cloud_resource_rows (cloud_project_id);
-- For the resources to which an override also applies.
create index cloud_resources_parent on cloud_resource_rows (parent_id) where parent_id is not null;
-- The order of the list of a tenant, and of all lists, so that a page reads its own rows only. With
-- the columns by which lists are filtered: searching 110,000 resources reads 21 MB of the index
-- instead of 172 MB of the table, and needs no index of trigrams, which would double the time of a
-- first sync.
create index cloud_resources_tenant on cloud_resource_rows (tenant_id, kind, name, id);
create index cloud_resources_order on cloud_resource_rows (kind, name, id)
    include (first_seen_at, deleted_at, tenant_id, cloud_project_id, region, search_text);
-- The rows of which the index lacks the text.
create index cloud_resources_without_search_text on cloud_resource_rows (id) where search_text is null;
-- For the match of cost lines by name.
create index cloud_resources_name on cloud_resource_rows (kind, fold_case(name));
-- For the number of resources by kind, from the index alone where the visibility map permits.
create index cloud_resources_counts on cloud_resource_rows (kind, tenant_id, cloud_project_id, region)
    where deleted_at is null;
-- For the listings that a strike refers to, which are kept.
create index cloud_resources_last_strike on cloud_resource_rows (kind, last_struck_at) where last_struck_at is not null;
-- For the reset of strikes, which reads only the rows that have some.
create index cloud_resources_struck on cloud_resource_rows (kind) where stale_strike_count > 0 and deleted_at is null;
create trigger cloud_resources_are_never_removed
    before delete or truncate on cloud_resource_rows
    for each statement execute function refuse_change();

-- The number of statements that changed resources of a kind, so that readers know if the result of
-- an earlier read still holds (crates/store/src/inventory/counts.rs). The writers of a kind hold
-- its lock or that of the inventory, so that they do not wait for this row.
-- Bound: one row per kind.
create table cloud_resource_versions (
    kind text primary key,
    version bigint not null default 1
);
create function count_changes_of_resources() returns trigger language plpgsql as $$
begin
    insert into cloud_resource_versions as counted (kind) select distinct kind from changed order by kind
    on conflict (kind) do update set version = counted.version + 1;
    return null;
end
$$;
create trigger cloud_resources_count_inserts
    after insert on cloud_resource_rows referencing new table as changed
    for each statement execute function count_changes_of_resources();
create trigger cloud_resources_count_updates
    after update on cloud_resource_rows referencing new table as changed
    for each statement execute function count_changes_of_resources();

-- Resources with the time of their last sighting. Readers use this view, writers
-- cloud_resource_rows.
create view cloud_resources with (security_invoker = true) as
select
    r.id, r.provider, r.kind, r.provider_id, r.name, r.region, r.status, r.tags, r.attrs, r.fingerprint, r.body_project_id,
    r.provider_project_id, r.parent_id, r.overridden_by, r.project_overridden_by, r.cloud_project_id, r.tenant_id, r.attribution,
    r.first_seen_at,
    -- A new row is stored after the end of the listing that discovered it.
    greatest(r.first_seen_at, coalesce(
        r.seen_before_deletion_at, (select s.seen_at from cloud_sightings s where s.id = r.sighting_id))) as last_seen_at,
    r.stale_strike_count, r.last_struck_at, r.deleted_at
from cloud_resource_rows r;

-- Changes of resources, append-only.
--   discovered      the first sighting; `before` is null in all changes
--   updated         other fields changed, or the project or tenant, or an operator's override
--   tagged          only the tags changed
--   drift_detected  the resource left its project, or DigitalOcean moved it to a project that
--                   contradicts its override
--   deleted         by the third strike, or by an operator's approval of a held deletion
--   restored        a sighting after the deletion
-- Bound: one row per change, in partitions by month (0015_maintenance.sql). Kept until an operator
-- exports and detaches a month, because past states are reconstructed by undoing the changes.
-- Former names and sizes are kept forever, because old cost lines are matched by them.
create table cloud_resource_events (
    id bigint generated always as identity,
    resource_id uuid not null references cloud_resource_rows,
    event text not null check (event in ('discovered', 'updated', 'deleted', 'drift_detected', 'tagged', 'restored')),
    -- {"field": {"before": ..., "after": ...}}. The fields:
    --   name, region, status, tags, relations, deleted_at, cloud_project_id, tenant_id, attribution
    --   attrs                one object when discovered; later "attrs.KEY" for each changed key
    --   provider_project_id  the project that contradicts an override
    --   override             {"before", "after", "by"}: two states and the name of the access
    --                        token. A state is null or {"tenant_id", "tenant_since",
    --                        "cloud_project_id", "project_since"}
    --   approved_by          of a held deletion: the name of the access token
    changes jsonb not null,
    -- When the transaction acquired its lock, so that the events of a resource have the order of
    -- their ids.
    occurred_at timestamptz not null,
    -- The Temporal run that observed the change; null for a change by an operator through the API.
    workflow_id text,
    run_id text,
    primary key (id, occurred_at)
) partition by range (occurred_at);
-- For the events of a resource, latest first.
create index cloud_resource_events_of_resource on cloud_resource_events (resource_id, id desc);
-- For past states of all resources.
create index cloud_resource_events_by_time on cloud_resource_events
    using brin (occurred_at) with (pages_per_range = 16);
-- For the match of cost lines: a line is for the resource that had the name in the charge period.
create index cloud_resource_events_renames on cloud_resource_events (resource_id, occurred_at)
    where event in ('updated', 'restored') and changes ? 'name';
create index cloud_resource_events_former_names on cloud_resource_events (fold_case(changes #>> '{name,before}'))
    where event in ('updated', 'restored') and changes ? 'name';
create trigger cloud_resource_events_are_append_only
    before update or delete or truncate on cloud_resource_events
    for each statement execute function refuse_change('purge');

-- Past values of the fields by which resources are filtered and ordered, from the events that
-- replaced them. A list as of a time reads one value for each changed field, instead of all events
-- since then (crates/store/src/inventory/history.rs). Present values are in cloud_resource_rows.
-- Bound: one row per change of these fields, as long as its event: detach_history removes them.
create table cloud_resource_past_values (
    -- Not a foreign key: that of the event suffices.
    resource_id uuid not null,
    field text not null check (field in ('name', 'region', 'tags', 'cloud_project_id', 'tenant_id', 'deleted_at')),
    -- Of tags, their part of resource_search_text.
    value text,
    -- '-infinity' for the first value.
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    primary key (field, resource_id, valid_to) include (valid_from),
    check (valid_to > valid_from)
);

-- Stores the values that events replace. Of several events of a field, the first one after a time
-- has its value at that time.
create function store_past_values() returns trigger language plpgsql as $$
begin
    insert into cloud_resource_past_values (resource_id, field, value, valid_from, valid_to)
    select resource_id, field,
        case when field = 'tags'
            then E'\t' || lower(array_to_string(array(select jsonb_array_elements_text(before)), E'\n\t')) || E'\n'
            else before #>> '{}' end,
        valid_from, valid_to
    from (
        select changed.resource_id, changed.field, changed.before, changed.occurred_at as valid_to,
            coalesce(greatest(
                (select max(past.valid_to) from cloud_resource_past_values past
                 where past.field = changed.field and past.resource_id = changed.resource_id),
                max(changed.occurred_at) over (
                    partition by changed.resource_id, changed.field order by changed.id rows between unbounded preceding and 1 preceding)),
                '-infinity') as valid_from
        from (
            select event.id, event.resource_id, event.occurred_at, filtered.field, event.changes #> array[filtered.field, 'before'] as before
            from added event
            cross join unnest('{name,region,tags,cloud_project_id,tenant_id,deleted_at}'::text[]) filtered (field)
            where event.event <> 'discovered' and event.changes ? filtered.field
        ) changed
    ) past
    where valid_from < valid_to;
    return null;
end
$$;
create trigger cloud_resource_events_store_past_values
    after insert on cloud_resource_events referencing new table as added
    for each statement execute function store_past_values();

-- Relations between resources, as the body of one of them states them: attached_to, backup_of,
-- in_vpc, made_by_kubernetes, node_of, part_of, record_of, replica_of, serves, snapshot_of
-- (domain::inventory::RelationKind). The other resource is referenced by DigitalOcean's id, because
-- it may not be stored (yet).
-- Bound: the relations in the latest body of each resource, also of deleted ones.
create table cloud_resource_relations (
    stated_by uuid not null references cloud_resource_rows,
    relation text not null,
    -- to_other: stated_by is RELATION the other. from_other: the other is RELATION stated_by.
    direction text not null check (direction in ('to_other', 'from_other')),
    other_kind text not null,
    other_provider_id text not null,
    -- True if the other resource is the parent of stated_by (0004_attribution.sql). Of several
    -- relations to_other, except in_vpc, made_by_kubernetes is selected, else the first in the
    -- order of relation, kind and id.
    is_owner boolean not null default false,
    primary key (stated_by, relation, direction, other_kind, other_provider_id)
);
-- For the relations that other resources state.
create index cloud_resource_relations_other on cloud_resource_relations (other_kind, other_provider_id);
-- A resource has at most one parent by its body.
create unique index cloud_resource_relations_owner on cloud_resource_relations (stated_by) where is_owner;

-- The relations that live resources state, with both ends resolved: RESOURCE is RELATION RELATED.
-- The other end may be deleted; its id is null if it is not stored.
create view cloud_relations as
select
    case when s.direction = 'to_other' then stating.id else other.id end as resource_id,
    case when s.direction = 'to_other' then stating.kind else s.other_kind end as kind,
    case when s.direction = 'to_other' then stating.provider_id else s.other_provider_id end as provider_id,
    s.relation,
    case when s.direction = 'to_other' then other.id else stating.id end as related_id,
    case when s.direction = 'to_other' then s.other_kind else stating.kind end as related_kind,
    case when s.direction = 'to_other' then s.other_provider_id else stating.provider_id end as related_provider_id,
    s.stated_by
from cloud_resource_relations s
join cloud_resources stating on stating.id = s.stated_by
left join cloud_resources other
    on other.provider = 'digitalocean' and other.kind = s.other_kind and other.provider_id = s.other_provider_id
where stating.deleted_at is null;

-- The project that contains a resource, according to the latest membership passes: readings of the
-- members of all projects. The resource need not be stored (yet).
-- Bound: one row per member; rows that three passes lack are deleted.
create table cloud_project_members (
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    kind text not null,
    provider_id text not null,
    cloud_project_id uuid not null references cloud_project_rows,
    -- DigitalOcean's value: ok, not_found, service_down ...
    status text not null,
    -- DigitalOcean's time.
    assigned_at timestamptz,
    first_seen_at timestamptz not null default now(),
    -- As in cloud_resource_rows; the kind of the sighting is 'project_member'.
    sighting_id bigint not null,
    stale_strike_count integer not null default 0,
    last_struck_at timestamptz,
    -- True if no live resource has the kind and the id. The pass that inserts the row sets it, and
    -- the triggers below maintain it. The inventory lock orders passes and syncs of resources.
    is_unmatched boolean not null default true,
    primary key (provider, kind, provider_id)
);
-- For the status, which reads only these members.
create index cloud_project_members_unmatched on cloud_project_members (kind) where is_unmatched;

-- Planned at each call: a plan that is kept from the insert of one row takes a minute for 20,000.
create function match_members_of_new_resources() returns trigger language plpgsql as $$
begin
    execute 'update cloud_project_members m set is_unmatched = false
        from added r
        where m.provider = r.provider and m.kind = r.kind and m.provider_id = r.provider_id
          and m.is_unmatched and r.deleted_at is null';
    return null;
end
$$;
create trigger cloud_resources_match_members
    after insert on cloud_resource_rows referencing new table as added
    for each statement execute function match_members_of_new_resources();

create function match_member_of_resource() returns trigger language plpgsql as $$
begin
    update cloud_project_members m set is_unmatched = new.deleted_at is not null
    where m.provider = new.provider and m.kind = new.kind and m.provider_id = new.provider_id;
    return null;
end
$$;
create trigger cloud_resources_match_member
    after update of deleted_at on cloud_resource_rows
    for each row when ((old.deleted_at is null) <> (new.deleted_at is null))
    execute function match_member_of_resource();

-- Projects of a resource over time, without overrides (provider_project_id). A membership also ends
-- when the resource is deleted, and another one begins when it is restored.
-- Bound: one row per move between projects. Kept forever, because months are attributed by them.
create table cloud_project_memberships (
    resource_id uuid not null references cloud_resource_rows,
    cloud_project_id uuid not null references cloud_project_rows,
    valid_from timestamptz not null,
    valid_to timestamptz,
    check (valid_to > valid_from),
    constraint cloud_project_memberships_do_not_overlap exclude using gist (
        resource_id with =, tstzrange(valid_from, valid_to) with &&)
);
-- For the cost lines that a project's tenant affects.
create index cloud_project_memberships_project on cloud_project_memberships (cloud_project_id);
-- Attribution reads the memberships of a resource for each of its cost lines.
create index cloud_project_memberships_resource on cloud_project_memberships (resource_id, valid_from);

-- Overrides by operators: from valid_from on, a resource belongs to this tenant or project,
-- regardless of DigitalOcean's data. No sync changes them.
-- Bound: one row per override. Kept until an operator undoes the override, because months are
-- attributed by it. Undoing deletes the row, and costs are recomputed as if it had never been set.
create table cloud_resource_overrides (
    resource_id uuid not null references cloud_resource_rows,
    -- One of the two. The tenant of a resource may be overridden independently of its project.
    tenant_id text check (tenant_id <> ''),
    cloud_project_id uuid references cloud_project_rows,
    valid_from timestamptz not null,
    valid_to timestamptz,
    -- The latest project at DigitalOcean that contradicts the override: another project than that
    -- of an override of the project; for an override of the tenant alone, a project of another
    -- tenant. Null if none does now. Each contradiction is recorded once (drift_detected).
    contradicted_by uuid references cloud_project_rows,
    -- The name of the access token.
    set_by text not null,
    set_at timestamptz not null,
    check (num_nonnulls(tenant_id, cloud_project_id) = 1),
    check (valid_to > valid_from),
    check (valid_from <= set_at),
    constraint cloud_resource_overrides_of_tenant_do_not_overlap exclude using gist (
        resource_id with =, tstzrange(valid_from, valid_to) with &&) where (tenant_id is not null),
    constraint cloud_resource_overrides_of_project_do_not_overlap exclude using gist (
        resource_id with =, tstzrange(valid_from, valid_to) with &&) where (cloud_project_id is not null)
);
-- For the overrides of a resource, and for the resources that an override moved to a project.
create index cloud_resource_overrides_resource on cloud_resource_overrides (resource_id);
create index cloud_resource_overrides_project on cloud_resource_overrides (cloud_project_id)
    where cloud_project_id is not null;

-- The current overrides, one row per resource. Not aggregated, so that a condition on the resource
-- reads its overrides only: there is at most one of the tenant and one of the project.
create view cloud_current_overrides as
select o.resource_id, o.tenant_id, coalesce(o.cloud_project_id, of_project.cloud_project_id) as cloud_project_id
from cloud_resource_overrides o
left join cloud_resource_overrides of_project
    on o.tenant_id is not null and of_project.resource_id = o.resource_id and of_project.valid_to is null
   and of_project.cloud_project_id is not null
where o.valid_to is null
  and (o.tenant_id is not null or not exists (
      select from cloud_resource_overrides of_tenant
      where of_tenant.resource_id = o.resource_id and of_tenant.valid_to is null and of_tenant.tenant_id is not null));
