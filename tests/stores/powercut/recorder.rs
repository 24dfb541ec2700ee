//! Records the system calls of a store, and cuts an operation short.

use std::io;
use std::sync::Mutex;

use session3_store_directory::{Call, Watch};

use super::medium::Event;

/// What cuts an operation short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Accident {
    /// The process is killed after this many changes.
    Kill(usize),
    /// One flush fails, after this many that succeed.
    FailedFlush(usize),
}

/// Records the changes that a store makes.
#[derive(Default)]
pub struct Recorder {
    pub events: Mutex<Vec<Event>>,
    pub accident: Mutex<Option<Accident>>,
}

impl Recorder {
    /// Returns the number of changes up to now.
    pub fn now(&self) -> usize {
        self.events.lock().unwrap().len()
    }

    pub fn note(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    pub fn planned(&self) -> Option<Accident> {
        *self.accident.lock().unwrap()
    }

    /// Plans an accident, and returns what is left of the one planned before.
    pub fn plan(&self, accident: Option<Accident>) -> Option<Accident> {
        std::mem::replace(&mut *self.accident.lock().unwrap(), accident)
    }

    /// Returns an error if the planned accident happens at this call.
    pub fn check(&self, event: Option<&Event>) -> io::Result<()> {
        let mut accident = self.accident.lock().unwrap();
        match (&mut *accident, event) {
            (Some(Accident::Kill(0)), _) => return Err(io::ErrorKind::Other.into()),
            (Some(Accident::FailedFlush(0)), Some(Event::Flush(name))) => {
                self.note(Event::FailedFlush(name.clone()));
                *accident = None;
                return Err(io::ErrorKind::Other.into());
            }
            (Some(Accident::FailedFlush(0)), Some(Event::FlushDirectory(_))) => {
                *accident = None;
                return Err(io::ErrorKind::Other.into());
            }
            (Some(Accident::Kill(remaining)), Some(_))
            | (
                Some(Accident::FailedFlush(remaining)),
                Some(Event::Flush(_) | Event::FlushDirectory(_)),
            ) => *remaining -= 1,
            _ => {}
        }
        Ok(())
    }
}

impl Watch for Recorder {
    fn before(&self, call: Call) -> io::Result<usize> {
        let event = match call {
            Call::Create(name) => Some(Event::Create(name.into())),
            Call::Write {
                name,
                offset,
                bytes,
            } => Some(Event::Write(name.into(), offset, bytes.into())),
            Call::Flush(name) => Some(Event::Flush(name.into())),
            Call::Unlink(name) => Some(Event::Unlink(name.into())),
            Call::MakeDirectory(name) => Some(Event::MakeDirectory(name.into())),
            Call::FlushDirectory(name) => Some(Event::FlushDirectory(name.into())),
            _ => None,
        };
        self.check(event.as_ref())?;
        if let Some(event) = event {
            self.note(event);
        }
        Ok(usize::MAX)
    }
}
