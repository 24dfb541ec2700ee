//! A directory from which an application is served, and raw requests to the server.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use session3_test_program::{Browser, Demo, Page, session3};
use session3_test_support::wait_until;
use tempfile::TempDir;

/// A temporary directory in which commands of the program run.
pub struct Directory(TempDir);

impl Directory {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a key ring in the directory, and returns the path of its file.
    pub fn key_ring(&self) -> String {
        let made = self.command(&["key", "new", "keys"]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        self.path("keys").to_str().unwrap().to_owned()
    }

    /// Returns a command of the program, with the directory as its current one.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = session3();
        command.current_dir(&self.0).args(arguments);
        command
    }
}

/// A directory for an application, its sessions and the server's log.
pub struct Place {
    directory: Directory,
}

impl Place {
    /// Creates a directory with this application.
    pub fn new(application: &[u8]) -> Self {
        let directory = Directory::new();
        let place = Self { directory };
        place.write("application.wasm", application);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Returns the command that serves the application, with the directory as its current one.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.directory.command(&["serve", "application.wasm"]);
        command.args(arguments);
        command
    }

    /// Returns the command that also keeps sessions in the directory `sessions`.
    pub fn with_store(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.args(["--store", "sessions"]);
        command
    }

    pub fn serve(&self, arguments: &[&str]) -> Demo {
        self.run(&mut self.with_store(arguments))
    }

    pub fn run(&self, command: &mut Command) -> Demo {
        Demo::run(command.stderr(fs::File::create(self.path("log")).unwrap()))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Waits until the log contains this text.
    pub fn wait_for(&self, text: &str) {
        wait_until(text, || self.log().contains(text));
    }
}

/// Gets a page without a cookie.
pub fn get(server: &Demo, page: &str) -> Page {
    Browser::new().get(server, page)
}

/// Opens a connection and sends a request.
pub fn send(server: &Demo, request: &str) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address.trim_end_matches('/')).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Sends a request whose body lacks its last four bytes, and waits for the head of the response:
/// then an instance of the application waits for these bytes.
pub fn hold_instance(server: &Demo) -> TcpStream {
    const LENGTH: usize = 100_000;
    let head = format!(
        "POST /hold HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {LENGTH}\r\n\r\n"
    );
    let mut stream = send(server, &(head + &"x".repeat(LENGTH - 4)));
    let expected = b"HTTP/1.1 200 OK\r\n";
    let mut said = [0; 17];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, expected);
    stream
}

pub fn read(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A server that refuses a body need not read it to its end.
    let _ = stream.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}
