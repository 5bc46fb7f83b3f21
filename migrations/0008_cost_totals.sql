-- The totals of lines. Triggers maintain them in the transaction that writes the lines, so that a
-- year of a million lines is read in milliseconds. Read by crates/store/src/costs.rs.
--
-- A line counts under its tenant, a split line under the tenant of each share, and a shared line
-- once, as shared: its allocation is computed on read (0010_allocation.sql).

-- Bound: the combinations of tenant, project, kind and product in each bill. Kept forever.
create table cloud_cost_totals (
    -- The id of the invoice or estimate.
    bill_id uuid not null,
    period date not null,
    is_estimate boolean not null,
    is_shared boolean not null,
    tenant_id text,
    project_name text not null,
    kind text,
    product text not null,
    amount numeric not null,
    -- The number of lines and shares in the amount.
    parts bigint not null
);
create unique index cloud_cost_totals_of_bill on cloud_cost_totals
    (bill_id, is_shared, coalesce(tenant_id, ''), project_name, coalesce(kind, ''), product);
create index cloud_cost_totals_by_period on cloud_cost_totals (period);

create function add_to_cost_totals(more cloud_cost_totals[]) returns void language sql as $$
    insert into cloud_cost_totals as total (bill_id, period, is_estimate, is_shared, tenant_id, project_name, kind, product, amount, parts)
    select bill_id, period, is_estimate, is_shared, tenant_id, project_name, kind, product, amount, parts
    from unnest(more)
    -- In one order, so that two transactions that write one bill do not deadlock.
    order by bill_id, is_shared, tenant_id, project_name, kind, product
    on conflict (bill_id, is_shared, coalesce(tenant_id, ''), project_name, coalesce(kind, ''), product)
        do update set amount = total.amount + excluded.amount, parts = total.parts + excluded.parts;
    delete from cloud_cost_totals where parts = 0 and bill_id in (select distinct bill_id from unnest(more));
$$;

create function total_inserted_cost_lines() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(invoice_id, estimate_id), bill_period, estimate_id is not null, is_shared, tenant_id, project_name, kind,
            product, sum(amount), count(*))::cloud_cost_totals
        from added where not is_split
        group by invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product));
    return null;
end
$$;
create trigger cost_lines_are_totalled_when_inserted
    after insert on cloud_cost_lines referencing new table as added
    for each statement execute function total_inserted_cost_lines();

create function total_deleted_cost_lines() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(invoice_id, estimate_id), bill_period, estimate_id is not null, is_shared, tenant_id, project_name, kind,
            product, -sum(amount), -count(*))::cloud_cost_totals
        from removed where not is_split
        group by invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product));
    return null;
end
$$;
create trigger cost_lines_are_totalled_when_deleted
    after delete on cloud_cost_lines referencing old table as removed
    for each statement execute function total_deleted_cost_lines();

create function total_updated_cost_lines() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(invoice_id, estimate_id), bill_period, estimate_id is not null, is_shared, tenant_id, project_name, kind,
            product, sum(sign * amount), sum(sign))::cloud_cost_totals
        from (select 1 as sign, * from added union all select -1, * from removed) both_ways
        where not is_split
        group by invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product
        having sum(sign * amount) <> 0 or sum(sign) <> 0));
    return null;
end
$$;
create trigger cost_lines_are_totalled_when_updated
    after update on cloud_cost_lines referencing old table as removed new table as added
    for each statement execute function total_updated_cost_lines();

create function total_inserted_shares() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(line.invoice_id, line.estimate_id), line.bill_period, line.estimate_id is not null, false, share.tenant_id,
            line.project_name, line.kind, line.product, sum(share.amount), count(*))::cloud_cost_totals
        from added share join cloud_cost_lines line on line.id = share.line_id
        group by line.invoice_id, line.estimate_id, line.bill_period, share.tenant_id, line.project_name, line.kind, line.product));
    return null;
end
$$;
create trigger cost_line_shares_are_totalled_when_inserted
    after insert on cloud_cost_line_shares referencing new table as added
    for each statement execute function total_inserted_shares();

create function total_deleted_shares() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(line.invoice_id, line.estimate_id), line.bill_period, line.estimate_id is not null, false, share.tenant_id,
            line.project_name, line.kind, line.product, -sum(share.amount), -count(*))::cloud_cost_totals
        from removed share join cloud_cost_lines line on line.id = share.line_id
        group by line.invoice_id, line.estimate_id, line.bill_period, share.tenant_id, line.project_name, line.kind, line.product));
    return null;
end
$$;
create trigger cost_line_shares_are_totalled_when_deleted
    after delete on cloud_cost_line_shares referencing old table as removed
    for each statement execute function total_deleted_shares();
create function refuse_change_without_totals() returns trigger language plpgsql as $$
begin
    raise exception '% on % refused: delete and insert instead, so that the totals follow', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end
$$;
create trigger cost_line_shares_are_replaced
    before update or truncate on cloud_cost_line_shares for each statement execute function refuse_change_without_totals();
create trigger cost_lines_are_not_truncated
    before truncate on cloud_cost_lines for each statement execute function refuse_change_without_totals();
