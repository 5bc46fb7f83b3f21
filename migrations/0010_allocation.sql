-- Allocation of shared costs to tenants.

-- The allocation rule from a month on; before the first rule, proportional.
--   proportional  by the direct costs of each tenant
--   even          the same amount for each tenant with direct costs
--   fixed         by weights
-- Applied by crates/domain/src/costs/split.rs.
-- Bound: one row per change of the rule. Kept forever, because months are allocated by them.
create table cloud_allocation_rules (
    valid_from date primary key check (extract(day from valid_from) = 1),
    rule text not null check (rule in ('proportional', 'even', 'fixed')),
    -- {"tenant": weight}, for the rule fixed only.
    weights jsonb check ((weights is not null) = (rule = 'fixed')),
    set_by text not null,
    set_at timestamptz not null default now()
);
