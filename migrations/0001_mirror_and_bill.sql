-- The mirror of a DigitalOcean account (projects, resources, their events) and its bill (balance, invoices, cost lines).
-- Amounts are USD. Times are when this system saw a thing, unless a comment says whose time it is.

create table cloud_projects (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    provider_id text not null,
    name text not null,
    description text not null,
    environment text,
    is_default boolean not null,
    -- Whether it is the project that must exist (ARCADIA_INTERNAL_PROJECT), where resources of no project fall.
    is_internal boolean not null default false,
    -- Operators' words: whose the project is and what it is for. No sync touches them.
    tenant_id text,
    purpose text,
    -- The rest of DigitalOcean's body, its own purpose text included.
    attrs jsonb not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    stale_strike_count integer not null default 0,
    last_struck_at timestamptz,
    deleted_at timestamptz,
    unique (provider, provider_id)
);

create table cloud_resources (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    kind text not null,
    provider_id text not null,
    name text not null,
    region text,
    status text,
    tags text[] not null,
    -- The body, less secrets and less what repeats other resources.
    attrs jsonb not null,
    -- SHA-256 over all that makes a change worth an event: a sweep compares it instead of the bodies.
    fingerprint bytea not null,
    -- DigitalOcean's id of the project, for the few kinds whose body names it.
    body_project_id text,
    -- The project that DigitalOcean's evidence gives, overrides left out. Memberships are dated by it.
    provider_project_id uuid references cloud_projects,
    -- The resource whose overrides hold for this one too: a node's cluster, the droplet of a snapshot. Rows are never removed,
    -- so that no foreign key is needed.
    parent_id uuid,
    -- The resource whose override is in force for this one: itself or a parent. Null without one.
    overridden_by uuid,
    -- The project and tenant in force now: of the override, else of provider_project_id.
    cloud_project_id uuid references cloud_projects,
    tenant_id text,
    -- How the project is known: operator, membership, body, parent or fallback.
    attribution text check (attribution in ('operator', 'membership', 'body', 'parent', 'fallback')),
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    stale_strike_count integer not null default 0,
    last_struck_at timestamptz,
    deleted_at timestamptz,
    unique (provider, kind, provider_id)
) with (
    -- Every sighting moves last_seen_at: room on the page keeps that update away from the indexes, and bodies out of line
    -- keep it from copying them.
    fillfactor = 70,
    toast_tuple_target = 256
);
create index cloud_resources_project on cloud_resources (cloud_project_id);
create index cloud_resources_parent on cloud_resources (parent_id) where parent_id is not null;
create index cloud_resources_tenant on cloud_resources (tenant_id, kind, id);
create index cloud_resources_name on cloud_resources (kind, lower(name));

-- Which project lists which resource, as the last passes over the projects saw it.
create table cloud_project_members (
    provider text not null default 'digitalocean',
    kind text not null,
    provider_id text not null,
    cloud_project_id uuid not null references cloud_projects,
    -- DigitalOcean's word: ok, not_found, service_down ...
    status text not null,
    -- DigitalOcean's time.
    assigned_at timestamptz,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null,
    stale_strike_count integer not null default 0,
    last_struck_at timestamptz,
    primary key (provider, kind, provider_id)
);

-- What every listing saw, one row a workflow run and kind: the evidence behind each strike.
create table cloud_listings (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    -- A resource kind, or 'project', or 'project_member' for a pass over all projects.
    kind text not null,
    workflow_id text not null,
    run_id text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    complete boolean not null,
    -- Why it is not complete.
    reason text,
    items integer not null,
    -- DigitalOcean's own count, where it gives one.
    total bigint,
    requests integer not null,
    -- Whether it has counted as evidence of absence: a run strikes once, however often its activity is tried.
    has_struck boolean not null,
    unique (run_id, kind)
);
create index cloud_listings_latest on cloud_listings (kind, started_at desc);

create table cloud_resource_events (
    id bigint generated always as identity primary key,
    resource_id uuid not null references cloud_resources,
    event text not null check (event in ('discovered', 'updated', 'deleted', 'drift_detected', 'tagged', 'restored')),
    -- {"field": {"before": ..., "after": ...}}
    changes jsonb not null,
    occurred_at timestamptz not null default now(),
    -- The Temporal run that saw it; none where an operator made the change through the API.
    workflow_id text,
    run_id text
);
create index cloud_resource_events_of_resource on cloud_resource_events (resource_id, id desc);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% on % refused: its rows are a record and stay as they are', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end
$$;
create trigger cloud_resource_events_are_append_only
    before update or delete or truncate on cloud_resource_events
    for each statement execute function refuse_change();
create trigger cloud_resources_are_never_removed
    before delete or truncate on cloud_resources
    for each statement execute function refuse_change();
create trigger cloud_projects_are_never_removed
    before delete or truncate on cloud_projects
    for each statement execute function refuse_change();

create table cloud_balance_snapshots (
    id bigint generated always as identity primary key,
    provider text not null default 'digitalocean',
    month_to_date_balance numeric not null,
    account_balance numeric not null,
    month_to_date_usage numeric not null,
    -- DigitalOcean's time: it works the figures out now and then, and many polls see the same ones.
    generated_at timestamptz not null,
    -- When these figures were first seen, and last.
    captured_at timestamptz not null default now(),
    last_polled_at timestamptz not null default now(),
    unique (provider, generated_at, month_to_date_balance, account_balance, month_to_date_usage)
);

create table cloud_invoices (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    invoice_uuid uuid not null unique,
    invoice_id text,
    -- The first of the month.
    period date not null check (extract(day from period) = 1),
    -- The invoice's own total.
    amount numeric not null,
    ingest_status text not null default 'pending' check (ingest_status in ('pending', 'ingested', 'failed')),
    ingested_at timestamptz,
    line_count integer,
    line_total numeric,
    reconciled boolean,
    -- amount less line_total.
    off_by numeric,
    last_error text,
    -- SHA-256 of the CSV behind the lines: the same file again changes nothing.
    csv_sha256 bytea,
    first_seen_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index cloud_invoices_by_period on cloud_invoices (period desc, invoice_uuid);

create table cloud_cost_lines (
    -- Made of the invoice's uuid and the line's place, so that ingesting again gives the same ids.
    id uuid primary key,
    invoice_id uuid not null references cloud_invoices,
    line_no integer not null check (line_no > 0),
    product text not null,
    kind text,
    group_description text not null,
    description text not null,
    hours numeric,
    start_at timestamptz,
    end_at timestamptz,
    amount numeric not null,
    project_name text not null,
    category text,
    resource_name text,
    resource_id uuid references cloud_resources,
    -- name: one resource has that kind and name. ambiguous: several have. unmatched: none has, or the line names none.
    -- account: taxes, credits, subscriptions, which no resource stands behind.
    match_rule text not null check (match_rule in ('name', 'ambiguous', 'unmatched', 'account')),
    tenant_id text,
    unique (invoice_id, line_no),
    check ((resource_id is not null) = (match_rule = 'name'))
);
create index cloud_cost_lines_name on cloud_cost_lines (kind, lower(resource_name)) where resource_name is not null;
create index cloud_cost_lines_resource on cloud_cost_lines (resource_id) where resource_id is not null;

-- The one rule by which a line finds its resource: kind and name, case-insensitive. What is live comes before what is gone;
-- two candidates are no answer.
create function resource_named(wanted_kind text, wanted_name text)
    returns table (resource_id uuid, tenant_id text, match_rule text)
    language sql stable parallel safe
as $$
    select
        case when candidates.found = 1 then candidates.ids[1] end,
        case when candidates.found = 1 then candidates.tenants[1] end,
        case when candidates.found = 1 then 'name' when candidates.found > 1 then 'ambiguous' else 'unmatched' end
    from (
        select count(*) as found, array_agg(r.id) as ids, array_agg(r.tenant_id) as tenants
        from cloud_resources r
        where r.kind = wanted_kind
          and lower(r.name) = lower(wanted_name)
          and (r.deleted_at is null or not exists (
              select 1 from cloud_resources alive
              where alive.kind = wanted_kind and lower(alive.name) = lower(wanted_name) and alive.deleted_at is null))
    ) candidates
$$;

-- Who may use the API. Only the SHA-256 of a token is kept: the tokens are long and random.
create table api_tokens (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    role text not null check (role in ('platform_admin', 'tenant')),
    tenant_id text,
    token_sha256 bytea not null unique,
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    revoked_at timestamptz,
    check ((role = 'tenant') = (tenant_id is not null))
);
