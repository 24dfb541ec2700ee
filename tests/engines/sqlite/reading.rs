//! Stores that are opened for reading only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use session3_store::{Maintenance, SessionStore, StoreError};
use session3_store_sqlite::{OpenError, Options};
use session3_test_support::{block_on, id, state};

use crate::support::{Place, is_closed, unprivileged, until, url};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Returns what a process that may not write the directory finds in a database: the number of
/// sessions, or its errors.
fn read(place: &Place, path: &Path) -> Result<String, String> {
    let mut command = unprivileged(place);
    set_mode(place.0.path(), 0o555);
    let output = command.args(["read", &url(path), "0", "0"]).output();
    set_mode(place.0.path(), 0o755);
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

/// Returns a database with three sessions, which other users may read and nothing has open.
async fn snapshot() -> Place {
    let place = Place::new();
    let store = place.store(Options::default()).await;
    for number in 0..3 {
        store
            .create_session(&id(number), &state("a"))
            .await
            .unwrap();
    }
    drop(store);
    until(async || is_closed(&place)).await;
    set_mode(&place.path(), 0o444);
    place
}

#[test]
fn a_snapshot_is_read_without_the_right_to_write_anything() {
    let place = block_on(snapshot());
    let before = fs::read(place.path()).unwrap();
    assert_eq!(read(&place, &place.path()), Ok("3".into()));
    // The name needs escapes in SQLite's URIs.
    let strange = place.0.path().join("a?b#%20 é.db");
    fs::copy(place.path(), &strange).unwrap();
    let escaped = strange
        .to_str()
        .unwrap()
        .replace('%', "%25")
        .replace('?', "%3f");
    assert_eq!(read(&place, Path::new(&escaped)), Ok("3".into()));
    assert!(fs::read(place.path()).unwrap() == before);
}

#[test]
fn a_copy_by_vacuum_into_is_read() {
    let place = block_on(snapshot());
    let copy = place.0.path().join("copy.db");
    let sql = format!("VACUUM INTO '{}'", copy.display());
    place.sqlite().execute_batch(&sql).unwrap();
    set_mode(&copy, 0o444);
    assert_eq!(read(&place, &copy), Ok("3".into()));
}

#[test]
fn the_database_of_a_running_server_is_read_with_its_latest_changes() {
    block_on(async {
        let place = snapshot().await;
        // SQLite gives the mode of the file to the files beside it.
        set_mode(&place.path(), 0o644);
        let store = place.open(Options::default()).await.unwrap();
        store.create_session(&id(3), &state("a")).await.unwrap();
        assert_eq!(read(&place, &place.path()), Ok("4".into()));
        store.delete_session(&id(3)).await.unwrap();
        assert_eq!(read(&place, &place.path()), Ok("3".into()));
    });
}

#[test]
fn a_file_that_this_user_cannot_read_is_refused() {
    let place = block_on(snapshot());
    set_mode(&place.path(), 0o400);
    if rustix::process::geteuid().is_root() {
        let error = read(&place, &place.path()).unwrap_err();
        assert!(error.contains("NotReadable"), "{error}");
    }
}

#[test]
fn nothing_is_created_or_changed() {
    block_on(async {
        let place = Place::new();
        let options = Options::default().create(true).read_only(true);
        let error = place.open(options.clone()).await.map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Missing(_)), "{error}");
        fs::write(place.path(), "").unwrap();
        let error = place.open(options.clone()).await.map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Empty(_)), "{error}");

        let place = snapshot().await;
        let store = place.open(options).await.unwrap();
        store.setup().await.unwrap();
        let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
        let lock = store.lock_session(&id(1), std::time::Duration::ZERO).await;
        let refused = [
            store.save_session(&id(1), &state("b"), 1).await.map(drop),
            store.touch_session(&id(1), 5, 1).await,
            store.delete_session(&id(1)).await.map(drop),
            store.import_session(&loaded, Some(1)).await,
            store.delete_old_sessions(0, None).await.map(drop),
            lock.map(drop),
        ];
        for refused in refused {
            let is_clear = |error: &StoreError| error.to_string().contains("reading only");
            assert!(refused.as_ref().is_err_and(is_clear), "{refused:?}");
        }
        assert_eq!(store.load_session(&id(1)).await, Ok(Some(loaded)));
        assert_eq!(store.has_unfinished_sweep().await, Ok(false));
    });
}
