-- Every cent of every invoice: both sources, versions, explained matches, whose each line is, the ledger, and the open month.

-- What DigitalOcean sent, kept as it came: what a line is read from can be looked up for ever. Summaries are not among them, since
-- they hold a person's name and address.
create table cloud_invoice_documents (
    -- Of the content before it was compressed.
    sha256 bytea primary key,
    -- csv: as it came. items: one JSON item a line, in the order of the list.
    source text not null check (source in ('csv', 'items')),
    gzip bytea not null,
    bytes bigint not null,
    stored_at timestamptz not null default now()
);
alter table cloud_invoice_documents alter column gzip set storage external;
create trigger cloud_invoice_documents_are_append_only
    before update or delete or truncate on cloud_invoice_documents
    for each statement execute function refuse_change();

alter table cloud_invoices
    -- 0 until lines were stored; a corrected invoice counts up.
    add column version integer not null default 0,
    -- csv+items, csv or items: what the lines were read from, and in source_note why not from both.
    add column sources text check (sources in ('csv+items', 'csv', 'items')),
    add column source_note text,
    -- What the two sources do not share.
    add column rows_without_item integer,
    add column items_without_row integer,
    add column items_sha256 bytea references cloud_invoice_documents,
    -- SHA-256 over all that the lines say, whatever order the items came in.
    add column lines_sha256 bytea,
    add column summary_amount numeric,
    -- amount less summary_amount.
    add column summary_off_by numeric,
    -- Proven: when its documents were last read in full, every sum agreed with every other. A check that fails later does not
    -- unset it; another amount in DigitalOcean's list does.
    add column is_final boolean not null default false,
    -- When its documents were last asked for, with success or without.
    add column checked_at timestamptz,
    -- When its documents were last read and agreed with the lines and sums that are stored.
    add column verified_at timestamptz,
    -- When the first check since verified_at failed, and why the last one did; null while the last check succeeded. Unlike last_error,
    -- which belongs to ingest_status and says why there are no lines of it, these say nothing against the lines.
    add column check_failed_since timestamptz,
    add column last_check_error text,
    add constraint cloud_invoices_failed_check check ((check_failed_since is null) = (last_check_error is null)),
    -- When the first complete list began that lacks it; null while DigitalOcean lists it. Its lines count as before: what was issued is
    -- not taken away in silence, but its month is not final.
    add column missing_since timestamptz;
create index cloud_invoices_failed_checks on cloud_invoices (check_failed_since) where check_failed_since is not null;
-- Lines of the version before lack what only the items say: each invoice is read once more.
update cloud_invoices set ingest_status = 'pending', version = 1 where ingest_status = 'ingested';

-- When the latest list of each sort that was applied began, one row a sort: an attempt that was held up, and comes later with an
-- older list, changes nothing.
create table cloud_bill_listings (
    provider text not null default 'digitalocean',
    list text not null check (list in ('invoices')),
    started_at timestamptz not null,
    primary key (provider, list)
);

-- The four sums of an invoice: what its summary states and what the lines come to.
create table cloud_invoice_parts (
    invoice_id uuid not null references cloud_invoices,
    part text not null check (part in ('product_charges', 'overages', 'taxes', 'credits_and_adjustments')),
    -- Null where there is no summary, or it does not state this part.
    stated numeric,
    lines numeric not null,
    -- stated less lines.
    off_by numeric generated always as (stated - lines) stored,
    primary key (invoice_id, part)
);

create table cloud_invoice_versions (
    invoice_id uuid not null references cloud_invoices,
    version integer not null,
    amount numeric not null,
    line_count integer not null,
    line_total numeric not null,
    csv_sha256 bytea references cloud_invoice_documents,
    items_sha256 bytea references cloud_invoice_documents,
    ingested_at timestamptz not null,
    -- Null while it is the one that counts.
    superseded_at timestamptz,
    primary key (invoice_id, version)
);

-- The lines of superseded versions as they were, with how they were matched and whose they were. They count nowhere.
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
    -- {"tenant": amount} of a line that was several tenants'.
    shares jsonb,
    primary key (invoice_id, version, line_no),
    foreign key (invoice_id, version) references cloud_invoice_versions
);
create trigger cloud_superseded_cost_lines_are_append_only
    before update or delete or truncate on cloud_superseded_cost_lines
    for each statement execute function refuse_change();

-- The open month, as DigitalOcean's preview has it. One row a month; when the invoice comes it is final.
create table cloud_estimates (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    period date not null check (extract(day from period) = 1),
    state text not null default 'open' check (state in ('open', 'final')),
    -- The preview's own total.
    amount numeric not null,
    line_count integer not null,
    line_total numeric not null,
    -- amount less line_total.
    off_by numeric not null,
    sources text not null check (sources in ('csv+items', 'csv', 'items')),
    source_note text,
    lines_sha256 bytea not null,
    first_estimated_at timestamptz not null,
    -- When the preview was last read, whether or not it had changed.
    estimated_at timestamptz not null,
    finalised_at timestamptz,
    unique (provider, period),
    check ((state = 'final') = (finalised_at is not null))
);
-- What the last estimate of each product was: kept when the lines give way to the invoice's.
create table cloud_estimated_products (
    estimate_id uuid not null references cloud_estimates,
    product text not null,
    amount numeric not null,
    primary key (estimate_id, product)
);

alter table cloud_cost_lines
    alter column invoice_id drop not null,
    -- A line is an invoice's or an estimate's.
    add column estimate_id uuid references cloud_estimates,
    add check (num_nonnulls(invoice_id, estimate_id) = 1),
    -- The month of the invoice or the estimate. The names of these columns are their own, so that queries which join lines with
    -- invoices or resources and name no table go on to mean what they meant.
    add column bill_period date,
    -- What DigitalOcean's item of the line names, if there is one; and the kind of what it and the line's name mean: the charge for a
    -- backup names its droplet.
    add column item_resource_id text,
    add column item_resource_uuid text,
    add column identified_kind text,
    -- resource_name is the group's.
    add column is_named_by_group boolean not null default false,
    -- As the description gives them.
    add column described_region text,
    add column described_size text,
    add column part text check (part in ('product_charges', 'overages', 'taxes', 'credits_and_adjustments')),
    -- The product is one that no resource stands behind.
    add column is_for_account boolean not null default false,
    -- Why, where the rule alone does not say it; and which resources have the name, of a line that is ambiguous or matched by project.
    add column match_note text,
    add column match_candidates uuid[],
    -- No resource stands behind it, by nature or by an operator's word: all tenants bear it.
    add column is_shared boolean not null default false,
    -- Several tenants' by time: cloud_cost_line_shares says whose how much is; tenant_id is null then.
    add column is_split boolean not null default false,
    -- How its tenant is known: resource (an override, or the project that the resource was in), project_name, first_known (the first
    -- project that the mirror saw the resource in, for a time before that), none, shared.
    add column attributed_by text not null default 'none'
        check (attributed_by in ('resource', 'project_name', 'first_known', 'none', 'shared'));
update cloud_cost_lines line set
    bill_period = invoice.period,
    identified_kind = case line.kind when 'droplet_backup' then 'droplet' else line.kind end,
    is_for_account = line.match_rule = 'account',
    is_shared = line.match_rule = 'account',
    attributed_by = case when line.match_rule = 'account' then 'shared' when line.tenant_id is not null then 'resource' else 'none' end
from cloud_invoices invoice where invoice.id = line.invoice_id;
alter table cloud_cost_lines
    alter column bill_period set not null,
    drop constraint cloud_cost_lines_match_rule_check,
    drop constraint cloud_cost_lines_check,
    -- By trust: an operator's word; DigitalOcean's uuid; its number; the group; name, kind, region or size, and lifetime; project: of
    -- several that these leave, the only one that was in the project which the line names; historic: DigitalOcean's id is known, and
    -- was gone before this mirror began; account: no resource by nature; several may be meant; none is known.
    add constraint cloud_cost_lines_match_rule check (match_rule in
        ('operator', 'uuid', 'id', 'group', 'name', 'project', 'historic', 'account', 'ambiguous', 'unmatched')),
    add constraint cloud_cost_lines_resource check (
        match_rule = 'operator' or (resource_id is not null) = (match_rule in ('uuid', 'id', 'group', 'name', 'project'))),
    add constraint cloud_cost_lines_owner check (
        (tenant_id is null or not (is_split or is_shared)) and not (is_split and is_shared)
        and is_shared = (attributed_by = 'shared')),
    add unique (estimate_id, line_no);
drop index cloud_cost_lines_name;
create index cloud_cost_lines_name on cloud_cost_lines (identified_kind, lower(resource_name)) where resource_name is not null;
create index cloud_cost_lines_period on cloud_cost_lines (bill_period);
create index cloud_cost_lines_item_id on cloud_cost_lines (item_resource_id, identified_kind) where item_resource_id is not null;
create index cloud_cost_lines_item_uuid on cloud_cost_lines (item_resource_uuid) where item_resource_uuid is not null;
-- Where these resources were decides which of them a line is for.
create index cloud_cost_lines_candidates on cloud_cost_lines using gin (match_candidates) where match_candidates is not null;
create index cloud_cost_lines_project_name on cloud_cost_lines (lower(project_name)) where not is_shared;

-- Whose how much of a split line is.
create table cloud_cost_line_shares (
    line_id uuid not null references cloud_cost_lines,
    -- Null for nobody's.
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
        raise exception 'the shares of cost line % come to %, and the line to %', line.id, total, line.amount
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
create constraint trigger cost_line_shares_come_to_the_line
    after insert on cloud_cost_line_shares deferrable initially deferred
    for each row execute function check_added_share();
create constraint trigger cost_line_shares_stay_whole
    after delete on cloud_cost_line_shares deferrable initially deferred
    for each row execute function check_removed_share();
create constraint trigger split_cost_lines_have_shares
    after insert or update of is_split, amount on cloud_cost_lines deferrable initially deferred
    for each row when (new.is_split) execute function check_split_line();

-- What lines come to, kept by the database itself in the transaction that writes the lines, so that a year of a million lines is
-- read in milliseconds. A shared line counts once, as shared: how it is spread is worked out when it is asked for.
create table cloud_cost_totals (
    -- The invoice or the estimate.
    bill_id uuid not null,
    period date not null,
    is_estimate boolean not null,
    is_shared boolean not null,
    tenant_id text,
    project_name text not null,
    kind text,
    product text not null,
    amount numeric not null,
    -- How many lines, or shares of lines, are in it.
    parts bigint not null
);
create unique index cloud_cost_totals_of_bill on cloud_cost_totals
    (bill_id, is_shared, coalesce(tenant_id, ''), project_name, coalesce(kind, ''), product);
create index cloud_cost_totals_by_period on cloud_cost_totals (period);

create function add_to_cost_totals(more cloud_cost_totals[]) returns void language sql as $$
    insert into cloud_cost_totals as total (bill_id, period, is_estimate, is_shared, tenant_id, project_name, kind, product, amount, parts)
    select bill_id, period, is_estimate, is_shared, tenant_id, project_name, kind, product, amount, parts
    from unnest(more)
    -- Two transactions that add to one bill do so in one order.
    order by bill_id, is_shared, tenant_id, project_name, kind, product
    on conflict (bill_id, is_shared, coalesce(tenant_id, ''), project_name, coalesce(kind, ''), product)
        do update set amount = total.amount + excluded.amount, parts = total.parts + excluded.parts;
    delete from cloud_cost_totals where parts = 0 and bill_id in (select distinct bill_id from unnest(more));
$$;

create function cost_lines_were_inserted() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(invoice_id, estimate_id), bill_period, estimate_id is not null, is_shared, tenant_id, project_name, kind,
            product, sum(amount), count(*))::cloud_cost_totals
        from added where not is_split
        group by invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product));
    return null;
end
$$;
create trigger cost_lines_count_when_inserted
    after insert on cloud_cost_lines referencing new table as added
    for each statement execute function cost_lines_were_inserted();

create function cost_lines_were_deleted() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(invoice_id, estimate_id), bill_period, estimate_id is not null, is_shared, tenant_id, project_name, kind,
            product, -sum(amount), -count(*))::cloud_cost_totals
        from removed where not is_split
        group by invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product));
    return null;
end
$$;
create trigger cost_lines_count_no_more_when_deleted
    after delete on cloud_cost_lines referencing old table as removed
    for each statement execute function cost_lines_were_deleted();

create function cost_lines_were_updated() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(invoice_id, estimate_id), bill_period, estimate_id is not null, is_shared, tenant_id, project_name, kind,
            product, sum(sign * amount), sum(sign))::cloud_cost_totals
        from (select 1 as sign, * from added union all select -1, * from removed) both_ways
        where not is_split
        group by invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product
        having sum(sign * amount) <> 0 or sum(sign) <> 0));

    -- What became of lines that stand already: which resource they are for and whose they are.
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
create trigger cost_lines_count_otherwise_when_updated
    after update on cloud_cost_lines referencing old table as removed new table as added
    for each statement execute function cost_lines_were_updated();

create function cost_line_shares_were_inserted() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(line.invoice_id, line.estimate_id), line.bill_period, line.estimate_id is not null, false, share.tenant_id,
            line.project_name, line.kind, line.product, sum(share.amount), count(*))::cloud_cost_totals
        from added share join cloud_cost_lines line on line.id = share.line_id
        group by line.invoice_id, line.estimate_id, line.bill_period, share.tenant_id, line.project_name, line.kind, line.product));
    return null;
end
$$;
create trigger cost_line_shares_count_when_inserted
    after insert on cloud_cost_line_shares referencing new table as added
    for each statement execute function cost_line_shares_were_inserted();

create function cost_line_shares_were_deleted() returns trigger language plpgsql as $$
begin
    perform add_to_cost_totals(array(
        select row(coalesce(line.invoice_id, line.estimate_id), line.bill_period, line.estimate_id is not null, false, share.tenant_id,
            line.project_name, line.kind, line.product, -sum(share.amount), -count(*))::cloud_cost_totals
        from removed share join cloud_cost_lines line on line.id = share.line_id
        group by line.invoice_id, line.estimate_id, line.bill_period, share.tenant_id, line.project_name, line.kind, line.product));
    return null;
end
$$;
create trigger cost_line_shares_count_no_more_when_deleted
    after delete on cloud_cost_line_shares referencing old table as removed
    for each statement execute function cost_line_shares_were_deleted();
create function refuse_change_of_row() returns trigger language plpgsql as $$
begin
    raise exception '% on % refused: delete and insert instead, so that the totals follow', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end
$$;
create trigger cost_line_shares_are_replaced
    before update or truncate on cloud_cost_line_shares for each statement execute function refuse_change_of_row();
create trigger cost_lines_are_not_truncated
    before truncate on cloud_cost_lines for each statement execute function refuse_change_of_row();

-- What became of lines after they were stored: which resource they are for, and whose they are. By whom, if by an operator; by
-- which run, if one did.
create table cloud_cost_line_changes (
    id bigint generated always as identity primary key,
    -- No reference: a line that a correction took away keeps its record.
    line_id uuid not null,
    -- {"field": {"before": ..., "after": ...}}
    changes jsonb not null,
    cause text not null,
    changed_by text,
    changed_at timestamptz not null default now(),
    workflow_id text,
    run_id text
);
create index cloud_cost_line_changes_of_line on cloud_cost_line_changes (line_id, id desc);
create trigger cloud_cost_line_changes_are_append_only
    before update or delete or truncate on cloud_cost_line_changes
    for each statement execute function refuse_change();

insert into cloud_cost_totals (bill_id, period, is_estimate, is_shared, tenant_id, project_name, kind, product, amount, parts)
select invoice_id, bill_period, false, is_shared, tenant_id, project_name, kind, product, sum(amount), count(*)
from cloud_cost_lines group by 1, 2, 4, 5, 6, 7, 8;

-- What an operator says a line is for. A line's id is made of what it says and not of its place or its amount, so that this word
-- outlives corrections.
create table cloud_cost_line_overrides (
    line_id uuid primary key,
    -- Null: for no resource; all tenants bear it.
    resource_id uuid references cloud_resources,
    reason text,
    set_by text not null,
    set_at timestamptz not null default now()
);

-- DigitalOcean's billing history. Its entries have no id: the key is SHA-256 over what one says, and the ordinal counts those
-- alike in everything.
create table cloud_billing_entries (
    id uuid primary key,
    provider text not null default 'digitalocean',
    entry_key bytea not null,
    ordinal integer not null check (ordinal > 0),
    -- DigitalOcean's word: Invoice, Payment, Credit ...; kept open.
    entry_type text not null,
    -- USD: positive for what is owed, negative for what was paid or credited.
    amount numeric not null,
    description text not null,
    -- DigitalOcean's time.
    date timestamptz not null,
    invoice_id text,
    invoice_uuid uuid,
    -- Whether it counts in what is owed: a payment that was only tried does not (rule of ours).
    moves_money boolean not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    -- Since when complete listings lack it. It counts no longer then; it stays to be seen.
    missing_since timestamptz,
    unique (provider, entry_key, ordinal)
);
create index cloud_billing_entries_by_date on cloud_billing_entries (date desc, id);
create index cloud_billing_entries_of_invoice on cloud_billing_entries (invoice_uuid) where invoice_uuid is not null;

-- What projects were called, and when: an invoice names a project by its name.
create table cloud_project_names (
    cloud_project_id uuid not null references cloud_projects,
    name text not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    check (valid_to > valid_from),
    constraint cloud_project_names_do_not_overlap exclude using gist (
        uuid_range(cloud_project_id, cloud_project_id, '[]') with &&, tstzrange(valid_from, valid_to) with &&)
);

-- How what all bear is spread over the tenants, from a month on. Without a word: in proportion to what each costs.
create table cloud_spread_rules (
    valid_from date primary key check (extract(day from valid_from) = 1),
    rule text not null check (rule in ('proportional', 'even', 'fixed')),
    -- {"tenant": weight}, for the rule fixed only.
    weights jsonb check ((weights is not null) = (rule = 'fixed')),
    set_by text not null,
    set_at timestamptz not null default now()
);

-- The tenants: whoever a token, a project, a resource, a cost or an allocation rule names. A revoked token alone makes nobody a tenant.
-- known_since is the earliest time at which a token, a project or a resource was the tenant's; null where only costs or a rule name it.
create view cloud_tenants as
select tenant_id, min(since) as known_since
from (
    select tenant_id, created_at as since from api_tokens where revoked_at is null
    union all select tenant_id, valid_from from cloud_project_tenants
    union all select tenant_id, valid_from from cloud_resource_overrides
    union all select tenant_id, null from cloud_cost_totals
    union all select jsonb_object_keys(weights), null from cloud_spread_rules where weights is not null
) named
where tenant_id is not null
group by tenant_id;

-- Names change, and a line is for the resource that had the name then.
create index cloud_resource_events_renames on cloud_resource_events (resource_id, occurred_at)
    where event in ('updated', 'restored') and changes ? 'name';
create index cloud_resource_events_former_names on cloud_resource_events (lower(changes #>> '{name,before}'))
    where event in ('updated', 'restored') and changes ? 'name';

-- A time as DigitalOcean writes it; null for what is none.
create function provider_time(text) returns timestamptz language plpgsql stable as $$
begin
    return $1::timestamptz;
exception when others then
    return null;
end
$$;

drop function resource_named;

-- The one rule by which a line finds its resource. Two candidates are no answer, and where DigitalOcean names an id, no name is.
--
-- Of several that have the name, the project that the line names decides, if it contained exactly one of them at some moment of the
-- charge period, while it had that name. As where tenants are found (domain::costs::owners), a resource's first membership and a
-- project's first name count for the time before too: they begin when the mirror first saw them, and nothing else is known of that
-- time. A candidate of which no membership is known may have been anywhere, so nothing is decided then.
create function cost_line_match(
    identified_kind text, is_named_by_group boolean, wanted_name text, wanted_region text, wanted_size text,
    item_id text, item_uuid text, is_for_account boolean, project_name text, starts timestamptz, ends timestamptz
) returns table (resource_id uuid, match_rule text, match_note text, match_candidates uuid[])
    language sql stable
as $$
    select
        coalesce(told.by_uuid, told.by_id, case when named.fitting = 1 then named.ids[1] end,
            case when placed.is_decided then placed.id end),
        case
            when told.by_uuid is not null then 'uuid'
            when told.by_id is not null then 'id'
            when is_for_account then 'account'
            when named.fitting = 1 then case when is_named_by_group then 'group' else 'name' end
            when placed.is_decided then 'project'
            when named.fitting > 1 then 'ambiguous'
            when told.is_told then 'historic'
            else 'unmatched'
        end,
        case
            when told.by_uuid is not null or told.by_id is not null or is_for_account or named.fitting = 1 then null
            when placed.is_decided and placed.first_known_at is null then
                format('%s of this name existed in the charge period, and only this one was in the project %s then',
                    named.fitting, project_name)
            when placed.is_decided then
                format('%s of this name existed in the charge period, and only this one was in the project %s, as first known on %s',
                    named.fitting, project_name, to_char(placed.first_known_at at time zone 'UTC', 'YYYY-MM-DD'))
            when placed.inside > 1 then
                format('%s of this name existed in the charge period, %s of them in the project %s',
                    named.fitting, placed.inside, project_name)
            when placed.inside = 0 and placed.of_unknown_place = 0 then
                format('%s of this name existed in the charge period, none of them in the project %s', named.fitting, project_name)
            when named.fitting > 1 then format('%s of this name existed in the charge period', named.fitting)
            when told.is_told then format('DigitalOcean names %s %s, which this mirror has never seen',
                coalesce(identified_kind, 'the resource'), coalesce(item_uuid, item_id))
            when identified_kind is null and item_id is not null then
                format('the product is not known here, and DigitalOcean''s id %s could be of any kind', item_id)
            when identified_kind is null then 'the product is not known here'
            when wanted_name is null then 'the line names no resource'
            when coalesce(named.found, 0) = 0 then format('no %s of this name is known%s', identified_kind, coalesce(
                (select ': ' || partial_reason from cloud_kind_freshness
                 where provider = 'digitalocean' and kind = identified_kind),
                -- Also before the first listing, and for a bucket that was deleted before it.
                case when identified_kind = 'spaces_bucket' then ': if the bucket still exists, set SPACES_ACCESS_KEY_ID and '
                    || 'SPACES_SECRET_ACCESS_KEY for the worker to a key with access to all buckets of the team' end))
            when named.lived = 0 then format('no %s of this name existed in the charge period', identified_kind)
            when named.placed = 0 then format('no %s of this name is in the region %s', identified_kind, wanted_region)
            else format('no %s of this name has, or is known to have had, the size %s', identified_kind, wanted_size)
        end,
        case when told.by_uuid is null and told.by_id is null and not is_for_account and named.fitting > 1 then named.ids end
    from (
        select
            case when item_uuid is not null then coalesce(
                (select r.id from cloud_resources r
                 where r.provider = 'digitalocean' and r.kind = identified_kind and r.provider_id = item_uuid),
                (select min(r.id::text)::uuid from cloud_kind_freshness known
                 join cloud_resources r on r.provider = 'digitalocean' and r.kind = known.kind and r.provider_id = item_uuid))
            end as by_uuid,
            case when item_id is not null then
                (select r.id from cloud_resources r
                 where r.provider = 'digitalocean' and r.kind = identified_kind and r.provider_id = item_id)
            end as by_id,
            item_uuid is not null or (item_id is not null and identified_kind is not null) as is_told
        -- Looked up once, not at each place where it is asked for.
        offset 0
    ) told
    left join lateral (
        select
            count(*) as found,
            count(*) filter (where fit.lived) as lived,
            count(*) filter (where fit.lived and fit.placed) as placed,
            count(*) filter (where fit.lived and fit.placed and fit.sized) as fitting,
            array_agg(candidate.id order by candidate.id) filter (where fit.lived and fit.placed and fit.sized) as ids
        from (
            -- Who has the name, and had it then.
            select r.id, r.region, r.attrs, r.deleted_at, r.last_seen_at from cloud_resources r
            where r.kind = identified_kind and lower(r.name) = lower(wanted_name)
              and not exists (
                  select 1 from cloud_resource_events e
                  where e.resource_id = r.id and e.event in ('updated', 'restored') and e.changes ? 'name' and e.occurred_at >= ends)
            union all
            -- Who had it then, and has another now.
            select r.id, r.region, r.attrs, r.deleted_at, r.last_seen_at
            from cloud_resource_events e
            join cloud_resources r on r.id = e.resource_id
            where e.event in ('updated', 'restored') and e.changes ? 'name'
              and lower(e.changes #>> '{name,before}') = lower(wanted_name)
              and r.kind = identified_kind and e.occurred_at >= ends
              and not exists (
                  select 1 from cloud_resource_events earlier
                  where earlier.resource_id = e.resource_id and earlier.event in ('updated', 'restored') and earlier.changes ? 'name'
                    and earlier.occurred_at >= ends and earlier.id < e.id)
        ) candidate
        cross join lateral (
            select
                coalesce(provider_time(candidate.attrs ->> 'created_at') <= ends, true)
                    and (candidate.deleted_at is null or candidate.last_seen_at >= starts) as lived,
                coalesce(lower(candidate.region) = lower(wanted_region), true) as placed,
                coalesce(candidate.attrs ->> 'size_slug' = wanted_size, true)
                    or exists (
                        select 1 from cloud_resource_events e
                        where e.resource_id = candidate.id and e.event = 'updated'
                          and e.changes #>> '{attrs.size_slug,before}' = wanted_size) as sized
            offset 0
        ) fit
    ) named
        on told.by_uuid is null and told.by_id is null and not is_for_account and wanted_name is not null
       -- A database's item names the database; what the items of a cluster's lines name is not documented.
       and (not told.is_told or (is_named_by_group and identified_kind = 'kubernetes_cluster'))
    left join lateral (
        select
            place.inside,
            place.of_unknown_place,
            place.inside = 1 and place.of_unknown_place = 0 as is_decided,
            place.id,
            place.first_known_at
        from (
            select
                count(*) filter (where member.is_inside) as inside,
                count(*) filter (where not member.is_known) as of_unknown_place,
                (array_agg(member.id) filter (where member.is_inside))[1] as id,
                -- Null where the membership was seen at the time itself.
                min(member.first_known_at) filter (where member.is_inside) as first_known_at
            from (
                select
                    candidate.id,
                    exists (select from cloud_project_memberships m where m.resource_id = candidate.id) as is_known,
                    inside.cloud_project_id is not null as is_inside,
                    case when not inside.is_dated then inside.valid_from end as first_known_at
                from unnest(named.ids) as candidate (id)
                left join lateral (
                    select stay.cloud_project_id, stay.valid_from, stay.valid_from < period.ends as is_dated
                    from (
                        select m.cloud_project_id, m.valid_from, coalesce(m.valid_to, 'infinity') as valid_to,
                            case when row_number() over (order by m.valid_from) = 1 then '-infinity' else m.valid_from end as counts_from
                        from cloud_project_memberships m where m.resource_id = candidate.id
                    ) stay
                    join (
                        select n.cloud_project_id, coalesce(n.valid_to, 'infinity') as valid_to,
                            case when exists (
                                select from cloud_project_names earlier
                                where earlier.cloud_project_id = n.cloud_project_id and earlier.valid_from < n.valid_from
                            ) then n.valid_from else '-infinity' end as counts_from
                        from cloud_project_names n where lower(n.name) = lower(project_name)
                    ) called on called.cloud_project_id = stay.cloud_project_id
                    -- A charge for a moment is for the moment of its start.
                    cross join (select greatest(ends, starts + interval '1 microsecond') as ends) period
                    where greatest(stay.counts_from, called.counts_from, starts) < least(stay.valid_to, called.valid_to, period.ends)
                    order by stay.valid_from
                    limit 1
                ) inside on true
            ) member
        ) place
    ) placed on named.fitting > 1 and project_name <> ''
$$;

-- Where the books do not balance: nothing, unless somebody wrote to them by hand or this system is wrong.
create view cloud_cost_discrepancies as
select invoice.period, invoice.invoice_uuid as bill, 'lines and the invoice''s line_total' as what,
    coalesce(invoice.line_total, 0) as expected, coalesce(lines.amount, 0) as found
from cloud_invoices invoice
left join (select invoice_id, sum(amount) as amount, count(*) as lines from cloud_cost_lines group by 1) lines
    on lines.invoice_id = invoice.id
where coalesce(invoice.line_total, 0) <> coalesce(lines.amount, 0) or coalesce(invoice.line_count, 0) <> coalesce(lines.lines, 0)
union all
select line.period, coalesce(invoice.invoice_uuid, line.estimate_id), 'lines and the totals of the bill', line.amount, coalesce(total.amount, 0)
from (
    select invoice_id, estimate_id, bill_period as period, sum(amount) as amount from cloud_cost_lines group by 1, 2, 3
) line
left join cloud_invoices invoice on invoice.id = line.invoice_id
left join (select bill_id, sum(amount) as amount from cloud_cost_totals group by 1) total
    on total.bill_id = coalesce(line.invoice_id, line.estimate_id)
where line.amount is distinct from total.amount
union all
select total.period, total.bill_id, 'totals of a bill without lines', 0, total.amount
from (select bill_id, period, sum(amount) as amount from cloud_cost_totals group by 1, 2) total
where not exists (select 1 from cloud_cost_lines line where line.invoice_id = total.bill_id)
  and not exists (select 1 from cloud_cost_lines line where line.estimate_id = total.bill_id)
union all
select line.bill_period, line.id, 'the shares of a line', line.amount, coalesce(share.amount, 0)
from cloud_cost_lines line
left join (select line_id, sum(amount) as amount from cloud_cost_line_shares group by 1) share on share.line_id = line.id
where line.is_split and line.amount is distinct from share.amount;

-- How stored lines are matched: by an operator's word, else by the rule.
create view cloud_cost_line_matches as
select
    line.id as line_id,
    case when word.line_id is null then found.resource_id else word.resource_id end as resource_id,
    case when word.line_id is null then found.match_rule else 'operator' end as match_rule,
    case when word.line_id is null then found.match_note else word.reason end as match_note,
    case when word.line_id is null then found.match_candidates end as match_candidates,
    case when word.line_id is null then found.match_rule = 'account' else word.resource_id is null end as is_shared
from cloud_cost_lines line
left join cloud_cost_line_overrides word on word.line_id = line.id
cross join lateral cost_line_match(
    line.identified_kind, line.is_named_by_group, line.resource_name, line.described_region, line.described_size,
    line.item_resource_id, line.item_resource_uuid, line.is_for_account, line.project_name,
    coalesce(line.start_at, line.bill_period::timestamp at time zone 'UTC'),
    coalesce(line.end_at, (line.bill_period + interval '1 month')::timestamp at time zone 'UTC')) found;

-- Where a resource was is asked for each of its lines.
create index cloud_project_memberships_resource on cloud_project_memberships (resource_id, valid_from);
