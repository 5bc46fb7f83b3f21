-- Listings: the results of each run, the freshness of each kind, and deletions that await an
-- operator's decision.

-- The result of each listing: the evidence for each strike. A retried activity lists again in the
-- same run, and replaces the row.
-- Bound: the rows of 90 days, one per run and kind (about 4,800 a day), and older ones that a
-- strike, a hold, a sighting or the freshness of the kind refers to. Removed by `Maintain`.
create table cloud_listings (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    -- A resource kind, 'project', or 'project_member' for a pass over the members of all projects.
    kind text not null,
    workflow_id text not null,
    run_id text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    -- Whether the latest attempt is evidence of absence.
    complete boolean not null,
    -- Why the listing is not complete, or why its deletions are held, or which fields of a complete
    -- one are those of an earlier listing.
    reason text,
    -- complete
    -- held: complete, and its deletions exceed the limits (cloud_held_deletions)
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
    -- True if an attempt of the run was complete and not superseded by a later listing, so that it
    -- may have counted strikes. A run counts strikes once. Unlike the columns above, it is not of
    -- the latest attempt: it stays true if a later attempt is not complete.
    has_struck boolean not null,
    unique (run_id, kind),
    check (complete = (state in ('complete', 'held')))
);
-- For the latest complete pass over members, and the first attempt since the latest complete
-- listing.
create index cloud_listings_latest on cloud_listings (kind, started_at desc);
create trigger cloud_listings_are_removed_by_retention
    before delete or truncate on cloud_listings
    for each statement execute function refuse_change('retention');

-- The freshness of each kind. last_complete_at is of the latest complete listing. The other columns
-- last_* are of the latest listing in any state. Latest: the one that began last, even if another
-- one is stored after it.
-- Bound: one row per kind.
create table cloud_kind_freshness (
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    kind text not null,
    -- When the latest complete listing began.
    last_complete_at timestamptz,
    last_attempt_at timestamptz not null,
    last_state text not null,
    last_reason text,
    -- Why a complete listing of the kind may lack resources, and the setting that fixes it; null if
    -- no omission is known. Now only for Spaces buckets, which are listed from several sources
    -- (projects, access keys, S3):
    -- - Without Spaces keys, S3 is not read. Then only buckets without a body (attrs = '{}') get
    --   strikes, because S3 or an invoice showed all others.
    -- - With Spaces keys, invoices charge buckets that no source shows. This does not limit
    --   strikes: a stored bucket was in an earlier listing.
    partial_reason text,
    last_items integer not null,
    last_requests integer not null,
    last_workflow_id text not null,
    last_run_id text not null,
    primary key (provider, kind)
);

-- Held deletions: a complete listing would delete more resources of a kind than ARCADIA_GUARD_ROWS
-- (10), and more than ARCADIA_GUARD_PERCENT (20) percent of its live ones; or all of its live ones,
-- if they are two or more. The same for projects, but the default and the internal project do not
-- count as live for the second condition. Nothing is deleted until an operator approves.
-- Bound: one row per held deletion. Kept forever, because they are decisions of operators.
create table cloud_held_deletions (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    -- A resource kind, or 'project'.
    kind text not null,
    -- The latest listing that lacks the resources, and when it began.
    listing_id uuid not null references cloud_listings,
    listing_started_at timestamptz not null,
    -- superseded: a later complete listing would delete fewer than the limits, or other rows only.
    -- No rows are added to a pending one, because a decision is about the rows that were shown.
    state text not null default 'pending' check (state in ('pending', 'approved', 'rejected', 'superseded')),
    -- The number of resources that would be deleted, and the number of live ones.
    would_delete integer not null,
    live integer not null,
    held_at timestamptz not null,
    -- The name of the access token, or the name that an update of a workflow states.
    decided_by text,
    decided_at timestamptz,
    -- The number of resources that the decision deleted: after an approval those that no listing
    -- had shown again, 0 after a rejection, null otherwise.
    deleted integer,
    check ((state = 'pending') = (decided_at is null)),
    check ((state in ('approved', 'rejected')) = (deleted is not null)),
    check (state not in ('approved', 'rejected') or decided_by is not null)
);
-- For the removal of listings.
create index cloud_held_deletions_listing on cloud_held_deletions (listing_id);
create unique index cloud_held_deletions_pending on cloud_held_deletions (provider, kind) where state = 'pending';

-- The resources that a held deletion would delete.
-- Bound: the resources of each held deletion. Kept forever, with the decision.
create table cloud_held_resources (
    hold_id uuid not null references cloud_held_deletions,
    resource_id uuid not null references cloud_resource_rows,
    primary key (hold_id, resource_id)
);

-- The projects that a held deletion would delete.
-- Bound: the projects of each held deletion. Kept forever, with the decision.
create table cloud_held_projects (
    hold_id uuid not null references cloud_held_deletions,
    cloud_project_id uuid not null references cloud_project_rows,
    primary key (hold_id, cloud_project_id)
);

-- The three tables below contain listings in progress, page by page, so that a listing needs
-- constant memory. They are unlogged: a crash of PostgreSQL empties them, which loses nothing,
-- because the next attempt restarts the listing. Rows of abandoned attempts are deleted after two
-- hours. `listing` is the id of an attempt; the row of cloud_listings, which the sweep inserts, has
-- another id.

-- Observed resources that are new or changed. The sweep at the end of the listing stores them in
-- cloud_resource_rows, in the columns of the same names.
-- Bound: the new and changed resources of the listings in progress.
create unlogged table cloud_staged_resources (
    listing uuid not null,
    -- For a new resource also the id of its row in cloud_resource_rows. For a changed one, which is
    -- found by kind and provider_id, of the staged row only.
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
    staged_at timestamptz not null default now(),
    primary key (listing, id)
) with (
    -- Bodies are neither compressed nor moved out of the row if it fits on a page: they are read
    -- once.
    toast_tuple_target = 8160
);

-- Listings of ten pages or more, which a later attempt of the same run can resume.
-- Bound: one row per long listing in progress.
create unlogged table cloud_resumable_listings (
    -- Each attempt has its own id, and takes the listing over by replacing the id of the attempt
    -- before, which can then store nothing more.
    listing uuid primary key,
    run_id text not null,
    -- All kinds that the listing contains, its main kind first.
    kinds text[] not null,
    -- When the first attempt began, before its first request.
    started_at timestamptz not null,
    -- When the latest page was stored. Another attempt of the run resumes the listing within ten
    -- minutes of it, and within an hour of started_at; later it restarts the listing.
    taken_at timestamptz not null default clock_timestamp(),
    unique (run_id, kinds)
);

-- The recorded pages of a long listing, from the first page of each list on. A kind can have
-- several lists, such as droplets and GPU droplets.
-- Bound: the pages of the long listings in progress.
create unlogged table cloud_listing_pages (
    listing uuid not null references cloud_resumable_listings on update cascade on delete cascade,
    -- The path and query of the list, without the page, and the number of the page.
    path text not null,
    number integer not null,
    -- The total that DigitalOcean reports.
    total bigint not null,
    has_next boolean not null,
    -- In the order of the list. The next attempt refetches the last page and compares them.
    item_ids text[] not null,
    -- The resources on the page, by kind and DigitalOcean's id. An item can contain several.
    kinds text[] not null,
    provider_ids text[] not null,
    primary key (listing, path, number)
);
