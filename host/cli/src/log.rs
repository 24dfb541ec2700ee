//! The log of the program on standard error. A thread of its own writes it, so that no request
//! waits for a reader that has stalled.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The largest size of the lines that wait to be written, in bytes. More lines are dropped.
const MAX_WAITING: usize = 1 << 20;

/// How long the end of the program waits for a reader that has stalled.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The log. Clones share it; each call of [`Write::write`] is one line.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when a line arrives, and when all lines have been written.
    changed: Condvar,
}

/// The lines that wait to be written.
#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    /// The number of lines that were dropped since the last ones were taken.
    dropped: u64,
    is_writing: bool,
}

impl Log {
    /// Starts the thread that writes the log to `output`. `dropped_line` returns the line that
    /// says how many lines were dropped.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn start(
        output: impl Write + Send + 'static,
        dropped_line: fn(u64) -> String,
    ) -> io::Result<Self> {
        let log = Self {
            shared: Arc::default(),
        };
        let shared = log.shared.clone();
        thread::Builder::new()
            .name("log".into())
            .spawn(move || shared.write_forever(output, dropped_line))?;
        Ok(log)
    }

    /// Waits until all lines have been written, or a second has passed.
    pub fn finish(&self) {
        let mut queue = self.shared.queue.lock();
        let is_unfinished = |queue: &mut Queue| queue.is_writing || !queue.is_empty();
        self.shared
            .changed
            .wait_while_for(&mut queue, is_unfinished, FLUSH_LIMIT);
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.queue.lock().push(line);
        self.shared.changed.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn write_forever(&self, mut output: impl Write, dropped_line: fn(u64) -> String) {
        loop {
            let (lines, dropped) = self.next();
            // A failure, such as that of a closed pipe, cannot be reported anywhere.
            let _ = output.write_all(&lines);
            if dropped > 0 {
                let _ = writeln!(output, "{}", dropped_line(dropped));
            }
        }
    }

    /// Waits for lines, and takes all of them with the number of those dropped after them.
    fn next(&self) -> (Vec<u8>, u64) {
        let mut queue = self.queue.lock();
        queue.is_writing = false;
        self.changed.notify_all();
        self.changed
            .wait_while(&mut queue, |queue| queue.is_empty());
        queue.is_writing = true;
        (
            std::mem::take(&mut queue.lines),
            std::mem::take(&mut queue.dropped),
        )
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }

    /// Adds a line, or drops it. Once a line was dropped, all lines are, until those before
    /// it have been taken: the log says where lines are missing.
    fn push(&mut self, line: &[u8]) {
        if self.dropped > 0 || self.lines.len() + line.len() > MAX_WAITING {
            self.dropped += 1;
        } else {
            self.lines.extend_from_slice(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// An output whose writes end when the test receives what was written.
    struct Stalled(SyncSender<Vec<u8>>);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let sent = self.0.send(bytes.to_vec());
            sent.map_err(io::Error::other).map(|()| bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stalled() -> (Log, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(0);
        let dropped_line = |dropped| format!(" WARN dropped: {dropped}");
        let log = Log::start(Stalled(sender), dropped_line).expect("a thread");
        (log, receiver)
    }

    #[test]
    fn lines_beyond_the_limit_are_dropped_and_counted_where_they_are_missing() {
        let (mut log, written) = stalled();
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        for _ in 0..4096 {
            log.write_all(&line).expect("the log takes every line");
        }
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\n") || !String::from_utf8_lossy(&bytes).contains("WARN") {
            bytes.extend(written.recv().expect("a write"));
        }
        let text = String::from_utf8(bytes).expect("text");
        let kept = text.lines().filter(|line| line.starts_with('x')).count();
        assert!((1024..=2048).contains(&kept), "{kept}");
        let last = text.lines().last().expect("a line");
        assert!(last.ends_with(&format!(": {}", 4096 - kept)), "{last}");
    }

    #[test]
    fn a_flush_ends_although_the_output_stalls() {
        let (mut log, _written) = stalled();
        log.write_all(b"line\n").expect("the log takes every line");
        log.finish();
    }
}
