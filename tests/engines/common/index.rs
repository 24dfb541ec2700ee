//! The index by user, compared with the sessions.

use std::collections::BTreeMap;

use session3_store::{SessionId, SessionStore};

/// Checks that the index finds exactly the sessions of each user. Returns these.
pub async fn assert_exact(store: &dyn SessionStore) -> BTreeMap<String, Vec<SessionId>> {
    let mut by_user: BTreeMap<String, Vec<SessionId>> = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = store.iter_sessions(cursor.as_deref(), 100).await.unwrap();
        assert_eq!(page.damaged, []);
        for session in page.sessions {
            if let Some(user) = session.state.user {
                by_user.entry(user).or_default().push(session.id);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for (user, ids) in &by_user {
        let mut found = store.sessions_of_user(user).await.unwrap();
        found.sort();
        assert_eq!(found, *ids, "{user}");
    }
    by_user
}
