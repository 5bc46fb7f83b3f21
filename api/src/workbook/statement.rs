//! The statement of a tenant as a workbook: statement, lines, shared costs, adjustments, checks.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use rust_xlsxwriter::{Workbook, XlsxError};
use store::costs::{
    Adjustment, AdjustmentCause, DirectLine, SharedLine, StatementCheck, StatementDocument,
};

use super::{Cell, Columns, Sheet, Styles, state_of};

/// Returns the workbook of a statement. Amounts are numbers of a spreadsheet, which has fifteen
/// digits; JSON and CSV have all.
pub(crate) fn of_statement(document: &StatementDocument) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let styles = Styles::new();
    let mut sheet = Sheet::add(&mut workbook, "Statement", &styles)?;
    statement(&mut sheet, document)?;
    let mut sheet = Sheet::add(&mut workbook, "Lines", &styles)?;
    lines(&mut sheet, document)?;
    let mut sheet = Sheet::add(&mut workbook, "Shared costs", &styles)?;
    shared_costs(&mut sheet, document)?;
    let mut sheet = Sheet::add(&mut workbook, "Adjustments", &styles)?;
    adjustments(&mut sheet, document)?;
    let mut sheet = Sheet::add(&mut workbook, "Checks", &styles)?;
    checks(&mut sheet, document)?;
    workbook.save_to_buffer()
}

fn month(period: NaiveDate) -> String {
    period.format("%Y-%m").to_string()
}

fn statement(sheet: &mut Sheet<'_>, document: &StatementDocument) -> Result<(), XlsxError> {
    let tenant = document.tenant_id.as_deref().unwrap_or("unallocated costs");
    let period = month(document.period);
    let state = state_of(document.close, document.is_final, document.is_estimate);
    for (column, width) in [(0, 38), (1, 40), (2, 16), (3, 16), (4, 68)] {
        sheet.worksheet.set_column_width(column, width)?;
    }
    for (name, text) in [
        ("Statement", tenant),
        ("Month", &period),
        ("State", state),
        ("Currency", &document.currency),
        ("Rule of the shared costs", &document.allocation.rule),
    ] {
        sheet.write([Cell::Name(name), Cell::Text(text)])?;
    }
    for (name, number) in [
        ("Weight of the tenant", document.allocation.weight),
        ("Sum of all weights", document.allocation.of),
    ] {
        sheet.write([Cell::Name(name), Cell::Plain(number)])?;
    }
    sheet.close(document.close)?;
    sheet.row += 1;
    sheet.amounts(&[
        ("Direct costs", document.direct),
        ("Part of the shared costs", document.shared),
        ("Adjustments", document.adjusted),
        ("Total", document.total),
    ])?;
    sheet.row += 1;
    let direct = document.lines.iter();
    let direct = direct.map(|line| (("direct", &line.product), line.amount));
    let shared = document.shared_lines.iter();
    let shared = shared.map(|line| (("shared", &line.product), line.amount));
    let mut products: BTreeMap<(&str, &String), Decimal> = BTreeMap::new();
    for (product, amount) in direct.chain(shared) {
        *products.entry(product).or_default() += amount;
    }
    sheet.write(["Costs", "Product", "Amount"].map(Cell::Name))?;
    for ((costs, product), amount) in products {
        sheet.write([Cell::Text(costs), Cell::Text(product), Cell::Usd(amount)])?;
    }
    sheet.row += 1;
    let names = ["Invoice", "Number", "Version", "Amount", "Content hash"];
    sheet.write(names.map(Cell::Name))?;
    for invoice in &document.invoices {
        sheet.write([
            Cell::invoice(Some(invoice.invoice_uuid)),
            Cell::optional(invoice.invoice_id.as_deref()),
            Cell::Number(invoice.version),
            Cell::Usd(invoice.amount),
            Cell::optional(invoice.content_hash.as_deref()),
        ])?;
    }
    Ok(())
}

fn lines(sheet: &mut Sheet<'_>, document: &StatementDocument) -> Result<(), XlsxError> {
    let columns = Columns::new()
        .with("Invoice", 38, |line: &DirectLine| {
            Cell::invoice(line.invoice_uuid)
        })
        .with("Line", 8, |line| Cell::Number(line.line_no))
        .with("Product", 20, |line| Cell::Text(&line.product))
        .with("Description", 48, |line| Cell::Text(&line.description))
        .with("Resource", 28, |line| {
            Cell::optional(line.resource_name.as_deref())
        })
        .with("Project", 20, |line| Cell::Text(&line.project_name))
        .with("Start (UTC)", 20, |line| Cell::Time(line.start_at))
        .with("End (UTC)", 20, |line| Cell::Time(line.end_at))
        .with("Match", 12, |line| Cell::Text(&line.match_rule))
        .with("Whole line", 14, |line| Cell::Usd(line.line_amount))
        .with("Amount", 14, |line| Cell::Usd(line.amount));
    sheet.table(columns, &document.lines, Some(document.direct))
}

fn shared_costs(sheet: &mut Sheet<'_>, document: &StatementDocument) -> Result<(), XlsxError> {
    let columns = Columns::new()
        .with("Invoice", 38, |line: &SharedLine| {
            Cell::invoice(line.invoice_uuid)
        })
        .with("Line", 8, |line| Cell::Number(line.line_no))
        .with("Product", 20, |line| Cell::Text(&line.product))
        .with("Description", 48, |line| Cell::Text(&line.description))
        .with("Whole line", 14, |line| Cell::Usd(line.line_amount))
        .with("Weight", 14, |_| Cell::Plain(document.allocation.weight))
        .with("Of", 14, |_| Cell::Plain(document.allocation.of))
        .with("Amount", 14, |line| Cell::Usd(line.amount));
    sheet.table(columns, &document.shared_lines, Some(document.shared))
}

fn adjustments(sheet: &mut Sheet<'_>, document: &StatementDocument) -> Result<(), XlsxError> {
    let columns = Columns::new()
        .with("Closed month", 16, |adjustment: &Adjustment| {
            Cell::Owned(month(adjustment.period))
        })
        .with("Direct", 18, |adjustment| Cell::Usd(adjustment.direct))
        .with("Shared", 18, |adjustment| Cell::Usd(adjustment.shared))
        .with("Amount", 60, |adjustment| Cell::Usd(adjustment.amount));
    sheet.table(columns, &document.adjustments, Some(document.adjusted))?;
    if document.adjustment_causes.is_empty() {
        return Ok(());
    }
    sheet.row += 1;
    let columns = Columns::new()
        .with("Closed month", 16, |cause: &AdjustmentCause| {
            Cell::Owned(month(cause.period))
        })
        .with("Cause", 18, |cause| Cell::Text(&cause.cause))
        .with("By", 18, |cause| Cell::optional(cause.by.as_deref()))
        .with("Description", 60, |cause| Cell::Text(&cause.description))
        .with("Lines", 8, |cause| Cell::Plain(cause.lines.into()))
        .with("At (UTC)", 20, |cause| Cell::Time(Some(cause.at)));
    sheet.table(columns, &document.adjustment_causes, None)
}

fn checks(sheet: &mut Sheet<'_>, document: &StatementDocument) -> Result<(), XlsxError> {
    let columns = Columns::new()
        .with("Equal totals", 60, |check: &StatementCheck| {
            Cell::Text(&check.check)
        })
        .with("Expected", 16, |check| Cell::Usd(check.expected))
        .with("Found", 16, |check| Cell::Usd(check.found))
        .with("Difference", 16, |check| Cell::Usd(check.difference));
    sheet.table(columns, &document.checks, None)
}
