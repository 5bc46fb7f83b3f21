-- Projects: the groups of resources in the DigitalOcean account, and which tenant each belongs to.
--
-- Conventions of the whole schema:
--   Amounts are US dollars. Times are UTC and are the database's own (when this system saw or did
--   something), unless a comment says that DigitalOcean stated them.
--   provider is always 'digitalocean'. provider_id is DigitalOcean's id, as text; id is ours.
--   valid_from and valid_to are half-open intervals; valid_to is null while the row is in force.
--   A month (period, bill_period) is its first day.
--   "Bound" says how large a table can get.

-- For the exclusion constraints: they compare uuids beside time ranges.
create extension if not exists btree_gist;

-- For tables whose rows are a record.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% on % refused: its rows are a record and stay as they are', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end
$$;

-- Bound: one row a project that ever existed. Kept for ever, because costs refer to them.
create table cloud_projects (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    provider_id text not null,
    name text not null,
    description text not null,
    environment text,
    is_default boolean not null,
    -- The project of ARCADIA_INTERNAL_PROJECT. Resources that are in no project fall back to it.
    is_internal boolean not null default false,
    -- The tenant and purpose that operators set. No sync changes them.
    tenant_id text,
    purpose text,
    -- The rest of DigitalOcean's body, including the purpose that DigitalOcean stores.
    attrs jsonb not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    -- Complete listings in a row that lack the project, and when the latest of them was counted.
    stale_strike_count integer not null default 0,
    last_struck_at timestamptz,
    deleted_at timestamptz,
    unique (provider, provider_id)
);
create trigger cloud_projects_are_never_removed
    before delete or truncate on cloud_projects
    for each statement execute function refuse_change();

-- Names of a project over time: an invoice names a project by the name that it had then.
-- Bound: one row a rename. Kept for ever, because lines are matched and attributed by them.
create table cloud_project_names (
    cloud_project_id uuid not null references cloud_projects,
    name text not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    check (valid_to > valid_from),
    constraint cloud_project_names_do_not_overlap exclude using gist (
        cloud_project_id with =, tstzrange(valid_from, valid_to) with &&)
);

-- Tenants of a project over time, as operators assigned them. To undo an assignment deletes its
-- rows, so that costs are again as they were before it.
-- Bound: one row an assignment. Kept for ever, because months are attributed by them.
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
