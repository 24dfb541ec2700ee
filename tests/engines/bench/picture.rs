//! A picture of the operations in SVG: a pair of bars for each.

use std::fmt::Write;

use crate::operations::Line;

/// The width of the picture, and of the part on the left with the names of the operations.
const WIDTH: f64 = 760.0;
const NAMES: f64 = 130.0;
/// The width of the longest bar.
const BARS: f64 = 500.0;
/// The heights of a bar, of an operation and of the title of an engine.
const BAR: f64 = 8.0;
const OPERATION: f64 = 24.0;
const TITLE: f64 = 34.0;
/// The height of the legend.
const LEGEND: f64 = 44.0;

/// The colours follow the reader's preference.
const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; }
  .back { fill: #ffffff; }
  .floor { fill: #b6c2cf; }
  .ours { fill: #0969da; }
  .missed { fill: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .back { fill: #0d1117; }
    .floor { fill: #57606a; }
    .ours { fill: #58a6ff; }
    .missed { fill: #f0883e; }
  }
";

/// Returns the picture. It shows the operations one at a time; bars are to scale within an engine.
pub fn draw(lines: &[Line]) -> String {
    let mut body = String::new();
    let mut y = LEGEND;
    for lines in lines.chunk_by(|one, other| one.engine == other.engine) {
        let times = lines.iter().map(|line| &line.times[0]);
        let longest = times.map(|times| times.floor.max(times.ours));
        let longest = longest.fold(0.0, f64::max);
        text(&mut body, 12.0, y + 20.0, "title", lines[0].engine);
        y += TITLE;
        for line in lines {
            operation(&mut body, y, line, longest);
            y += OPERATION;
        }
    }
    let height = y + 12.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">Microseconds of each operation, one at a time: the bare statement and \
         session3</title>\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"100%\" height=\"100%\"/>\n{}{body}</svg>\n",
        legend()
    )
}

fn legend() -> String {
    let mut legend = String::new();
    let items = [
        ("floor", "bare statement, µs"),
        ("ours", "session3, µs"),
        (
            "missed",
            "session3, more than 1.15 times the bare statement",
        ),
    ];
    let mut x = 12.0;
    for (class, name) in items {
        bar(&mut legend, x, 17.0, 14.0, class);
        text(&mut legend, x + 20.0, 25.0, "", name);
        x += 40.0 + 6.5 * name.chars().count() as f64;
    }
    legend
}

fn operation(body: &mut String, y: f64, line: &Line, longest: f64) {
    let times = &line.times[0];
    let width = |time: f64| (time / longest * BARS).max(1.0);
    let class = if times.is_met { "ours" } else { "missed" };
    text(body, 12.0, y + BAR + 4.0, "", &line.name);
    bar(body, NAMES, y, width(times.floor), "floor");
    bar(body, NAMES, y + BAR + 1.0, width(times.ours), class);
    let label = format!("{:.1} → {:.1}", times.floor, times.ours);
    let end = width(times.floor.max(times.ours));
    text(body, NAMES + end + 6.0, y + BAR + 4.0, "", &label);
}

fn bar(out: &mut String, x: f64, y: f64, width: f64, class: &str) {
    writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\"/>"
    )
    .unwrap();
}

fn text(out: &mut String, x: f64, y: f64, class: &str, text: &str) {
    writeln!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    )
    .unwrap();
}
