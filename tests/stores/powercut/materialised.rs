//! A directory on disk with the content of an image.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use session3_test_support::all_files;
use tempfile::TempDir;

use super::medium::Image;

/// A directory to write images to; in memory, if the machine has a file system for that.
pub struct Materialised {
    pub directory: TempDir,
    pub image: Mutex<Image>,
}

impl Materialised {
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let directory = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        Self {
            directory: directory.unwrap(),
            image: Mutex::default(),
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Gives the directory the content of `image`.
    pub fn write(&self, image: &Image) {
        let before = std::mem::replace(&mut *self.image.lock().unwrap(), image.clone());
        let path = |name: &str| self.path().join(name);
        for (name, bytes) in before.iter().rev() {
            match (bytes, image.get(name)) {
                (_, Some(_)) => {}
                (None, None) => fs::remove_dir(path(name)).unwrap(),
                (Some(_), None) => fs::remove_file(path(name)).unwrap(),
            }
        }
        for (name, bytes) in image {
            match (bytes, before.get(name)) {
                (bytes, Some(before)) if before == bytes => {}
                (None, _) => fs::create_dir(path(name)).unwrap(),
                (Some(bytes), _) => fs::write(path(name), bytes).unwrap(),
            }
        }
    }

    pub fn read(&self) -> Image {
        let name = |path: PathBuf| {
            let relative = path.strip_prefix(self.path()).unwrap();
            relative.to_str().unwrap().to_owned()
        };
        let mut image = Image::new();
        for path in all_files(self.path()) {
            let bytes = fs::read(&path).unwrap();
            image.insert(name(path), Some(bytes));
        }
        let mut directories = vec![self.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    image.insert(name(path.clone()), None);
                    directories.push(path);
                }
            }
        }
        image
    }
}
