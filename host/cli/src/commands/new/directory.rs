//! Writes the directory of a new application as a whole, or not at all.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The directory of an application for the packages that come from no registry.
pub const PACKAGES: &str = "packages";

/// A file of a new application.
#[derive(Debug)]
pub struct File {
    /// The path in the directory of the application.
    pub path: PathBuf,
    pub content: Vec<u8>,
}

/// Checks that a directory can be created.
///
/// # Errors
///
/// If it exists and is not empty, or there is no directory in which it can be.
pub fn check_new(directory: &Path) -> Result<()> {
    let name = directory.display();
    match fs::read_dir(directory).map(|mut entries| entries.next()) {
        Ok(None) => {}
        Ok(Some(_)) => bail!("{name}: the directory is not empty: name a new one"),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            bail!("{name}: there is a file with this name: name a new directory")
        }
        Err(error) => return Err(error).with_context(|| format!("{name}: cannot be read")),
    }
    let parent = parent(directory);
    if !parent.is_dir() {
        bail!(
            "{name}: there is no directory {}: create it first, or correct the path",
            parent.display()
        );
    }
    Ok(())
}

/// Creates a directory with these files. Another process sees all of them or none.
///
/// # Errors
///
/// If a file cannot be written, or the directory has come into existence meanwhile.
pub fn create(directory: &Path, files: &[File]) -> Result<()> {
    write(directory, files)
        .with_context(|| format!("{}: the application cannot be written", directory.display()))
}

fn write(directory: &Path, files: &[File]) -> Result<()> {
    // The directory gets its name when it is complete; before that, an error removes it. The
    // system takes from the permissions what the user's umask excludes.
    let unfinished = tempfile::Builder::new()
        .prefix(".session3-new-")
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(parent(directory))?;
    for file in files {
        let path = unfinished.path().join(&file.path);
        fs::create_dir_all(path.parent().unwrap_or(unfinished.path()))?;
        fs::write(&path, &file.content).with_context(|| file.path.display().to_string())?;
    }
    fs::rename(unfinished.path(), directory)?;
    // It is not there any more under this name.
    let _ = unfinished.keep();
    Ok(())
}

/// Returns the directory in which another one is.
fn parent(directory: &Path) -> &Path {
    match directory.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> File {
        File {
            path: path.into(),
            content: b"text".to_vec(),
        }
    }

    fn entries(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).expect("a directory");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }

    #[test]
    fn a_directory_is_new_or_empty() {
        let place = tempfile::tempdir().expect("a directory");
        let shop = place.path().join("shop");
        for _ in 0..2 {
            check_new(&shop).expect("it is new, and then empty");
            fs::create_dir_all(&shop).expect("created");
        }
        create(&shop, &[file("a"), file("b/c")]).expect("written");
        assert_eq!(fs::read(shop.join("b/c")).expect("a file"), b"text");
        let error = check_new(&shop).expect_err("it is not empty");
        assert!(error.to_string().contains("is not empty"), "{error}");
        let error = check_new(&shop.join("a")).expect_err("it is a file");
        assert!(
            error.to_string().contains("a file with this name"),
            "{error}"
        );
        let error = check_new(&place.path().join("none/shop")).expect_err("no parent");
        assert!(
            error.to_string().contains("there is no directory"),
            "{error}"
        );
    }

    #[test]
    fn an_error_leaves_nothing() {
        let place = tempfile::tempdir().expect("a directory");
        let shop = place.path().join("shop");
        // The second file would need the first one to be a directory.
        let files = [file("a"), file("a/b")];
        create(&shop, &files).expect_err("a file below a file");
        assert_eq!(entries(place.path()), [] as [PathBuf; 0]);
        // Another program has created the directory meanwhile.
        fs::create_dir(&shop).expect("created");
        fs::write(shop.join("other"), "").expect("written");
        create(&shop, &[file("a")]).expect_err("it is not empty");
        assert_eq!(entries(place.path()), std::slice::from_ref(&shop));
        assert_eq!(entries(&shop), [shop.join("other")]);
    }
}
