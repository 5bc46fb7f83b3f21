-- Request budgets: one for each DigitalOcean token, shared by all processes that use it. A process
-- leases some requests at once and sends them within five seconds: leases are recorded here, single
-- requests are not. The rule is a GCRA (generic cell rate algorithm) for each of the two limits, by
-- default 240 a minute and 4,500 an hour. Its state is one time, the theoretical arrival time
-- (TAT): when all requests leased so far are regained. A lease of n requests moves it n intervals
-- ahead. It may be at most one burst ahead of now: a quarter of the limit per minute, an eighth of
-- the limit per hour. An interval is the time in which one request is regained. In any minute or
-- hour, the burst and the regained requests total at most the limit
-- (crates/store/src/rate_limit/rule.rs).

-- Bound: one row per token in use; rows of tokens that are not used for a week are deleted.
create table cloud_request_budgets (
    -- SHA-256 of a fixed text and DigitalOcean's token: it distinguishes tokens and reveals none.
    provider_token_sha256 bytea primary key check (octet_length(provider_token_sha256) = 32),
    -- The TAT of each limit. In the past if the budget is full.
    minute_full_at timestamptz not null default clock_timestamp(),
    hour_full_at timestamptz not null default clock_timestamp(),
    -- No request is sent before this time. The process that received a 429 sets it.
    closed_until timestamptz,
    -- The hourly limit as DigitalOcean's headers last reported it: `ratelimit-limit`, `-remaining`
    -- less the requests leased since, `-reset`, and the time of the response. It includes requests
    -- of other programs.
    reported_limit integer,
    reported_remaining integer,
    reported_reset_at timestamptz,
    reported_at timestamptz,
    -- When a worker last started with the token, leased requests or received a 429.
    used_at timestamptz not null default clock_timestamp(),
    check (num_nulls(reported_limit, reported_remaining, reported_reset_at, reported_at) in (0, 4))
);

-- The budget of each purpose (the task queue, and so the token, of a request): where one token
-- serves several purposes, they share it.
-- Bound: one row per purpose.
create table cloud_request_purposes (
    purpose text primary key,
    provider_token_sha256 bytea not null references cloud_request_budgets on delete cascade
);
-- For the deletion of a budget.
create index cloud_request_purposes_token on cloud_request_purposes (provider_token_sha256);
