//! The bindings that wit-bindgen generates from `wit/`.
#![expect(missing_docs, reason = "the WIT has the documentation")]

wit_bindgen::generate!({
    path: "wit",
    world: "session3:sessions/application",
});

/// The session of the request that is being served.
#[cfg(feature = "middleware")]
pub mod behind_middleware {
    wit_bindgen::generate!({
        path: "wit",
        world: "session3:sessions/application-behind-middleware",
        with: {
            "session3:sessions/manager@0.2.0": crate::bindings::session3::sessions::manager,
            "session3:sessions/session-types@0.2.0":
                crate::bindings::session3::sessions::session_types,
        },
    });
}

/// The sessions of all users.
#[cfg(feature = "admin")]
pub mod administration {
    wit_bindgen::generate!({
        path: "wit",
        world: "session3:sessions/administration",
        with: {
            "session3:sessions/manager@0.2.0": crate::bindings::session3::sessions::manager,
            "session3:sessions/session-types@0.2.0":
                crate::bindings::session3::sessions::session_types,
        },
    });
}
