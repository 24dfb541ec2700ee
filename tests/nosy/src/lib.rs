//! An application that looks for what it may have been granted: `/environment`
//! says its variables, `/files` its directories, each with what `greeting.txt`
//! in it says and what the file above it says, `/network` tries the network.
//! `/print` prints, among other things what looks like the server's own log;
//! `/flood` prints a megabyte.

mod bindings;
#[path = "../../guest/src/respond.rs"]
mod respond;

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::cli::{environment, stderr, stdout};
use bindings::wasi::filesystem::preopens;
use bindings::wasi::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use bindings::wasi::http::types::{IncomingRequest, ResponseOutparam};
use bindings::wasi::sockets::{instance_network, ip_name_lookup};
use respond::respond;

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let text = match request.path_with_query().as_deref() {
            Some("/environment") => variables(),
            Some("/files") => files(),
            Some("/network") => look_up(),
            Some("/print") => print(),
            Some("/flood") => flood(),
            _ => "fine".into(),
        };
        respond(out, text.as_bytes(), || ());
    }
}

fn variables() -> String {
    let variables = environment::get_environment().into_iter();
    variables
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
}

fn files() -> String {
    let directories = preopens::get_directories().into_iter();
    directories
        .map(|(directory, name)| {
            let inside = read(&directory, "greeting.txt");
            let outside = read(&directory, "../outside.txt");
            format!("{name}: {inside} {outside}\n")
        })
        .collect()
}

fn read(directory: &Descriptor, path: &str) -> String {
    let file = directory.open_at(
        PathFlags::empty(),
        path,
        OpenFlags::empty(),
        DescriptorFlags::READ,
    );
    match file.and_then(|file| file.read(1024, 0)) {
        Ok((bytes, _)) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(code) => code.name().into(),
    }
}

fn look_up() -> String {
    let network = instance_network::instance_network();
    match ip_name_lookup::resolve_addresses(&network, "localhost") {
        Ok(_) => "it looks".into(),
        Err(code) => code.name().into(),
    }
}

fn print() -> String {
    let (out, error) = (stdout::get_stdout(), stderr::get_stderr());
    let lines = b"one\nINFO everything is fine\x1b[2J\ntwo\r INFO is";
    out.blocking_write_and_flush(lines).expect("it takes it");
    error
        .blocking_write_and_flush(b"oh\n")
        .expect("it takes it");
    "printed".into()
}

fn flood() -> String {
    let out = stdout::get_stdout();
    for _ in 0..256 {
        out.blocking_write_and_flush(&[b'x'; 4096])
            .expect("it takes it");
    }
    "printed".into()
}
