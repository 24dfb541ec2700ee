//! What wit-bindgen makes of `wit/`, and nothing else.

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package session3:test-administration;

        world test-administration {
            import session3:sessions/admin@0.1.0;
            import wasi:http/types@0.2.6;
            export wasi:http/incoming-handler@0.2.6;
        }
    ",
    world: "session3:test-administration/test-administration",
    generate_all,
});
