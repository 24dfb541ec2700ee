//! Another server, which applications call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A server that answers every request with one text, until the tests end.
pub struct Neighbour {
    /// The host and the port.
    pub authority: String,
    /// The requests, with their heads and bodies.
    pub requests: Receiver<String>,
}

impl Neighbour {
    /// Starts a server on a free port.
    pub fn start(text: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A test that does not look at the requests may have ended.
                let _ = sender.send(answer(&stream.unwrap(), text));
            }
        });
        Self {
            authority,
            requests,
        }
    }
}

/// Answers a request, and returns it.
fn answer(mut stream: &TcpStream, text: &str) -> String {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut request).unwrap(), 0, "{request}");
    }
    let head = request.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    reader.take(length).read_to_string(&mut request).unwrap();
    let size = text.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n");
    stream.write_all((answer + text).as_bytes()).unwrap();
    request
}
