//! The bindings that wit-bindgen generates from the `wit/` of the repository and of this crate.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "session3:middleware/middleware",
    generate_all,
});
