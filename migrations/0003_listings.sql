-- Listings: the results of each run, the freshness of each kind, and deletions that await an
-- operator's decision.

-- The result of each listing, one row per workflow run and kind: the evidence for each strike.
-- Bound: one row per run and kind. No retention yet.
create table cloud_listings (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    -- A resource kind, 'project', or 'project_member' for a pass over the members of all projects.
    kind text not null,
    workflow_id text not null,
    run_id text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    complete boolean not null,
    -- Why the listing is not complete.
    reason text,
    -- complete
    -- held: complete, and its deletions await an operator's decision
    -- incomplete: the pages contradict each other, or an item cannot be parsed
    -- not_readable: the token lacks the scope to read the kind, or the API does not know it
    -- unauthorized: DigitalOcean rejected the token
    -- failed: any other error
    state text not null
        check (state in ('complete', 'held', 'incomplete', 'not_readable', 'unauthorized', 'failed')),
    items integer not null,
    -- The total that DigitalOcean reports, if it does.
    total bigint,
    requests integer not null,
    -- True if the listing counted strikes. A run counts strikes once, regardless of the retries of
    -- its activity.
    has_struck boolean not null,
    unique (run_id, kind)
);
create index cloud_listings_latest on cloud_listings (kind, started_at desc);

-- The freshness of each kind, updated by every listing.
-- Bound: one row per kind.
create table cloud_kind_freshness (
    provider text not null default 'digitalocean',
    kind text not null,
    -- When the latest complete listing began.
    last_complete_at timestamptz,
    last_attempt_at timestamptz not null,
    last_state text not null,
    last_reason text,
    -- Why even a complete listing of the kind may lack resources, and how to configure the missing
    -- sources. Null if no omission is known. Otherwise resources that only an invoice names get no
    -- strikes.
    partial_reason text,
    last_items integer not null,
    last_requests integer not null,
    last_workflow_id text not null,
    last_run_id text not null,
    primary key (provider, kind)
);

-- Deletions of many resources at once. Nothing is deleted until an operator approves.
-- Bound: one row per held deletion. Kept forever, because they are decisions of operators.
create table cloud_held_deletions (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    kind text not null,
    -- The latest listing that lacks the resources, and when it began.
    listing_id uuid not null references cloud_listings,
    listing_started_at timestamptz not null,
    -- superseded: in a later listing, the number of missing resources was below the limit.
    state text not null default 'pending' check (state in ('pending', 'approved', 'rejected', 'superseded')),
    -- The number of resources that would be deleted, and the number of live ones.
    would_delete integer not null,
    live integer not null,
    held_at timestamptz not null,
    decided_by text,
    decided_at timestamptz,
    -- The number of resources that the approval deleted.
    deleted integer,
    check ((state = 'pending') = (decided_at is null)),
    check (state not in ('approved', 'rejected') or decided_by is not null)
);
create unique index cloud_held_deletions_pending on cloud_held_deletions (provider, kind) where state = 'pending';

-- Bound: the resources of each held deletion.
create table cloud_held_resources (
    hold_id uuid not null references cloud_held_deletions,
    resource_id uuid not null references cloud_resources,
    primary key (hold_id, resource_id)
);

-- The three unlogged tables below contain listings in progress. A crash of PostgreSQL empties all
-- of them, which loses nothing: the next attempt restarts the listing. Rows of abandoned attempts
-- are deleted after two hours.

-- Observed resources that are new or changed. The sweep at the end of the listing stores them.
-- Bound: the new and changed resources of the listings in progress.
create unlogged table cloud_staged_resources (
    listing uuid not null,
    -- The id of the row if the resource is new.
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
    -- [{"relation", "direction", "kind", "provider_id"}]; null if there are none.
    relations jsonb,
    -- The parent of the resource, if any: one of its relations.
    owner_relation text,
    owner_kind text,
    owner_provider_id text,
    staged_at timestamptz not null default now()
) with (toast_tuple_target = 8160);
create unique index cloud_staged_resources_listing on cloud_staged_resources (listing, id);

-- Long listings, which a later attempt of the same run can resume.
-- Bound: one row per long listing in progress.
create unlogged table cloud_resumable_listings (
    -- As in cloud_staged_resources. Each attempt has its own id, and takes the listing over by
    -- updating this column.
    listing uuid primary key,
    run_id text not null,
    -- All kinds that the listing contains, its main kind first.
    kinds text[] not null,
    -- When the first attempt began, before its first request.
    started_at timestamptz not null,
    -- When the latest page was stored.
    taken_at timestamptz not null default clock_timestamp(),
    unique (run_id, kinds)
);

-- The recorded pages of a long listing, from the first page of each list on.
-- Bound: the pages of the long listings in progress.
create unlogged table cloud_listing_pages (
    listing uuid not null references cloud_resumable_listings on update cascade on delete cascade,
    path text not null,
    number integer not null,
    -- The total that DigitalOcean reports.
    total bigint not null,
    has_next boolean not null,
    -- In the order of the list.
    item_ids text[] not null,
    -- The resources on the page, by kind and DigitalOcean's id.
    kinds text[] not null,
    provider_ids text[] not null,
    primary key (listing, path, number)
);
