//! What wit-bindgen makes of `wit/`, and nothing else.

wit_bindgen::generate!({
    path: "../../wit",
    inline: r"
        package session3:relay;

        world relay {
            import session3:sessions/store@0.1.0;
            export session3:sessions/store@0.1.0;
        }
    ",
    generate_all,
});
