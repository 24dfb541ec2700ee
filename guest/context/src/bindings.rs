//! The bindings that wit-bindgen generates from `wit/`.

wit_bindgen::generate!({
    path: "../../wit",
    world: "session-context",
    generate_all,
});
