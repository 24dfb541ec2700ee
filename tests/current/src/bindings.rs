//! What wit-bindgen makes of the contract and of WASI 0.3, and nothing else.

wit_bindgen::generate!({
    path: ["../../wit", "../../guest/middleware/wit"],
    inline: "
        package session3:test-current;

        world test-current {
            include session3:sessions/application-behind-middleware@0.1.0;
            import wasi:http/types@0.3.0;
            export wasi:http/handler@0.3.0;
        }
    ",
    world: "session3:test-current/test-current",
    generate_all,
});
