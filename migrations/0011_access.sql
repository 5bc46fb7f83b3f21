-- Access: API tokens, the tenants, the DigitalOcean team, and the id of this database.

-- API tokens. Only the SHA-256 of a token is stored; tokens are long and random.
-- Bound: one row per token in use. A token that ended 90 days ago is removed by `Maintain`, unless
-- an entry of the audit or another token refers to it.
create table api_tokens (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    role text not null check (role in ('platform_admin', 'tenant')),
    tenant_id text check (tenant_id <> ''),
    -- True if the token of a tenant may read the costs of that tenant.
    costs boolean not null default false,
    token_sha256 bytea not null unique,
    -- The first ten characters: they show which token was found somewhere, and are of no use
    -- without the rest.
    token_prefix text not null,
    created_at timestamptz not null default now(),
    -- Null for a token that never expires.
    expires_at timestamptz,
    -- The token that a rotation created instead. Both are valid until this one expires.
    replaced_by uuid references api_tokens,
    -- Precise to the minute.
    last_used_at timestamptz,
    revoked_at timestamptz,
    check ((role = 'tenant') = (tenant_id is not null)),
    check (role = 'tenant' or not costs)
);
-- For the removal of a token.
create index api_tokens_replaced_by on api_tokens (replaced_by) where replaced_by is not null;
create trigger api_tokens_are_removed_by_retention
    before delete or truncate on api_tokens
    for each statement execute function refuse_change('retention');

-- The tokens that authenticate a caller. A token that is not replaced expires soon in the last
-- tenth of its lifetime, but at most thirty days before its end.
create view valid_api_tokens as
select id, name, role, tenant_id, costs, token_sha256, created_at, expires_at,
    coalesce(replaced_by is null and expires_at - now() < least(interval '30 days', (expires_at - created_at) / 10), false)
        as expires_soon
from api_tokens
where revoked_at is null and coalesce(expires_at > now(), true);

-- Browser sessions. A session has the role and the tenant of the token that started it, and ends
-- with that token. Only the SHA-256 of the session id is stored.
-- Bound: the sessions in use; ended ones are removed at each login and daily.
create table web_sessions (
    session_sha256 bytea primary key check (octet_length(session_sha256) = 32),
    -- Not secret: entries of the audit refer to the session by it.
    id uuid not null default gen_random_uuid(),
    token_id uuid not null references api_tokens,
    created_at timestamptz not null default clock_timestamp(),
    -- Precise to the minute. A session ends eight hours after its last request.
    last_seen_at timestamptz not null default clock_timestamp(),
    -- Seven days after the login.
    expires_at timestamptz not null
);
create index web_sessions_token on web_sessions (token_id);

-- Links that log a person in once, within an hour: `arcadia dev` prints one. Only the SHA-256 of
-- the code is stored.
-- Bound: a used code is removed; expired ones are removed at each login and daily.
create table login_links (
    code_sha256 bytea primary key check (octet_length(code_sha256) = 32),
    token_id uuid not null references api_tokens,
    expires_at timestamptz not null
);

-- The tenants: every id that a token, a project, a resource, a cost or an allocation rule refers
-- to. An id that only a revoked or expired token refers to is not a tenant. known_since is the
-- earliest time at which a valid token was created for the tenant, or a project or a resource was
-- assigned to it; null if only costs or a rule refer to it.
create view cloud_tenants as
select tenant_id, min(since) as known_since
from (
    select tenant_id, created_at as since from valid_api_tokens
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
    provider text primary key default 'digitalocean' check (provider = 'digitalocean'),
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
