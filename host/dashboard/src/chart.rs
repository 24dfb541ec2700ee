//! Pictures of numbers, as SVG in the page. Each has its figures as a table below it, for those
//! who do not see it.

use maud::{Markup, html};

use crate::words;

/// The width of every picture, in units of about a pixel on a narrow screen.
const WIDTH: f64 = 320.0;
/// The height of a row of bars.
const ROW: f64 = 22.0;
/// Where the bars begin and end.
const BARS: (f64, f64) = (132.0, 252.0);
/// The height of the columns of a timeline, and of the text below.
const COLUMNS: f64 = 90.0;
const TEXT: f64 = 16.0;

/// A number with its name.
pub struct Figure {
    name: String,
    value: u64,
}

impl Figure {
    /// Creates a figure.
    pub fn new(name: impl Into<String>, value: u64) -> Self {
        Self {
            name: name.into(),
            value,
        }
    }
}

/// Pairs the names of classes with their counts.
pub fn classes(classes: &[(&str, u64)], counts: &[u64]) -> Vec<Figure> {
    let pairs = classes.iter().zip(counts);
    pairs
        .map(|((name, _), count)| Figure::new(*name, *count))
        .collect()
}

/// Draws a bar for each figure.
pub fn bars(title: &str, figures: &[Figure]) -> Markup {
    let most = figures.iter().map(|figure| figure.value).max().unwrap_or(0);
    let height = ROW * figures.len() as f64;
    let picture = html! {
        @for (row, figure) in figures.iter().enumerate() {
            @let top = ROW * row as f64;
            text x=(BARS.0 - 8.0) y=(top + 15.0) text-anchor="end" { (cut(&figure.name)) }
            rect.rest x=(BARS.0) y=(top + 4.0) width=(BARS.1 - BARS.0) height="14" rx="3" {}
            @if figure.value > 0 {
                rect.bar x=(BARS.0) y=(top + 4.0) width=(length(figure.value, most)) height="14" rx="3" {}
            }
            text x=(WIDTH) y=(top + 15.0) text-anchor="end" { (words::count(figure.value)) }
        }
    };
    framed(title, height.max(ROW), picture, figures)
}

/// Draws a column for each figure, the latest at the right. `span` says what the left end is.
pub fn columns(title: &str, figures: &[Figure], span: &str) -> Markup {
    let most = figures.iter().map(|figure| figure.value).max().unwrap_or(0);
    let step = WIDTH / figures.len().max(1) as f64;
    let picture = html! {
        line.axis x1="0" x2=(WIDTH) y1=(COLUMNS + 10.5) y2=(COLUMNS + 10.5) {}
        @for (column, figure) in figures.iter().rev().enumerate() {
            @if figure.value > 0 {
                @let height = (figure.value as f64 / most.max(1) as f64 * COLUMNS).max(2.0);
                rect.bar x=(rounded(step * column as f64 + 1.0)) y=(rounded(COLUMNS + 10.0 - height))
                    width=(rounded(step - 2.0)) height=(rounded(height)) rx="1" {}
            }
        }
        text x="0" y="9" { "at most " (words::count(most)) }
        text x="0" y=(COLUMNS + 10.0 + TEXT) { (span) }
        text x=(WIDTH) y=(COLUMNS + 10.0 + TEXT) text-anchor="end" { "now" }
    };
    framed(title, COLUMNS + 16.0 + TEXT, picture, figures)
}

/// Draws two parts of a whole.
pub fn parts(title: &str, first: Figure, second: Figure) -> Markup {
    let whole = first.value + second.value;
    let share = match whole {
        0 => 0.0,
        whole => first.value as f64 / whole as f64,
    };
    let width = rounded(WIDTH * share);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let picture = html! {
        rect.rest x="0" y="4" width=(WIDTH) height="24" rx="4" {}
        @if width > 0.0 { rect.bar x="0" y="4" width=(width) height="24" rx="4" {} }
        text x="0" y="46" { (first.name) " " (percent(share)) }
        text x=(WIDTH) y="46" text-anchor="end" {
            (second.name) " " (percent(if whole == 0 { 0.0 } else { 1.0 - share }))
        }
    };
    framed(title, 52.0, picture, &[first, second])
}

/// Draws a line through values, the latest at the right.
pub fn line(title: &str, values: &[f64], unit: &str) -> Markup {
    let most = values.iter().copied().fold(0.0, f64::max);
    let step = WIDTH / values.len().saturating_sub(1).max(1) as f64;
    let point = |(column, value): (usize, &f64)| {
        let height = value / most.max(f64::MIN_POSITIVE) * (COLUMNS - 30.0);
        format!("{:.1},{:.1}", step * column as f64, COLUMNS - 10.0 - height)
    };
    let points: Vec<_> = values.iter().enumerate().map(point).collect();
    let latest = values.last().copied().unwrap_or(0.0);
    let label = format!("{title}: now {latest:.1} {unit}, at most {most:.1} {unit}");
    html! {
        figure {
            figcaption { (title) }
            svg viewBox={ "0 0 " (WIDTH) " " (COLUMNS) } role="img" aria-label=(label) {
                line.axis x1="0" x2=(WIDTH) y1=(COLUMNS - 9.5) y2=(COLUMNS - 9.5) {}
                polyline.line points=(points.join(" ")) {}
                text x="0" y="12" { "now " (format!("{latest:.1}")) " " (unit) }
                text x=(WIDTH) y="12" text-anchor="end" { "at most " (format!("{most:.1}")) }
            }
        }
    }
}

fn framed(title: &str, height: f64, picture: Markup, figures: &[Figure]) -> Markup {
    html! {
        figure {
            figcaption { (title) }
            svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img"
                aria-label={ (title) ": the table below has the figures" } { (picture) }
            details {
                summary { "Figures" span.hidden { " of: " (title) } }
                table {
                    thead { tr { th scope="col" { "What" } th.number scope="col" { "Sessions" } } }
                    tbody {
                        @for figure in figures {
                            tr { th scope="row" { (figure.name) } td.number { (words::count(figure.value)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the length of a bar. A number above zero is seen.
fn length(value: u64, most: u64) -> f64 {
    rounded(((BARS.1 - BARS.0) * value as f64 / most.max(1) as f64).max(3.0))
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Returns the beginning of a name that fits beside the bars.
fn cut(name: &str) -> String {
    const MAX: usize = 18;
    match name.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", name[..end].trim_end()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_in_proportion_and_a_single_session_is_visible() {
        assert_eq!(length(1_000_000, 1_000_000), 120.0);
        assert_eq!(length(500_000, 1_000_000), 60.0);
        assert_eq!(length(1, 1_000_000), 3.0);
    }

    #[test]
    fn names_are_escaped_and_cut() {
        let figures = [Figure::new("<script>alert(1)</script>", 1)];
        let picture = bars("<b>", &figures).into_string();
        assert!(
            !picture.contains("<script>") && !picture.contains("<b>"),
            "{picture}"
        );
        assert!(
            picture.contains("&lt;script&gt;alert(1)&lt;/…"),
            "{picture}"
        );
    }

    #[test]
    fn pictures_of_nothing_have_no_bars() {
        for picture in [
            bars("", &[]),
            bars("", &[Figure::new("a", 0)]),
            columns("", &[], ""),
            parts("", Figure::new("a", 0), Figure::new("b", 0)),
            line("", &[], ""),
            line("", &[0.0], ""),
        ] {
            let picture = picture.into_string();
            assert!(
                !picture.contains("class=\"bar\"") && !picture.contains("NaN"),
                "{picture}"
            );
        }
    }
}
