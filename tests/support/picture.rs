//! Pictures of figures in SVG: rows of bars, which are readable on a telephone and follow the
//! reader's preference for light or dark.

use std::fmt::Write;

use crate::thousands;

/// The width of a picture, in its own units. A telephone shows it hardly smaller.
const WIDTH: f64 = 360.0;
/// The space at each side.
const MARGIN: f64 = 12.0;
/// The heights of a bar, with the space below it, and of a line of text.
const BAR: f64 = 10.0;
const LINE: f64 = 18.0;
/// The space below a row, and above the title of a group.
const GAP: f64 = 8.0;

const STYLE: &str = "
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; }
  .figure { text-anchor: end; }
  .back { fill: #ffffff; }
  .other { fill: #afb8c1; }
  .ours { fill: #0969da; }
  .missed { fill: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .back { fill: #0d1117; }
    .other { fill: #6e7681; }
    .ours { fill: #58a6ff; }
    .missed { fill: #f0883e; }
  }
";

/// The colour of a bar, by what it shows.
#[derive(Clone, Copy)]
pub enum Colour {
    /// Something to compare with.
    Other,
    /// A figure of session3.
    Ours,
    /// A figure of session3 that misses its bound.
    Missed,
}

impl Colour {
    fn class(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Ours => "ours",
            Self::Missed => "missed",
        }
    }
}

/// A row of a picture: a name, its figures as text, and a bar for each of them.
pub struct Row {
    /// The name, at the left.
    pub name: String,
    /// The figures as text, at the right.
    pub figures: String,
    /// The figures and colours of the bars.
    pub bars: Vec<(f64, Colour)>,
}

/// A picture, which grows at its bottom.
pub struct Picture {
    title: String,
    body: String,
    /// Where the next line begins.
    y: f64,
}

impl Picture {
    /// Creates a picture without rows. `title` says what it shows to those who cannot see it, and
    /// `legend` what the colours mean.
    pub fn new(title: &str, legend: &[(Colour, &str)]) -> Self {
        let mut picture = Self {
            title: escape(title),
            body: String::new(),
            y: MARGIN,
        };
        for (colour, meaning) in legend {
            let y = picture.y + (LINE - BAR) / 2.0;
            picture.bar(y, 14.0, *colour);
            picture.text(MARGIN + 22.0, "", meaning);
            picture.y += LINE;
        }
        picture
    }

    /// Adds rows below a title. The longest of their bars takes the whole width.
    pub fn group(&mut self, title: &str, rows: &[Row]) {
        self.y += GAP;
        self.text(MARGIN, "title", title);
        self.y += LINE + GAP / 2.0;
        let figures = rows.iter().flat_map(|row| &row.bars);
        let longest = figures.map(|(figure, _)| *figure).fold(0.0, f64::max);
        for row in rows {
            self.text(MARGIN, "", &row.name);
            self.text(WIDTH - MARGIN, "figure", &row.figures);
            self.y += LINE;
            for (figure, colour) in &row.bars {
                let width = figure / longest * (WIDTH - 2.0 * MARGIN);
                self.bar(self.y, width.max(1.0), *colour);
                self.y += BAR;
            }
            self.y += GAP;
        }
    }

    /// Returns the picture as a file in SVG.
    pub fn svg(&self) -> String {
        let (title, body) = (&self.title, &self.body);
        let height = self.y + MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title\">\n\
             <title id=\"title\">{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"back\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n"
        )
    }

    fn bar(&mut self, y: f64, width: f64, colour: Colour) {
        let (class, height) = (colour.class(), BAR - 1.0);
        self.add(&format!(
            "<rect class=\"{class}\" x=\"{MARGIN}\" y=\"{y}\" width=\"{width:.1}\" \
             height=\"{height}\"/>"
        ));
    }

    /// Adds a text to the line that begins at `y`.
    fn text(&mut self, x: f64, class: &str, text: &str) {
        let (y, text) = (self.y + 13.0, escape(text));
        self.add(&format!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"
        ));
    }

    fn add(&mut self, element: &str) {
        let written = writeln!(self.body, "{element}");
        written.expect("a string can be written to");
    }
}

/// The requests a second that a server answers.
pub struct Server {
    /// The name of the server. One that begins with `session3`, or has its layer, is ours.
    pub name: String,
    /// The pages that load a session and show it.
    pub pages: f64,
    /// The pages that change a session.
    pub additions: f64,
}

impl Server {
    fn row(&self, rate: f64) -> Row {
        let is_ours = self.name.starts_with("session3") || self.name.contains("session3's");
        let colour = if is_ours { Colour::Ours } else { Colour::Other };
        Row {
            name: self.name.clone(),
            figures: thousands(two_digits(rate)),
            bars: vec![(rate, colour)],
        }
    }
}

/// Draws the requests a second of servers, the fastest first.
pub fn of_servers(servers: &[Server]) -> Picture {
    let legend = [
        (Colour::Ours, "with session3"),
        (Colour::Other, "with other sessions"),
    ];
    let mut picture = Picture::new(
        "Requests a second of servers with session3 and with other sessions",
        &legend,
    );
    let mut group = |title: &str, rate: fn(&Server) -> f64| {
        let mut servers: Vec<_> = servers.iter().collect();
        servers.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
        let rows = servers.iter().map(|server| server.row(rate(server)));
        picture.group(title, &rows.collect::<Vec<_>>());
    };
    group("Requests a second: load and show a session", |server| {
        server.pages
    });
    group("Requests a second: change a session", |server| {
        server.additions
    });
    picture
}

/// Rounds a rate to hundreds, or to tens below a thousand.
fn two_digits(rate: f64) -> u64 {
    let step = if rate < 1000.0 { 10.0 } else { 100.0 };
    ((rate / step).round() * step) as u64
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::{Colour, Picture, Row, Server, of_servers};

    #[test]
    fn the_longest_bar_of_a_group_takes_the_whole_width() {
        let mut picture = Picture::new("t < u", &[(Colour::Other, "a & b")]);
        let row = |figure| Row {
            name: "load".into(),
            figures: String::new(),
            bars: vec![(figure, Colour::Ours)],
        };
        picture.group("one", &[row(1.0), row(4.0)]);
        picture.group("two", &[row(0.5)]);
        let svg = picture.svg();
        let widths = svg.split("class=\"ours\"").skip(1);
        let widths = widths.map(|bar| bar.split("width=\"").nth(1).unwrap());
        let widths: Vec<_> = widths.map(|bar| bar.split('"').next().unwrap()).collect();
        assert_eq!(widths, ["84.0", "336.0", "336.0"]);
        assert!(svg.contains("t &lt; u") && svg.contains("a &amp; b"));
    }

    #[test]
    fn servers_are_sorted_by_each_of_their_rates() {
        let server = |name: &str, pages, additions| Server {
            name: name.into(),
            pages,
            additions,
        };
        let servers = [
            server("Express", 564.0, 23_940.0),
            server("session3, used again", 23_940.0, 17_800.0),
        ];
        let svg = of_servers(&servers).svg();
        let lines = svg.lines().filter(|line| line.contains("<text"));
        let texts: Vec<_> = lines
            .map(|line| line.split(['>', '<']).nth(2).unwrap())
            .collect();
        let [pages, additions] = [
            ["session3, used again", "23,900", "Express", "560"],
            ["Express", "23,900", "session3, used again", "17,800"],
        ];
        assert_eq!(texts[3..7], pages);
        assert_eq!(texts[8..], additions);
        assert_eq!(svg.matches("<rect class=\"ours\"").count(), 3);
    }
}
