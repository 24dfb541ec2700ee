//! A picture of the operations: a pair of bars for each.

use session3_test_support::picture::{Colour, Picture, Row};

use crate::operations::Line;

/// Draws the operations one at a time. Bars are to scale within an engine.
pub fn draw(lines: &[Line]) -> Picture {
    let legend = [
        (Colour::Other, "bare statement, µs"),
        (Colour::Ours, "session3, µs"),
        (
            Colour::Missed,
            "session3, over 1.15 times the bare statement",
        ),
    ];
    let mut picture = Picture::new(
        "Microseconds of each operation, one at a time: the bare statement and session3",
        &legend,
    );
    for lines in lines.chunk_by(|one, other| one.engine == other.engine) {
        let rows: Vec<_> = lines.iter().map(row).collect();
        picture.group(lines[0].engine, &rows);
    }
    picture
}

fn row(line: &Line) -> Row {
    let times = &line.times[0];
    let colour = if times.is_met {
        Colour::Ours
    } else {
        Colour::Missed
    };
    Row {
        name: line.name.clone(),
        figures: format!("{:.1} → {:.1}", times.floor, times.ours),
        bars: vec![(times.floor, Colour::Other), (times.ours, colour)],
    }
}
