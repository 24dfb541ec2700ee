//! What wit-bindgen makes of the contract and of `wit/`, and nothing else.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "session3:middleware/middleware",
    generate_all,
});
