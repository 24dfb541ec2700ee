//! One session's file: every byte, and what it means.
//!
//! All numbers are little-endian. All checksums are XXH3 with 64 bits, seeded with the
//! session's ID, so that bytes from another session's file never pass. A part that is all
//! zeros was never written.
//!
//! # The header, 512 bytes
//!
//! | offset | bytes | content |
//! | --- | --- | --- |
//! | 0 | 8 | magic number, `session3` |
//! | 8 | 4 | version of this format, 1 |
//! | 12 | 4 | zeros |
//! | 16 | 16 | session ID, as a number |
//! | 32 | 8 | tombstone: zeros while the session exists; any byte of ones ends it |
//! | 40 | 24 | location of slot 0 |
//! | 64 | 24 | location of slot 1 |
//! | 88 | 40 | touch cell 0 |
//! | 128 | 40 | touch cell 1 |
//! | 168 | 16 | durable version |
//! | 184 | 328 | zeros |
//!
//! **The location of a slot**: checksum of the next 16 bytes, offset, capacity (8 bytes
//! each). The capacity is a power of two and at least 512. The first two slots follow the
//! header and each other.
//!
//! **A touch cell**: checksum of the next 32 bytes, the version that was touched, sequence
//! number, `expires`, `modified` (8 bytes each). A cell applies only to the slot with
//! exactly that version. If both cells apply, the one with the higher sequence number
//! counts.
//!
//! **The durable version**: checksum of the next 8 bytes, the latest version that is known
//! to survive a power cut. It is written after a flush and not flushed itself. It applies
//! only to exactly that version, and says that the file's name and the entry of the index
//! are durable, too.
//!
//! # A slot
//!
//! | offset | bytes | content |
//! | --- | --- | --- |
//! | 0 | 8 | checksum of the rest, up to the end of the data |
//! | 8 | 8 | version, at least 1 |
//! | 16 | 8 | `expires` |
//! | 24 | 8 | `modified` |
//! | 32 | 4 | length of the user, all ones for no user |
//! | 36 | 4 | length of the data |
//! | 40 | | user, in UTF-8, then data |
//!
//! # How a record changes
//!
//! - A create writes slot 0, padded with zeros to the end of the page, so that later one
//!   read gets the whole file. Then it writes the header, so a file with a header has a
//!   whole slot. A file with zeros in the place of the header, or with only the beginning
//!   of it, is a create that never finished.
//! - A save writes the slot that does not hold the latest version, so the latest version
//!   is whole at every instant. If the state does not fit, the save writes it to a new
//!   place at the end of the file, and then that location into the header.
//! - A touch writes the cell that is not the latest. A power cut can leave a cell for a
//!   version which it took back. The next save or touch erases such a cell for good before
//!   it writes anything else: until the erasure is durable, a cell for version 2⁶⁴ - 1
//!   stands in its place.
//! - A delete writes the tombstone and then unlinks the file, so that file descriptors
//!   which are still open, and hard-linked backups, cannot revive the session. On a full
//!   disk, where the tombstone cannot be written, the delete removes all bytes of the file
//!   instead, and if that fails as well, it only unlinks the file.
//! - An import, which copies a session from another store, writes the slot that is not the
//!   latest like a save. If its version is not a higher one, the import then erases the
//!   other slot.
//!
//! With [`Durability::Disk`](crate::Durability::Disk), each change is flushed before it is
//! acknowledged. Before a slot is overwritten, the other one is durable: either the header
//! says so, or it is written again and flushed. (After a flush that failed, the system may
//! report unwritten data as written.)
//!
//! The header has no checksum as a whole: it relies on the medium writing a sector of 512
//! bytes completely or not at all.
//!
//! All changes hold the file's lock. A reader without the lock may see any of them
//! half-way, which is why [`Record::is_settled`] requires more than one whole slot.

use std::ops::Range;

use bincode::{Decode, Encode};
use session3_store::{SessionId, SessionState, StoreError, StoredSession, Timestamp, Version};

use crate::codec::{CHECKSUM, Checked, checksum_of, decode, decode_checked, encode_into, is_zero};
use crate::files::RecordFile;

/// The largest state that the format holds, in bytes. A file that claims more is damaged,
/// and is not read.
pub const MAX_STATE_BYTES: u64 = 64 << 20;

const MAGIC: [u8; 8] = *b"session3";
const FORMAT: u32 = 1;
pub(crate) const HEADER: usize = 512;
pub(crate) const TOMBSTONE_AT: usize = 32;
pub(crate) const LOCATIONS_AT: usize = 40;
pub(crate) const CELLS_AT: usize = 88;
pub(crate) const DURABLE_AT: usize = 168;
pub(crate) const LOCATION: usize = 24;
pub(crate) const CELL: usize = 40;
pub(crate) const DURABLE: usize = 16;
pub(crate) const SLOT_HEAD: usize = 40;
pub(crate) const NO_USER: u32 = u32::MAX;
const FOREIGN: &str = "it does not begin like a session's file";
const MAX_CAPACITY: u64 = (MAX_STATE_BYTES + SLOT_HEAD as u64).next_power_of_two();
/// The largest offset of a slot. No session's file grows that far.
pub(crate) const MAX_OFFSET: u64 = 1 << 40;
/// The size of the first read: one page, which holds the header and two slots of a usual
/// session.
pub(crate) const FIRST_READ: usize = 4096;

/// How the header begins.
#[derive(Encode, Decode)]
pub(crate) struct Identity {
    magic: [u8; 8],
    format: u32,
    reserved: u32,
    id: u128,
    tombstone: u64,
}

/// Where a slot is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub(crate) struct Location {
    pub offset: u64,
    pub capacity: u64,
}

/// What a touch wrote.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub(crate) struct Cell {
    pub version: Version,
    pub sequence: u64,
    pub expires: Timestamp,
    pub modified: Timestamp,
}

/// The version that is known to survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub(crate) struct DurableVersion {
    pub version: Version,
}

/// How a slot begins, after its checksum.
#[derive(Debug, Encode, Decode)]
pub(crate) struct SlotHead {
    pub version: Version,
    pub expires: Timestamp,
    pub modified: Timestamp,
    pub user_length: u32,
    pub data_length: u32,
}

/// A whole slot, as a read found it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub head: SlotHead,
    /// Where the user and the data are in the slot's bytes.
    user: Option<Range<usize>>,
    data: Range<usize>,
    bytes: SlotBytes,
}

/// Where the bytes of a slot are.
#[derive(Debug)]
enum SlotBytes {
    /// Within the first read, from this offset on.
    Start(usize),
    /// In a read of their own.
    Own(Vec<u8>),
}

/// A session's file as one read found it.
#[derive(Debug)]
pub struct Record {
    pub(crate) id: SessionId,
    pub(crate) locations: [Checked<Location>; 2],
    pub(crate) cells: [Checked<Cell>; 2],
    pub(crate) durable: Checked<DurableVersion>,
    slots: [Checked<Slot>; 2],
    /// The bytes of the first read.
    start: Vec<u8>,
    /// The end of the last slot.
    pub(crate) end: u64,
}

impl Record {
    /// Reads a session's file. Returns `None` if it holds no session: it is a create that
    /// never finished, or has a tombstone.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if the file is damaged. Without the lock, it may also mean
    /// that another process is writing at this moment.
    pub fn read(file: &impl RecordFile, id: &SessionId) -> Result<Option<Self>, StoreError> {
        let start = file.read_at(0, FIRST_READ)?;
        let Some(header) = start.get(..HEADER) else {
            return is_unfinished(&start, id).map(|()| None);
        };
        if !is_alive(header, id)? {
            return Ok(None);
        }
        let locations = [0, 1].map(|index| {
            let bytes = &header[LOCATIONS_AT + index * LOCATION..][..LOCATION];
            match Location::decode(bytes, id) {
                // A whole header has the locations of both slots.
                Checked::Never => Checked::Torn,
                location => location,
            }
        });
        let cells =
            [0, 1].map(|index| decode_checked(&header[CELLS_AT + index * CELL..][..CELL], id));
        let durable = decode_checked(&header[DURABLE_AT..][..DURABLE], id);
        let mut slots = [Checked::Torn, Checked::Torn];
        let mut end = HEADER as u64;
        for (slot, location) in slots.iter_mut().zip(&locations) {
            if let Checked::Whole(location) = location {
                *slot = read_slot(file, &start, *location, id)?;
                end = end.max(location.offset + location.capacity);
            }
        }
        Ok(Some(Self {
            id: *id,
            locations,
            cells,
            durable,
            slots,
            start,
            end,
        }))
    }

    /// Returns the session's ID.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Returns whether a read without the lock can be trusted: nothing in it is half
    /// written. Otherwise the torn slot may be the latest save, or a save may have
    /// happened between the parts of the read.
    pub fn is_settled(&self) -> bool {
        let is_torn = |slot: &Checked<Slot>| matches!(slot, Checked::Torn);
        let has_torn_cell = self.cells.iter().any(|cell| matches!(cell, Checked::Torn));
        !has_torn_cell && !self.slots.iter().any(is_torn) && self.latest().is_ok()
    }

    /// Returns the session of the latest whole slot.
    pub fn session(&self) -> Result<StoredSession, StoreError> {
        let (_, slot) = self.latest()?;
        let bytes = self.bytes(slot);
        let user = self.user()?.map(str::to_owned);
        Ok(StoredSession {
            id: self.id,
            version: slot.head.version,
            modified: self.modified()?,
            state: SessionState {
                user,
                expires: self.expires()?,
                data: bytes.get(slot.data.clone()).unwrap_or_default().to_vec(),
            },
        })
    }

    /// Returns the version of the latest whole slot.
    pub fn version(&self) -> Result<Version, StoreError> {
        Ok(self.latest()?.1.head.version)
    }

    /// Returns the version that the next save makes.
    pub fn next_version(&self) -> Result<Version, StoreError> {
        successor(self.version()?)
    }

    /// Returns the user of the latest whole slot.
    pub fn user(&self) -> Result<Option<&str>, StoreError> {
        let (_, slot) = self.latest()?;
        let user = slot
            .user
            .clone()
            .and_then(|user| self.bytes(slot).get(user));
        // Decoding the slot checked that it is UTF-8.
        Ok(user.and_then(|user| std::str::from_utf8(user).ok()))
    }

    /// Returns the time from which the session may be deleted.
    pub fn expires(&self) -> Result<Timestamp, StoreError> {
        let (_, slot) = self.latest()?;
        let touched = self.touched(slot.head.version);
        Ok(touched.map_or(slot.head.expires, |cell| cell.expires))
    }

    /// Returns the time of the last create, save or touch.
    pub fn modified(&self) -> Result<Timestamp, StoreError> {
        let (_, slot) = self.latest()?;
        let touched = self.touched(slot.head.version);
        Ok(touched.map_or(slot.head.modified, |cell| cell.modified))
    }

    /// Returns the latest whole slot and its index.
    pub(crate) fn latest(&self) -> Result<(usize, &Slot), StoreError> {
        let whole = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| match slot {
                Checked::Whole(slot) => Some((index, slot)),
                Checked::Never | Checked::Torn => None,
            });
        whole
            .max_by_key(|(_, slot)| slot.head.version)
            .ok_or_else(|| StoreError::Corrupt("neither of its two slots is whole".into()))
    }

    /// Returns the bytes from the slot's checksum to the end of its data, or further.
    pub(crate) fn bytes<'a>(&'a self, slot: &'a Slot) -> &'a [u8] {
        match &slot.bytes {
            SlotBytes::Start(offset) => self.start.get(*offset..).unwrap_or_default(),
            SlotBytes::Own(bytes) => bytes,
        }
    }

    /// Returns the latest touch of a version.
    pub(crate) fn touched(&self, version: Version) -> Option<Cell> {
        let whole = self.cells.iter().filter_map(|cell| match cell {
            Checked::Whole(cell) if cell.version == version => Some(*cell),
            _ => None,
        });
        whole.max_by_key(|cell| cell.sequence)
    }

    /// Returns whether the latest slot, its name and its entry of the index are known to
    /// survive a power cut.
    pub fn is_durable(&self) -> Result<bool, StoreError> {
        let version = self.version()?;
        Ok(self.durable == Checked::Whole(DurableVersion { version }))
    }
}

impl Identity {
    /// Encodes the beginning of the header of a session that exists.
    pub fn encoded(id: &SessionId) -> Result<[u8; LOCATIONS_AT], StoreError> {
        let identity = Self {
            magic: MAGIC,
            format: FORMAT,
            reserved: 0,
            id: id.to_bits(),
            tombstone: 0,
        };
        let mut bytes = [0; LOCATIONS_AT];
        encode_into(identity, &mut bytes)?;
        Ok(bytes)
    }
}

/// Returns whether a header belongs to a session that exists. It is an error if this is
/// not the header of session `id`.
fn is_alive(header: &[u8], id: &SessionId) -> Result<bool, StoreError> {
    let identity: Identity = decode(header)?;
    let corrupt = |how: &str| Err(StoreError::Corrupt(how.into()));
    if identity.magic != MAGIC {
        return match is_zero_but_tombstone(header) {
            true => Ok(false),
            false => corrupt(FOREIGN),
        };
    }
    if identity.format != FORMAT {
        let format = identity.format;
        return corrupt(&format!(
            "it has format {format}, this program knows format {FORMAT}: use a newer one"
        ));
    }
    if identity.id != id.to_bits() {
        return corrupt("it is the file of another session");
    }
    // A delete that was interrupted may have written only some of these bytes.
    let tombstone = identity.tombstone.to_le_bytes();
    if !tombstone.iter().all(|byte| [0, u8::MAX].contains(byte)) {
        return corrupt("its tombstone has other bytes than zeros and ones");
    }
    Ok(is_zero(&tombstone))
}

/// Checks that a file which is shorter than a header is the beginning of this session's.
fn is_unfinished(start: &[u8], id: &SessionId) -> Result<(), StoreError> {
    let length = start.len().min(TOMBSTONE_AT);
    let is_begun = start[..length] == Identity::encoded(id)?[..length];
    match is_begun || is_zero_but_tombstone(start) {
        true => Ok(()),
        false => Err(StoreError::Corrupt(FOREIGN.into())),
    }
}

/// Returns whether all bytes outside the tombstone are zero.
fn is_zero_but_tombstone(bytes: &[u8]) -> bool {
    let rest = bytes.get(LOCATIONS_AT..).unwrap_or_default();
    is_zero(&bytes[..bytes.len().min(TOMBSTONE_AT)]) && is_zero(rest)
}

/// Reads the slot at a location, from the first read if it is in there.
fn read_slot(
    file: &impl RecordFile,
    start: &[u8],
    location: Location,
    id: &SessionId,
) -> Result<Checked<Slot>, StoreError> {
    let (Ok(offset), Ok(capacity)) = (
        usize::try_from(location.offset),
        usize::try_from(location.capacity),
    ) else {
        return Ok(Checked::Torn);
    };
    let end = offset.saturating_add(capacity);
    let file_ends = start.len() < FIRST_READ;
    if end <= start.len() || file_ends {
        let bytes = start.get(offset..end.min(start.len())).unwrap_or_default();
        return Ok(Slot::decode(bytes, SlotBytes::Start(offset), id));
    }
    // A damaged location may claim more than the file has.
    let rest = file.size()?.saturating_sub(location.offset);
    let length = capacity.min(usize::try_from(rest).unwrap_or(capacity));
    let bytes = file.read_at(location.offset, length)?;
    let mut slot = Slot::decode(&bytes, SlotBytes::Start(0), id);
    if let Checked::Whole(slot) = &mut slot {
        slot.bytes = SlotBytes::Own(bytes);
    }
    Ok(slot)
}

impl Location {
    fn decode(bytes: &[u8], id: &SessionId) -> Checked<Self> {
        match decode_checked::<Self>(bytes, id) {
            Checked::Whole(location)
                if location.offset < HEADER as u64
                    || location.offset > MAX_OFFSET
                    || location.capacity > MAX_CAPACITY =>
            {
                Checked::Torn
            }
            location => location,
        }
    }
}

impl Slot {
    /// Returns the number of bytes from the slot's checksum to the end of its data.
    pub fn length(&self) -> usize {
        self.data.end
    }

    fn decode(bytes: &[u8], at: SlotBytes, id: &SessionId) -> Checked<Self> {
        let Some(head) = bytes.get(..SLOT_HEAD) else {
            return if is_zero(bytes) {
                Checked::Never
            } else {
                Checked::Torn
            };
        };
        if is_zero(head) {
            return Checked::Never;
        }
        Self::decode_whole(bytes, at, id).map_or(Checked::Torn, Checked::Whole)
    }

    fn decode_whole(bytes: &[u8], at: SlotBytes, id: &SessionId) -> Option<Self> {
        let (checksum, rest) = bytes.split_first_chunk::<CHECKSUM>()?;
        let head: SlotHead = decode(rest).ok()?;
        let user_length = match head.user_length {
            NO_USER => 0,
            length => usize::try_from(length).ok()?,
        };
        let data_at = SLOT_HEAD.checked_add(user_length)?;
        let end = data_at.checked_add(usize::try_from(head.data_length).ok()?)?;
        let covered = bytes.get(CHECKSUM..end)?;
        if u64::from_le_bytes(*checksum) != checksum_of(covered, id) {
            return None;
        }
        let has_user = head.user_length != NO_USER;
        std::str::from_utf8(bytes.get(SLOT_HEAD..data_at)?).ok()?;
        Some(Self {
            head,
            user: has_user.then_some(SLOT_HEAD..data_at),
            data: data_at..end,
            bytes: at,
        })
    }
}

/// Returns the next version or sequence number. Only damage has the last number: no
/// session is saved that often.
pub(crate) fn successor(number: u64) -> Result<u64, StoreError> {
    let next = number.checked_add(1);
    next.ok_or_else(|| StoreError::Corrupt("it has the last number that there is".into()))
}
