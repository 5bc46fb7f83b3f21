-- The totals of lines. Triggers maintain them in the transaction that writes the lines, so that a
-- year of a million lines is read in milliseconds. Read by crates/store/src/costs.rs.
--
-- A line counts under its tenant, a split line under the tenant of each share, and a shared line
-- once, as shared: its allocation is computed on read (0010_allocation.sql).

-- Bound: the combinations of tenant, project, kind, product and match rule in each bill. Kept
-- forever.
create table cloud_cost_totals (
    -- The id of the invoice or estimate.
    bill_id uuid not null,
    period date not null,
    is_estimate boolean not null,
    is_shared boolean not null,
    -- Null for unallocated and for shared costs.
    tenant_id text check (tenant_id <> ''),
    project_name text not null,
    kind text,
    product text not null,
    -- Null for shares of split lines.
    match_rule text,
    amount numeric not null check (is_finite(amount)),
    -- The number of lines and shares in the amount. The row is deleted when it is 0.
    line_and_share_count bigint not null,
    unique nulls not distinct (bill_id, period, is_shared, tenant_id, project_name, kind, product, match_rule)
);
-- For the costs of months.
create index cloud_cost_totals_by_period on cloud_cost_totals (period);

-- Adds amounts and counts, negative for removed lines and shares, to the totals with the same key,
-- and deletes the totals of these bills that count no line and no share any more.
create function add_to_cost_totals(more cloud_cost_totals[]) returns void language sql as $$
    insert into cloud_cost_totals as total
        (bill_id, period, is_estimate, is_shared, tenant_id, project_name, kind, product, match_rule, amount, line_and_share_count)
    select bill_id, period, is_estimate, is_shared, tenant_id, project_name, kind, product, match_rule, amount, line_and_share_count
    from unnest(more)
    -- A statement locks the rows in the order of the key, so that two statements do not deadlock.
    -- Transactions with several statements rely on the locks of cost lines and of the bill.
    order by bill_id, period, is_shared, tenant_id, project_name, kind, product, match_rule
    on conflict (bill_id, period, is_shared, tenant_id, project_name, kind, product, match_rule) do update set
        amount = total.amount + excluded.amount,
        line_and_share_count = total.line_and_share_count + excluded.line_and_share_count;
    delete from cloud_cost_totals where line_and_share_count = 0 and bill_id in (select distinct bill_id from unnest(more));
$$;

create function total_inserted_cost_lines() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(invoice_id, estimate_id), bill_period, estimate_id is not null, is_shared, tenant_id, project_name, kind,
            product, match_rule, sum(amount), count(*))::cloud_cost_totals
        from added where not is_split
        group by invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product, match_rule));
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
            product, match_rule, -sum(amount), -count(*))::cloud_cost_totals
        from removed where not is_split
        group by invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product, match_rule));
    return null;
end
$$;
create trigger cost_lines_are_totalled_when_deleted
    after delete on cloud_cost_lines referencing old table as removed
    for each statement execute function total_deleted_cost_lines();

-- Shares follow their line to another month. All other changes of a split line replace its shares.
create function total_updated_cost_lines() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(invoice_id, estimate_id), bill_period, estimate_id is not null, is_shared, tenant_id, project_name, kind,
            product, match_rule, sum(sign * amount), sum(sign))::cloud_cost_totals
        from (
            select sign, invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product, match_rule, amount
            from (select 1 as sign, * from added union all select -1, * from removed) both_ways where not is_split
            union all
            select sign, invoice_id, estimate_id, bill_period, is_shared, share.tenant_id, project_name, kind, product, null, share.amount
            from (
                select 1 as sign, now.* from added now join removed was on was.id = now.id
                where now.is_split and was.is_split and now.bill_period <> was.bill_period
                union all
                select -1, was.* from added now join removed was on was.id = now.id
                where now.is_split and was.is_split and now.bill_period <> was.bill_period
            ) moved
            join cloud_cost_line_shares share on share.line_id = moved.id
        ) changed
        group by invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product, match_rule
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
            line.project_name, line.kind, line.product, null::text, sum(share.amount), count(*))::cloud_cost_totals
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
            line.project_name, line.kind, line.product, null::text, -sum(share.amount), -count(*))::cloud_cost_totals
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
