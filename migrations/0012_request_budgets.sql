-- Request budgets: one for each DigitalOcean token, shared by all processes that use it. The rule, a GCRA
-- for each limit, is in crates/store/src/rate_limit/rule.rs; leases are stored, single requests are not.

-- Bound: one row a token in use; rows of tokens that are not used for a week are deleted.
create table cloud_request_budgets (
    -- SHA-256 of a fixed text and the token: it distinguishes tokens and reveals none.
    token_sha256 bytea primary key check (octet_length(token_sha256) = 32),
    -- The theoretical arrival times of the GCRA of the limit per minute and of the limit per hour: when all
    -- requests leased so far are regained. In the past if the budget is full.
    minute_full_at timestamptz not null default clock_timestamp(),
    hour_full_at timestamptz not null default clock_timestamp(),
    -- After a 429, no request is sent before this time.
    closed_until timestamptz,
    -- The hourly limit as DigitalOcean's headers last reported it: `ratelimit-limit`, `-remaining` less the
    -- requests leased since, `-reset`, and the time of the response. It includes requests of other programs.
    reported_limit integer,
    reported_remaining integer,
    reported_reset_at timestamptz,
    reported_at timestamptz,
    used_at timestamptz not null default clock_timestamp(),
    check (num_nulls(reported_limit, reported_remaining, reported_reset_at, reported_at) in (0, 4))
);

-- The budget of each purpose: where one token serves several purposes, they share it.
-- Bound: one row a purpose.
create table cloud_request_purposes (
    purpose text primary key,
    token_sha256 bytea not null references cloud_request_budgets on delete cascade
);
create index cloud_request_purposes_token on cloud_request_purposes (token_sha256);
