//! What wit-bindgen makes of `wit/`, and nothing else.

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package session3:test-guest;

        world test-guest {
            import wasi:http/types@0.2.6;
            export wasi:http/incoming-handler@0.2.6;
        }
    ",
    world: "session3:test-guest/test-guest",
    generate_all,
});
