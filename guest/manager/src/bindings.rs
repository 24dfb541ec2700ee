//! What wit-bindgen makes of `wit/`, and nothing else.

wit_bindgen::generate!({
    path: "../../wit",
    world: "session-manager",
    generate_all,
    additional_derives: [PartialEq],
});
