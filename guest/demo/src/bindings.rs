//! The bindings that wit-bindgen generates from `wit/`.

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package session3:demo;

        world demo {
            include session3:sessions/administration@0.2.0;
            import wasi:http/types@0.2.6;
            export wasi:http/incoming-handler@0.2.6;
        }
    ",
    world: "session3:demo/demo",
    with: {
        "wasi:clocks/monotonic-clock@0.2.6": session3_web::bindings::wasi::clocks::monotonic_clock,
        "wasi:http/types@0.2.6": session3_web::bindings::wasi::http::types,
        "wasi:io/error@0.2.6": session3_web::bindings::wasi::io::error,
        "wasi:io/poll@0.2.6": session3_web::bindings::wasi::io::poll,
        "wasi:io/streams@0.2.6": session3_web::bindings::wasi::io::streams,
    },
    generate_all,
});
