-- Listings: what each run requested of DigitalOcean, how fresh each kind is, and deletions that wait
-- for an operator.

-- The result of each listing, one row a workflow run and kind: the evidence for each strike.
-- Bound: one row a run and kind. No retention yet.
create table cloud_listings (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    -- A resource kind, or 'project', or 'project_member' for a pass over the members of all projects.
    kind text not null,
    workflow_id text not null,
    run_id text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    complete boolean not null,
    -- Why the listing is not complete.
    reason text,
    -- complete
    -- held: complete, and its deletions wait for an operator
    -- incomplete: the pages contradict each other, or an item cannot be read
    -- not_readable: the token may not read the kind, or the API does not have it
    -- unauthorized: DigitalOcean refused the token
    -- failed: any other error
    state text not null
        check (state in ('complete', 'held', 'incomplete', 'not_readable', 'unauthorized', 'failed')),
    items integer not null,
    -- DigitalOcean's count, where it gives one.
    total bigint,
    requests integer not null,
    -- Whether it has counted as evidence of absence. A run strikes once, however often Temporal
    -- retries its activity.
    has_struck boolean not null,
    unique (run_id, kind)
);
create index cloud_listings_latest on cloud_listings (kind, started_at desc);

-- How fresh each kind is. Written with every listing.
-- Bound: one row a kind.
create table cloud_kind_freshness (
    provider text not null default 'digitalocean',
    kind text not null,
    -- When the latest complete listing began.
    last_complete_at timestamptz,
    last_attempt_at timestamptz not null,
    last_state text not null,
    last_reason text,
    -- Why even a complete listing of the kind may lack resources, and what to configure. Null where
    -- nothing is known to be left out. Resources that only an invoice names get no strike then.
    partial_reason text,
    last_items integer not null,
    last_requests integer not null,
    last_workflow_id text not null,
    last_run_id text not null,
    primary key (provider, kind)
);

-- Deletions of many resources at once. Nothing is deleted until an operator approves.
-- Bound: one row a held deletion. Kept for ever, because they are decisions of operators.
create table cloud_held_deletions (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    kind text not null,
    -- The latest listing that lacks the resources, and when it began.
    listing_id uuid not null references cloud_listings,
    listing_started_at timestamptz not null,
    -- superseded: a later listing has so many of the resources again that the rest is below the limit.
    state text not null default 'pending' check (state in ('pending', 'approved', 'rejected', 'superseded')),
    -- Resources that would be deleted, of so many live ones.
    would_delete integer not null,
    live integer not null,
    held_at timestamptz not null,
    decided_by text,
    decided_at timestamptz,
    -- Resources that the approval deleted.
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

-- The three unlogged tables below hold listings in progress. A crash of PostgreSQL empties all of
-- them, which loses nothing: the next attempt starts the listing again. Rows of attempts that died
-- are removed after hours.

-- Resources that a listing returned and that are not stored in this form yet. The sync at the end of
-- the listing stores them.
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
    -- [{"relation", "direction", "kind", "provider_id"}]; null for none.
    relations jsonb,
    -- The resource that it is a part of, if any: one of its relations.
    owner_relation text,
    owner_kind text,
    owner_provider_id text,
    staged_at timestamptz not null default now()
) with (toast_tuple_target = 8160);
create unique index cloud_staged_resources_listing on cloud_staged_resources (listing, id);

-- Long listings, which a later attempt of the same run resumes.
-- Bound: one row a long listing in progress.
create unlogged table cloud_resumable_listings (
    -- As in cloud_staged_resources. Each attempt has an id of its own, and takes the listing over by
    -- changing it.
    listing uuid primary key,
    run_id text not null,
    -- All kinds that the listing contains, its own first.
    kinds text[] not null,
    -- When the first attempt began, before its first request.
    started_at timestamptz not null,
    -- When the latest page was stored.
    taken_at timestamptz not null default clock_timestamp(),
    unique (run_id, kinds)
);

-- The pages that a long listing has stored: of each list, from the first page on.
-- Bound: the pages of the long listings in progress.
create unlogged table cloud_listing_pages (
    listing uuid not null references cloud_resumable_listings on update cascade on delete cascade,
    path text not null,
    number integer not null,
    -- DigitalOcean's count of all items.
    total bigint not null,
    has_next boolean not null,
    -- In the order of the list.
    item_ids text[] not null,
    -- The resources in the items, each by its kind and DigitalOcean's id.
    kinds text[] not null,
    provider_ids text[] not null,
    primary key (listing, path, number)
);
