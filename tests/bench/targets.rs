//! The targets for the figures. A figure that misses its target does not stop the benchmarks; the
//! end of the table names it.

/// The number of targets so far, and those that were missed.
#[derive(Default)]
pub struct Targets {
    count: u32,
    missed: Vec<String>,
}

impl Targets {
    /// Adds a target that a figure meets if it is `bound` or less.
    pub fn at_most(&mut self, what: &str, figure: f64, bound: f64) {
        self.hold(figure <= bound, || {
            format!("{what}: {figure:.2}, where {bound} is the most")
        });
    }

    /// Adds a target that a figure meets if it is `bound` or more.
    pub fn at_least(&mut self, what: &str, figure: f64, bound: f64) {
        self.hold(figure >= bound, || {
            format!("{what}: {figure:.2}, where {bound} is the least")
        });
    }

    fn hold(&mut self, is_met: bool, miss: impl FnOnce() -> String) {
        self.count += 1;
        if !is_met {
            self.missed.push(miss());
        }
    }

    /// Prints how many targets are met, and which ones are missed.
    pub fn print(&self) {
        let met = self.count as usize - self.missed.len();
        println!("\ntargets met: {met} of {}", self.count);
        for miss in &self.missed {
            println!("  missed: {miss}");
        }
    }
}
