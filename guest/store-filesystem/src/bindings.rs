//! What wit-bindgen makes of the contract and of `wit/`, and nothing else.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "session3:store-filesystem/store-filesystem",
    generate_all,
});
