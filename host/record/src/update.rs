//! Writing a session's file: the steps of each change, which [`record`](crate::record)
//! describes. Every function requires the file's exclusive lock.

use session3_store::{SessionId, SessionState, StoreError, Timestamp, Version};

use crate::Durability;
use crate::codec::{CHECKSUM, Checked, encode_checked, encode_into, seal};
use crate::files::LockedFile;
use crate::record::{
    CELL, CELLS_AT, Cell, DURABLE, DURABLE_AT, DurableVersion, FIRST_READ, HEADER, Identity,
    LOCATION, LOCATIONS_AT, Location, MAX_OFFSET, MAX_STATE_BYTES, NO_USER, Record, SLOT_HEAD,
    SlotHead, TOMBSTONE_AT, successor,
};

/// What the tombstone of a deleted session is.
const TOMBSTONE: u64 = u64::MAX;
/// The smallest capacity of a slot.
const MIN_CAPACITY: u64 = 512;

/// The bytes of a slot, ready to be written.
pub struct EncodedSlot {
    version: Version,
    expires: Timestamp,
    modified: Timestamp,
    bytes: Vec<u8>,
}

impl EncodedSlot {
    /// Encodes a state as the slot of a version that is modified at this time.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] if the format has no room for the lengths.
    pub fn new(
        id: &SessionId,
        version: Version,
        state: &SessionState,
        modified: Timestamp,
    ) -> Result<Self, StoreError> {
        let user = state.user.as_deref().map(str::as_bytes);
        let length = |bytes: &[u8]| {
            u32::try_from(bytes.len()).map_err(|_| StoreError::TooLarge(MAX_STATE_BYTES))
        };
        let head = SlotHead {
            version,
            expires: state.expires,
            modified,
            user_length: user.map_or(Ok(NO_USER), length)?,
            data_length: length(&state.data)?,
        };
        let user = user.unwrap_or_default();
        let mut bytes = Vec::with_capacity(SLOT_HEAD + user.len() + state.data.len());
        bytes.resize(SLOT_HEAD, 0);
        encode_into(head, &mut bytes[CHECKSUM..])?;
        bytes.extend_from_slice(user);
        bytes.extend_from_slice(&state.data);
        seal(&mut bytes, id);
        Ok(Self {
            version,
            expires: state.expires,
            modified,
            bytes,
        })
    }

    /// Returns the version of the slot.
    pub fn version(&self) -> Version {
        self.version
    }
}

impl Record {
    /// Writes a new session into an empty file: its slot, then the header.
    pub fn create(
        file: &impl LockedFile,
        id: &SessionId,
        slot: EncodedSlot,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let capacity = capacity_for(slot.bytes.len());
        let first = HEADER as u64;
        let mut header = [0; HEADER];
        header[..LOCATIONS_AT].copy_from_slice(&Identity::encoded(id)?);
        for (index, offset) in [first, first + capacity].into_iter().enumerate() {
            let location = Location { offset, capacity };
            let at = LOCATIONS_AT + index * LOCATION;
            let location = encode_checked::<LOCATION>(location, id)?;
            header[at..at + LOCATION].copy_from_slice(&location);
        }
        let mut page = slot.bytes;
        page.resize(page.len().max(FIRST_READ - HEADER), 0);
        file.write_at(&page, first)?;
        if durability == Durability::Disk {
            // A durable header promises a durable slot.
            sync(file)?;
        }
        file.write_at(&header, 0)?;
        match durability {
            Durability::Process => Ok(()),
            Durability::Disk => sync(file),
        }
    }

    /// Writes the next version into the slot that is not the latest. This record must have
    /// been read under the lock that `file` holds.
    pub fn save(
        &self,
        file: &impl LockedFile,
        slot: &EncodedSlot,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.erase_lost_touches(file)?;
        self.write_older_slot(file, slot)?;
        if durability == Durability::Disk {
            sync(file)?;
            note_durable(file, &self.id, slot.version)?;
        }
        Ok(())
    }

    /// Replaces the session by a slot of any version, which another store had. This record
    /// must have been read under the lock that `file` holds.
    pub fn import(
        &self,
        file: &impl LockedFile,
        slot: &EncodedSlot,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let (latest, current) = self.latest()?;
        if slot.version > current.head.version {
            return self.save(file, slot, durability);
        }
        self.erase_lost_touches(file)?;
        // The note would otherwise also apply to the new state of the same version.
        file.write_at(&[0; DURABLE], DURABLE_AT as u64)?;
        self.write_older_slot(file, slot)?;
        if durability == Durability::Disk {
            // One of the two slots must survive a power cut at every instant.
            sync(file)?;
        }
        if let Checked::Whole(location) = &self.locations[latest] {
            file.write_at(&[0; SLOT_HEAD], location.offset)?;
        }
        if self.touched(slot.version).is_some() {
            self.write_touch(file, slot.version, slot.expires, slot.modified)?;
        }
        if durability == Durability::Disk {
            sync(file)?;
            note_durable(file, &self.id, slot.version)?;
        }
        Ok(())
    }

    /// Writes `expires` and `modified` of the latest slot into the cell that is not the
    /// latest. This record must have been read under the lock that `file` holds.
    pub fn touch(
        &self,
        file: &impl LockedFile,
        expires: Timestamp,
        now: Timestamp,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.erase_lost_touches(file)?;
        self.write_touch(file, self.version()?, expires, now)?;
        match durability {
            Durability::Process => Ok(()),
            Durability::Disk => sync(file),
        }
    }

    /// Makes the latest slot durable, before the other one is overwritten.
    pub fn make_durable(&self, file: &impl LockedFile) -> Result<(), StoreError> {
        let (latest, slot) = self.latest()?;
        if let Checked::Whole(location) = self.locations[latest] {
            let whole = self.bytes(slot).get(..slot.length()).unwrap_or_default();
            file.write_at(whole, location.offset)?;
            self.write_location(file, latest, location)?;
        }
        sync(file)
    }

    /// Writes the tombstone, whatever the file contains, so that every process which has the
    /// file open finds that there is no session.
    ///
    /// If the write fails, this removes all bytes instead, which means the same. On a file
    /// system that never overwrites a block, a write needs space, and removing bytes may not.
    pub fn write_tombstone(file: &impl LockedFile, id: &SessionId) -> Result<(), StoreError> {
        let Err(error) = file.write_at(&TOMBSTONE.to_le_bytes(), TOMBSTONE_AT as u64) else {
            return Ok(());
        };
        let holds_nothing = matches!(Self::read(file, id), Ok(None));
        match holds_nothing || file.truncate().is_ok() {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Writes a slot in the place of the one that is not the latest, or at the end of the
    /// file if it does not fit there.
    fn write_older_slot(
        &self,
        file: &impl LockedFile,
        slot: &EncodedSlot,
    ) -> Result<(), StoreError> {
        let older = 1 - self.latest()?.0;
        let needed = capacity_for(slot.bytes.len());
        match &self.locations[older] {
            Checked::Whole(location) if location.capacity >= needed => {
                file.write_at(&slot.bytes, location.offset)
            }
            _ => {
                let location = Location {
                    offset: self.end.max(file.size()?).next_multiple_of(HEADER as u64),
                    capacity: needed,
                };
                if location.offset > MAX_OFFSET {
                    return Err(StoreError::Corrupt("its file has no end in sight".into()));
                }
                file.write_at(&slot.bytes, location.offset)?;
                self.write_location(file, older, location)
            }
        }
    }

    /// Writes a touch into the cell that is not the latest.
    fn write_touch(
        &self,
        file: &impl LockedFile,
        version: Version,
        expires: Timestamp,
        modified: Timestamp,
    ) -> Result<(), StoreError> {
        let [first, second] = [0, 1].map(|index| match &self.cells[index] {
            Checked::Whole(cell) => cell.sequence,
            Checked::Never | Checked::Torn => 0,
        });
        let cell = Cell {
            version,
            sequence: successor(first.max(second))?,
            expires,
            modified,
        };
        let older = usize::from(first > second);
        self.write_cell(file, older, &encode_checked(cell, &self.id)?)
    }

    /// Erases touches of versions that a power cut took back. They must not apply to the
    /// next state that gets this version, not even after another power cut, so the erasure
    /// is durable before anything else is written.
    ///
    /// Until then, a touch of a version that never comes stands in their place, so that
    /// the next writer after a kill repeats the erasure.
    fn erase_lost_touches(&self, file: &impl LockedFile) -> Result<(), StoreError> {
        let version = self.version()?;
        let is_lost = self
            .cells
            .each_ref()
            .map(|cell| matches!(cell, Checked::Whole(cell) if cell.version > version));
        if is_lost == [false; 2] {
            return Ok(());
        }
        let replace = |new: [u8; CELL]| {
            let mut lost = (0..2).filter(|index| is_lost[*index]);
            lost.try_for_each(|index| self.write_cell(file, index, &new))
        };
        replace(encode_checked(Cell::NEVER, &self.id)?)?;
        sync(file)?;
        replace([0; CELL])
    }

    fn write_cell(
        &self,
        file: &impl LockedFile,
        index: usize,
        cell: &[u8; CELL],
    ) -> Result<(), StoreError> {
        file.write_at(cell, (CELLS_AT + index * CELL) as u64)
    }

    fn write_location(
        &self,
        file: &impl LockedFile,
        index: usize,
        location: Location,
    ) -> Result<(), StoreError> {
        let location = encode_checked::<LOCATION>(location, &self.id)?;
        file.write_at(&location, (LOCATIONS_AT + index * LOCATION) as u64)
    }
}

impl Cell {
    /// A touch that applies to no slot: no session is saved that often.
    const NEVER: Self = Self {
        version: Version::MAX,
        sequence: 0,
        expires: 0,
        modified: 0,
    };
}

/// Makes a record durable. After a failure, the content of the medium is unknown.
pub fn sync(file: &impl LockedFile) -> Result<(), StoreError> {
    file.sync().map_err(|error| match error {
        StoreError::Unavailable(what) => StoreError::Unavailable(format!(
            "{what}; whether the change would survive a power cut is not known"
        )),
        error => error,
    })
}

/// Notes in the header that a version is durable, which saves the next writer a flush.
pub fn note_durable(
    file: &impl LockedFile,
    id: &SessionId,
    version: Version,
) -> Result<(), StoreError> {
    let note = encode_checked::<DURABLE>(DurableVersion { version }, id)?;
    file.write_at(&note, DURABLE_AT as u64)
}

/// Returns the capacity of a slot of this length: a power of two, so that a session which
/// grows leaves less space unused than it holds.
fn capacity_for(length: usize) -> u64 {
    (length as u64).next_power_of_two().max(MIN_CAPACITY)
}
