-- Cost lines: the lines of invoices and estimates, with the resource and the tenant of each.

-- Bound: the lines of the current version of each invoice and of the open month. Kept forever.
create table cloud_cost_lines (
    -- Derived from the bill and the text of the line, not from its position or amount, so that
    -- overrides remain after corrections, and a repeated ingest yields the same ids.
    id uuid primary key,
    -- One of the two.
    invoice_id uuid references cloud_invoices,
    estimate_id uuid references cloud_estimates,
    -- The month of the invoice or estimate.
    bill_period date not null,
    line_no integer not null check (line_no > 0),
    product text not null,
    kind text,
    group_description text not null,
    description text not null,
    hours numeric,
    start_at timestamptz,
    end_at timestamptz,
    amount numeric not null,
    project_name text not null,
    category text,
    part text check (part in ('product_charges', 'overages', 'taxes', 'credits_and_adjustments')),
    -- True if the product cannot have a resource: taxes, credits, subscriptions.
    is_for_account boolean not null default false,
    -- The name in the description or in the group. Region and size are from the description.
    resource_name text,
    is_named_by_group boolean not null default false,
    described_region text,
    described_size text,
    -- The ids in DigitalOcean's item of the line, if there is one.
    item_resource_id text,
    item_resource_uuid text,
    -- The kind of the resource in the item and the name: the charge for a backup contains its
    -- droplet.
    identified_kind text,
    -- The match; see 0007_cost_line_match.sql.
    resource_id uuid references cloud_resources,
    match_rule text not null,
    match_note text,
    -- The resources with the name, for a line that is ambiguous or matched by project.
    match_candidates uuid[],
    -- True for shared costs: the line has no resource, by its product or by an override.
    is_shared boolean not null default false,
    -- True if the line is split between tenants by time (cloud_cost_line_shares); tenant_id is null
    -- then.
    is_split boolean not null default false,
    tenant_id text,
    -- The source of the tenant:
    --   resource      an override, or the project that the resource was in
    --   project_name  the project name on the line
    --   first_known   the first known project of the resource, for a time before it was observed
    --   none, shared
    attributed_by text not null default 'none'
        check (attributed_by in ('resource', 'project_name', 'first_known', 'none', 'shared')),
    unique (invoice_id, line_no),
    unique (estimate_id, line_no),
    constraint cloud_cost_lines_bill check (num_nonnulls(invoice_id, estimate_id) = 1),
    constraint cloud_cost_lines_match_rule check (match_rule in
        ('operator', 'uuid', 'id', 'group', 'name', 'project', 'historic', 'account', 'ambiguous', 'unmatched')),
    constraint cloud_cost_lines_resource check (
        match_rule = 'operator' or (resource_id is not null) = (match_rule in ('uuid', 'id', 'group', 'name', 'project'))),
    constraint cloud_cost_lines_owner check (
        (tenant_id is null or not (is_split or is_shared)) and not (is_split and is_shared)
        and is_shared = (attributed_by = 'shared'))
);
create index cloud_cost_lines_period on cloud_cost_lines (bill_period);
-- For the allocation of each shared line.
create index cloud_cost_lines_shared on cloud_cost_lines (bill_period) where is_shared;
create index cloud_cost_lines_resource on cloud_cost_lines (resource_id) where resource_id is not null;
-- For the rematch after a change of the inventory or of projects.
create index cloud_cost_lines_name on cloud_cost_lines (identified_kind, lower(resource_name)) where resource_name is not null;
create index cloud_cost_lines_item_id on cloud_cost_lines (item_resource_id, identified_kind) where item_resource_id is not null;
create index cloud_cost_lines_item_uuid on cloud_cost_lines (item_resource_uuid) where item_resource_uuid is not null;
create index cloud_cost_lines_candidates on cloud_cost_lines using gin (match_candidates) where match_candidates is not null;
create index cloud_cost_lines_project_name on cloud_cost_lines (lower(project_name)) where not is_shared;

-- The matches of lines that operators set. They take precedence over the rule.
-- Bound: one row per overridden line. Kept forever, because they are decisions of operators.
create table cloud_cost_line_overrides (
    line_id uuid primary key,
    -- Null for shared costs.
    resource_id uuid references cloud_resources,
    reason text,
    set_by text not null,
    set_at timestamptz not null default now()
);

-- The lines of superseded versions with their match and tenant at that time. They do not count.
-- Bound: the lines of each superseded version. Kept forever, because they are evidence.
create table cloud_superseded_cost_lines (
    invoice_id uuid not null,
    version integer not null,
    line_no integer not null,
    id uuid not null,
    product text not null,
    kind text,
    group_description text not null,
    description text not null,
    hours numeric,
    start_at timestamptz,
    end_at timestamptz,
    amount numeric not null,
    project_name text not null,
    category text,
    resource_name text,
    item_resource_id text,
    item_resource_uuid text,
    resource_id uuid references cloud_resources,
    match_rule text not null,
    tenant_id text,
    -- {"tenant": amount} if the line was split.
    shares jsonb,
    primary key (invoice_id, version, line_no),
    foreign key (invoice_id, version) references cloud_invoice_versions
);
create trigger cloud_superseded_cost_lines_are_append_only
    before update or delete or truncate on cloud_superseded_cost_lines
    for each statement execute function refuse_change();

-- Changes of stored lines: of match, tenant and is_shared.
-- Bound: one row per change. No retention yet.
create table cloud_cost_line_changes (
    id bigint generated always as identity primary key,
    -- Not a foreign key, to keep the changes of a line that a correction removed.
    line_id uuid not null,
    -- {"field": {"before": ..., "after": ...}}
    changes jsonb not null,
    cause text not null,
    -- The access token of the operator, or the run, that caused the change.
    changed_by text,
    changed_at timestamptz not null default now(),
    workflow_id text,
    run_id text
);
create index cloud_cost_line_changes_of_line on cloud_cost_line_changes (line_id, id desc);
create trigger cloud_cost_line_changes_are_append_only
    before update or delete or truncate on cloud_cost_line_changes
    for each statement execute function refuse_change();

-- Records changes of lines. cause, changed_by, workflow_id and run_id are settings of the
-- transaction: see crates/store/src/invoices/matching.rs.
create function record_changes_of_cost_lines() returns trigger language plpgsql as $$
begin
    insert into cloud_cost_line_changes (line_id, changes, cause, changed_by, workflow_id, run_id)
    select line_id, changes, coalesce(nullif(current_setting('arcadia.cause', true), ''), 'inventory'),
        nullif(current_setting('arcadia.changed_by', true), ''),
        nullif(current_setting('arcadia.workflow_id', true), ''), nullif(current_setting('arcadia.run_id', true), '')
    from (
        select now.id as line_id,
            case when was.match_rule is distinct from now.match_rule then jsonb_build_object(
                'match_rule', jsonb_build_object('before', was.match_rule, 'after', now.match_rule)) else '{}' end
            || case when was.resource_id is distinct from now.resource_id then jsonb_build_object(
                'resource_id', jsonb_build_object('before', was.resource_id, 'after', now.resource_id)) else '{}' end
            || case when was.tenant_id is distinct from now.tenant_id or was.is_split <> now.is_split then jsonb_build_object(
                'tenant_id', jsonb_build_object('before', case when was.is_split then '"split"' else to_jsonb(was.tenant_id) end,
                    'after', case when now.is_split then '"split"' else to_jsonb(now.tenant_id) end)) else '{}' end
            || case when was.is_shared <> now.is_shared then jsonb_build_object(
                'is_shared', jsonb_build_object('before', was.is_shared, 'after', now.is_shared)) else '{}' end as changes
        from removed was join added now on now.id = was.id
    ) compared
    where changes <> '{}';
    return null;
end
$$;
create trigger cost_lines_record_their_changes
    after update on cloud_cost_lines referencing old table as removed new table as added
    for each statement execute function record_changes_of_cost_lines();

-- The shares of split lines. They total the line exactly; constraint triggers check this at commit.
-- Bound: the tenants of each split line.
create table cloud_cost_line_shares (
    line_id uuid not null references cloud_cost_lines,
    -- Null for unallocated costs.
    tenant_id text,
    amount numeric not null
);
create unique index cloud_cost_line_shares_of_line on cloud_cost_line_shares (line_id, coalesce(tenant_id, ''));

create function check_shares_of(wanted uuid) returns void language plpgsql as $$
declare
    line cloud_cost_lines;
    total numeric;
begin
    select * into line from cloud_cost_lines where id = wanted;
    select sum(amount) into total from cloud_cost_line_shares where line_id = wanted;
    if line.is_split and total is distinct from line.amount then
        raise exception 'the shares of cost line % total %, not %', line.id, total, line.amount
            using errcode = 'check_violation';
    elsif not line.is_split and total is not null then
        raise exception 'cost line % has shares and is not split', line.id using errcode = 'check_violation';
    end if;
end
$$;
create function check_added_share() returns trigger language plpgsql as $$
begin
    perform check_shares_of(new.line_id);
    return null;
end
$$;
create function check_removed_share() returns trigger language plpgsql as $$
begin
    perform check_shares_of(old.line_id);
    return null;
end
$$;
create function check_split_line() returns trigger language plpgsql as $$
begin
    perform check_shares_of(new.id);
    return null;
end
$$;
create constraint trigger added_shares_total_the_line
    after insert on cloud_cost_line_shares deferrable initially deferred
    for each row execute function check_added_share();
create constraint trigger remaining_shares_total_the_line
    after delete on cloud_cost_line_shares deferrable initially deferred
    for each row execute function check_removed_share();
create constraint trigger split_cost_lines_have_shares
    after insert or update of is_split, amount on cloud_cost_lines deferrable initially deferred
    for each row when (new.is_split) execute function check_split_line();
