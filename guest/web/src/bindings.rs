//! The bindings that wit-bindgen generates from the HTTP types of WASI 0.2.
#![expect(missing_docs, reason = "the WIT has the documentation")]

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package session3:web;

        world web {
            import wasi:http/types@0.2.6;
        }
    ",
    world: "session3:web/web",
    generate_all,
});
