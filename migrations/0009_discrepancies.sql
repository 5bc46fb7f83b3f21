-- Stored sums that do not reconcile. Empty, unless someone changed the tables manually or this
-- system has a bug.

-- The rows of cloud_cost_totals that differ from their lines and shares, by all columns of their
-- key. Each ingest checks its bill (crates/store/src/invoices/lines.rs).
create view cloud_cost_total_discrepancies as
select invoice_id, estimate_id, period, is_shared, tenant_id, project_name, kind, product, match_rule,
    sum(line_amount) as line_amount, sum(total_amount) as total_amount,
    sum(line_count) as line_count, sum(total_count) as total_count
from (
    select invoice_id, estimate_id, bill_period as period, is_shared, tenant_id, project_name, kind, product, match_rule,
        sum(amount) as line_amount, 0::numeric as total_amount, count(*) as line_count, 0::bigint as total_count
    from cloud_cost_lines where not is_split
    group by invoice_id, estimate_id, bill_period, is_shared, tenant_id, project_name, kind, product, match_rule
    union all
    select line.invoice_id, line.estimate_id, line.bill_period, line.is_shared, share.tenant_id, line.project_name, line.kind, line.product, null,
        share.amount, 0::numeric, 1::bigint, 0::bigint
    from cloud_cost_line_shares share join cloud_cost_lines line on line.id = share.line_id
    union all
    select case when not is_estimate then bill_id end, case when is_estimate then bill_id end, period, is_shared, tenant_id,
        project_name, kind, product, match_rule, 0::numeric, amount, 0::bigint, line_and_share_count
    from cloud_cost_totals
) counted
group by invoice_id, estimate_id, period, is_shared, tenant_id, project_name, kind, product, match_rule
having sum(line_amount) <> sum(total_amount) or sum(line_count) <> sum(total_count);

-- All discrepancies. subject is DigitalOcean's uuid of an invoice, or our id of an estimate or of a
-- line; expected and found are amounts, or numbers of lines if `what` begins with "number".
-- `BillingHistory` checks it after each run (crates/store/src/costs.rs).
create view cloud_cost_discrepancies as
with counted as (
    select invoice_id, estimate_id, part, sum(amount) as amount, sum(coalesce(preview_amount, amount)) as stated, count(*) as lines
    from cloud_cost_lines group by 1, 2, 3
)
select invoice.period, invoice.invoice_uuid as subject,
    compared.pair as what,
    compared.expected, compared.found
from cloud_invoices invoice
left join (select invoice_id, sum(amount) as amount, sum(lines) as lines from counted group by 1) line on line.invoice_id = invoice.id
cross join lateral (values
    ('line_total of the invoice and its lines', coalesce(invoice.line_total, 0), coalesce(line.amount, 0)),
    ('number of lines: line_count of the invoice and its lines', coalesce(invoice.line_count, 0), coalesce(line.lines, 0))
) compared (pair, expected, found)
where compared.expected <> compared.found
union all
select invoice.period, invoice.invoice_uuid, format('%s: the part of the invoice and its lines', compared.part),
    compared.expected, compared.found
from (
    select invoice_id, part, coalesce(stored.lines, 0) as expected, coalesce(line.amount, 0) as found
    from cloud_invoice_parts stored
    full join (select invoice_id, part, amount from counted where invoice_id is not null) line using (invoice_id, part)
) compared
join cloud_invoices invoice on invoice.id = compared.invoice_id
where compared.expected <> compared.found
union all
-- Their amount is missing in the month of the bill.
select coalesce(invoice.period, estimate.period), coalesce(invoice.invoice_uuid, estimate.id), 'lines in another month than their bill',
    0, sum(line.amount)
from cloud_cost_lines line
left join cloud_invoices invoice on invoice.id = line.invoice_id
left join cloud_estimates estimate on estimate.id = line.estimate_id
where line.bill_period <> coalesce(invoice.period, estimate.period)
group by 1, 2
union all
-- The lines of a closed estimate are deleted.
select estimate.period, estimate.id, compared.pair, compared.expected, compared.found
from cloud_estimates estimate
left join (
    select estimate_id, sum(amount) as amount, sum(stated) as stated, sum(lines) as lines from counted group by 1
) line on line.estimate_id = estimate.id
cross join lateral (values
    ('line_total less the invoiced part of the estimate, and its lines',
        case estimate.state when 'open' then estimate.line_total - estimate.invoiced else 0 end, coalesce(line.amount, 0)),
    ('line_total of the estimate and the preview amounts of its lines',
        case estimate.state when 'open' then estimate.line_total else 0 end, coalesce(line.stated, 0)),
    ('number of lines: line_count of the estimate and its lines', case estimate.state when 'open' then estimate.line_count else 0 end,
        coalesce(line.lines, 0))
) compared (pair, expected, found)
where compared.expected <> compared.found
union all
select coalesce(line.bill_period, other.bill_period), share_or_line.id,
    case when line.id is null then 'shares of a line that is not split' else 'the line and its shares' end,
    coalesce(line.amount, 0), coalesce(share.amount, 0)
from (select id, bill_period, amount from cloud_cost_lines where is_split) line
full join (select line_id, sum(amount) as amount from cloud_cost_line_shares group by 1) share on share.line_id = line.id
cross join lateral (select coalesce(line.id, share.line_id) as id) share_or_line
left join cloud_cost_lines other on line.id is null and other.id = share.line_id
where line.amount is distinct from share.amount
union all
select total.period, coalesce(invoice.invoice_uuid, total.invoice_id, total.estimate_id), compared.pair || total.key,
    compared.expected, compared.found
from (
    select *, format(': tenant %L, project %L, kind %L, product %L, rule %L%s', tenant_id, project_name, kind, product, match_rule,
        case when is_shared then ', shared' end) as key
    from cloud_cost_total_discrepancies
) total
left join cloud_invoices invoice on invoice.id = total.invoice_id
cross join lateral (values
    ('lines and their total', total.line_amount, total.total_amount),
    ('number of lines and of their total', total.line_count, total.total_count)
) compared (pair, expected, found)
where compared.expected <> compared.found;

-- The result of the last check of all sums, by the schedule billing-history. Evaluating
-- cloud_cost_discrepancies sums every line, so pages, status and metrics read this row.
-- Bound: one row.
create table cloud_cost_checks (
    only_row boolean primary key default true check (only_row),
    -- When the check began.
    checked_at timestamptz not null,
    -- The number of rows of cloud_cost_discrepancies, counted up to 100.
    discrepancies bigint not null
);
