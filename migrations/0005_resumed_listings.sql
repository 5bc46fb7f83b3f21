-- Long listings that a later attempt of the same run goes on with. A crash empties these tables together with what is staged, and
-- the next attempt begins anew.

create unlogged table cloud_begun_listings (
    -- As in cloud_staged_resources. Each attempt has an id of its own: to take a listing over is to give it another.
    listing uuid primary key,
    run_id text not null,
    -- All kinds that it tells of, its own first.
    kinds text[] not null,
    -- The first attempt's, before its first request.
    started_at timestamptz not null,
    -- When the last page was taken.
    taken_at timestamptz not null default clock_timestamp(),
    unique (run_id, kinds)
);

-- The pages that it has taken, of each list from the first on.
create unlogged table cloud_taken_pages (
    listing uuid not null references cloud_begun_listings on update cascade on delete cascade,
    path text not null,
    number integer not null,
    -- DigitalOcean's count of all items.
    total bigint not null,
    has_next boolean not null,
    -- In the list's order.
    item_ids text[] not null,
    -- The resources that were in the items, each by its kind and DigitalOcean's id.
    kinds text[] not null,
    provider_ids text[] not null,
    primary key (listing, path, number)
);
