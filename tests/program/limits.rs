//! What an application can make the server keep.

use session3_test_fixtures::GUEST;

use crate::place::{Place, get};

#[test]
fn the_memory_for_a_request_is_bounded_at_the_host_too() {
    let place = Place::new(GUEST);
    let server = place.serve(&["--max-instance-reuse", "100"]);
    assert_eq!(get(&server, "").status, 200);
    let before = server.memory("VmHWM");
    for path in ["fields", "bodies", "random"] {
        for _ in 0..5 {
            assert_eq!(get(&server, path).status, 500, "/{path}");
        }
    }
    let grown = server.memory("VmHWM") - before;
    assert!(grown < 150_000, "{grown} kB");
    assert_eq!(get(&server, "").status, 200);
}

#[test]
fn an_interim_response_is_an_error_of_the_application() {
    let place = Place::new(GUEST);
    let server = place.serve(&[]);
    for status in ["status/100", "status/103"] {
        assert_eq!(get(&server, status).status, 500);
    }
    assert_eq!(get(&server, "status/404").status, 404);
    assert!(
        place.log().contains("answered with the status 103"),
        "{}",
        place.log()
    );
}
