-- The team whose resources and bills are mirrored here: what a token of another team reads is never mixed in.

create table cloud_teams (
    provider text primary key default 'digitalocean',
    -- As `GET /v2/account` tells it of a token.
    team_uuid text not null check (team_uuid <> ''),
    name text not null,
    first_seen_at timestamptz not null default clock_timestamp()
);
