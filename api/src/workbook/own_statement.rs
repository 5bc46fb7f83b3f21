//! The statement of a tenant for itself as a workbook: statement, lines, shared costs, adjustments.

use rust_decimal::Decimal;
use rust_xlsxwriter::{Workbook, XlsxError};
use store::invoices::OwnCostLine;
use store::own_statements::{OwnAdjustment, OwnStatementDocument};

use super::{Cell, Columns, Sheet, Styles, state_of};

/// Returns the workbook of a tenant's statement. Amounts are numbers of a spreadsheet, as those of
/// [`super::of_statement`].
pub(crate) fn of_own_statement(document: &OwnStatementDocument) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let styles = Styles::new();
    let mut sheet = Sheet::add(&mut workbook, "Statement", &styles)?;
    statement(&mut sheet, document)?;
    let mut sheet = Sheet::add(&mut workbook, "Lines", &styles)?;
    lines(&mut sheet, &document.lines, document.direct)?;
    let mut sheet = Sheet::add(&mut workbook, "Shared costs", &styles)?;
    lines(&mut sheet, &document.shared_lines, document.shared)?;
    let mut sheet = Sheet::add(&mut workbook, "Adjustments", &styles)?;
    let columns = Columns::new()
        .with("Closed month", 16, |adjustment: &OwnAdjustment| {
            Cell::Owned(adjustment.period.format("%Y-%m").to_string())
        })
        .with("Amount", 18, |adjustment| Cell::Usd(adjustment.amount));
    sheet.table(columns, &document.adjustments, Some(document.adjusted))?;
    workbook.save_to_buffer()
}

fn statement(sheet: &mut Sheet<'_>, document: &OwnStatementDocument) -> Result<(), XlsxError> {
    let period = document.period.format("%Y-%m").to_string();
    let state = state_of(document.close, document.is_final, document.is_estimate);
    for (column, width) in [(0, 38), (1, 40)] {
        sheet.worksheet.set_column_width(column, width)?;
    }
    for (name, text) in [
        ("Statement", document.tenant_id.as_str()),
        ("Month", &period),
        ("State", state),
        ("Currency", &document.currency),
        ("Rule of the shared costs", &document.spread_rule),
    ] {
        sheet.write([Cell::Name(name), Cell::Text(text)])?;
    }
    sheet.close(document.close)?;
    sheet.row += 1;
    sheet.amounts(&[
        ("Direct costs", document.direct),
        ("Part of the shared costs", document.shared),
        ("Adjustments", document.adjusted),
        ("Total", document.total),
    ])
}

fn lines(sheet: &mut Sheet<'_>, lines: &[OwnCostLine], total: Decimal) -> Result<(), XlsxError> {
    let columns = Columns::new()
        .with("Product", 20, |line: &OwnCostLine| {
            Cell::Text(&line.product)
        })
        .with("Description", 48, |line| {
            Cell::optional(line.description.as_deref())
        })
        .with("Resource", 28, |line| {
            Cell::optional(line.resource_name.as_deref())
        })
        .with("Project", 20, |line| {
            Cell::optional(line.project_name.as_deref())
        })
        .with("Start (UTC)", 20, |line| Cell::Time(line.start_at))
        .with("End (UTC)", 20, |line| Cell::Time(line.end_at))
        .with("Share", 12, |line| Cell::Text(&line.share))
        .with("Amount", 14, |line| Cell::Usd(line.amount));
    sheet.table(columns, lines, Some(total))
}
