//! The bounds of the figures. A figure that misses its bound does not stop the benchmarks; the end
//! of the output names it.

/// The number of bounds so far, and those that were missed.
#[derive(Default)]
pub struct Targets {
    count: usize,
    missed: Vec<String>,
}

impl Targets {
    /// Adds a bound that a figure meets if it is `bound` or less. Returns whether it does.
    pub fn at_most(&mut self, what: &str, figure: f64, bound: f64) -> bool {
        let miss = format!("{what}: {figure:.2}, where {bound} is the most");
        self.hold(figure <= bound, miss)
    }

    /// Adds a bound that a figure meets if it is `bound` or more. Returns whether it does.
    pub fn at_least(&mut self, what: &str, figure: f64, bound: f64) -> bool {
        let miss = format!("{what}: {figure:.2}, where {bound} is the least");
        self.hold(figure >= bound, miss)
    }

    fn hold(&mut self, is_met: bool, miss: String) -> bool {
        self.count += 1;
        if !is_met {
            self.missed.push(miss);
        }
        is_met
    }

    /// Returns whether all figures meet their bounds.
    pub fn are_met(&self) -> bool {
        self.missed.is_empty()
    }

    /// Prints how many bounds are met, and which ones are missed.
    pub fn print(&self) {
        let met = self.count - self.missed.len();
        println!("\nBounds met: {met} of {}.", self.count);
        if !self.are_met() {
            println!();
        }
        for miss in &self.missed {
            println!("- missed: {miss}");
        }
    }
}
