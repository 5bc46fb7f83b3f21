-- One budget of requests for each DigitalOcean token, shared by all processes that use it.

-- Only what was granted is written down, not each request. The rule stands in `crates/store/src/budget/allowance.rs`; these are its
-- numbers.
create table cloud_request_budgets (
    -- SHA-256 of a fixed text and the token: tells tokens apart and leads back to none of them.
    token_sha256 bytea primary key check (octet_length(token_sha256) = 32),
    -- When everything granted so far will have been regained, by the pace per minute and by the one per hour; in the past where
    -- nothing is missing.
    minute_full_at timestamptz not null default clock_timestamp(),
    hour_full_at timestamptz not null default clock_timestamp(),
    -- After a 429 nobody asks before this.
    closed_until timestamptz,
    -- What DigitalOcean's headers told last of the hour (`ratelimit-limit`, `-remaining` less what was granted since, `-reset`), and
    -- when. People who use the same token show in it.
    told_limit integer,
    told_left integer,
    told_reset_at timestamptz,
    told_at timestamptz,
    used_at timestamptz not null default clock_timestamp(),
    check (num_nulls(told_limit, told_left, told_reset_at, told_at) in (0, 4))
);

-- Which budget each purpose draws on: where one token serves several, they share it.
create table cloud_request_purposes (
    purpose text primary key,
    token_sha256 bytea not null references cloud_request_budgets on delete cascade
);
create index cloud_request_purposes_token on cloud_request_purposes (token_sha256);
