-- Access: API tokens, the tenants, the DigitalOcean team, and the id of this database.

-- API tokens. Only the SHA-256 of a token is stored; tokens are long and random.
-- Bound: one row per token. Kept forever, because changes refer to the token that made them.
create table api_tokens (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    role text not null check (role in ('platform_admin', 'tenant')),
    tenant_id text,
    -- True if the token of a tenant may read the costs of that tenant.
    costs boolean not null default false,
    token_sha256 bytea not null unique,
    created_at timestamptz not null default now(),
    -- Precise to the minute.
    last_used_at timestamptz,
    revoked_at timestamptz,
    check ((role = 'tenant') = (tenant_id is not null)),
    check (role = 'tenant' or not costs)
);

-- Browser sessions. A session has the role and the tenant of the token that started it, and ends with
-- that token. Only the SHA-256 of the session id is stored.
-- Bound: ended sessions are removed at each login.
create table web_sessions (
    session_sha256 bytea primary key check (octet_length(session_sha256) = 32),
    token_id uuid not null references api_tokens,
    created_at timestamptz not null default clock_timestamp(),
    -- To the minute. A session ends eight hours after its last request.
    last_seen_at timestamptz not null default clock_timestamp(),
    -- Seven days after the login.
    expires_at timestamptz not null
);
create index web_sessions_token on web_sessions (token_id);

-- Links that log a person in once: `arcadia dev` prints one. Only the SHA-256 of the code is stored.
-- Bound: a used code is removed; expired ones are removed at each login.
create table login_links (
    code_sha256 bytea primary key check (octet_length(code_sha256) = 32),
    token_id uuid not null references api_tokens,
    expires_at timestamptz not null
);

-- The tenants: every id that a token, a project, a resource, a cost or an allocation rule refers
-- to. An id that only a revoked token refers to is not a tenant. known_since is the earliest time
-- at which a token, a project or a resource was assigned to the tenant; null if only costs or a
-- rule refer to it.
create view cloud_tenants as
select tenant_id, min(since) as known_since
from (
    select tenant_id, created_at as since from api_tokens where revoked_at is null
    union all select tenant_id, valid_from from cloud_project_tenants
    union all select tenant_id, valid_from from cloud_resource_overrides
    union all select tenant_id, null from cloud_cost_totals
    union all select jsonb_object_keys(weights), null from cloud_allocation_rules where weights is not null
) named
where tenant_id is not null
group by tenant_id;

-- The DigitalOcean team of this database. Tokens of other teams are rejected, so that resources and
-- bills of different teams are never mixed.
-- Bound: one row.
create table cloud_teams (
    provider text primary key default 'digitalocean',
    -- As `GET /v2/account` reports it.
    team_uuid text not null check (team_uuid <> ''),
    name text not null,
    first_seen_at timestamptz not null default clock_timestamp()
);

-- The id of this database. Temporal schedules contain it, so that schedules of other installations
-- are recognised. A restored copy keeps it.
-- Bound: one row.
create table installation (
    id uuid primary key default gen_random_uuid(),
    only_row boolean not null default true unique check (only_row),
    created_at timestamptz not null default clock_timestamp()
);
insert into installation default values;
