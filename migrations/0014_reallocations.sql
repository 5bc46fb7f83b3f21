-- Reallocations: changes of the attribution of many cost lines, which the workflow Reallocate
-- applies to the lines in portions.
--
-- The transaction of a change stores its facts (an assignment, an override, memberships, names of
-- projects) and one row here, and leaves the lines. Each portion computes the tenants of its lines
-- from the facts at its own time, not from those of the change. So of two changes that overlap the
-- later facts win, and a portion may be repeated. A row identifies the affected lines by projects,
-- resources and time, not by their ids: lines that are stored or matched meanwhile already follow
-- the new facts.

-- Bound: one row per change that affects more than 1,000 lines or resources, the most that its
-- transaction updates (crates/store/src/reallocations.rs). The last portion of each reallocation
-- deletes the rows that finished more than 90 days ago.
create table cloud_reallocations (
    id uuid primary key default gen_random_uuid(),
    requested_at timestamptz not null default clock_timestamp(),
    -- The cause of the change; as in cloud_cost_line_changes.
    cause text not null check (cause in ('inventory', 'ingest', 'operator')),
    changed_by text,
    workflow_id text,
    run_id text,
    -- The number of the entry of the change in the audit; null for a change by a sync.
    audit_entry bigint references audit_entries,
    -- The affected lines, without shared ones:
    -- - lines of resources that were ever in one of project_ids, by a membership, by an override,
    --   or by an override of an ancestor;
    -- - lines that name one of project_ids, by its current or a former name;
    -- - lines of resource_ids.
    project_ids uuid[] not null,
    resource_ids uuid[] not null,
    -- Restricts them to lines with a charge period that ends at this time or later; null for all.
    affects_from timestamptz,
    -- True once the resources of the projects have their tenant; from the start if the transaction
    -- of the change set it. Before, those up to last_resource_id have it, in the order of ids.
    resources_done boolean not null,
    last_resource_id uuid,
    -- Null until a worker started it.
    started_at timestamptz,
    -- The months with remaining lines, the latest first. Null until they are counted.
    months date[],
    -- The lines up to this one in the first of these months are reallocated, in the order of ids.
    last_line_id uuid,
    -- The number of affected lines when they were counted.
    lines bigint,
    lines_done bigint not null default 0,
    -- The lines of which the tenants changed.
    lines_changed bigint not null default 0,
    finished_at timestamptz,
    check ((cause = 'operator') = (changed_by is not null)),
    check (audit_entry is null or cause = 'operator'),
    check (months is null or started_at is not null),
    check ((months is null) = (lines is null)),
    check (finished_at is null or (resources_done and months = '{}'))
);
create index cloud_reallocations_open on cloud_reallocations (requested_at, id) where finished_at is null;

-- Returns true if lines of the month wait for a reallocation: its figures mix facts of before and
-- after a change. Until the lines of a reallocation are counted, they may be of any month, because
-- a charge may end after the month of its bill.
create function is_reallocating(period date) returns boolean language sql stable as $$
    select exists (
        select from cloud_reallocations
        where finished_at is null and coalesce(period = any(months), true))
$$;
