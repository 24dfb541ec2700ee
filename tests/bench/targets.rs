//! What the figures are held to: they are printed whether they keep to it or not,
//! and the end says which do not.

/// The bounds that were looked at.
#[derive(Default)]
pub struct Targets {
    count: u32,
    missed: Vec<String>,
}

impl Targets {
    /// A figure that is good when it is small.
    pub fn at_most(&mut self, what: &str, figure: f64, bound: f64) {
        self.hold(figure <= bound, || {
            format!("{what}: {figure:.2}, where {bound} is the most")
        });
    }

    /// One that is good when it is large.
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

    /// Says how many of them are met, and which are not.
    pub fn print(&self) {
        let met = self.count as usize - self.missed.len();
        println!("\ntargets met: {met} of {}", self.count);
        for miss in &self.missed {
            println!("  missed: {miss}");
        }
    }
}
