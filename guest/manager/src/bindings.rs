//! The bindings that wit-bindgen generates from `wit/`.

wit_bindgen::generate!({
    path: "../../wit",
    world: "session-manager",
    generate_all,
    additional_derives: [PartialEq],
});
