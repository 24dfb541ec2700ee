//! Pages with placeholders, and the pages that the demo and the applications of the tests
//! have in common.

/// The frame of every page, with the placeholders `title` and `body`.
pub const LAYOUT: &str = include_str!("layout.html");

/// The start page, with the placeholders `id`, `counter` and `more`.
pub const SESSION: &str = include_str!("session.html");

/// Returns the page with values in the placeholders of these names. Other braces stay. This
/// takes one pass, which does not look into the values.
pub fn fill(page: &str, values: &[(&str, &str)]) -> String {
    let mut parts = page.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part.split_once('}').and_then(|(name, rest)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, rest))
        });
        match named {
            Some((value, rest)) => {
                filled.push_str(value);
                filled.push_str(rest);
            }
            None => {
                filled.push('{');
                filled.push_str(part);
            }
        }
    }
    filled
}
