//! The fuzz target `sealed`: a sealed state with arbitrary bytes.

use std::sync::Arc;

use session3_store::{
    Finding, Maintenance, MemoryStore, SessionId, SessionState, SessionStore, StoreError,
    StoredSession,
};
use session3_store_encrypted::{EncryptedStore, Keyring};

use crate::{ID, RUNTIME};

const USER: &str = "alice";
/// What the engine has in place of this user.
const USER_HASH: &str = "969ab3fa2c594509c326ae644db1f0e9";
/// The data of the states in the corpus that can be opened.
const DATA: [&[u8]; 3] = [b"", b"pears", &[7; 700]];

/// Runs the target `sealed`: takes the bytes for the sealed state of a session.
///
/// # Panics
///
/// If bytes are opened that the key ring has not sealed, or if the results of two calls contradict
/// each other.
pub fn sealed(bytes: &[u8]) {
    for accepts_plain in [false, true] {
        RUNTIME.block_on(examine(bytes, accepts_plain));
    }
}

/// Returns whether the bytes are a sealed state that can be opened.
pub fn opens(bytes: &[u8]) -> bool {
    RUNTIME.block_on(examine(bytes, false))
}

/// Returns whether the session can be loaded.
async fn examine(bytes: &[u8], accepts_plain: bool) -> bool {
    let id = SessionId::from(ID);
    let kept = StoredSession {
        id,
        version: 3,
        modified: 4,
        state: SessionState {
            user: Some(USER_HASH.into()),
            expires: 7,
            data: bytes.into(),
        },
    };
    let engine = Arc::new(MemoryStore::new(|| 5));
    engine.import_session(&kept, None).await.unwrap();
    let ring = Keyring::generate(&|bytes: &mut [u8]| bytes.fill(1), "today");
    let store = EncryptedStore::new(engine.clone(), ring).accept_plain(accepts_plain);

    let loaded = store.load_session(&id).await;
    let page = store.iter_sessions(None, 10).await.unwrap();
    let mut findings = Vec::new();
    let mut found = |finding| findings.push(finding);
    let report = store.check(false, &mut found).await.unwrap();
    let anew = store.seal_anew(&id).await;
    let is_loaded = match loaded {
        Ok(loaded) => {
            let loaded = loaded.unwrap();
            let is_plain = loaded.state == kept.state;
            let is_sealed =
                loaded.state.user.as_deref() == Some(USER) && DATA.contains(&&*loaded.state.data);
            assert!(is_sealed || accepts_plain && is_plain, "{loaded:?}");
            assert_eq!(page.sessions, std::slice::from_ref(&loaded));
            assert_eq!((report.sessions, report.damaged), (1, 0));
            anew.unwrap();
            assert_eq!(store.load_session(&id).await, Ok(Some(loaded)));
            true
        }
        Err(error) => {
            let is_corrupt = matches!(error, StoreError::Corrupt(_));
            let is_unavailable = matches!(error, StoreError::Unavailable(_));
            assert!(is_corrupt || is_unavailable, "{error:?}");
            assert_eq!((page.sessions, page.damaged.len()), (Vec::new(), 1));
            assert_eq!(report.damaged, u64::from(is_corrupt));
            let is_damaged = matches!(findings[..], [Finding::Damaged(..)]);
            assert_eq!((findings.len(), is_damaged), (1, is_corrupt));
            assert_eq!(engine.load_session(&id).await, Ok(Some(kept)));
            false
        }
    };
    assert_eq!(store.delete_session(&id).await, Ok(true));
    is_loaded
}
