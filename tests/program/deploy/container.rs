//! `deploy/docker/Dockerfile`, whose steps run without Docker: its command makes the root
//! directory of the image, in which the program runs as the user of the image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use session3_components::DEMO;
use session3_test_program::{Browser, Demo, session3};
use tempfile::TempDir;

use super::{example, read, replaced, root, run};

/// Returns what follows a word at the beginning of a line of the Dockerfile, the last time that
/// it does, as one line.
fn instruction(name: &str) -> String {
    let file = read("docker/Dockerfile").replace("\\\n", "");
    let mut lines = file.lines().rev();
    let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    rest.unwrap_or_else(|| panic!("no {name}")).to_owned()
}

/// Returns the words of an instruction that is a list in JSON.
fn words(name: &str) -> Vec<String> {
    serde_json::from_str(&instruction(name)).unwrap()
}

/// The root directory of an image of the demo.
struct Image(TempDir);

impl Image {
    fn build() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("application.wasm"), DEMO).unwrap();
        let program = session3().get_program().to_str().unwrap().to_owned();
        let step = replaced(
            &instruction("RUN"),
            &[
                ("/application.wasm", &path("application.wasm")),
                ("/application.compiled", &path("application.compiled")),
                ("/image", &path("image")),
                ("target/release/session3", &program),
            ],
        );
        let mut shell = Command::new("sh");
        shell.current_dir(root()).args(["-c", &step]).env(
            "COMPILE_OPTIONS",
            format!("--grant admin --cache {}", path("cache")),
        );
        run(&mut shell, "coreutils");
        Self(directory)
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("image")
    }

    /// Serves as a container with a root directory that cannot be written, and a volume.
    fn serve(&self, volume: &Path) -> Demo {
        // Without /proc and /dev, which a container has, too.
        let script = "mount --bind \"$ROOT\" \"$ROOT\" \
            && mount --bind \"$VOLUME\" \"$ROOT/var/lib/session3\" \
            && mount -o remount,bind,ro \"$ROOT\" \
            && exec chroot --userspec=\"$AS_USER\" \"$ROOT\" \"$@\"";
        let words = [words("ENTRYPOINT"), words("CMD")].concat();
        let words = words.iter().map(|word| {
            let word = word.replace("0.0.0.0:8080", "127.0.0.1:0");
            let word = word.replace("0.0.0.0:9090", "127.0.0.1:0");
            // Then standard output has the addresses.
            word.replace("--log-format=json", "--log-format=text")
        });
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                script,
                "sh",
            ])
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("ROOT", self.root())
            .env("VOLUME", volume)
            .env("AS_USER", instruction("USER"))
            .stderr(fs::File::create(self.0.path().join("log")).unwrap());
        Demo::run_as_it_is(&mut command)
    }
}

#[test]
fn the_image_contains_what_serves_and_nothing_else() {
    // Only root can give a directory to the user of the image, and enter it.
    let is_root = rustix::process::geteuid().is_root();
    assert!(
        is_root,
        "a test that changes the root directory has to run as root"
    );
    let image = Image::build();
    let root = image.root();
    for missing in ["bin/sh", "usr/bin/sh", "bin/bash"] {
        assert!(!root.join(missing).exists(), "{missing}");
    }
    let volume = tempfile::tempdir().unwrap();
    let user = instruction("USER");
    let user: u32 = user.split(':').next().unwrap().parse().unwrap();
    std::os::unix::fs::chown(volume.path(), Some(user), Some(user)).unwrap();
    let server = image.serve(volume.path());
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    assert!(
        status.contains(&format!("Uid:\t{user}\t{user}\t")),
        "{status}"
    );
    let mut browser = Browser::new();
    browser.get(&server, "keep");
    browser.get(&server, "increment");
    assert_eq!(browser.look(&server).1, 1);
    let mut lines = server.greeting.iter();
    let metrics = lines.find_map(|line| line.strip_prefix("Metrics are at "));
    let ready = metrics.unwrap().replace("metrics.", "readyz");
    assert_eq!(ureq::get(&ready).call().unwrap().status(), 200);
    // As `STOPSIGNAL`.
    assert_eq!(instruction("STOPSIGNAL"), "SIGTERM");
    assert_eq!(server.stop().code(), Some(0));
    let log = fs::read_to_string(image.0.path().join("log")).unwrap();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    // The sessions are in the volume.
    assert!(fs::read_dir(volume.path()).unwrap().next().is_some());
}

#[test]
fn the_dockerfile_has_no_findings() {
    let linter = root().join("target/tools/hadolint/bin/hadolint");
    assert!(linter.exists(), "{}: run make hadolint", linter.display());
    let mut lint = Command::new(linter);
    lint.arg(example("docker/Dockerfile"));
    assert_eq!(run(&mut lint, "python3-venv"), "");
}

/// What the Dockerfile copies is there, and is not ignored.
#[test]
fn the_context_of_the_build_has_what_is_copied() {
    let ignore = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let file = read("docker/Dockerfile");
    let copies = file.lines().filter_map(|line| line.strip_prefix("COPY "));
    let mut count = 0;
    for copy in copies.filter(|copy| !copy.starts_with(['-', '$'])) {
        let (sources, _) = copy.rsplit_once(' ').unwrap();
        for source in sources.split(' ') {
            assert!(root().join(source).exists(), "{source}");
            assert!(
                ignore.lines().any(|line| line == format!("!{source}")),
                "{source}"
            );
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}
