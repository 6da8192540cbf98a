//! The report's drawings: equity over drawdown, and price with fills. Curves are thinned to what a screen can show, and
//! keep their extremes: a spike that lasted one event is still on the page.

use plotly::color::NamedColor;
use plotly::common::{Anchor, Fill, Font, HoverInfo, Label, Line, LineShape, Marker, MarkerSymbol, Mode, Orientation};
use plotly::configuration::{DisplayModeBar, ModeBarButtonName};
use plotly::layout::{Axis, AxisType, HoverMode, Legend, Margin, ModeBar};
use plotly::{Configuration, Layout, Plot, Scatter};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::page::grouped;
use super::{FillPoint, SymbolReport};
use crate::domain::money::{Money, Price};
use crate::domain::order::Side;
use crate::domain::time::Timestamp;

/// Points of one curve. Three times the pixels of a wide chart: more cannot be seen.
const POINTS_MAX: usize = 5_000;

const INK: &str = "#1b2430";
const MUTED: &str = "#64748b";
const GRID: &str = "#edf0f4";
const EQUITY: &str = "#2456c9";
const PRICE: &str = "#7b8aa0";
const GAIN: &str = "#0b8a5f";
const LOSS: &str = "#cf3a4f";
const LOSS_FILL: &str = "rgba(207, 58, 79, 0.14)";
const FONT: &str = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";

/// A point of a drawing: milliseconds since 1970 and a height.
type Point = (i64, f64);

fn float(value: Decimal) -> f64 {
    // Invariant: every Decimal has a nearest f64.
    value.to_f64().unwrap_or_default()
}

/// At most `max` points that look like all of them: the first, the last, and of each equal run between them the lowest
/// and the highest, in order of time.
pub(super) fn thin(points: &[Point], max: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() <= max || max < 4 {
        return points.iter().copied().take(max).collect();
    }
    let inner = &points[1..points.len() - 1];
    let run = inner.len().div_ceil((max - 2) / 2);
    let mut kept = Vec::with_capacity(max);
    kept.push(*first);
    for chunk in inner.chunks(run) {
        let heights = || chunk.iter().enumerate();
        let low = heights().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).map_or(0, |(index, _)| index);
        let high = heights().max_by(|a, b| a.1.1.total_cmp(&b.1.1)).map_or(0, |(index, _)| index);
        kept.push(chunk[low.min(high)]);
        if low != high {
            kept.push(chunk[low.max(high)]);
        }
    }
    kept.push(*last);
    kept
}

/// Equity below its highest so far, in percent of that; zero while there is nothing to lose.
pub(super) fn drawdown(equity: &[(Timestamp, Money)]) -> Vec<Point> {
    let mut peak = Money(Decimal::MIN);
    let below = |(at, value): &(Timestamp, Money)| {
        peak = peak.max(*value);
        let share = if peak.is_positive() { float((*value - peak).0) / float(peak.0) } else { 0.0 };
        (at.as_millis(), 100.0 * share)
    };
    equity.iter().map(below).collect()
}

fn split(points: Vec<Point>) -> (Vec<i64>, Vec<f64>) {
    points.into_iter().unzip()
}

/// From the first to the last moment of the report: all charts share it, so that they can be read against each other.
pub(super) type Span = (Timestamp, Timestamp);

/// Equity above, drawdown below, over one axis of time.
pub(super) fn equity(equity: &[(Timestamp, Money)], span: Span) -> Plot {
    let curve: Vec<Point> = equity.iter().map(|(at, value)| (at.as_millis(), float(value.0))).collect();
    let (times, values) = split(thin(&curve, POINTS_MAX));
    let (falls_at, falls) = split(thin(&drawdown(equity), POINTS_MAX));
    let mut plot = Plot::new();
    plot.add_trace(
        Scatter::new(times, values)
            .name("Equity")
            .mode(Mode::Lines)
            .line(Line::new().color(EQUITY).width(1.8))
            .hover_template("%{y:,.2f}<extra>Equity</extra>"),
    );
    plot.add_trace(
        Scatter::new(falls_at, falls)
            .name("Drawdown")
            .mode(Mode::Lines)
            .line(Line::new().color(LOSS).width(1.2))
            .fill(Fill::ToZeroY)
            .fill_color(LOSS_FILL)
            .y_axis("y2")
            .hover_template("%{y:.3f} %<extra>Drawdown</extra>"),
    );
    let layout = layout()
        .show_legend(false)
        .hover_mode(HoverMode::XUnified)
        .x_axis(time_axis(span).anchor("y2"))
        .y_axis(value_axis("Equity").domain(&[0.34, 1.0]).tick_format(",.6~f"))
        .y_axis2(value_axis("Drawdown").domain(&[0.0, 0.26]).tick_suffix(" %").n_ticks(4));
    finish(plot, layout)
}

/// A symbol's price, and where we bought and sold.
pub(super) fn price(symbol: &SymbolReport, fills: &[&FillPoint], span: Span) -> Plot {
    let curve: Vec<Point> = symbol.prices.iter().map(|(at, price)| (at.as_millis(), float(price.0))).collect();
    let (times, values) = split(thin(&curve, POINTS_MAX));
    let mut plot = Plot::new();
    plot.add_trace(
        Scatter::new(times, values)
            .name("Price")
            .mode(Mode::Lines)
            .line(Line::new().color(PRICE).width(1.2).shape(LineShape::Hv))
            .hover_template("%{y:,.8~f}<extra>Price</extra>"),
    );
    plot.add_trace(markers(fills, Side::Buy));
    plot.add_trace(markers(fills, Side::Sell));
    let legend = Legend::new().orientation(Orientation::Horizontal).x(0.0).x_anchor(Anchor::Left).y(1.02).y_anchor(Anchor::Bottom);
    let layout =
        layout().legend(legend).hover_mode(HoverMode::Closest).x_axis(time_axis(span)).y_axis(value_axis("Price").tick_format(",.8~f"));
    finish(plot, layout)
}

/// The fills of one side, an arrow each. Of too many, those at the extremes of price stay.
fn markers(fills: &[&FillPoint], side: Side) -> Box<Scatter<i64, f64>> {
    let (name, symbol, color) = match side {
        Side::Buy => ("Buy", MarkerSymbol::TriangleUp, GAIN),
        Side::Sell => ("Sell", MarkerSymbol::TriangleDown, LOSS),
    };
    let chosen = choose(fills, side);
    let text = chosen.iter().map(|fill| format!("{name} {} at {}", fill.quantity, label(fill.price))).collect();
    let (times, prices) = chosen.iter().map(|fill| (fill.at.as_millis(), float(fill.price.0))).unzip();
    Scatter::new(times, prices)
        .name(name)
        .mode(Mode::Markers)
        .marker(Marker::new().symbol(symbol).color(color).size(10).line(Line::new().color(NamedColor::White).width(1.0)))
        .clip_on_axis(false)
        .text_array(text)
        .hover_info(HoverInfo::All)
        .hover_template("%{text}<br>%{x|%Y-%m-%d %H:%M:%S.%L}<extra></extra>")
}

fn label(price: Price) -> String {
    grouped(&price.to_string())
}

/// As `thin`, for fills: the point's time is the fill's place in the list, which finds it again.
fn choose<'a>(fills: &[&'a FillPoint], side: Side) -> Vec<&'a FillPoint> {
    let of_side: Vec<&FillPoint> = fills.iter().copied().filter(|fill| fill.side == side).collect();
    let places: Vec<Point> = (0_i64..).zip(&of_side).map(|(place, fill)| (place, float(fill.price.0))).collect();
    thin(&places, POINTS_MAX).into_iter().filter_map(|(place, _)| of_side.get(usize::try_from(place).ok()?).copied()).collect()
}

fn time_axis((from, to): Span) -> Axis {
    Axis::new()
        .type_(AxisType::Date)
        .range(vec![from.as_millis(), to.as_millis()])
        .grid_color(GRID)
        .line_color("#d5dbe3")
        .show_line(true)
        .zero_line(false)
        .tick_font(Font::new().color(MUTED).size(11))
        .hover_format("%Y-%m-%d %H:%M:%S.%L")
}

fn value_axis(title: &str) -> Axis {
    Axis::new()
        .title(plotly::common::Title::with_text(title).font(Font::new().color(MUTED).size(11)))
        .grid_color(GRID)
        .zero_line(false)
        .auto_margin(true)
        .tick_font(Font::new().color(MUTED).size(11))
}

fn layout() -> Layout {
    Layout::new()
        .auto_size(true)
        .font(Font::new().family(FONT).color(INK).size(12))
        .paper_background_color("rgba(0, 0, 0, 0)")
        .plot_background_color("rgba(0, 0, 0, 0)")
        .hover_label(Label::new().background_color("#ffffff").border_color("#d5dbe3").font(Font::new().family(FONT).color(INK).size(12)))
        .mode_bar(ModeBar::new().background_color("rgba(0, 0, 0, 0)").color("#aab4c2").active_color(MUTED))
        .margin(Margin::new().left(72).right(16).top(28).bottom(36))
}

fn finish(mut plot: Plot, layout: Layout) -> Plot {
    plot.set_layout(layout);
    plot.set_configuration(
        Configuration::new()
            .responsive(true)
            .display_logo(false)
            .display_mode_bar(DisplayModeBar::Hover)
            .mode_bar_buttons_to_remove(vec![ModeBarButtonName::Select2d, ModeBarButtonName::Lasso2d]),
    );
    plot
}
