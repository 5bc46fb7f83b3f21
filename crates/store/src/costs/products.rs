//! The statement of a tenant by product, with its largest lines.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::closes::{Adjustment, AdjustmentCause, Audience, causes_of, frozen_document};
use super::document::{
    DirectLine, Order, StatementDocument, StatementInvoice, Weight, direct_lines, invoices,
    read_document, shared_lines,
};
use super::shared::SharedCosts;
use super::{Statements, read_statements};
use crate::{Store, StoreError};

/// The costs of a product in a month; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductCost {
    pub product: String,
    /// True for shared costs, false for the direct costs of the tenant.
    pub is_shared: bool,
    /// The part of the tenant.
    pub amount: Decimal,
    /// The shared lines of which the tenant has a part; `None` for direct costs, and for readers
    /// who may not know it.
    pub line_amount: Option<Decimal>,
    /// The number of lines; a split line counts once.
    pub lines: i64,
}

/// The statement of a tenant by product, of one state of the database.
#[derive(Debug, Clone, PartialEq)]
pub struct StatementDetail {
    /// The statements of the month.
    pub statements: Statements,
    pub invoices: Vec<StatementInvoice>,
    /// The weight of the tenant in the allocation of the shared costs.
    pub weight: Weight,
    /// Direct costs first, the largest amount first.
    pub products: Vec<ProductCost>,
    /// Lines of the direct costs, by product, the largest amount first.
    pub lines: Vec<DirectLine>,
    /// The adjustments of the tenant.
    pub adjustments: Vec<Adjustment>,
    pub adjustment_causes: Vec<AdjustmentCause>,
}

impl Store {
    /// Returns the statement of a tenant (`None` for the unallocated costs) by product, with at
    /// most `limit` lines: the frozen one of a closed month, else the one of today.
    pub async fn statement_detail(
        &self,
        period: NaiveDate,
        tenant: Option<&str>,
        limit: usize,
    ) -> Result<StatementDetail, StoreError> {
        let mut tx = self.snapshot().await?;
        let statements = read_statements(&mut tx, period).await?;
        if statements.close.is_some() {
            let frozen = frozen_document(&mut tx, period, tenant, Audience::Account).await?;
            let document = match frozen {
                Some(frozen) => frozen.decode()?,
                None => read_document(&mut tx, &statements, tenant, statements.close).await?,
            };
            return Ok(StatementDetail::of_document(statements, document, limit));
        }
        let costs = SharedCosts::read(&mut tx, period).await?;
        let mut detail = StatementDetail {
            invoices: invoices(&mut tx, period).await?,
            weight: Weight::of(&costs, tenant),
            products: Vec::new(),
            lines: Vec::new(),
            adjustments: Vec::new(),
            adjustment_causes: Vec::new(),
            statements,
        };
        let mut rows = detail.statements.rows.iter();
        if rows.any(|row| row.tenant_id.as_deref() == tenant) {
            let shared = shared_lines(&mut tx, period, &costs, tenant).await?;
            detail.products = direct_products(&mut tx, period, tenant).await?;
            detail.products.extend(by_product(&shared, true, |line| {
                (&line.product, line.amount, Some(line.line_amount))
            }));
            let limit = Some(i64::try_from(limit).unwrap_or(i64::MAX));
            detail.lines = direct_lines(&mut tx, period, tenant, Order::Products, limit).await?;
            let adjustments = detail.statements.adjustments.iter();
            let own = adjustments.filter(|adjustment| adjustment.tenant_id.as_deref() == tenant);
            detail.adjustments = own.cloned().collect();
            detail.adjustment_causes = causes_of(&mut tx, &detail.adjustments, None).await?;
        } else {
            detail.weight.weight = Decimal::ZERO;
        }
        Ok(detail)
    }
}

impl StatementDetail {
    fn of_document(statements: Statements, document: StatementDocument, limit: usize) -> Self {
        let mut products = by_product(&document.lines, false, |line| {
            (&line.product, line.amount, None)
        });
        products.extend(by_product(&document.shared_lines, true, |line| {
            (&line.product, line.amount, Some(line.line_amount))
        }));
        let mut lines = document.lines;
        lines.sort_by(|one, other| {
            let place = |line: &DirectLine| (Reverse(line.amount), line.line_no);
            let products = one.product.cmp(&other.product);
            products.then_with(|| place(one).cmp(&place(other)))
        });
        lines.truncate(limit);
        Self {
            statements,
            invoices: document.invoices,
            weight: document.allocation,
            products,
            lines,
            adjustments: document.adjustments,
            adjustment_causes: document.adjustment_causes,
        }
    }
}

/// Sums lines by product, the largest amount first. `of` returns the product of a line, the part of
/// the tenant, and the whole line if it is known.
pub(crate) fn by_product<'a, L>(
    lines: &'a [L],
    is_shared: bool,
    of: impl Fn(&'a L) -> (&'a str, Decimal, Option<Decimal>),
) -> Vec<ProductCost> {
    let mut products: BTreeMap<&str, ProductCost> = BTreeMap::new();
    for line in lines {
        let (product, amount, whole) = of(line);
        let cost = products.entry(product).or_insert_with(|| ProductCost {
            product: product.to_owned(),
            is_shared,
            amount: Decimal::ZERO,
            line_amount: whole.map(|_| Decimal::ZERO),
            lines: 0,
        });
        cost.amount += amount;
        cost.line_amount = cost.line_amount.zip(whole).map(|(sum, whole)| sum + whole);
        cost.lines += 1;
    }
    let mut products: Vec<ProductCost> = products.into_values().collect();
    products.sort_by_key(|cost| Reverse(cost.amount));
    products
}

/// Returns the direct costs of a tenant by product, the largest amount first.
async fn direct_products(
    connection: &mut PgConnection,
    period: NaiveDate,
    tenant: Option<&str>,
) -> Result<Vec<ProductCost>, StoreError> {
    let products = sqlx::query_as!(
        ProductCost,
        r#"select product, false as "is_shared!", sum(amount) as "amount!", null::numeric as line_amount,
               sum(line_and_share_count)::bigint as "lines!"
           from cloud_cost_totals
           where period = $1 and not is_shared and tenant_id is not distinct from $2
           group by product
           order by sum(amount) desc, product"#,
        period,
        tenant,
    )
    .fetch_all(connection)
    .await?;
    Ok(products)
}
