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

-- Intervals of one resource or project must not overlap: the database sees to it. A range of one uuid stands for the uuid, since
-- an index for ranges is in every PostgreSQL, and one for uuids beside them is not.
create type uuid_range as range (subtype = uuid);

-- Overrides by operators: from valid_from on, a resource belongs to this tenant or counts to this project, whatever DigitalOcean
-- says. No sync changes them. To undo one deletes its rows, so that costs are again as they were before it. Kept for ever: months
-- are attributed by them.
create table cloud_resource_overrides (
    resource_id uuid not null references cloud_resources,
    -- One of the two. The tenant of a resource may be overridden apart from its project.
    tenant_id text,
    cloud_project_id uuid references cloud_projects,
    valid_from timestamptz not null,
    -- Null while it is in force.
    valid_to timestamptz,
    -- The last project of DigitalOcean's that contradicts the override: each contradiction is reported once.
    contradicted_by uuid references cloud_projects,
    -- The name of the access token.
    set_by text not null,
    set_at timestamptz not null,
    check (num_nonnulls(tenant_id, cloud_project_id) = 1),
    check (valid_to > valid_from),
    constraint cloud_resource_overrides_of_tenant_do_not_overlap exclude using gist (
        uuid_range(resource_id, resource_id, '[]') with &&, tstzrange(valid_from, valid_to) with &&) where (tenant_id is not null),
    constraint cloud_resource_overrides_of_project_do_not_overlap exclude using gist (
        uuid_range(resource_id, resource_id, '[]') with &&, tstzrange(valid_from, valid_to) with &&)
        where (cloud_project_id is not null)
);
create index cloud_resource_overrides_resource on cloud_resource_overrides (resource_id);
create index cloud_resource_overrides_project on cloud_resource_overrides (cloud_project_id) where cloud_project_id is not null;

-- The overrides in force, one row a resource.
create view cloud_current_overrides as
select resource_id, max(tenant_id) as tenant_id, max(cloud_project_id::text)::uuid as cloud_project_id
from cloud_resource_overrides where valid_to is null group by resource_id;

-- Project, tenant and attribution of each resource: the one rule, over stored rows (listing is null) and staged ones. Used by
-- store/src/inventory/attribution.rs and rows.rs.
--
-- DigitalOcean's evidence gives provider_project_id, by the first of these that applies:
--   node: the project of the cluster whose node it is; made: the project of the cluster that made it, unless somebody moved it out
--   of the default project; membership: the project that lists it; body: the project that its body names; part: the project of the
--   resource that it is a part of; claimed: the project of the droplet that names it as a backup; fallback: the internal project,
--   for kinds that always live in a project, once a complete pass that began after it was first seen lists it nowhere.
-- An override comes before all evidence. That of a parent holds for its parts too: of a cluster always, of other parents where
-- neither membership nor body names a project.
-- The kinds that always live in a project are named here and in domain/src/kind.rs.
create view cloud_resource_homes as
select
    subject.id,
    subject.listing,
    subject.kind,
    decided.provider_project_id,
    decided.parent_id,
    override.resource_id as overridden_by,
    effective.id as cloud_project_id,
    coalesce(override.tenant_id, effective.tenant_id) as tenant_id,
    case
        when override.resource_id = subject.id then 'operator'
        when override.resource_id is not null or decided.choice in ('node', 'made', 'part', 'claimed') then 'parent'
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
    -- The body of a backup does not name its droplet; that of the droplet names its backups.
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
    select id from cloud_projects
    where provider = 'digitalocean' and is_internal and deleted_at is null
    order by first_seen_at limit 1
) internal
    on last_pass.started_at is not null
   and subject.kind in ('app', 'database_cluster', 'droplet', 'kubernetes_cluster', 'load_balancer', 'reserved_ip', 'spaces_bucket',
       'volume')
cross join lateral (
    select
        subject.owner_relation = 'made_by_kubernetes' and owner.id is not null and coalesce(member_project.is_default, true) as is_made
) made
cross join lateral (
    select
        case
            when cluster.provider_project_id is not null then 'node'
            when made.is_made and owner.provider_project_id is not null then 'made'
            when member.cloud_project_id is not null then 'membership'
            when named.id is not null then 'body'
            when owner.provider_project_id is not null then 'part'
            when claimant.provider_project_id is not null then 'claimed'
            when internal.id is not null then 'fallback'
        end as choice
) chosen
cross join lateral (
    select
        chosen.choice,
        case chosen.choice
            when 'node' then cluster.provider_project_id
            when 'made' then owner.provider_project_id
            when 'membership' then member.cloud_project_id
            when 'body' then named.id
            when 'part' then owner.provider_project_id
            when 'claimed' then claimant.provider_project_id
            when 'fallback' then internal.id
        end as provider_project_id,
        case
            when cluster.id is not null then cluster.id
            when made.is_made then owner.id
            when member.cloud_project_id is null and named.id is null then coalesce(owner.id, claimant.id)
        end as parent_id
) decided
left join cloud_current_overrides own on own.resource_id = subject.id
left join cloud_current_overrides of_parent on of_parent.resource_id = decided.parent_id
left join cloud_current_overrides above
    on above.resource_id = case decided.parent_id
       when cluster.id then cluster.overridden_by when owner.id then owner.overridden_by when claimant.id then claimant.overridden_by end
left join cloud_current_overrides override
    on override.resource_id = coalesce(own.resource_id, of_parent.resource_id, above.resource_id)
left join cloud_projects effective on effective.id = coalesce(override.cloud_project_id, decided.provider_project_id);

-- Which project a resource was in by DigitalOcean's evidence, and when the mirror saw that. Overrides are not among them.
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

-- Which tenant a project was assigned to by operators, and for which time. To undo an assignment deletes its rows, so that costs
-- are again as they were before it.
create table cloud_project_tenants (
    cloud_project_id uuid not null references cloud_projects,
    tenant_id text not null,
    valid_from timestamptz not null,
    -- Null while it holds.
    valid_to timestamptz,
    -- The name of the access token.
    assigned_by text,
    check (valid_to > valid_from),
    constraint cloud_project_tenants_do_not_overlap exclude using gist (
        uuid_range(cloud_project_id, cloud_project_id, '[]') with &&, tstzrange(valid_from, valid_to) with &&)
);

-- complete; held: complete, and its deletions wait for an operator; incomplete: the pages contradict each other or an item cannot
-- be read; not_readable: the token may not read the kind, or the API does not know it; unauthorized: the token is refused; failed:
-- anything else that went wrong.
alter table cloud_listings add column state text;
update cloud_listings set state = case when complete then 'complete' else 'incomplete' end;
alter table cloud_listings
    alter column state set not null,
    add check (state in ('complete', 'held', 'incomplete', 'not_readable', 'unauthorized', 'failed'));

-- One row a kind: how fresh it is. Written with every listing.
create table cloud_kind_freshness (
    provider text not null default 'digitalocean',
    kind text not null,
    -- When the last complete listing began: what it lacks was gone then.
    last_complete_at timestamptz,
    last_attempt_at timestamptz not null,
    last_state text not null,
    last_reason text,
    -- Why the sources of the kind are known not to tell of all there is, however complete the attempt was, and what to configure; null
    -- where they are not known to leave anything out. What only an invoice names is not struck then.
    partial_reason text,
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
