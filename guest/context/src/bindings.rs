//! What wit-bindgen makes of `wit/`, and nothing else.

wit_bindgen::generate!({
    path: "../../wit",
    world: "session-context",
    generate_all,
});
