-- Projects: the groups of resources in the DigitalOcean account, and their tenants.
--
-- Conventions of the whole schema:
-- - Terms are those of CONTRIBUTING.md: mirror, operator, kind, sync, listing, sweep, sighting,
--   strike, held deletion, membership, assignment, override, attribution, match, shared cost,
--   estimate, reallocation. A pass is a listing of the members of all projects. The third strike
--   deletes a row: it sets deleted_at, and the row stays.
-- - `Maintain`, `BillingHistory` and `Reallocate` are Temporal workflows (workflows/src).
-- - Transactions that write the same rows are ordered by an advisory lock
--   (crates/store/src/locks.rs). The times of histories are read after it is acquired.
-- - Tables with the prefix `cloud_` contain the cloud account: the mirror, the bills, the decisions
--   of operators about them, and the state of reading and computing them, such as listings, request
--   budgets, checks and reallocations. The other tables are for this program: access, audit, the id
--   of the installation, partitions and maintenance.
-- - Amounts are in US dollars. Times are in UTC and come from the database's clock (when this
--   system observed or did something), unless a comment states that they are DigitalOcean's.
-- - `provider` is 'digitalocean'. It is a part of the keys, because ids are unique only within a
--   provider. `provider_id` is DigitalOcean's id, as text; `id` is ours.
-- - `valid_from` and `valid_to` are half-open intervals; `valid_to` is null while the row is
--   current. `valid_from` is never in the future.
-- - A month (`period`, `bill_period`) is its first day.
-- - `{"field": {"before": ..., "after": ...}}` is the format of changes.
-- - "Bound" states the maximum size of a table.

-- For the exclusion constraints, which compare a uuid column and a time range.
create extension if not exists btree_gist;

-- Rejects changes: deletions, and updates of append-only tables. The name of the trigger is the
-- reason in the error, such as "cloud projects are never removed". Its arguments are the
-- exceptions: `retention` (crates/store/src/maintenance.rs), `purge` (purge_secret) and `move`
-- (add_history_partition) are values of the setting arcadia.change in the transactions that may
-- change the rows. No setting permits a truncate.
create function refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op <> 'TRUNCATE' and current_setting('arcadia.change', true) = any (tg_argv) then
        return null;
    end if;
    raise exception '% on % refused: %', tg_op, tg_table_name, replace(tg_name, '_', ' ')
        using errcode = 'restrict_violation';
end
$$;

-- Returns false for NaN and infinity, which `numeric` accepts: one of them would be the result of
-- every sum with it.
create function is_finite(amount numeric) returns boolean language sql immutable as $$
    select amount > '-Infinity' and amount < 'Infinity'
$$;

-- Sightings: the time at which rows were last seen, for all rows that the same listings showed. An
-- unchanged sync updates a few rows here instead of every row that it read
-- (crates/store/src/sightings.rs, docs/decisions/2026-11-30-sightings.md).
-- Bound: at most one row per row that refers to one; usually one per kind, and one more for each
-- set of rows that listings showed without the others. A row without references is reused.
create table cloud_sightings (
    id bigint generated always as identity primary key,
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    -- The kind of the listings: a resource kind, 'project' or 'project_member'.
    kind text not null,
    -- When the latest listing that showed these rows had received its last response.
    seen_at timestamptz not null
);
create index cloud_sightings_kind on cloud_sightings (kind);

-- The form of a name for comparisons independent of case: A to Z become lower case. Other letters
-- stay as they are, because their lower case depends on the locale of the database and on their
-- position in a word (a final sigma). domain::fold_case is the same.
create function fold_case(name text) returns text language sql immutable parallel safe as $$
    select lower(name collate "C")
$$;

-- Bound: one row per project that a listing ever showed. Kept forever, because costs refer to them.
create table cloud_project_rows (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    provider_id text not null,
    name text not null,
    description text not null,
    environment text,
    is_default boolean not null,
    -- The project of ARCADIA_INTERNAL_PROJECT. Resources without a project fall back to it.
    is_internal boolean not null default false,
    -- Set by operators; no sync changes them. tenant_id is a copy of the current row of
    -- cloud_project_tenants.
    tenant_id text check (tenant_id <> ''),
    purpose text,
    -- The rest of DigitalOcean's body, including the purpose that DigitalOcean stores.
    attrs jsonb not null,
    first_seen_at timestamptz not null,
    -- The last sighting: a row of cloud_sightings while the project is live, and its time after
    -- that. Not a foreign key, because sightings are never deleted.
    sighting_id bigint,
    seen_before_deletion_at timestamptz,
    -- The strikes: complete listings in a row without the project, each begun at least
    -- ARCADIA_STRIKE_INTERVAL (ten minutes) after the end of the one before. last_struck_at is the
    -- end of the latest one; for a held deletion, the time of the approval.
    stale_strike_count integer not null default 0,
    last_struck_at timestamptz,
    deleted_at timestamptz,
    unique (provider, provider_id),
    check ((deleted_at is null) = (sighting_id is not null)),
    check ((deleted_at is null) = (seen_before_deletion_at is null))
);
create trigger cloud_projects_are_never_removed
    before delete or truncate on cloud_project_rows
    for each statement execute function refuse_change();

-- Projects with the time of their last sighting. Readers use this view, writers cloud_project_rows.
create view cloud_projects with (security_invoker = true) as
select
    p.id, p.provider, p.provider_id, p.name, p.description, p.environment, p.is_default, p.is_internal, p.tenant_id, p.purpose,
    p.attrs, p.first_seen_at,
    -- A new row is stored after the end of the listing that discovered it.
    greatest(p.first_seen_at, coalesce(
        p.seen_before_deletion_at, (select s.seen_at from cloud_sightings s where s.id = p.sighting_id))) as last_seen_at,
    p.stale_strike_count, p.last_struck_at, p.deleted_at
from cloud_project_rows p;

-- Changes of projects by the sweeps that observed them, append-only. The changes of operators are
-- in cloud_project_tenants and audit_entries.
--   discovered, updated, deleted, restored   as in cloud_resource_events
-- Bound: one row per change of a project, which people make. Kept forever, as the history of the
-- account.
create table cloud_project_events (
    id bigint generated always as identity primary key,
    cloud_project_id uuid not null references cloud_project_rows,
    event text not null check (event in ('discovered', 'updated', 'deleted', 'restored')),
    -- {"field": {"before": ..., "after": ...}}. The fields: name, description, environment,
    -- is_default, deleted_at, attrs.KEY; and approved_by, of a held deletion: the name of the
    -- access token.
    changes jsonb not null,
    -- The database's clock after the transaction acquired the lock of the projects.
    occurred_at timestamptz not null,
    -- The Temporal run that observed the change; null for a decision through the API.
    workflow_id text,
    run_id text
);
-- For the events of a project, latest first.
create index cloud_project_events_of_project on cloud_project_events (cloud_project_id, id desc);
create trigger cloud_project_events_are_append_only
    before update or delete or truncate on cloud_project_events
    for each statement execute function refuse_change();

-- Names of a project over time, by the sweeps that observed them. A name also ends when the project
-- is deleted, and begins when it is restored. A line of an invoice contains the name of its
-- project, by which it is matched and attributed.
-- Bound: one row per project and rename. Kept forever, because old lines are rematched.
create table cloud_project_names (
    cloud_project_id uuid not null references cloud_project_rows,
    name text not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    check (valid_to > valid_from),
    constraint cloud_project_names_do_not_overlap exclude using gist (
        cloud_project_id with =, tstzrange(valid_from, valid_to) with &&)
);

-- Tenants of a project over time, as operators assigned them.
-- Bound: one row per assignment. Kept until an operator undoes the assignment, because months are
-- attributed by it. Undoing deletes the row, and costs are recomputed as if it had never been set.
create table cloud_project_tenants (
    cloud_project_id uuid not null references cloud_project_rows,
    tenant_id text not null check (tenant_id <> ''),
    valid_from timestamptz not null,
    valid_to timestamptz,
    -- The name of the access token.
    assigned_by text not null,
    check (valid_to > valid_from),
    constraint cloud_project_tenants_do_not_overlap exclude using gist (
        cloud_project_id with =, tstzrange(valid_from, valid_to) with &&)
);

-- The names that a tenant may know: those that projects had while they were assigned to it.
create view cloud_tenant_project_names as
select distinct tenant.tenant_id, project.name
from cloud_project_tenants tenant
join cloud_project_names project on project.cloud_project_id = tenant.cloud_project_id
where project.valid_from < coalesce(tenant.valid_to, 'infinity')
  and tenant.valid_from < coalesce(project.valid_to, 'infinity');
