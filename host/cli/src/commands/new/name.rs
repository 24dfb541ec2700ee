//! The names that applications may have.

use anyhow::{Result, bail};

/// The largest number of bytes of a name. The registries of most languages accept more.
const LONGEST: usize = 64;

/// The names that a language accepts for a project.
pub struct Names {
    /// How a name may begin.
    pub is_start: fn(char) -> bool,
    /// What may follow.
    pub is_part: fn(char) -> bool,
    /// The same in words, for errors.
    pub rule: &'static str,
    /// Names that mean something else.
    pub reserved: &'static [&'static str],
}

/// Checks the name of an application.
///
/// # Errors
///
/// If the language does not accept the name.
pub fn check(name: &str, names: &Names) -> Result<()> {
    let mut characters = name.chars();
    let is_valid = characters.next().is_some_and(names.is_start) && characters.all(names.is_part);
    if !is_valid {
        bail!("\"{name}\" is no name for an application: {}", names.rule);
    }
    if name.len() > LONGEST {
        bail!("\"{name}\" is no name for an application: it has more than {LONGEST} characters");
    }
    let is_reserved = |reserved: &&str| reserved.eq_ignore_ascii_case(name);
    if names.reserved.iter().any(is_reserved) {
        bail!(
            "\"{name}\" is no name for an application, since it means something else: choose another one"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::templates::LANGUAGES;
    use super::*;

    #[test]
    fn names_follow_the_rules_of_their_language() {
        for language in LANGUAGES {
            let is_valid = |name: &str| check(name, &language.names).is_ok();
            for name in ["shop", "my-shop2", "a"] {
                assert!(is_valid(name), "{}: {name}", language.name);
            }
            for name in ["", "-shop", "my shop", "shöp", "a/b", "{{name}}", "<b>"] {
                assert!(!is_valid(name), "{}: {name}", language.name);
            }
            assert!(is_valid(&"a".repeat(64)) && !is_valid(&"a".repeat(65)));
            for name in language.names.reserved {
                assert!(!is_valid(name), "{}: {name}", language.name);
            }
        }
    }
}
