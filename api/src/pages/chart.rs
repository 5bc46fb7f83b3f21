//! Stacked bars as SVG, drawn on the server.
//!
//! The bars and the numbers above them come from the same amounts. Estimates are hatched, so that
//! colour is never the only sign.

use askama::Template;
use chrono::{Months, NaiveDate};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::format::{Money, month_name};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 28.0;

/// Number of series with a separate colour; smaller series are combined as "other".
pub(super) const SERIES: usize = 9;

/// A column of a chart: a month. Months without costs have no column; a dashed line is in their
/// place.
pub(super) struct Column {
    pub(super) period: NaiveDate,
    pub(super) is_estimate: bool,
}

impl Column {
    /// Under the bar: `Apr 26`.
    fn label(&self) -> String {
        self.period.format("%b %y").to_string()
    }

    fn follows(&self, before: &Self) -> bool {
        self.period == before.period + Months::new(1)
    }
}

/// A series of a chart: one amount for each column, in USD.
pub(super) struct Series {
    pub(super) name: String,
    /// One link for each column; empty for none.
    pub(super) links: Vec<String>,
    pub(super) amounts: Vec<Decimal>,
}

impl Series {
    fn total(&self) -> Decimal {
        self.amounts.iter().sum()
    }
}

struct Segment {
    y: String,
    height: String,
    class: usize,
    link: String,
    label: String,
}

struct Bar {
    x: String,
    middle: String,
    width: String,
    label: String,
    total: Money,
    total_y: String,
    is_estimate: bool,
    segments: Vec<Segment>,
}

/// The place of months without costs.
struct Gap {
    x: String,
}

struct Tick {
    y: String,
    text: String,
}

/// An entry of the legend.
struct Key {
    class: usize,
    name: String,
}

/// A drawn chart.
#[derive(Template)]
#[template(path = "chart.html")]
pub(super) struct StackedBars {
    title: String,
    bars: Vec<Bar>,
    gaps: Vec<Gap>,
    ticks: Vec<Tick>,
    keys: Vec<Key>,
    has_estimates: bool,
    zero: String,
}

/// The largest series one by one, and the others as one.
fn combined(mut series: Vec<Series>) -> Vec<Series> {
    series.sort_by_key(|series| std::cmp::Reverse(series.total().abs()));
    if series.len() <= SERIES + 1 {
        return series;
    }
    let rest = series.split_off(SERIES);
    let columns = rest.first().map_or(0, |series| series.amounts.len());
    let sum = |column: usize| rest.iter().map(|series| series.amounts[column]).sum();
    series.push(Series {
        name: format!("other ({})", rest.len()),
        links: vec![String::new(); columns],
        amounts: (0..columns).map(sum).collect(),
    });
    series
}

/// Returns the colour of each series: by name, so that charts of the same groups have the same
/// colours regardless of the amounts.
fn colours(series: &[Series]) -> Vec<usize> {
    let mut names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
    names.truncate(SERIES);
    names.sort_unstable();
    let colour = |series: &Series| names.binary_search(&series.name.as_str()).unwrap_or(SERIES);
    series.iter().map(colour).collect()
}

/// A round step for about four ticks up to `largest`.
fn step(largest: f64) -> f64 {
    let rough = largest / 4.0;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 2.5, 5.0, 10.0];
    let factor = factors
        .into_iter()
        .find(|factor| factor * magnitude >= rough);
    factor.unwrap_or(10.0) * magnitude
}

/// Pixels only: amounts are compared and summed as decimals.
fn pixels(amount: Decimal) -> f64 {
    amount.to_f64().unwrap_or_default()
}

impl StackedBars {
    pub(super) fn new(title: &str, columns: &[Column], series: Vec<Series>) -> Self {
        let series = combined(series);
        let colours = colours(&series);
        let sum_of = |column: usize, is_wanted: fn(&Decimal) -> bool| -> Decimal {
            let amounts = series.iter().map(|series| series.amounts[column]);
            amounts.filter(is_wanted).sum()
        };
        let count = columns.len();
        let tops = (0..count).map(|column| sum_of(column, Decimal::is_sign_positive));
        let bottoms = (0..count).map(|column| sum_of(column, Decimal::is_sign_negative));
        let highest = pixels(tops.max().unwrap_or_default()).max(0.0);
        let lowest = pixels(bottoms.min().unwrap_or_default()).min(0.0);
        let range = (highest - lowest).max(0.01);
        let step = step(range);
        let (top, bottom) = (
            (highest / step).ceil() * step,
            (lowest / step).floor() * step,
        );
        let scale = (HEIGHT - TOP - BOTTOM) / (top - bottom).max(step);
        let y = |amount: f64| TOP + (top.max(bottom + step) - amount) * scale;
        let slot = (WIDTH - LEFT - RIGHT) / f64::from(u32::try_from(count.max(1)).unwrap_or(1));
        let width = (slot * 0.7).min(72.0);
        let bars = columns.iter().enumerate().map(|(index, column)| {
            let middle = LEFT + slot * (f64::from(u32::try_from(index).unwrap_or(0)) + 0.5);
            let (mut above, mut below) = (0.0, 0.0);
            let mut segments = Vec::new();
            for (class, series) in colours.iter().zip(&series) {
                let amount = series.amounts[index];
                let size = pixels(amount);
                let from = if size < 0.0 { &mut below } else { &mut above };
                let (start, end) = (*from, *from + size);
                *from = end;
                if amount.is_zero() {
                    continue;
                }
                segments.push(Segment {
                    y: format!("{:.1}", y(start.max(end))),
                    height: format!("{:.1}", ((start - end).abs() * scale).max(0.5)),
                    class: *class,
                    link: series.links.get(index).cloned().unwrap_or_default(),
                    label: format!(
                        "{}, {}: {} USD",
                        series.name,
                        month_name(column.period),
                        Money(amount)
                    ),
                });
            }
            let total = series.iter().map(|series| series.amounts[index]).sum();
            Bar {
                x: format!("{:.1}", middle - width / 2.0),
                middle: format!("{middle:.1}"),
                width: format!("{width:.1}"),
                label: column.label(),
                total: Money(total),
                total_y: format!("{:.1}", y(above) - 6.0),
                is_estimate: column.is_estimate,
                segments,
            }
        });
        let gaps = (1_u32..)
            .zip(columns.windows(2))
            .filter(|(_, pair)| !pair[1].follows(&pair[0]));
        let gaps = gaps.map(|(index, _)| Gap {
            x: format!("{:.1}", LEFT + slot * f64::from(index)),
        });
        let first = (bottom / step).round();
        let ticks = (0..8_u32)
            .map(|number| (first + f64::from(number)) * step)
            .take_while(|tick| *tick <= top + step / 2.0)
            .map(|tick| Tick {
                y: format!("{:.1}", y(tick)),
                text: format!("{}", (tick * 100.0).round() / 100.0),
            });
        let keys = colours.iter().zip(&series).map(|(class, series)| Key {
            class: *class,
            name: series.name.clone(),
        });
        Self {
            title: title.to_owned(),
            zero: format!("{:.1}", y(0.0)),
            bars: bars.collect(),
            gaps: gaps.collect(),
            ticks: ticks.collect(),
            keys: keys.collect(),
            has_estimates: columns.iter().any(|column| column.is_estimate),
        }
    }
}

impl StackedBars {
    /// True if there is nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.bars.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column() -> Column {
        column_of("2026-04-01")
    }

    fn column_of(period: &str) -> Column {
        Column {
            period: period.parse().unwrap(),
            is_estimate: false,
        }
    }

    fn series(name: &str, amount: &str) -> Series {
        Series {
            name: name.to_owned(),
            links: vec![String::new()],
            amounts: vec![amount.parse().unwrap()],
        }
    }

    #[test]
    fn a_bar_totals_its_segments_credits_included() {
        let all = vec![series("a", "10.50"), series("b", "2.25"), series("c", "-3")];
        let chart = StackedBars::new("Costs", &[column()], all);
        assert_eq!(chart.bars[0].total, Money("9.75".parse().unwrap()));
        assert_eq!(chart.bars[0].segments.len(), 3);
    }

    #[test]
    fn small_series_are_combined_and_nothing_is_lost() {
        let all = (1..=12)
            .map(|number| series(&number.to_string(), "1"))
            .collect();
        let chart = StackedBars::new("Costs", &[column()], all);
        assert_eq!(chart.keys.len(), SERIES + 1);
        assert_eq!(chart.keys[SERIES].name, "other (3)");
        assert_eq!(chart.bars[0].total, Money("12".parse().unwrap()));
    }

    #[test]
    fn a_group_has_the_same_colour_at_any_rank() {
        let colours_of = |amounts: [&str; 3]| {
            let all = ["a", "b", "c"].iter().zip(amounts);
            let all = all.map(|(name, amount)| series(name, amount)).collect();
            let chart = StackedBars::new("Costs", &[column()], all);
            let mut keys: Vec<_> = chart
                .keys
                .iter()
                .map(|key| (key.name.clone(), key.class))
                .collect();
            keys.sort();
            keys
        };
        assert_eq!(colours_of(["3", "2", "1"]), colours_of(["1", "2", "3"]));
    }

    #[test]
    fn a_chart_without_amounts_has_no_segments() {
        let chart = StackedBars::new("Costs", &[column()], vec![series("a", "0")]);
        assert!(chart.bars[0].segments.is_empty());
        assert!(StackedBars::new("Costs", &[], Vec::new()).bars.is_empty());
    }

    #[test]
    fn months_without_costs_between_two_bars_are_marked() {
        let columns = ["2026-03-01", "2026-04-01", "2026-11-01"].map(column_of);
        let amounts = vec![Decimal::ONE; 3];
        let links = vec![String::new(); 3];
        let series = Series {
            name: "a".to_owned(),
            links,
            amounts,
        };
        let chart = StackedBars::new("Costs", &columns, vec![series]);
        assert_eq!(chart.gaps.len(), 1);
        assert_eq!(chart.bars[1].label, "Apr 26");
    }
}
