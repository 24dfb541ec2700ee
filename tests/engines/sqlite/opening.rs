//! What the store opens, what it refuses, and that it changes nothing that it refuses.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rusqlite::Connection;
use session3_store::SessionStore;
use session3_store_sqlite::{OpenError, Options, SqliteStore};
use session3_test_support::{block_on, id, state};

use crate::support::{Place, is_closed, open, unprivileged, until, url};

/// Opens with `create` what must be refused, and returns the error's one line.
fn refusal(path: &Path) -> (OpenError, String) {
    let opened = block_on(open(path, Options::default().create(true)));
    let error = opened.map(drop).unwrap_err();
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text:?}");
    assert!(text.starts_with(path.to_str().unwrap()), "{text}");
    (error, text)
}

/// Checks that a database is refused, and that its file stays as it is.
fn is_refused_unchanged(place: &Place) -> OpenError {
    let before = fs::read(place.path()).unwrap();
    let (error, _) = refusal(&place.path());
    assert!(fs::read(place.path()).unwrap() == before, "{error}");
    error
}

#[test]
fn a_missing_file_is_created_only_on_demand() {
    block_on(async {
        let place = Place::new();
        let error = place.open(Options::default()).await.map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Missing(_)), "{error}");
        assert!(fs::read_dir(place.0.path()).unwrap().next().is_none());
        place.store(Options::default()).await;
        place.open(Options::default()).await.unwrap();
    });
}

#[test]
fn an_empty_file_gets_tables_only_on_demand() {
    block_on(async {
        let place = Place::new();
        fs::write(place.path(), "").unwrap();
        let error = place.open(Options::default()).await.map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Empty(_)), "{error}");
        assert!(fs::read(place.path()).unwrap().is_empty());
        let store = place.store(Options::default()).await;
        store.create_session(&id(1), &state("x")).await.unwrap();
    });
}

#[test]
fn a_directory_is_never_made() {
    let place = Place::new();
    let (error, _) = refusal(&place.0.path().join("missing/sessions.db"));
    assert!(matches!(error, OpenError::NoDirectory(_)), "{error}");
}

#[test]
fn what_is_no_file_is_refused() {
    let place = Place::new();
    let (error, _) = refusal(place.0.path());
    assert!(matches!(error, OpenError::NotAFile(_)), "{error}");
    // Opening a FIFO would block.
    let mode = rustix::fs::Mode::RWXU;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, place.path(), fifo, mode, 0).unwrap();
    let (error, _) = refusal(&place.path());
    assert!(matches!(error, OpenError::NotAFile(_)), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    for content in ["x", &"a letter, not a database. ".repeat(1000)] {
        let place = Place::new();
        fs::write(place.path(), content).unwrap();
        let error = is_refused_unchanged(&place);
        assert!(matches!(error, OpenError::NotADatabase(_)), "{error}");
    }
}

#[test]
fn the_database_of_another_application_is_refused() {
    for (sql, application) in [
        ("CREATE TABLE sessions (id)", 0),
        ("PRAGMA application_id = 7", 7),
        ("PRAGMA user_version = 1", 0),
        (
            "PRAGMA application_id = 7; CREATE TABLE a (b); INSERT INTO a VALUES (1)",
            7,
        ),
    ] {
        let place = Place::new();
        place.sqlite().execute_batch(sql).unwrap();
        match is_refused_unchanged(&place) {
            OpenError::OtherApplication(_, id) => assert_eq!(id, application),
            error => panic!("{sql}: {error}"),
        }
    }
}

#[test]
fn the_log_of_another_application_stays_in_its_file() {
    let (there, place) = (Place::new(), Place::new());
    let other = there.sqlite();
    let sql = "PRAGMA journal_mode = WAL; CREATE TABLE a (b); INSERT INTO a VALUES (1)";
    other.execute_batch(sql).unwrap();
    // The files as a crash of the other application leaves them.
    for suffix in ["", "-wal"] {
        let name = format!("sessions.db{suffix}");
        fs::copy(there.0.path().join(&name), place.0.path().join(&name)).unwrap();
    }
    let log = place.0.path().join("sessions.db-wal");
    let before = fs::read(&log).unwrap();
    assert!(!before.is_empty());
    let error = is_refused_unchanged(&place);
    assert!(matches!(error, OpenError::OtherApplication(..)), "{error}");
    assert!(fs::read(&log).unwrap() == before);
}

#[test]
fn a_newer_schema_is_refused() {
    let place = Place::new();
    block_on(place.store(Options::default()));
    block_on(until(async || is_closed(&place)));
    let newer = "PRAGMA user_version = 2";
    place.sqlite().execute_batch(newer).unwrap();
    let error = is_refused_unchanged(&place);
    assert!(matches!(error, OpenError::Newer(_, 2)), "{error}");
}

#[test]
fn a_dropped_store_closes_its_files_and_leaves_one() {
    let place = Place::new();
    block_on(async {
        let store = place.store(Options::default()).await;
        store.create_session(&id(1), &state("x")).await.unwrap();
        assert!(!is_closed(&place));
        drop(store);
        until(async || is_closed(&place)).await;
        // One file to copy.
        assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1);
    });
}

#[test]
fn a_file_that_this_user_cannot_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    block_on(place.store(Options::default()));
    block_on(until(async || is_closed(&place)));
    for (path, mode) in [(place.path(), 0o444), (place.0.path().to_owned(), 0o755)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = unprivileged(&place);
    let before = fs::read(place.path()).unwrap();
    let arguments = ["open", &url(&place.path()), "0", "0"];
    let output = command.args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && errors.contains("NotWritable"),
        "{errors}"
    );
    assert!(fs::read(place.path()).unwrap() == before);
}

#[test]
fn a_database_that_is_locked_for_good_is_refused_in_time() {
    let place = Place::new();
    block_on(place.store(Options::default()));
    block_on(until(async || is_closed(&place)));
    let other = place.sqlite();
    let lock = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE";
    other.execute_batch(lock).unwrap();
    let url = format!("{}?timeout=0.1", url(&place.path()));
    let opened = block_on(SqliteStore::open(&url, Options::default()));
    let error = opened.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Sqlite(..)), "{error}");
    assert!(error.to_string().contains("locked"), "{error}");
    drop(other);
    block_on(place.open(Options::default())).unwrap();
}

#[test]
fn a_path_may_be_relative_a_link_or_look_like_a_uri() {
    block_on(async {
        let place = Place::new();
        let store = place.store(Options::default()).await;
        store.create_session(&id(1), &state("x")).await.unwrap();
        let link = place.0.path().join("link");
        symlink(place.path(), &link).unwrap();
        let linked = open(&link, Options::default()).await.unwrap();
        assert_eq!(linked.has_session(&id(1)).await, Ok(true));

        let uri = place.0.path().join("file:a b?mode=memory%23");
        let text = uri
            .to_str()
            .unwrap()
            .replace('%', "%25")
            .replace('?', "%3f");
        let options = Options::default().create(true);
        SqliteStore::open(&format!("sqlite:{text}"), options)
            .await
            .unwrap();
        assert!(uri.is_file());
    });
}

#[test]
fn setup_finds_the_tables_that_an_operator_has_removed() {
    let place = Place::new();
    block_on(async {
        let store = place.store(Options::default()).await;
        store.setup().await.unwrap();
        let sql = "DROP TABLE sweep";
        Connection::open(place.path())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        let error = store.setup().await.unwrap_err().to_string();
        assert!(error.contains("no such table: sweep"), "{error}");
    });
}
