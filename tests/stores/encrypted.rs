//! Sealed stores: the contract, changed bytes, rotation, and the way from plain to sealed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{fs, io, thread};

use parking_lot::Mutex;
use session3_store::{
    Finding, Maintenance, MemoryStore, SessionId, SessionState, SessionStore, StoreError,
    StoredSession,
};
use session3_store_directory::{Call, DirectoryStore, Options, Watch};
use session3_store_encrypted::{EncryptedStore, Key, KeyId, Keyring, SealedAnew, SystemRandom};
use session3_store_tests::{Given, TestClock, conformance_suite};
use session3_test_support::in_turn::InTurn;
use session3_test_support::layer::Layer;
use session3_test_support::{block_on, id, record_in};

const LIMIT: u64 = 1 << 20;

fn ring() -> Keyring {
    Keyring::generate(&SystemRandom, "today")
}

async fn sealed_directory() -> Given {
    in_directory(|engine| Arc::new(EncryptedStore::new(engine, ring())))
}

/// The calls go to two handles of one store in turn, whose rings seal with different keys, as
/// during a rotation.
async fn sealed_directory_during_a_rotation() -> Given {
    in_directory(|engine| {
        let open = |ring| EncryptedStore::new(engine.clone(), ring);
        Arc::new(InTurn::new(rings().map(open)))
    })
}

async fn sealed_directory_that_accepts_plain() -> Given {
    in_directory(|engine| Arc::new(EncryptedStore::new(engine, ring()).accept_plain(true)))
}

conformance_suite!(sealed_directory);
conformance_suite!(sealed_directory_during_a_rotation);
conformance_suite!(sealed_directory_that_accepts_plain);

fn in_directory(wrap: impl FnOnce(Arc<dyn Maintenance>) -> Arc<dyn SessionStore>) -> Given {
    let directory = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let path = directory.path().to_owned();
    let options = Options::default()
        .clock(clock.reader())
        .max_state_bytes(LIMIT + EncryptedStore::OVERHEAD);
    let engine = Arc::new(DirectoryStore::open(&path, options).unwrap());
    Given::new(wrap(engine), clock)
        .multiprocess_safe(true)
        .damage_with(move |id| fs::write(record_in(&path, id), "nonsense").unwrap())
        .keep(directory)
}

/// A sealed store in memory.
struct Sealed {
    engine: Arc<MemoryStore>,
    store: EncryptedStore,
}

impl Sealed {
    fn new(ring: Keyring) -> Self {
        let engine = Arc::new(MemoryStore::new(|| 1000));
        let store = EncryptedStore::new(engine.clone(), ring);
        Self { engine, store }
    }

    fn create(&self, number: u128, user: &str) {
        block_on(self.store.create_session(&id(number), &state(user))).unwrap();
    }

    fn load(&self, number: u128) -> Result<Option<StoredSession>, StoreError> {
        block_on(self.store.load_session(&id(number)))
    }

    /// Returns what the engine has.
    fn kept(&self, number: u128) -> StoredSession {
        block_on(self.engine.load_session(&id(number)))
            .unwrap()
            .unwrap()
    }

    /// Gives the engine something else.
    fn keep(&self, session: &StoredSession) {
        block_on(self.engine.delete_session(&session.id)).unwrap();
        block_on(self.engine.import_session(session, None)).unwrap();
    }

    fn of_user(&self, user: &str) -> Vec<SessionId> {
        block_on(self.store.sessions_of_user(user)).unwrap()
    }

    fn check(&self) -> (u64, u64, Vec<Finding>) {
        let found = Mutex::new(Vec::new());
        let mut observer = |finding| found.lock().push(finding);
        let report = block_on(self.store.check(false, &mut observer)).unwrap();
        (report.sessions, report.damaged, found.into_inner())
    }
}

fn state(user: &str) -> SessionState {
    SessionState {
        user: Some(user.into()),
        expires: u64::MAX,
        data: b"a basket of pears".to_vec(),
    }
}

#[test]
fn no_changed_byte_opens() {
    let sealed = Sealed::new(ring());
    sealed.create(1, "alice");
    let good = sealed.kept(1);
    let data = &good.state.data;
    for at in 0..data.len() {
        for change in 1..=u8::MAX {
            let mut bad = good.clone();
            bad.state.data[at] ^= change;
            sealed.keep(&bad);
            let error = sealed.load(1).unwrap_err();
            // The first bytes say that it is sealed, and with which key.
            assert_eq!(
                matches!(error, StoreError::Corrupt(_)),
                at >= 8,
                "{at}: {error}"
            );
        }
    }
    for length in 0..data.len() {
        let mut bad = good.clone();
        bad.state.data.truncate(length);
        sealed.keep(&bad);
        assert!(sealed.load(1).is_err(), "{length}");
    }
    for extra in [&[0][..], &[0; 16], &[0xff; 700]] {
        let mut bad = good.clone();
        bad.state.data.extend_from_slice(extra);
        sealed.keep(&bad);
        assert!(matches!(sealed.load(1), Err(StoreError::Corrupt(_))));
    }
    sealed.keep(&good);
    assert_eq!(sealed.load(1).unwrap().unwrap().state, state("alice"));
}

#[test]
fn no_swapped_bytes_open() {
    let sealed = Sealed::new(ring());
    sealed.create(1, "alice");
    let good = sealed.kept(1);
    let length = good.state.data.len();
    for one in 0..length {
        for other in 0..one {
            let mut bad = good.clone();
            bad.state.data.swap(one, other);
            if bad != good {
                sealed.keep(&bad);
                assert!(sealed.load(1).is_err(), "{one} {other}");
            }
        }
    }
}

#[test]
fn a_state_opens_only_as_that_of_its_session_its_version_and_its_user() {
    let sealed = Sealed::new(ring());
    sealed.create(1, "alice");
    sealed.create(2, "bob");
    let (one, two) = (sealed.kept(1), sealed.kept(2));
    let of_another_session = StoredSession {
        id: id(2),
        ..one.clone()
    };
    let of_another_version = StoredSession {
        version: 2,
        ..one.clone()
    };
    let mut of_another_user = one.clone();
    of_another_user.state.user.clone_from(&two.state.user);
    let mut of_no_user = one.clone();
    of_no_user.state.user = None;
    for bad in [
        of_another_session,
        of_another_version,
        of_another_user,
        of_no_user,
    ] {
        sealed.keep(&bad);
        let loaded = block_on(sealed.store.load_session(&bad.id));
        assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{bad:?}");
        sealed.keep(&one);
        sealed.keep(&two);
    }
    // The times are not sealed: a sweep reads them, and a touch changes them.
    let mut touched = one;
    touched.state.expires = 5;
    touched.modified = 4;
    sealed.keep(&touched);
    assert_eq!(sealed.load(1).unwrap().unwrap().state.expires, 5);
}

#[test]
fn equal_states_are_sealed_differently() {
    let sealed = Sealed::new(ring());
    sealed.create(1, "alice");
    let first = sealed.kept(1);
    block_on(sealed.store.delete_session(&id(1))).unwrap();
    sealed.create(1, "alice");
    assert_ne!(sealed.kept(1).state.data[8..20], first.state.data[8..20]);
    assert_ne!(sealed.kept(1).state.data[20..], first.state.data[20..]);
}

#[test]
fn the_engine_sees_neither_user_nor_data() {
    let sealed = Sealed::new(ring());
    sealed.create(1, "alice");
    let kept = format!("{:?}", sealed.kept(1));
    let (user, data) = ("alice", b"pears");
    assert!(!kept.contains(user));
    assert!(
        !sealed
            .kept(1)
            .state
            .data
            .windows(5)
            .any(|bytes| bytes == data)
    );
    let hash = sealed.kept(1).state.user.unwrap();
    assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    // Another ring makes another hash.
    let other = Sealed::new(ring());
    other.create(1, "alice");
    assert_ne!(other.kept(1).state.user.unwrap(), hash);
}

/// Returns two rings with the same keys, of which each seals with another one.
fn rings() -> [Keyring; 2] {
    let mut old = ring();
    let newest = old.add(Key::generate(&SystemRandom, "today")).unwrap();
    let mut new = old.clone();
    new.seal_with(newest).unwrap();
    [old, new]
}

/// Adds a key to the ring of a store, which seals from now on.
fn rotate(sealed: &Sealed) -> KeyId {
    let mut ring = (*sealed.store.keyring()).clone();
    let newest = ring.add(Key::generate(&SystemRandom, "today")).unwrap();
    ring.seal_with(newest).unwrap();
    sealed.store.set_keyring(ring);
    newest
}

fn seal_anew(sealed: &Sealed, number: u128) -> Result<SealedAnew, StoreError> {
    block_on(sealed.store.seal_anew(&id(number)))
}

#[test]
fn a_rotation_changes_nothing_but_the_seal() {
    let sealed = Sealed::new(ring());
    let old = sealed.store.keyring().sealing_key().id();
    sealed.create(1, "alice");
    block_on(sealed.store.save_session(&id(1), &state("alice"), 1)).unwrap();
    sealed.create(2, "alice");
    let before = (sealed.load(1), sealed.load(2));
    rotate(&sealed);
    assert_eq!(sealed.of_user("alice"), [id(1), id(2)]);
    assert_eq!(sealed.store.needs_sealing(&sealed.kept(1).state), Ok(true));
    assert_eq!(seal_anew(&sealed, 1), Ok(SealedAnew::Sealed));
    assert_eq!(sealed.store.needs_sealing(&sealed.kept(1).state), Ok(false));
    assert_eq!(sealed.of_user("alice"), [id(1), id(2)]);
    assert_eq!(seal_anew(&sealed, 2), Ok(SealedAnew::Sealed));
    assert_eq!(seal_anew(&sealed, 2), Ok(SealedAnew::Unchanged));
    assert_eq!(seal_anew(&sealed, 3), Ok(SealedAnew::Absent));
    // The old key is of no use any more.
    let mut ring = (*sealed.store.keyring()).clone();
    ring.remove(old).unwrap();
    sealed.store.set_keyring(ring);
    assert_eq!((sealed.load(1), sealed.load(2)), before);
    assert_eq!(sealed.of_user("alice"), [id(1), id(2)]);
}

#[test]
fn an_exclusive_request_does_not_notice_a_rotation() {
    let sealed = Sealed::new(ring());
    sealed.create(1, "alice");
    rotate(&sealed);
    block_on(async {
        let time = std::time::Duration::from_secs(60);
        let lease = sealed.store.lock_session(&id(1), time).await.unwrap();
        let loaded = sealed.store.load_session(&id(1)).await.unwrap().unwrap();
        let anew = sealed.store.seal_anew(&id(1)).await;
        assert_eq!(anew, Ok(SealedAnew::Sealed));
        let store = &sealed.store;
        let saved = store.save_session(&loaded.id, &loaded.state, 1).await;
        assert_eq!(saved, Ok(2));
        assert!(lease.is_held());
    });
}

#[test]
fn a_session_whose_key_is_gone_names_it_and_is_not_damaged() {
    let sealed = Sealed::new(ring());
    let gone = sealed.store.keyring().sealing_key().id();
    sealed.create(1, "alice");
    sealed.store.set_keyring(ring());
    let why = format!("the key {gone}, which sealed the session, is not in the key ring");
    assert_eq!(sealed.load(1), Err(StoreError::Unavailable(why.clone())));
    assert_eq!(
        seal_anew(&sealed, 1),
        Err(StoreError::Unavailable(why.clone()))
    );
    let page = block_on(sealed.store.iter_sessions(None, 10)).unwrap();
    assert_eq!(page.damaged, [(id(1), why.clone())]);
    let found = vec![Finding::Unreadable(id(1).to_string(), why)];
    assert_eq!(sealed.check(), (0, 0, found));
    assert_eq!(block_on(sealed.store.has_session(&id(1))), Ok(true));
    assert_eq!(block_on(sealed.store.delete_session(&id(1))), Ok(true));
}

/// Clients add to a session through handles that seal with different keys, while the session is
/// sealed anew with the one and the other again and again.
#[test]
fn no_increment_is_lost_while_keys_rotate() {
    const CLIENTS: usize = 4;
    const INCREMENTS: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    let [old, new] = rings().map(|ring| {
        move |path: &Path| {
            let engine = DirectoryStore::open(path, Options::default()).unwrap();
            EncryptedStore::new(Arc::new(engine), ring.clone())
        }
    });
    let open = |number: usize| match number % 2 {
        0 => old(directory.path()),
        _ => new(directory.path()),
    };
    let (is_done, sealed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let rotate = async |store: EncryptedStore| {
        while !is_done.load(Ordering::SeqCst) {
            match store.seal_anew(&id(1)).await {
                Ok(SealedAnew::Sealed) => {
                    sealed.fetch_add(1, Ordering::SeqCst);
                }
                Ok(SealedAnew::Unchanged) | Err(StoreError::Busy) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let add = async |store: EncryptedStore| {
        for _ in 0..INCREMENTS {
            while !add_one(&store).await {}
        }
    };
    block_on(open(0).create_session(&id(1), &counter(0))).unwrap();
    thread::scope(|scope| {
        for number in 0..2 {
            let store = open(number);
            scope.spawn(|| block_on(rotate(store)));
        }
        let clients = std::array::from_fn::<_, CLIENTS, _>(|number| {
            let store = open(number);
            scope.spawn(|| block_on(add(store)))
        });
        let ended = clients.map(|client| client.join());
        is_done.store(true, Ordering::SeqCst);
        ended.into_iter().for_each(|client| client.unwrap());
    });
    let loaded = block_on(open(0).load_session(&id(1))).unwrap().unwrap();
    assert_eq!(loaded.state, counter(CLIENTS * INCREMENTS));
    assert_eq!(loaded.version as usize, 1 + CLIENTS * INCREMENTS);
    assert!(sealed.into_inner() > 0);
}

fn counter(count: usize) -> SessionState {
    SessionState {
        data: count.to_le_bytes().into(),
        ..state("alice")
    }
}

/// Adds 1 to the count. Returns false if another client was first.
async fn add_one(store: &EncryptedStore) -> bool {
    let loaded = store.load_session(&id(1)).await.unwrap().unwrap();
    let count = usize::from_le_bytes(loaded.state.data.try_into().unwrap());
    let next = counter(count + 1);
    match store.save_session(&id(1), &next, loaded.version).await {
        Ok(_) => true,
        Err(StoreError::Conflict(_) | StoreError::Busy) => false,
        other => panic!("{other:?}"),
    }
}

/// Counts the reads of a directory.
#[derive(Default)]
struct Reads(AtomicUsize);

impl Watch for Reads {
    fn before(&self, call: Call) -> io::Result<usize> {
        if let Call::Read(_) = call {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Ok(usize::MAX)
    }
}

#[test]
fn a_check_reads_each_sealed_session_once() {
    let [plain, sealed] = [Layer::Plain, Layer::Sealed].map(|layer| {
        let (directory, reads) = (tempfile::tempdir().unwrap(), Arc::new(Reads::default()));
        let options = Options::default().watch(reads.clone());
        let store = layer.over(DirectoryStore::open(directory.path(), options).unwrap());
        for number in 1..=5 {
            block_on(store.create_session(&id(number), &state("alice"))).unwrap();
        }
        reads.0.store(0, Ordering::SeqCst);
        let mut found = |finding| panic!("{finding:?}");
        let report = block_on(store.check(false, &mut found)).unwrap();
        assert_eq!(report.sessions, 5);
        reads.0.load(Ordering::SeqCst)
    });
    assert!(plain > 0);
    assert_eq!(sealed, plain);
}

#[test]
fn a_changed_session_is_damaged_for_a_check() {
    let sealed = Sealed::new(ring());
    sealed.create(1, "alice");
    sealed.create(2, "alice");
    let mut bad = sealed.kept(1);
    bad.state.data[40] ^= 1;
    sealed.keep(&bad);
    let (sessions, damaged, found) = sealed.check();
    assert_eq!((sessions, damaged), (1, 1));
    assert!(matches!(&*found, [Finding::Damaged(found, _)] if *found == id(1)));
}

#[test]
fn plain_sessions_need_permission_and_are_sealed_one_by_one() {
    let mut sealed = Sealed::new(ring());
    for number in [1, 2] {
        block_on(sealed.engine.create_session(&id(number), &state("alice"))).unwrap();
    }
    let refused = sealed.load(1).unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)));
    assert_eq!(sealed.of_user("alice"), []);
    assert!(matches!(
        seal_anew(&sealed, 1),
        Err(StoreError::Unavailable(_))
    ));

    sealed.store = sealed.store.accept_plain(true);
    let plain = sealed.load(1).unwrap().unwrap();
    assert_eq!(plain.state, state("alice"));
    assert_eq!(sealed.of_user("alice"), [id(1), id(2)]);
    let found = vec![Finding::Plain(id(1)), Finding::Plain(id(2))];
    assert_eq!(sealed.check(), (2, 0, found));
    // A server saves one of them, and a rotation seals the other.
    block_on(sealed.store.save_session(&id(1), &plain.state, 1)).unwrap();
    assert_eq!(seal_anew(&sealed, 2), Ok(SealedAnew::Sealed));
    assert_eq!(sealed.of_user("alice"), [id(1), id(2)]);

    sealed.store = sealed.store.accept_plain(false);
    assert_eq!(sealed.check(), (2, 0, vec![]));
    assert_eq!(sealed.load(2).unwrap().unwrap().state, state("alice"));
    assert_eq!(sealed.of_user("alice"), [id(1), id(2)]);
}

#[test]
fn a_user_who_has_the_name_of_a_hash_does_not_get_its_sessions() {
    let mut sealed = Sealed::new(ring());
    sealed.store = sealed.store.accept_plain(true);
    sealed.create(1, "alice");
    let hash = sealed.kept(1).state.user.unwrap();
    assert_eq!(sealed.of_user(&hash), []);
    sealed.create(2, &hash);
    assert_eq!(sealed.of_user(&hash), [id(2)]);
}
