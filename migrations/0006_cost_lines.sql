-- Cost lines: the lines of invoices and estimates, with the resource and the tenant of each.
-- In this order:
-- - The match finds the resource that a line charges (0007_cost_line_match.sql).
-- - A line without a resource by its product, or by an override, is shared.
-- - The attribution finds the tenants of every other line over its charge period, and splits a line
--   with several of them into shares (crates/domain/src/costs/attribution.rs).
-- - Totals of lines and shares are maintained (0008_cost_totals.sql).
-- - On read, shared lines are allocated to the tenants of the month (0010_allocation.sql).

-- Bound: the lines of the current version of each invoice and of the open month. Kept forever.
create table cloud_cost_lines (
    -- Derived from the bill, the product, the two descriptions and the charge period of the line,
    -- and an ordinal among lines that are equal in these; not from line_no or amount. So a repeated
    -- ingest yields the same ids, and an override remains after a correction of the amount. A
    -- correction of the charge period changes the id, and the override moves to the new line if
    -- that is certain (cloud_cost_line_overrides). A correction of a description changes the id and
    -- orphans the override. The lines of an invoice have other ids than those of the estimate
    -- before; lines of an estimate cannot have overrides.
    id uuid primary key,
    -- One of the two.
    invoice_id uuid references cloud_invoices,
    estimate_id uuid references cloud_estimates,
    -- The month of the invoice or estimate.
    bill_period date not null,
    -- The position in the document, from 1.
    line_no integer not null check (line_no > 0),
    product text not null,
    -- The kind of the charge, by its product, such as droplet_backup; null if there is none or the
    -- product is unknown. The kind of the charged resource is identified_kind.
    kind text,
    group_description text not null,
    description text not null,
    hours numeric,
    -- The charge period, a half-open interval of DigitalOcean's times; the month if it is null
    -- (FOCUS: ChargePeriodStart, ChargePeriodEnd).
    start_at timestamptz,
    end_at timestamptz,
    amount numeric not null check (is_finite(amount)),
    -- The amount in DigitalOcean's preview, if invoices of the running month charge a part of it
    -- already. amount is the rest. Null otherwise.
    preview_amount numeric check (is_finite(preview_amount)),
    -- The name of the project at billing time; empty for none.
    project_name text not null,
    -- DigitalOcean's value: iaas, paas ...
    category text,
    -- The sum of the invoice in which the line counts (cloud_invoice_parts).
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
    -- The kind of the resource that item and name identify, which differs from kind for some
    -- products: the charge for a backup contains its droplet.
    identified_kind text,
    -- The match; see 0007_cost_line_match.sql.
    resource_id uuid references cloud_resource_rows,
    match_rule text not null,
    match_note text,
    -- The resources with the name, for a line that is ambiguous or matched by project.
    match_candidates uuid[],
    -- True for shared costs: the line has no resource, by its product or by an override.
    is_shared boolean not null default false,
    -- True if the line is split between tenants by time (cloud_cost_line_shares).
    is_split boolean not null default false,
    -- Null for an unallocated, shared or split line.
    tenant_id text check (tenant_id <> ''),
    -- The source of the tenant, for most of the charge period if there are several:
    --   resource      an override, or the project that the resource was in
    --   project_name  the project name on the line
    --   first_known   the first known project of the resource, for a time before it was observed
    --   none          no tenant is known: the line is unallocated
    --   shared        the line is a shared cost
    attributed_by text not null default 'none'
        check (attributed_by in ('resource', 'project_name', 'first_known', 'none', 'shared')),
    -- The group in costs by resource: resource_id, or KIND:ID of a resource that the mirror has not
    -- observed. Null for a line without a resource.
    resource_group text generated always as (coalesce(resource_id::text, case when match_rule = 'historic'
        then coalesce(identified_kind, 'resource') || ':' || coalesce(item_resource_uuid, item_resource_id) end)) stored,
    unique (invoice_id, line_no),
    unique (estimate_id, line_no),
    constraint cloud_cost_lines_bill check (num_nonnulls(invoice_id, estimate_id) = 1),
    constraint cloud_cost_lines_preview check (preview_amount is null or estimate_id is not null),
    constraint cloud_cost_lines_match_rule check (match_rule in
        ('operator', 'uuid', 'id', 'group', 'name', 'project', 'historic', 'account', 'ambiguous', 'unmatched')),
    constraint cloud_cost_lines_resource check (
        match_rule = 'operator' or (resource_id is not null) = (match_rule in ('uuid', 'id', 'group', 'name', 'project'))),
    constraint cloud_cost_lines_shared_cost check (
        is_shared = (match_rule = 'account' or (match_rule = 'operator' and resource_id is null))),
    constraint cloud_cost_lines_owner check (
        (tenant_id is null or not (is_split or is_shared)) and not (is_split and is_shared)
        and is_shared = (attributed_by = 'shared'))
);
-- For the lines of a month; and for costs by resource, from the index alone where the visibility
-- map permits.
create index cloud_cost_lines_period on cloud_cost_lines (bill_period, resource_group) include (amount, estimate_id);
-- For the lines and the costs of a tenant.
create index cloud_cost_lines_tenant on cloud_cost_lines (tenant_id, bill_period) where tenant_id is not null;
-- For the allocation of each shared line.
create index cloud_cost_lines_shared on cloud_cost_lines (bill_period) where is_shared;
-- For the number of split lines, which totals do not contain.
create index cloud_cost_lines_split on cloud_cost_lines (bill_period) where is_split;
-- For the costs of a resource, and for the attribution after a change of its projects or overrides.
create index cloud_cost_lines_resource on cloud_cost_lines (resource_id) where resource_id is not null;
-- For the rematch after a change of resources: by name, by the ids of new resources, and by the
-- candidates of which one moved.
create index cloud_cost_lines_name on cloud_cost_lines (identified_kind, fold_case(resource_name)) where resource_name is not null;
create index cloud_cost_lines_item_id on cloud_cost_lines (item_resource_id, identified_kind) where item_resource_id is not null;
create index cloud_cost_lines_item_uuid on cloud_cost_lines (item_resource_uuid) where item_resource_uuid is not null;
create index cloud_cost_lines_candidates on cloud_cost_lines using gin (match_candidates) where match_candidates is not null;
-- For the attribution after a change of a project's name or tenant.
create index cloud_cost_lines_project_name on cloud_cost_lines (fold_case(project_name)) where not is_shared;

-- The end of the charge period of a line. Of an empty one, the moment that counts is its start.
create function charge_ends(start_at timestamptz, end_at timestamptz, bill_period date) returns timestamptz
language sql immutable as $$
    select greatest(start_at, coalesce(end_at, month_end(bill_period)))
$$;

-- The matches of lines of invoices that operators set. They take precedence over the rule. A
-- correction that changes the charge period of a line changes its id. The override then moves to
-- the new line if exactly one line that the correction added has the same product, descriptions and
-- ids (an unknown id equals any), and no other override without a line fits that line
-- (crates/store/src/invoices/reattach.rs). Otherwise the override is orphaned: it has no effect
-- until an operator applies it to a line or dismisses it.
-- Bound: one row per overridden line. Kept until an operator withdraws, applies or dismisses the
-- override, which deletes the row. The audit keeps each decision.
create table cloud_cost_line_overrides (
    -- Not a foreign key, because the line of an orphaned override is deleted.
    line_id uuid primary key,
    -- Null for shared costs.
    resource_id uuid references cloud_resource_rows,
    reason text,
    set_by text not null,
    set_at timestamptz not null default now(),
    -- The line when the override was set or moved.
    invoice_id uuid not null references cloud_invoices,
    product text not null,
    group_description text not null,
    description text not null,
    item_resource_id text,
    item_resource_uuid text,
    start_at timestamptz,
    end_at timestamptz,
    amount numeric not null,
    -- The line for which the operator set it, and when a correction moved it. Null if it never
    -- moved.
    moved_from uuid,
    moved_at timestamptz,
    -- When a correction removed the line and none certainly replaced it. Null while it has a line.
    orphaned_at timestamptz,
    check ((moved_from is null) = (moved_at is null))
);
create index cloud_cost_line_overrides_of_invoice on cloud_cost_line_overrides (invoice_id);

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
    amount numeric not null check (is_finite(amount)),
    project_name text not null,
    category text,
    resource_name text,
    item_resource_id text,
    item_resource_uuid text,
    resource_id uuid references cloud_resource_rows,
    -- A shared cost if it is 'account', or 'operator' without a resource.
    match_rule text not null,
    tenant_id text check (tenant_id <> ''),
    -- {"tenant": amount} if the line was split. The key of the unallocated share is "".
    shares jsonb,
    primary key (invoice_id, version, line_no),
    foreign key (invoice_id, version) references cloud_invoice_versions
);
create trigger cloud_superseded_cost_lines_are_append_only
    before update or delete or truncate on cloud_superseded_cost_lines
    for each statement execute function refuse_change();

-- Changes of stored lines of invoices: of match_rule, resource_id, tenant_id and is_shared, and the
-- move of an override to a line (override_of). The tenant_id of a split line is "split",
-- before and after if only its shares changed. Lines that
-- a correction adds or removes have no changes; see cloud_superseded_cost_lines. Lines of an
-- estimate have none, only their number in cloud_estimates.rematches: a changed preview replaces
-- them, and no statement is issued from them.
-- Bound: one row per change, in partitions by month (0015_maintenance.sql). Kept until an operator
-- exports and detaches a month, because they explain why statements of past months changed.
create table cloud_cost_line_changes (
    id bigint generated always as identity,
    -- Not a foreign key, to keep the changes of a line that a correction removed.
    line_id uuid not null,
    -- {"field": {"before": ..., "after": ...}}. override_of has the ids of the line from which and
    -- to which a correction moved an override.
    changes jsonb not null,
    --   inventory  a sync changed resources or projects; also if the transaction sets no cause
    --   ingest     an unchanged invoice was read again and rematched, an invoice moved to another
    --              month, or a correction moved an override
    --   operator   an operator set or ended an override or an assignment
    cause text not null check (cause in ('inventory', 'ingest', 'operator')),
    -- The name of the operator's access token; null for the other causes.
    changed_by text,
    -- Not the start of the transaction, which may have waited for the close of a month.
    changed_at timestamptz not null default clock_timestamp(),
    -- The Temporal run, if the cause is 'inventory' and the run is known; null for a change by an
    -- operator.
    workflow_id text,
    run_id text,
    primary key (id, changed_at)
) partition by range (changed_at);
create index cloud_cost_line_changes_of_line on cloud_cost_line_changes (line_id, id desc);
create trigger cloud_cost_line_changes_are_append_only
    before update or delete or truncate on cloud_cost_line_changes
    for each statement execute function refuse_change();

-- Records changes of lines, and counts those of estimates. cause, changed_by, workflow_id and
-- run_id are settings of the transaction: see crates/store/src/invoices/matching.rs.
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
        where now.estimate_id is null
    ) compared
    where changes <> '{}';
    update cloud_estimates set rematches = rematches + 1
    where id in (select estimate_id from added where estimate_id is not null);
    return null;
end
$$;

-- Records that split lines have other shares, after they were updated.
create function record_changed_shares(lines uuid[]) returns void language sql as $$
    insert into cloud_cost_line_changes (line_id, changes, cause, changed_by, workflow_id, run_id)
    select id, '{"tenant_id": {"before": "split", "after": "split"}}',
        coalesce(nullif(current_setting('arcadia.cause', true), ''), 'inventory'), nullif(current_setting('arcadia.changed_by', true), ''),
        nullif(current_setting('arcadia.workflow_id', true), ''), nullif(current_setting('arcadia.run_id', true), '')
    from cloud_cost_lines where id = any(lines) and estimate_id is null
$$;
create trigger cost_lines_record_their_changes
    after update on cloud_cost_lines referencing old table as removed new table as added
    for each statement execute function record_changes_of_cost_lines();

-- The shares of split lines. They total the line exactly; constraint triggers check this at commit.
-- Bound: the tenants of each split line.
create table cloud_cost_line_shares (
    line_id uuid not null references cloud_cost_lines,
    -- Null for unallocated costs.
    tenant_id text check (tenant_id <> ''),
    amount numeric not null check (is_finite(amount)),
    unique nulls not distinct (line_id, tenant_id)
);

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
create constraint trigger inserted_lines_have_shares_if_split
    after insert on cloud_cost_lines deferrable initially deferred
    for each row when (new.is_split) execute function check_split_line();
create constraint trigger updated_lines_have_shares_if_split
    after update of is_split, amount on cloud_cost_lines deferrable initially deferred
    for each row when (old.is_split or new.is_split) execute function check_split_line();
