-- The whole account: relations, pins, holds on mass deletion, dated membership, and how fresh each kind is.

-- What listings saw that is not stored so yet, until the sweep that follows. A crash empties it, and loses nothing.
create unlogged table cloud_staged_resources (
    listing uuid not null,
    -- The id of the row it becomes if it is new.
    id uuid not null,
    kind text not null,
    provider_id text not null,
    name text not null,
    region text,
    status text,
    tags text[] not null,
    attrs jsonb not null,
    fingerprint bytea not null,
    body_project_id text,
    -- [{"relation", "direction", "kind", "provider_id"}]; null for none.
    relations jsonb,
    -- The resource that it is a part of, if any: one of its relations.
    owner_relation text,
    owner_kind text,
    owner_provider_id text,
    staged_at timestamptz not null default now()
) with (toast_tuple_target = 8160);
create unique index cloud_staged_resources_listing on cloud_staged_resources (listing, id);

-- How resources belong together, as the body of one of them says. The other one is named as DigitalOcean names it, since the
-- mirror may not have it (yet).
create table cloud_resource_relations (
    stated_by uuid not null references cloud_resources,
    relation text not null,
    -- to_other: the stating resource is RELATION the other. from_other: the other is RELATION the stating one.
    direction text not null check (direction in ('to_other', 'from_other')),
    other_kind text not null,
    other_provider_id text not null,
    -- Whether the other is what the stating resource is a part of: its project and tenant are followed.
    is_owner boolean not null default false,
    primary key (stated_by, relation, direction, other_kind, other_provider_id)
);
create index cloud_resource_relations_other on cloud_resource_relations (other_kind, other_provider_id);
create unique index cloud_resource_relations_owner on cloud_resource_relations (stated_by) where is_owner;

-- The same, both ends resolved: RESOURCE is RELATION RELATED. An end that the mirror does not have is null.
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

-- What operators say of a resource; it comes before all that DigitalOcean says, and no sync touches it.
create table cloud_resource_pins (
    resource_id uuid primary key references cloud_resources,
    tenant_id text,
    cloud_project_id uuid references cloud_projects,
    -- The project that DigitalOcean was last seen to contradict with: each contradiction is told once.
    contradicted_by uuid references cloud_projects,
    pinned_by text not null,
    pinned_at timestamptz not null,
    check (tenant_id is not null or cloud_project_id is not null)
);

-- Which project and tenant each resource has: the one rule, over stored rows (listing is null) and staged ones.
--   an operator's pin; the cluster of a node; the cluster that made it, unless somebody moved it out of the default project;
--   the project that lists it; the one its body names; what it is a part of; for kinds that always live in a project, and once
--   a complete pass that began after it was first seen lists it nowhere: the internal project.
-- Kinds that always live in a project are said here and in domain/src/kind.rs.
create view cloud_resource_homes as
select
    subject.id,
    subject.listing,
    subject.kind,
    decided.provider_project_id,
    coalesce(pin.cloud_project_id, decided.provider_project_id) as cloud_project_id,
    case
        when pin.tenant_id is not null then pin.tenant_id
        when pin.cloud_project_id is not null then pinned.tenant_id
        when decided.choice = 'node' then cluster.tenant_id
        when decided.choice in ('made', 'part') then owner.tenant_id
        when decided.choice = 'claimed' then claimant.tenant_id
        when decided.choice = 'membership' then member_project.tenant_id
        when decided.choice = 'body' then named.tenant_id
        when decided.choice = 'fallback' then internal.tenant_id
    end as tenant_id,
    case
        when pin.resource_id is not null then 'operator'
        when decided.choice in ('node', 'made', 'part', 'claimed') then 'parent'
        else decided.choice
    end as attribution
from (
    select r.id, null::uuid as listing, r.kind, r.provider_id, r.body_project_id, r.first_seen_at,
        own.relation as owner_relation, own.other_kind as owner_kind, own.other_provider_id as owner_provider_id
    from cloud_resources r
    left join cloud_resource_relations own on own.stated_by = r.id and own.is_owner
    where r.provider = 'digitalocean' and r.deleted_at is null
    union all
    select id, listing, kind, provider_id, body_project_id, null, owner_relation, owner_kind, owner_provider_id
    from cloud_staged_resources
) subject
left join cloud_project_members member
    on member.provider = 'digitalocean' and member.kind = subject.kind and member.provider_id = subject.provider_id
left join cloud_projects member_project on member_project.id = member.cloud_project_id
left join cloud_projects named on named.provider = 'digitalocean' and named.provider_id = subject.body_project_id
left join (
    -- A droplet is a node of one cluster; should two claim it, the choice is at least the same each time.
    select s.other_kind, s.other_provider_id, min(s.stated_by::text)::uuid as cluster_id
    from cloud_resource_relations s
    join cloud_resources stating on stating.id = s.stated_by and stating.deleted_at is null
    where s.relation = 'node_of' and s.direction = 'from_other'
    group by s.other_kind, s.other_provider_id
) node on node.other_kind = subject.kind and node.other_provider_id = subject.provider_id
left join cloud_resources cluster on cluster.id = node.cluster_id
left join (
    -- A backup's own body does not say what it is a backup of: the droplet's does.
    select s.other_kind, s.other_provider_id, min(s.stated_by::text)::uuid as claimant_id
    from cloud_resource_relations s
    where s.relation = 'backup_of' and s.direction = 'from_other'
    group by s.other_kind, s.other_provider_id
) claim on claim.other_kind = subject.kind and claim.other_provider_id = subject.provider_id
left join cloud_resources claimant on claimant.id = claim.claimant_id
left join cloud_resources owner
    on owner.provider = 'digitalocean' and owner.kind = subject.owner_kind and owner.provider_id = subject.owner_provider_id
left join (
    select max(started_at) as started_at from cloud_listings where kind = 'project_member' and complete
) last_pass on subject.first_seen_at < last_pass.started_at
left join (
    select id, tenant_id from cloud_projects
    where provider = 'digitalocean' and is_internal and deleted_at is null
    order by first_seen_at limit 1
) internal
    on last_pass.started_at is not null
   and subject.kind in ('app', 'database_cluster', 'droplet', 'kubernetes_cluster', 'load_balancer', 'reserved_ip', 'spaces_bucket',
       'volume')
left join cloud_resource_pins pin on pin.resource_id = subject.id
left join cloud_projects pinned on pinned.id = pin.cloud_project_id
cross join lateral (
    select
        case
            when coalesce(cluster.cloud_project_id::text, cluster.tenant_id) is not null then 'node'
            when subject.owner_relation = 'made_by_kubernetes'
                and coalesce(owner.cloud_project_id::text, owner.tenant_id) is not null
                and coalesce(member_project.is_default, true) then 'made'
            when member.cloud_project_id is not null then 'membership'
            when named.id is not null then 'body'
            when coalesce(owner.cloud_project_id::text, owner.tenant_id) is not null then 'part'
            when coalesce(claimant.cloud_project_id::text, claimant.tenant_id) is not null then 'claimed'
            when internal.id is not null then 'fallback'
        end as choice
) chosen
cross join lateral (
    select
        chosen.choice,
        case chosen.choice
            when 'node' then cluster.cloud_project_id
            when 'made' then owner.cloud_project_id
            when 'membership' then member.cloud_project_id
            when 'body' then named.id
            when 'part' then owner.cloud_project_id
            when 'claimed' then claimant.cloud_project_id
            when 'fallback' then internal.id
        end as provider_project_id
) decided;

-- Intervals of one resource or project must not overlap: the database sees to it. A range of one uuid stands for the uuid, since
-- an index for ranges is in every PostgreSQL, and one for uuids beside them is not.
create type uuid_range as range (subtype = uuid);

create table cloud_project_memberships (
    resource_id uuid not null references cloud_resources,
    cloud_project_id uuid not null references cloud_projects,
    valid_from timestamptz not null,
    -- Null while it holds.
    valid_to timestamptz,
    check (valid_to > valid_from),
    constraint cloud_project_memberships_do_not_overlap exclude using gist (
        uuid_range(resource_id, resource_id, '[]') with &&, tstzrange(valid_from, valid_to) with &&)
);
create index cloud_project_memberships_project on cloud_project_memberships (cloud_project_id);

create table cloud_project_tenants (
    cloud_project_id uuid not null references cloud_projects,
    tenant_id text not null,
    valid_from timestamptz not null,
    -- Null while it holds.
    valid_to timestamptz,
    -- The name of the access token by which it was said.
    assigned_by text,
    check (valid_to > valid_from),
    constraint cloud_project_tenants_do_not_overlap exclude using gist (
        uuid_range(cloud_project_id, cloud_project_id, '[]') with &&, tstzrange(valid_from, valid_to) with &&)
);

-- What is known of the time before this version: the latest change that events tell of, else the first sighting.
insert into cloud_project_memberships (resource_id, cloud_project_id, valid_from)
select r.id, r.cloud_project_id, coalesce(
    (select max(e.occurred_at) from cloud_resource_events e where e.resource_id = r.id and e.changes ? 'cloud_project_id'),
    r.first_seen_at)
from cloud_resources r where r.cloud_project_id is not null and r.deleted_at is null;
insert into cloud_project_tenants (cloud_project_id, tenant_id, valid_from)
select id, tenant_id, first_seen_at from cloud_projects where tenant_id is not null;

-- complete; held: complete, and its deletions wait for an operator; incomplete: the pages contradict each other or an item cannot
-- be read; not_readable: the token may not read the kind, or the API does not know it; failed: anything else that went wrong.
alter table cloud_listings add column state text;
update cloud_listings set state = case when complete then 'complete' else 'incomplete' end;
alter table cloud_listings
    alter column state set not null,
    add check (state in ('complete', 'held', 'incomplete', 'not_readable', 'failed'));

-- One row a kind: how fresh it is. Written with every listing.
create table cloud_kind_freshness (
    provider text not null default 'digitalocean',
    kind text not null,
    -- When the last complete listing began: what it lacks was gone then.
    last_complete_at timestamptz,
    last_attempt_at timestamptz not null,
    last_state text not null,
    last_reason text,
    last_items integer not null,
    last_requests integer not null,
    last_workflow_id text not null,
    last_run_id text not null,
    primary key (provider, kind)
);
insert into cloud_kind_freshness
    (kind, last_complete_at, last_attempt_at, last_state, last_reason, last_items, last_requests, last_workflow_id, last_run_id)
select distinct on (kind) kind, (select max(started_at) from cloud_listings c where c.kind = l.kind and c.complete),
    started_at, state, reason, items, requests, workflow_id, run_id
from cloud_listings l order by kind, started_at desc;

-- Complete listings that would have tombstoned too much at once: nothing is, until an operator says so.
create table cloud_held_deletions (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    kind text not null,
    -- The latest listing that lacks them, and when it began.
    listing_id uuid not null references cloud_listings,
    listing_started_at timestamptz not null,
    -- superseded: a later listing saw so much of it again that the rest is no mass deletion.
    state text not null default 'pending' check (state in ('pending', 'approved', 'rejected', 'superseded')),
    would_delete integer not null,
    live integer not null,
    held_at timestamptz not null,
    decided_by text,
    decided_at timestamptz,
    deleted integer,
    check ((state = 'pending') = (decided_at is null)),
    check (state not in ('approved', 'rejected') or decided_by is not null)
);
create unique index cloud_held_deletions_pending on cloud_held_deletions (provider, kind) where state = 'pending';
create table cloud_held_resources (
    hold_id uuid not null references cloud_held_deletions,
    resource_id uuid not null references cloud_resources,
    primary key (hold_id, resource_id)
);

-- States of the past are made by undoing what happened since.
create index cloud_resource_events_by_time on cloud_resource_events using brin (occurred_at) with (pages_per_range = 16);

-- Every sighting writes a new version of every row: half of each page is left free, so that they stay on their page.
alter table cloud_resources set (fillfactor = 45);
