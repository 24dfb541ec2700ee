//! The bindings that wit-bindgen generates from `wit/`.

wit_bindgen::generate!({
    path: ["../../wit", "../../wit/worlds/session-manager.wit"],
    world: "session3:worlds/session-manager",
    generate_all,
    additional_derives: [PartialEq],
});
