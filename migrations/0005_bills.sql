-- Bills: the charges of DigitalOcean, as stated by its balance, its billing history, its invoices
-- and the preview of the open month.

-- The balance of the account over time, polled hourly. Positive figures are owed; DigitalOcean does
-- not document the sign of a credit.
-- Bound: one row per change of the figures, at most one an hour: about 1.5 MB a year. Kept forever,
-- because they are the only record of the amount owed at a time.
create table cloud_balance_snapshots (
    id bigint generated always as identity primary key,
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    -- The amount owed now: account_balance and month_to_date_usage.
    month_to_date_balance numeric not null check (is_finite(month_to_date_balance)),
    -- The amount owed for past months: the sum of the billing history.
    account_balance numeric not null check (is_finite(account_balance)),
    -- The charges of the current month so far.
    month_to_date_usage numeric not null check (is_finite(month_to_date_usage)),
    -- DigitalOcean's time. It recomputes the figures occasionally; many polls return the same ones.
    generated_at timestamptz not null,
    -- When the first and the last poll with these figures began.
    captured_at timestamptz not null,
    last_polled_at timestamptz not null,
    unique (provider, generated_at, month_to_date_balance, account_balance, month_to_date_usage)
);

-- The latest balance: the figures that DigitalOcean computed last, and of several that it computed
-- at the same time, those that were polled last. No row before the first poll.
create view cloud_latest_balance as
select * from cloud_balance_snapshots where provider = 'digitalocean'
order by generated_at desc, last_polled_at desc, id desc limit 1;

-- DigitalOcean's billing history. Its entries have no id: the key is the SHA-256 of date, type,
-- amount, description and invoice_uuid, and the ordinal (from 1) distinguishes entries with the
-- same key.
-- Bound: the entries of DigitalOcean's billing history.
create table cloud_billing_entries (
    -- Derived from entry_key and ordinal.
    id uuid primary key,
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    entry_key bytea not null,
    ordinal integer not null check (ordinal > 0),
    -- DigitalOcean's value: Invoice, Payment, Credit ... Unknown ones are accepted.
    entry_type text not null,
    -- Positive for charges, negative for payments and credits.
    amount numeric not null check (is_finite(amount)),
    description text not null,
    -- DigitalOcean's time.
    date timestamptz not null,
    -- DigitalOcean's number and uuid of the invoice, if the entry has one. Not a foreign key,
    -- because the invoice may not be stored (yet).
    invoice_number text,
    invoice_uuid uuid,
    -- True if the entry counts in the sum that must equal account_balance. A failed payment does
    -- not: its amount was not paid (our rule, by entry_type).
    counts_in_balance boolean not null,
    -- When the first listing with the entry began.
    first_seen_at timestamptz not null,
    -- When the listing began that added the entry or restored it, or the last incomplete listing
    -- with it. Complete listings that confirm it do not update it (cloud_bill_listings).
    listed_at timestamptz not null,
    -- When the first complete listing without the entry began. The entry is kept, but does not
    -- count while it is missing.
    missing_since timestamptz,
    unique (provider, entry_key, ordinal)
);
-- The order of the running total, and, backwards, of the list.
create index cloud_billing_entries_by_date on cloud_billing_entries (date, id);

-- CSVs and items of invoices as received, so that each line can be traced to its source. Summaries
-- are not stored: they contain a person's name and address.
-- Bound: two documents per version of an invoice, superseded ones included. Kept forever, because
-- they are evidence. A later reading can replace the documents of a version, such as a provisional
-- one; `Maintain` removes the replaced ones 90 days after they were stored.
create table cloud_invoice_documents (
    -- The hash of the uncompressed content.
    sha256 bytea primary key,
    -- csv: as received. items: one JSON item per line, in the order of the list.
    source text not null check (source in ('csv', 'items')),
    gzip bytea not null,
    -- The size of the content before compression.
    bytes bigint not null,
    stored_at timestamptz not null default now()
);
alter table cloud_invoice_documents alter column gzip set storage external;
create trigger cloud_invoice_documents_are_append_only
    before update or delete or truncate on cloud_invoice_documents
    for each statement execute function refuse_change('retention');

-- Bound: the invoices of the team.
create table cloud_invoices (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    -- DigitalOcean's uuid and its number of the invoice. In other tables, invoice_id is our id.
    invoice_uuid uuid not null unique,
    invoice_id text,
    period date not null check (extract(day from period) = 1),
    -- The total that DigitalOcean's list states.
    amount numeric not null check (is_finite(amount)),
    -- When the list began that last changed the fields above, or the last incomplete list with the
    -- invoice. Complete lists that confirm them do not update it (cloud_bill_listings).
    listed_at timestamptz not null,
    -- pending: the lines of this amount are not stored yet. failed: they could not be read.
    ingest_status text not null default 'pending' check (ingest_status in ('pending', 'ingested', 'failed')),
    -- Why ingest_status is failed.
    last_error text,
    ingested_at timestamptz,
    -- 0 until lines are stored; increases with each correction.
    version integer not null default 0,
    -- The sources of the lines, and why they are not both.
    sources text check (sources in ('csv+items', 'csv', 'items')),
    source_note text,
    -- The number of rows and items without a counterpart in the other source.
    rows_without_item integer,
    items_without_row integer,
    csv_sha256 bytea references cloud_invoice_documents,
    items_sha256 bytea references cloud_invoice_documents,
    -- SHA-256 of the fields of all lines, independent of the order of the items.
    lines_sha256 bytea,
    line_count integer,
    line_total numeric,
    -- amount minus line_total, and true if that is zero.
    off_by numeric,
    reconciled boolean,
    summary_amount numeric,
    -- amount minus summary_amount.
    summary_off_by numeric,
    -- The result of comparing the stored lines with the documents of this amount; null until they
    -- are stored. A later failed check does not change it.
    --   verified      lines, amount, summary_amount and the four parts reconcile
    --   unverified    nothing differs, but a summary, a part of it or the items are missing
    --   unreconciled  one of the sums differs
    verification text check (verification in ('verified', 'unverified', 'unreconciled')),
    -- True if the lines were read while a source failed temporarily. The first complete reading
    -- replaces them within the version.
    is_provisional boolean not null default false,
    -- True if the invoice is verified and the bill of its month has ended (month_has_ended).
    is_final boolean not null default false,
    -- When the last request of the documents began, with or without success.
    checked_at timestamptz,
    -- When they last verified the stored lines, and the amount of the invoice then. Null if they
    -- never did.
    verified_at timestamptz,
    verified_amount numeric,
    -- The first failed check since the last successful one, and the error of the latest one. Null
    -- if the latest check succeeded.
    check_failed_since timestamptz,
    last_check_error text,
    -- When the first complete list without the invoice was begun; null while DigitalOcean lists it.
    -- Its lines still count, but its month is not final.
    missing_since timestamptz,
    first_seen_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint cloud_invoices_failed_check check ((check_failed_since is null) = (last_check_error is null)),
    constraint cloud_invoices_verified check ((verified_at is null) = (verified_amount is null)),
    constraint cloud_invoices_final check (not is_final or coalesce(verification = 'verified', false))
);
-- The order of the list.
create index cloud_invoices_by_period on cloud_invoices (period desc, invoice_uuid);

-- The end of a month, excluded; UTC.
create function month_end(month date) returns timestamptz language sql immutable as $$
    select (month + interval '1 month') at time zone 'UTC'
$$;

-- Returns true if the bill of a month has ended at a time. DigitalOcean can charge at a threshold
-- during the month, so an invoice of the month alone does not end its bill. The month must be over
-- (UTC), and one of these must be true (stored: version > 0):
-- - An invoice of the month that was first listed after the end of the month is stored. Other
--   invoices of the month may be pending.
-- - A week has passed since the end of the month, at least one invoice of the month is stored, and
--   none is pending.
-- The bill of a month without a stored invoice never ends.
create function month_has_ended(month date, at timestamptz) returns boolean language sql stable as $$
    select at >= month_end(month) and (
        exists (select from cloud_invoices where period = month and version > 0 and first_seen_at >= month_end(month))
        or (at >= month_end(month) + interval '7 days'
            and exists (select from cloud_invoices where period = month and version > 0)
            and not exists (select from cloud_invoices where period = month and version = 0)))
$$;

-- The four parts of an invoice: the amount that its summary states, and the total of its lines.
-- Bound: four rows per invoice.
create table cloud_invoice_parts (
    invoice_id uuid not null references cloud_invoices,
    part text not null check (part in ('product_charges', 'overages', 'taxes', 'credits_and_adjustments')),
    -- Null if there is no summary, or if it does not state this part.
    stated numeric check (is_finite(stated)),
    lines numeric not null check (is_finite(lines)),
    -- stated minus lines.
    off_by numeric generated always as (stated - lines) stored,
    primary key (invoice_id, part)
);

-- The versions of an invoice; superseded ones keep their lines in cloud_superseded_cost_lines.
-- Bound: one row per version. Kept forever, because they are evidence.
create table cloud_invoice_versions (
    invoice_id uuid not null references cloud_invoices,
    version integer not null,
    amount numeric not null,
    -- Of the latest reading of the version: a complete reading replaces a provisional one.
    line_count integer not null,
    line_total numeric not null,
    csv_sha256 bytea references cloud_invoice_documents,
    items_sha256 bytea references cloud_invoice_documents,
    -- When the version was first stored.
    ingested_at timestamptz not null,
    -- Null for the current version.
    superseded_at timestamptz,
    primary key (invoice_id, version)
);

-- When the latest complete list of each type began. A list that began earlier changes nothing.
-- Bound: one row per list.
create table cloud_bill_listings (
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    list text not null check (list in ('invoices', 'billing_history')),
    -- Null before the first complete list.
    complete_at timestamptz,
    primary key (provider, list)
);

-- The estimate of the open month, from DigitalOcean's preview. Final once the bill of the month has
-- ended (month_has_ended): its lines are deleted, and finalised_at is set. Open again if a preview
-- of the month is stored after its invoice moved to another month.
-- Bound: one row per month.
create table cloud_estimates (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean' check (provider = 'digitalocean'),
    period date not null check (extract(day from period) = 1),
    state text not null default 'open' check (state in ('open', 'final')),
    -- The total that the preview states.
    amount numeric not null check (is_finite(amount)),
    line_count integer not null,
    line_total numeric not null,
    -- amount minus line_total.
    off_by numeric not null,
    -- The part of line_total that invoices of the running month charge already. The lines of the
    -- estimate count without it: see crates/store/src/invoices/rest.rs.
    invoiced numeric not null default 0,
    sources text not null check (sources in ('csv+items', 'csv', 'items')),
    source_note text,
    lines_sha256 bytea not null,
    first_estimated_at timestamptz not null,
    -- When the last read of the preview began, changed or not.
    estimated_at timestamptz not null,
    finalised_at timestamptz,
    -- The number of statements that matched or attributed its lines again. Changes of these lines
    -- are not recorded elsewhere (0006_cost_lines.sql).
    rematches bigint not null default 0,
    unique (provider, period),
    check ((state = 'final') = (finalised_at is not null))
);

-- The last estimate of each product for the whole month, kept when the invoice replaces the lines
-- of the estimate. Includes the invoices that were listed during the month.
-- Bound: the products of each month.
create table cloud_estimated_products (
    estimate_id uuid not null references cloud_estimates,
    product text not null,
    amount numeric not null check (is_finite(amount)),
    primary key (estimate_id, product)
);
