//! The contract as text, for tools that write it out.

/// The files of the package `session3:sessions`. The first one names the package, so that
/// all of them together are one text, too.
pub const CONTRACT: [(&str, &str); 9] = [
    (
        "session-types.wit",
        include_str!("../wit/session-types.wit"),
    ),
    ("manager.wit", include_str!("../wit/manager.wit")),
    ("store.wit", include_str!("../wit/store.wit")),
    ("events.wit", include_str!("../wit/events.wit")),
    ("admin.wit", include_str!("../wit/admin.wit")),
    ("reuse.wit", include_str!("../wit/reuse.wit")),
    ("current.wit", include_str!("../wit/current.wit")),
    ("context.wit", include_str!("../wit/context.wit")),
    ("worlds.wit", include_str!("../wit/worlds.wit")),
];

/// The packages of WASI that the contract depends on.
pub const DEPENDENCIES: [(&str, &str); 4] = [
    (
        "deps/wasi-clocks.wit",
        include_str!("../wit/deps/wasi-clocks.wit"),
    ),
    (
        "deps/wasi-http.wit",
        include_str!("../wit/deps/wasi-http.wit"),
    ),
    ("deps/wasi-io.wit", include_str!("../wit/deps/wasi-io.wit")),
    (
        "deps/wasi-random.wit",
        include_str!("../wit/deps/wasi-random.wit"),
    ),
];
