-- Allocation of shared costs to tenants.

-- The allocation rule from a month on; before the first rule, proportional.
--   proportional  by direct costs, of the tenants with positive ones. Unallocated costs take part:
--                 the tax on them is unallocated too
--   even          the same amount for each tenant with lines or shares in the month
--   fixed         by the positive weights, also of tenants without costs
-- The total of the shared costs is allocated by largest remainder, in whole cents, or in the last
-- decimal place of the total if it is finer: each part is rounded towards zero, and the remaining
-- units go one each to the largest remainders. If no tenant takes part, the total stays
-- unallocated.
-- Applied on read by crates/domain/src/costs/split.rs.
-- Bound: one row per month from which a rule is set; a later change for the same month replaces it.
-- Kept forever, because months are allocated by them. The audit keeps the replaced rules.
create table cloud_allocation_rules (
    valid_from date primary key check (extract(day from valid_from) = 1),
    rule text not null check (rule in ('proportional', 'even', 'fixed')),
    -- {"tenant": "weight"}, for the rule fixed only. Weights are decimal numbers, as text.
    weights jsonb,
    -- The name of the access token.
    set_by text not null,
    set_at timestamptz not null default now(),
    check ((weights is not null) = (rule = 'fixed')),
    check (weights is null or (jsonb_typeof(weights) = 'object' and not weights ? ''
        and not jsonb_path_exists(weights, 'strict $.* ? (!(@.type() == "string" && @ like_regex "^[0-9]+([.][0-9]+)?$"))',
            '{}', true)))
);
