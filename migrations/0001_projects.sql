-- Projects: the groups of resources in the DigitalOcean account, and their tenants.
--
-- Conventions of the whole schema:
-- - Amounts are in US dollars. Times are in UTC and come from the database's clock (when this
--   system observed or did something), unless a comment states that they are DigitalOcean's.
-- - `provider` is always 'digitalocean'. `provider_id` is DigitalOcean's id, as text; `id` is
--   ours.
-- - `valid_from` and `valid_to` are half-open intervals; `valid_to` is null while the row is
--   current.
-- - A month (`period`, `bill_period`) is its first day.
-- - "Bound" states the maximum size of a table.

-- For the exclusion constraints, which compare a uuid column and a time range.
create extension if not exists btree_gist;

-- Rejects changes of append-only tables.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% on % refused: its rows are a record and stay as they are', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end
$$;

-- Bound: one row per project that ever existed. Kept forever, because costs refer to them.
create table cloud_projects (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    provider_id text not null,
    name text not null,
    description text not null,
    environment text,
    is_default boolean not null,
    -- The project of ARCADIA_INTERNAL_PROJECT. Resources without a project fall back to it.
    is_internal boolean not null default false,
    -- The tenant and purpose that operators set. No sync changes them.
    tenant_id text,
    purpose text,
    -- The rest of DigitalOcean's body, including the purpose that DigitalOcean stores.
    attrs jsonb not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    -- The number of consecutive complete listings without the project, and the time of the latest
    -- strike.
    stale_strike_count integer not null default 0,
    last_struck_at timestamptz,
    deleted_at timestamptz,
    unique (provider, provider_id)
);
create trigger cloud_projects_are_never_removed
    before delete or truncate on cloud_projects
    for each statement execute function refuse_change();

-- Names of a project over time: an invoice contains the name at billing time.
-- Bound: one row per rename. Kept forever, because lines are matched and attributed by them.
create table cloud_project_names (
    cloud_project_id uuid not null references cloud_projects,
    name text not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    check (valid_to > valid_from),
    constraint cloud_project_names_do_not_overlap exclude using gist (
        cloud_project_id with =, tstzrange(valid_from, valid_to) with &&)
);

-- Tenants of a project over time, as operators assigned them. Undoing an assignment deletes its
-- rows, and costs are recomputed as if there had been none.
-- Bound: one row per assignment. Kept forever, because months are attributed by them.
create table cloud_project_tenants (
    cloud_project_id uuid not null references cloud_projects,
    tenant_id text not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    -- The name of the access token.
    assigned_by text,
    check (valid_to > valid_from),
    constraint cloud_project_tenants_do_not_overlap exclude using gist (
        cloud_project_id with =, tstzrange(valid_from, valid_to) with &&)
);

-- The names that a tenant may know: those of its projects while they were its own. No row twice.
create view cloud_tenant_project_names as
select distinct tenant.tenant_id, project.name
from cloud_project_tenants tenant
join cloud_project_names project on project.cloud_project_id = tenant.cloud_project_id
where project.valid_from < coalesce(tenant.valid_to, 'infinity')
  and tenant.valid_from < coalesce(project.valid_to, 'infinity');
