-- Closes of months. A closed month has frozen statements: no change that this system observes later
-- changes them. The difference between the figures of today and the frozen ones is an adjustment in
-- the open month, i.e. the first month with a bill after the latest closed one:
--   adjustment of a tenant = its costs of the closed month by the lines of today
--                            - its frozen costs - its adjustments that a later close contains
-- Of a month that was reopened, the open month takes back the adjustments that a later close
-- contains, because its statements follow its lines.
-- It is computed on read (crates/store/src/costs/closes/adjustments.rs), and frozen with the open
-- month.

-- Bound: one row per close. Kept forever, because statements are issued from them.
create table cloud_month_closes (
    id uuid primary key default gen_random_uuid(),
    -- The first of the month.
    period date not null check (extract(day from period) = 1),
    -- 1 for the first close of the month, 2 for the one after it was reopened ...
    number integer not null check (number > 0),
    -- The frozen figures are of the state of the database at this time.
    frozen_at timestamptz not null,
    -- Null for a draft: its statements and files are stored, and the month is not closed yet. The
    -- next attempt deletes the drafts of the month.
    closed_at timestamptz,
    -- The name of the token of the administrator, or the name that the update of the workflow
    -- states.
    closed_by text not null check (closed_by <> ''),
    close_reason text,
    -- The Temporal run.
    workflow_id text not null,
    run_id text not null,
    -- The totals of the lines and of the invoices of the month; USD. They are equal.
    line_total numeric not null check (is_finite(line_total)),
    invoice_total numeric not null check (is_finite(invoice_total)),
    verified_at timestamptz,
    -- As in cloud_allocation_rules.
    rule text not null,
    weights jsonb,
    -- {"invoice_uuid": version}: the invoices of the month at the close.
    invoices jsonb not null,
    -- The invoices by which differences are adjustments: those at the close, until an administrator
    -- accepts a correction by DigitalOcean. While the invoices of the month differ from these, its
    -- differences wait for that decision.
    accepted_invoices jsonb not null,
    -- The total of the lines by these invoices; USD.
    accepted_total numeric not null check (is_finite(accepted_total)),
    accepted_by text,
    accepted_at timestamptz,
    accept_reason text,
    -- True if the totals of tenants, or the allocation rule, may have changed since. Triggers set
    -- it, so that only the differences of such months are computed.
    may_differ boolean not null default false,
    -- The Merkle tree over the statements (crates/domain/src/proof.rs): its first leaf, i.e. the
    -- hash of the month's invoices and files, its root, and the number of its leaves.
    head_leaf bytea not null check (octet_length(head_leaf) = 32),
    root bytea not null check (octet_length(root) = 32),
    leaf_count integer not null check (leaf_count > 0),
    -- Ed25519; null without a signing key.
    public_key bytea check (octet_length(public_key) = 32),
    signature bytea check (octet_length(signature) = 64),
    -- When an administrator reopened the month.
    reopened_at timestamptz,
    reopened_by text,
    reopen_reason text,
    check ((public_key is null) = (signature is null)),
    check ((accepted_by is null) = (accepted_at is null)),
    check ((reopened_by is null) = (reopened_at is null)),
    check (reopened_at is null or (closed_at is not null and reopen_reason is not null))
);
create unique index cloud_month_closes_numbers on cloud_month_closes (period, number) where closed_at is not null;
-- A month has at most one close in force.
create unique index cloud_month_closes_in_force on cloud_month_closes (period) where closed_at is not null and reopened_at is null;

-- Refuses changes of the rows of a close, unless it is a draft.
create function refuse_change_of_close() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and exists (select from cloud_month_closes where id = old.close_id and closed_at is null) then
        return old;
    end if;
    raise exception '% on % refused: a close is not changed', tg_op, tg_table_name using errcode = 'restrict_violation';
end
$$;

-- The frozen statements: two documents of each tenant, one of the unallocated costs.
-- Bound: two rows per tenant and close, of about 500 bytes per line, compressed by PostgreSQL. Kept
-- forever.
create table cloud_closed_statements (
    close_id uuid not null references cloud_month_closes,
    -- Null for the unallocated costs.
    tenant_id text check (tenant_id <> ''),
    --   account  for administrators: with match, weights and whole lines
    --   own      for the tenant: without data of others
    audience text not null check (audience in ('account', 'own')),
    -- The position among the leaves of the tree.
    leaf_index integer not null check (leaf_index > 0),
    leaf bytea not null check (octet_length(leaf) = 32),
    salt bytea not null check (octet_length(salt) = 32),
    -- USD.
    direct numeric not null check (is_finite(direct)),
    shared numeric not null check (is_finite(shared)),
    adjusted numeric not null check (is_finite(adjusted)),
    -- The statement as JSON, without its proof.
    document text not null,
    unique nulls not distinct (close_id, tenant_id, audience),
    unique (close_id, leaf_index),
    check (audience = 'account' or tenant_id is not null)
);
create trigger cloud_closed_statements_are_kept
    before update or delete on cloud_closed_statements for each row execute function refuse_change_of_close();
create trigger cloud_closed_statements_are_not_truncated
    before truncate on cloud_closed_statements for each statement execute function refuse_change();

-- The adjustments that a close contains.
-- Bound: one row per close, adjusted month and tenant. Kept forever.
create table cloud_closed_adjustments (
    close_id uuid not null references cloud_month_closes,
    -- The closed month with the difference.
    period date not null,
    -- Null for the unallocated costs.
    tenant_id text check (tenant_id <> ''),
    -- USD.
    direct numeric not null check (is_finite(direct)),
    shared numeric not null check (is_finite(shared)),
    unique nulls not distinct (close_id, period, tenant_id)
);
create trigger cloud_closed_adjustments_are_kept
    before update or delete on cloud_closed_adjustments for each row execute function refuse_change_of_close();
create trigger cloud_closed_adjustments_are_not_truncated
    before truncate on cloud_closed_adjustments for each statement execute function refuse_change();

-- The files of a close in addition to its statements: the bill in FOCUS, the checks, and the
-- manifest with the hash of each file and statement.
-- Bound: five files per close, in pieces of at most 1 MB. Kept forever.
create table cloud_close_files (
    close_id uuid not null references cloud_month_closes,
    name text not null check (name <> ''),
    media_type text not null,
    size bigint not null check (size >= 0),
    sha256 bytea not null check (octet_length(sha256) = 32),
    primary key (close_id, name)
);
-- Bound: the pieces of these files, of 1 MB each but the last one.
create table cloud_close_file_pieces (
    close_id uuid not null,
    name text not null,
    number integer not null check (number > 0),
    content bytea not null,
    primary key (close_id, name, number),
    foreign key (close_id, name) references cloud_close_files
);
create trigger cloud_close_files_are_kept
    before update or delete on cloud_close_files for each row execute function refuse_change_of_close();
create trigger cloud_close_files_are_not_truncated
    before truncate on cloud_close_files for each statement execute function refuse_change();
create trigger cloud_close_file_pieces_are_kept
    before update or delete on cloud_close_file_pieces for each row execute function refuse_change_of_close();
create trigger cloud_close_file_pieces_are_not_truncated
    before truncate on cloud_close_file_pieces for each statement execute function refuse_change();

-- The frozen part of a close in force is not changed, and no close is deleted but a draft.
create function keep_close() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        if old.closed_at is null then
            return old;
        end if;
    elsif old.closed_at is null or to_jsonb(old) - '{accepted_invoices,accepted_total,accepted_by,accepted_at,accept_reason,may_differ,reopened_at,reopened_by,reopen_reason}'::text[]
            = to_jsonb(new) - '{accepted_invoices,accepted_total,accepted_by,accepted_at,accept_reason,may_differ,reopened_at,reopened_by,reopen_reason}'::text[] then
        return new;
    end if;
    raise exception '% on % refused: a close is not changed', tg_op, tg_table_name using errcode = 'restrict_violation';
end
$$;
create trigger cloud_month_closes_are_kept
    before update or delete on cloud_month_closes for each row execute function keep_close();
create trigger cloud_month_closes_are_not_truncated
    before truncate on cloud_month_closes for each statement execute function refuse_change();

-- Every change of the totals of tenants is a change of these rows.
create function mark_close_of_total() returns trigger language plpgsql as $$
begin
    update cloud_month_closes set may_differ = true
    where not may_differ and closed_at is not null and reopened_at is null
      and period in (select period from changed);
    return null;
end
$$;
create trigger inserted_totals_mark_their_close
    after insert on cloud_cost_totals referencing new table as changed
    for each statement execute function mark_close_of_total();
create trigger updated_totals_mark_their_close
    after update on cloud_cost_totals referencing new table as changed
    for each statement execute function mark_close_of_total();
create trigger deleted_totals_mark_their_close
    after delete on cloud_cost_totals referencing old table as changed
    for each statement execute function mark_close_of_total();

create function mark_closes_of_rule() returns trigger language plpgsql as $$
begin
    update cloud_month_closes set may_differ = true
    where not may_differ and closed_at is not null and reopened_at is null and period >= least(old.valid_from, new.valid_from);
    return null;
end
$$;
create trigger allocation_rules_mark_the_closes
    after insert or update or delete on cloud_allocation_rules for each row execute function mark_closes_of_rule();
