-- The team whose resources and bills are mirrored here: what a token of another team reads is never mixed in.

create table cloud_teams (
    provider text primary key default 'digitalocean',
    -- As `GET /v2/account` tells it of a token.
    team_uuid text not null check (team_uuid <> ''),
    name text not null,
    first_seen_at timestamptz not null default clock_timestamp()
);

-- This database among others: Temporal schedules name it, so that those of another one are recognised. A restored copy keeps it.
-- One row, for ever.
create table installation (
    id uuid primary key default gen_random_uuid(),
    only_row boolean not null default true unique check (only_row),
    created_at timestamptz not null default clock_timestamp()
);
insert into installation default values;
