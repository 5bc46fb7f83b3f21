-- Bills: the charges of DigitalOcean, as stated by its balance, its billing history, its invoices
-- and the preview of the open month.

-- Bound: one row per change of the figures. No retention yet.
create table cloud_balance_snapshots (
    id bigint generated always as identity primary key,
    provider text not null default 'digitalocean',
    month_to_date_balance numeric not null,
    account_balance numeric not null,
    month_to_date_usage numeric not null,
    -- DigitalOcean's time. It recomputes the figures occasionally; many polls return the same ones.
    generated_at timestamptz not null,
    -- When these figures were first and last polled.
    captured_at timestamptz not null default now(),
    last_polled_at timestamptz not null default now(),
    unique (provider, generated_at, month_to_date_balance, account_balance, month_to_date_usage)
);

-- DigitalOcean's billing history. Its entries have no id: the key is the SHA-256 of an entry's
-- fields, and the ordinal distinguishes entries that are equal in every field.
-- Bound: the entries of DigitalOcean's billing history.
create table cloud_billing_entries (
    id uuid primary key,
    provider text not null default 'digitalocean',
    entry_key bytea not null,
    ordinal integer not null check (ordinal > 0),
    -- DigitalOcean's value: Invoice, Payment, Credit ... Unknown ones are accepted.
    entry_type text not null,
    -- Positive for charges, negative for payments and credits.
    amount numeric not null,
    description text not null,
    -- DigitalOcean's time.
    date timestamptz not null,
    invoice_id text,
    invoice_uuid uuid,
    -- True if the entry changes the owed amount. A failed payment does not (our rule).
    moves_money boolean not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    -- When complete listings began to lack the entry. It is kept, but does not count while missing.
    missing_since timestamptz,
    unique (provider, entry_key, ordinal)
);
create index cloud_billing_entries_by_date on cloud_billing_entries (date desc, id);
create index cloud_billing_entries_of_invoice on cloud_billing_entries (invoice_uuid) where invoice_uuid is not null;

-- CSVs and items of invoices as received, so that each line can be traced to its source. Summaries
-- are not stored: they contain a person's name and address.
-- Bound: two documents per version of an invoice. Kept forever, because they are evidence.
create table cloud_invoice_documents (
    -- The hash of the uncompressed content.
    sha256 bytea primary key,
    -- csv: as received. items: one JSON item per line, in the order of the list.
    source text not null check (source in ('csv', 'items')),
    gzip bytea not null,
    bytes bigint not null,
    stored_at timestamptz not null default now()
);
alter table cloud_invoice_documents alter column gzip set storage external;
create trigger cloud_invoice_documents_are_append_only
    before update or delete or truncate on cloud_invoice_documents
    for each statement execute function refuse_change();

-- Bound: the invoices of the team.
create table cloud_invoices (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    invoice_uuid uuid not null unique,
    invoice_id text,
    period date not null check (extract(day from period) = 1),
    -- The total that DigitalOcean's list states.
    amount numeric not null,
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
    -- True if all totals reconciled when the documents were last read completely. A later failed
    -- check does not unset it; a changed amount in DigitalOcean's list does.
    is_final boolean not null default false,
    -- When the documents were last requested, with or without success.
    checked_at timestamptz,
    -- When they were last read completely and confirmed the stored lines. Null after a provisional
    -- read, which lacked a source.
    verified_at timestamptz,
    -- The first failed check since verified_at, and the error of the latest one. Null if the latest
    -- check succeeded.
    check_failed_since timestamptz,
    last_check_error text,
    -- When the first complete list without the invoice was begun; null while DigitalOcean lists it.
    -- Its lines still count, but its month is not final.
    missing_since timestamptz,
    first_seen_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint cloud_invoices_failed_check check ((check_failed_since is null) = (last_check_error is null))
);
create index cloud_invoices_by_period on cloud_invoices (period desc, invoice_uuid);
create index cloud_invoices_failed_checks on cloud_invoices (check_failed_since) where check_failed_since is not null;

-- The four parts of an invoice: the amount that its summary states, and the total of its lines.
-- Bound: four rows per invoice.
create table cloud_invoice_parts (
    invoice_id uuid not null references cloud_invoices,
    part text not null check (part in ('product_charges', 'overages', 'taxes', 'credits_and_adjustments')),
    -- Null if there is no summary, or if it does not state this part.
    stated numeric,
    lines numeric not null,
    -- stated minus lines.
    off_by numeric generated always as (stated - lines) stored,
    primary key (invoice_id, part)
);

-- Bound: one row per version. Kept forever, because they are evidence.
create table cloud_invoice_versions (
    invoice_id uuid not null references cloud_invoices,
    version integer not null,
    amount numeric not null,
    line_count integer not null,
    line_total numeric not null,
    csv_sha256 bytea references cloud_invoice_documents,
    items_sha256 bytea references cloud_invoice_documents,
    ingested_at timestamptz not null,
    -- Null for the current version.
    superseded_at timestamptz,
    primary key (invoice_id, version)
);

-- When the latest stored list of invoices was begun. A delayed attempt that stores an older list
-- changes nothing.
-- Bound: one row per list.
create table cloud_bill_listings (
    provider text not null default 'digitalocean',
    list text not null check (list in ('invoices')),
    started_at timestamptz not null,
    primary key (provider, list)
);

-- The estimate of the open month, from DigitalOcean's preview. Final once the invoice of the month
-- is stored.
-- Bound: one row per month.
create table cloud_estimates (
    id uuid primary key default gen_random_uuid(),
    provider text not null default 'digitalocean',
    period date not null check (extract(day from period) = 1),
    state text not null default 'open' check (state in ('open', 'final')),
    -- The total that the preview states.
    amount numeric not null,
    line_count integer not null,
    line_total numeric not null,
    -- amount minus line_total.
    off_by numeric not null,
    sources text not null check (sources in ('csv+items', 'csv', 'items')),
    source_note text,
    lines_sha256 bytea not null,
    first_estimated_at timestamptz not null,
    -- When the preview was last read, changed or not.
    estimated_at timestamptz not null,
    finalised_at timestamptz,
    unique (provider, period),
    check ((state = 'final') = (finalised_at is not null))
);

-- The last estimate of each product, kept when the invoice replaces the lines of the estimate.
-- Bound: the products of each month.
create table cloud_estimated_products (
    estimate_id uuid not null references cloud_estimates,
    product text not null,
    amount numeric not null,
    primary key (estimate_id, product)
);
