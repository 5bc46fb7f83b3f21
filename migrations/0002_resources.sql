-- Resources: the mirror of everything in the account, with its history.

-- Bound: one row per resource that ever existed. Kept forever, because costs refer to them.
create table cloud_resources (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    kind text not null,
    provider_id text not null,
    name text not null,
    region text,
    status text,
    tags text[] not null,
    -- DigitalOcean's body, without secrets and without copies of other resources.
    attrs jsonb not null,
    -- SHA-256 of the fields with changes that are recorded as events. A sync compares it instead of
    -- the bodies.
    fingerprint bytea not null,
    -- DigitalOcean's id of the project, for the few kinds with a body that contains it.
    body_project_id text,
    -- The project according to DigitalOcean, without overrides. Memberships are derived from it.
    provider_project_id uuid references cloud_projects,
    -- The resource with overrides that also apply to this one: the cluster of a node, the droplet
    -- of a snapshot. Not a foreign key, because rows are never deleted.
    parent_id uuid,
    -- The resource with the override that applies to this one: itself or a parent. Null without an
    -- override.
    overridden_by uuid,
    -- The current project and tenant: those of the override, else of provider_project_id.
    cloud_project_id uuid references cloud_projects,
    tenant_id text,
    -- The source of cloud_project_id and tenant_id; see 0004_attribution.sql.
    attribution text check (attribution in ('operator', 'membership', 'body', 'parent', 'fallback')),
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    -- The number of consecutive complete listings without the resource, and the time of the latest
    -- strike.
    stale_strike_count integer not null default 0,
    last_struck_at timestamptz,
    deleted_at timestamptz,
    unique (provider, kind, provider_id)
) with (
    -- Every observation updates last_seen_at. Free space on the page allows HOT updates, which
    -- change no index, and bodies in TOAST are not copied.
    fillfactor = 45,
    toast_tuple_target = 256
);
create index cloud_resources_project on cloud_resources (cloud_project_id);
create index cloud_resources_parent on cloud_resources (parent_id) where parent_id is not null;
create index cloud_resources_tenant on cloud_resources (tenant_id, kind, id);
create index cloud_resources_name on cloud_resources (kind, lower(name));
-- The order of lists, so that a page reads its own rows only.
create index cloud_resources_order on cloud_resources (kind, name, id);
-- For the number of resources by kind, from the index alone where the visibility map permits.
create index cloud_resources_counts on cloud_resources (kind, tenant_id, cloud_project_id, region)
    where deleted_at is null;
create trigger cloud_resources_are_never_removed
    before delete or truncate on cloud_resources
    for each statement execute function refuse_change();

-- Changes of resources, append-only. Past states are reconstructed by undoing them.
-- Bound: one row per change. No retention yet.
create table cloud_resource_events (
    id bigint generated always as identity primary key,
    resource_id uuid not null references cloud_resources,
    event text not null check (event in ('discovered', 'updated', 'deleted', 'drift_detected', 'tagged', 'restored')),
    -- {"field": {"before": ..., "after": ...}}
    changes jsonb not null,
    occurred_at timestamptz not null default now(),
    -- The Temporal run that observed the change; null for a change by an operator through the API.
    workflow_id text,
    run_id text
);
create index cloud_resource_events_of_resource on cloud_resource_events (resource_id, id desc);
create index cloud_resource_events_by_time on cloud_resource_events
    using brin (occurred_at) with (pages_per_range = 16);
-- For the matching of cost lines: a line is for the resource that had the name in the charge
-- period.
create index cloud_resource_events_renames on cloud_resource_events (resource_id, occurred_at)
    where event in ('updated', 'restored') and changes ? 'name';
create index cloud_resource_events_former_names on cloud_resource_events (lower(changes #>> '{name,before}'))
    where event in ('updated', 'restored') and changes ? 'name';
create trigger cloud_resource_events_are_append_only
    before update or delete or truncate on cloud_resource_events
    for each statement execute function refuse_change();

-- Relations between resources, as the body of one of them states them. The other resource is
-- referenced by DigitalOcean's id, because it may not be stored (yet).
-- Bound: the relations in the latest body of each resource.
create table cloud_resource_relations (
    stated_by uuid not null references cloud_resources,
    relation text not null,
    -- to_other: stated_by is RELATION the other. from_other: the other is RELATION stated_by.
    direction text not null check (direction in ('to_other', 'from_other')),
    other_kind text not null,
    other_provider_id text not null,
    -- True if stated_by is a part of the other resource and has its project and tenant.
    is_owner boolean not null default false,
    primary key (stated_by, relation, direction, other_kind, other_provider_id)
);
create index cloud_resource_relations_other on cloud_resource_relations (other_kind, other_provider_id);
create unique index cloud_resource_relations_owner on cloud_resource_relations (stated_by) where is_owner;

-- The relations of live resources with both ends resolved: RESOURCE is RELATION RELATED. The id of
-- an end that is not stored is null.
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

-- The project that contains a resource, according to the latest membership passes.
-- Bound: one row per member; rows that three passes lack are deleted.
create table cloud_project_members (
    provider text not null default 'digitalocean',
    kind text not null,
    provider_id text not null,
    cloud_project_id uuid not null references cloud_projects,
    -- DigitalOcean's value: ok, not_found, service_down ...
    status text not null,
    -- DigitalOcean's time.
    assigned_at timestamptz,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null,
    stale_strike_count integer not null default 0,
    last_struck_at timestamptz,
    primary key (provider, kind, provider_id)
);

-- Projects of a resource over time, according to DigitalOcean (provider_project_id). Overrides are
-- in cloud_resource_overrides.
-- Bound: one row per move between projects. Kept forever, because months are attributed by them.
create table cloud_project_memberships (
    resource_id uuid not null references cloud_resources,
    cloud_project_id uuid not null references cloud_projects,
    valid_from timestamptz not null,
    valid_to timestamptz,
    check (valid_to > valid_from),
    constraint cloud_project_memberships_do_not_overlap exclude using gist (
        resource_id with =, tstzrange(valid_from, valid_to) with &&)
);
create index cloud_project_memberships_project on cloud_project_memberships (cloud_project_id);
-- Attribution reads the memberships of a resource for each of its cost lines.
create index cloud_project_memberships_resource on cloud_project_memberships (resource_id, valid_from);

-- Overrides by operators: from valid_from on, a resource belongs to this tenant or project,
-- regardless of DigitalOcean's data. No sync changes them. Undoing an override deletes its rows,
-- and costs are recomputed as if there had been none.
-- Bound: one row per override. Kept forever, because months are attributed by them.
create table cloud_resource_overrides (
    resource_id uuid not null references cloud_resources,
    -- One of the two. The tenant of a resource may be overridden independently of its project.
    tenant_id text,
    cloud_project_id uuid references cloud_projects,
    valid_from timestamptz not null,
    valid_to timestamptz,
    -- The latest project at DigitalOcean that contradicts the override. Each contradiction is
    -- recorded once (drift_detected).
    contradicted_by uuid references cloud_projects,
    -- The name of the access token.
    set_by text not null,
    set_at timestamptz not null,
    check (num_nonnulls(tenant_id, cloud_project_id) = 1),
    check (valid_to > valid_from),
    constraint cloud_resource_overrides_of_tenant_do_not_overlap exclude using gist (
        resource_id with =, tstzrange(valid_from, valid_to) with &&) where (tenant_id is not null),
    constraint cloud_resource_overrides_of_project_do_not_overlap exclude using gist (
        resource_id with =, tstzrange(valid_from, valid_to) with &&) where (cloud_project_id is not null)
);
create index cloud_resource_overrides_resource on cloud_resource_overrides (resource_id);
create index cloud_resource_overrides_project on cloud_resource_overrides (cloud_project_id)
    where cloud_project_id is not null;

-- The current overrides, one row per resource.
create view cloud_current_overrides as
select resource_id, max(tenant_id) as tenant_id, max(cloud_project_id::text)::uuid as cloud_project_id
from cloud_resource_overrides where valid_to is null group by resource_id;
