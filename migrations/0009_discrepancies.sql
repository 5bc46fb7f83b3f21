-- Stored totals that do not reconcile. Empty, unless someone changed the tables manually or this
-- system has a bug. Read by crates/store/src/costs.rs: `BillingHistory` checks it after each run.
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
