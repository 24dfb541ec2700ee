//! The bytes of a session's file: all of them, and what they mean.
//!
//! Every number is little-endian. Every checksum is XXH3 with 64 bits, seeded
//! with the session's ID, so that bytes of another session's file never pass.
//! Zeros mean that something was never written.
//!
//! # The header, 512 bytes
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 8 | magic, `session3` |
//! | 8 | 4 | version of this format, 1 |
//! | 12 | 4 | zeros |
//! | 16 | 16 | session ID, as a number |
//! | 32 | 8 | tombstone: zeros while the session lives, all ones after |
//! | 40 | 24 | where slot 0 is |
//! | 64 | 24 | where slot 1 is |
//! | 88 | 40 | touch cell 0 |
//! | 128 | 40 | touch cell 1 |
//! | 168 | 344 | zeros |
//!
//! **Where a slot is**: checksum of the next 16 bytes, offset, capacity (8
//! bytes each). The capacity is a power of two, at least 512; the first two
//! slots follow the header and each other.
//!
//! **A touch cell**: checksum of the next 32 bytes, the version that was
//! touched, sequence number, `expires`, `modified` (8 bytes each). It counts
//! only for the slot of just that version; of two, the higher sequence number.
//!
//! # A slot
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 8 | checksum of the rest, up to the end of the data |
//! | 8 | 8 | version, 1 or more |
//! | 16 | 8 | `expires` |
//! | 24 | 8 | `modified` |
//! | 32 | 4 | length of the user, all ones for none |
//! | 36 | 4 | length of the data |
//! | 40 | | user, in UTF-8, then data |
//!
//! # How it changes
//!
//! - A create writes slot 0 and then the header, so a file with a header has a
//!   whole slot. A file without one is a create that never finished.
//! - A save writes the slot that is not the latest, so the latest is whole at
//!   every instant. A state that outgrows that slot gets a larger place at the
//!   end of the file; then the header is told where.
//! - A touch writes the cell that is not the latest.
//! - A delete writes the tombstone and then unlinks the file, so descriptors
//!   that are still open, and hard-linked backups, cannot revive it.
//!
//! All of these hold the file's lock. A reader without it may see any of them
//! half done, which is why [`Record::is_settled`] asks for more than one whole
//! slot.

use std::io;

use bincode::config::{Configuration, Fixint, LittleEndian};
use bincode::{Decode, Encode};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::fs::RecordFile;
use crate::store::{SessionId, SessionState, StoreError, StoredSession, Timestamp, Version};

/// The largest state that the format is used for, in bytes; what a file says
/// beyond this is damage, and is not read.
pub const MAX_STATE: u64 = 64 << 20;

const MAGIC: [u8; 8] = *b"session3";
const FORMAT: u32 = 1;
const HEADER: usize = 512;
const TOMBSTONE_AT: u64 = 32;
const PLACES_AT: usize = 40;
const CELLS_AT: usize = 88;
const PLACE: usize = 24;
const CELL: usize = 40;
const SLOT_HEAD: usize = 40;
const CHECKSUM: usize = 8;
const NO_USER: u32 = u32::MAX;
const MIN_CAPACITY: u64 = 512;
const MAX_CAPACITY: u64 = (MAX_STATE + SLOT_HEAD as u64).next_power_of_two();
/// One page: the header and two slots of a usual session.
const FIRST_READ: usize = 4096;

const LAYOUT: Configuration<LittleEndian, Fixint> = bincode::config::standard()
    .with_little_endian()
    .with_fixed_int_encoding();

/// How the header begins.
#[derive(Encode, Decode)]
struct Identity {
    magic: [u8; 8],
    format: u32,
    reserved: u32,
    id: u128,
    tombstone: u64,
}

/// Where a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Place {
    offset: u64,
    capacity: u64,
}

/// What a touch left.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Cell {
    version: Version,
    sequence: u64,
    expires: Timestamp,
    modified: Timestamp,
}

/// How a slot begins, after its checksum.
#[derive(Encode, Decode)]
struct SlotHead {
    version: Version,
    expires: Timestamp,
    modified: Timestamp,
    user_length: u32,
    data_length: u32,
}

/// What is in a slot.
#[derive(Clone, Debug, PartialEq)]
struct Slot {
    version: Version,
    modified: Timestamp,
    state: SessionState,
}

/// Something with a checksum.
#[derive(Clone, Debug, PartialEq)]
enum Checked<T> {
    /// Zeros, or beyond the end of the file.
    Never,
    /// Half written, or damaged.
    Torn,
    Whole(T),
}

/// A session's file as one read found it.
#[derive(Debug)]
pub struct Record {
    id: SessionId,
    places: [Checked<Place>; 2],
    cells: [Checked<Cell>; 2],
    slots: [Checked<Slot>; 2],
    /// Where nothing has been written yet.
    end: u64,
}

impl Record {
    /// Reads a session's file. `None` when it holds no session: a create that
    /// never finished, or a tombstone.
    ///
    /// Without the lock, `Corrupt` may mean no more than that somebody is
    /// writing just now.
    pub fn read(file: &RecordFile, id: &SessionId) -> Result<Option<Self>, StoreError> {
        let mut buffer = [0; FIRST_READ];
        let length = file.read_at(&mut buffer, 0)?;
        let start = &buffer[..length];
        let Some(header) = start.get(..HEADER) else {
            return Ok(None);
        };
        if !is_alive(header, id)? {
            return Ok(None);
        }
        let places = [0, 1].map(|index| {
            let place = Place::decode(&header[PLACES_AT + index * PLACE..][..PLACE], id);
            match place {
                // A header says where both slots are, or is not whole.
                Checked::Never => Checked::Torn,
                place => place,
            }
        });
        let cells =
            [0, 1].map(|index| Cell::decode(&header[CELLS_AT + index * CELL..][..CELL], id));
        let mut slots = [Checked::Torn, Checked::Torn];
        let mut end = HEADER as u64;
        for (slot, place) in slots.iter_mut().zip(&places) {
            if let Checked::Whole(place) = place {
                *slot = read_slot(file, start, *place, id)?;
                end = end.max(place.offset + place.capacity);
            }
        }
        Ok(Some(Self {
            id: *id,
            places,
            cells,
            slots,
            end,
        }))
    }

    /// Whether a read without the lock may be believed: nothing in it is half
    /// written. Otherwise the latest save may be the torn slot, or may have
    /// come and gone between the parts of the read.
    pub fn is_settled(&self) -> bool {
        let is_torn = |slot: &Checked<Slot>| matches!(slot, Checked::Torn);
        let has_torn_cell = self.cells.iter().any(|cell| matches!(cell, Checked::Torn));
        !has_torn_cell && !self.slots.iter().any(is_torn) && self.latest().is_ok()
    }

    /// The session of the latest whole slot.
    pub fn session(self) -> Result<StoredSession, StoreError> {
        let latest = self.latest()?;
        let touched = self.touched(self.version()?);
        let [first, second] = self.slots;
        let Checked::Whole(mut slot) = (if latest == 0 { first } else { second }) else {
            return Err(no_whole_slot());
        };
        if let Some(cell) = touched {
            slot.modified = cell.modified;
            slot.state.expires = cell.expires;
        }
        Ok(StoredSession {
            id: self.id,
            version: slot.version,
            modified: slot.modified,
            state: slot.state,
        })
    }

    /// The version of the latest whole slot.
    pub fn version(&self) -> Result<Version, StoreError> {
        self.slots
            .iter()
            .filter_map(Slot::version)
            .max()
            .ok_or_else(no_whole_slot)
    }

    fn latest(&self) -> Result<usize, StoreError> {
        let version = self.version()?;
        let is_latest = |slot: &Checked<Slot>| Slot::version(slot) == Some(version);
        Ok(usize::from(!is_latest(&self.slots[0])))
    }

    fn touched(&self, version: Version) -> Option<Cell> {
        let whole = self.cells.iter().filter_map(|cell| match cell {
            Checked::Whole(cell) if cell.version == version => Some(*cell),
            _ => None,
        });
        whole.max_by_key(|cell| cell.sequence)
    }

    /// Writes a new session into an empty file: its slot, then the header.
    pub fn create(
        file: &RecordFile,
        id: &SessionId,
        state: &SessionState,
        now: Timestamp,
    ) -> Result<Version, StoreError> {
        let slot = encode_slot(id, 1, state, now)?;
        let capacity = capacity_for(slot.len());
        let first = HEADER as u64;
        let mut header = [0; HEADER];
        encode_into(
            Identity {
                magic: MAGIC,
                format: FORMAT,
                reserved: 0,
                id: id.to_bits(),
                tombstone: 0,
            },
            &mut header[..PLACES_AT],
        )?;
        for (index, offset) in [first, first + capacity].into_iter().enumerate() {
            let place = Place { offset, capacity };
            let at = PLACES_AT + index * PLACE;
            header[at..at + PLACE].copy_from_slice(&encode_checked::<PLACE>(place, id)?);
        }
        file.write_at(&slot, first)?;
        file.write_at(&header, 0)?;
        Ok(1)
    }

    /// Writes the next version into the slot that is not the latest. The lock
    /// is held, and this was read under it.
    pub fn save(
        &self,
        file: &RecordFile,
        state: &SessionState,
        now: Timestamp,
    ) -> Result<Version, StoreError> {
        let version = self.version()? + 1;
        let older = 1 - self.latest()?;
        let slot = encode_slot(&self.id, version, state, now)?;
        let needed = capacity_for(slot.len());
        match &self.places[older] {
            Checked::Whole(place) if place.capacity >= needed => {
                file.write_at(&slot, place.offset)?;
            }
            _ => {
                let place = Place {
                    offset: self.end.max(file.size()?).next_multiple_of(HEADER as u64),
                    capacity: needed,
                };
                file.write_at(&slot, place.offset)?;
                let place = encode_checked::<PLACE>(place, &self.id)?;
                file.write_at(&place, (PLACES_AT + older * PLACE) as u64)?;
            }
        }
        Ok(version)
    }

    /// Writes `expires` and `modified` of the latest slot into the cell that is
    /// not the latest. The lock is held, and this was read under it.
    pub fn touch(
        &self,
        file: &RecordFile,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let [first, second] = [0, 1].map(|index| match &self.cells[index] {
            Checked::Whole(cell) => cell.sequence,
            Checked::Never | Checked::Torn => 0,
        });
        let cell = Cell {
            version: self.version()?,
            sequence: first.max(second) + 1,
            expires,
            modified: now,
        };
        let older = usize::from(first > second);
        let cell = encode_checked::<CELL>(cell, &self.id)?;
        file.write_at(&cell, (CELLS_AT + older * CELL) as u64)?;
        Ok(())
    }

    /// Writes the tombstone, whatever is in the file.
    pub fn bury(file: &RecordFile) -> io::Result<()> {
        file.write_at(&u64::MAX.to_le_bytes(), TOMBSTONE_AT)
    }
}

/// Whether a header is one of a session that lives; an error when it is no
/// header of this one.
fn is_alive(header: &[u8], id: &SessionId) -> Result<bool, StoreError> {
    let (identity, _): (Identity, usize) =
        bincode::decode_from_slice(header, LAYOUT).map_err(undecodable)?;
    if identity.tombstone != 0 || is_zero(header) {
        return Ok(false);
    }
    let corrupt = |how: &str| Err(StoreError::Corrupt(how.into()));
    if identity.magic != MAGIC {
        return corrupt("it does not begin like a session's file");
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
    Ok(true)
}

fn read_slot(
    file: &RecordFile,
    start: &[u8],
    place: Place,
    id: &SessionId,
) -> Result<Checked<Slot>, StoreError> {
    let (Ok(offset), Ok(capacity)) = (
        usize::try_from(place.offset),
        usize::try_from(place.capacity),
    ) else {
        return Ok(Checked::Torn);
    };
    let end = offset.saturating_add(capacity);
    let file_ends = start.len() < FIRST_READ;
    if end <= start.len() || file_ends {
        let bytes = start.get(offset..end.min(start.len()));
        return Ok(Slot::decode(bytes.unwrap_or_default(), id));
    }
    // No more than the file has by now: a place is only a claim.
    let rest = file.size()?.saturating_sub(place.offset);
    let mut bytes = vec![0; capacity.min(usize::try_from(rest).unwrap_or(capacity))];
    let length = file.read_at(&mut bytes, place.offset)?;
    bytes.truncate(length);
    Ok(Slot::decode(&bytes, id))
}

impl Place {
    fn decode(bytes: &[u8], id: &SessionId) -> Checked<Self> {
        match decode_checked::<Self>(bytes, id) {
            Checked::Whole(place)
                if place.offset < HEADER as u64
                    || place.capacity > MAX_CAPACITY
                    || place.offset.checked_add(place.capacity).is_none() =>
            {
                Checked::Torn
            }
            place => place,
        }
    }
}

impl Cell {
    fn decode(bytes: &[u8], id: &SessionId) -> Checked<Self> {
        decode_checked(bytes, id)
    }
}

impl Slot {
    fn version(slot: &Checked<Self>) -> Option<Version> {
        match slot {
            Checked::Whole(slot) => Some(slot.version),
            Checked::Never | Checked::Torn => None,
        }
    }

    fn decode(bytes: &[u8], id: &SessionId) -> Checked<Self> {
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
        Self::decode_whole(bytes, id).map_or(Checked::Torn, Checked::Whole)
    }

    fn decode_whole(bytes: &[u8], id: &SessionId) -> Option<Self> {
        let (checksum, rest) = bytes.split_first_chunk::<CHECKSUM>()?;
        let (head, _): (SlotHead, usize) = bincode::decode_from_slice(rest, LAYOUT).ok()?;
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
        let user = match head.user_length {
            NO_USER => None,
            _ => Some(String::from_utf8(bytes.get(SLOT_HEAD..data_at)?.to_vec()).ok()?),
        };
        Some(Self {
            version: head.version,
            modified: head.modified,
            state: SessionState {
                user,
                expires: head.expires,
                data: bytes.get(data_at..end)?.to_vec(),
            },
        })
    }
}

fn encode_slot(
    id: &SessionId,
    version: Version,
    state: &SessionState,
    now: Timestamp,
) -> Result<Vec<u8>, StoreError> {
    let user = state.user.as_deref().map(str::as_bytes);
    let length =
        |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| StoreError::TooLarge(MAX_STATE));
    let head = SlotHead {
        version,
        expires: state.expires,
        modified: now,
        user_length: user.map_or(Ok(NO_USER), length)?,
        data_length: length(&state.data)?,
    };
    let user = user.unwrap_or_default();
    let mut slot = Vec::with_capacity(SLOT_HEAD + user.len() + state.data.len());
    slot.resize(SLOT_HEAD, 0);
    encode_into(head, &mut slot[CHECKSUM..])?;
    slot.extend_from_slice(user);
    slot.extend_from_slice(&state.data);
    let checksum = checksum_of(&slot[CHECKSUM..], id);
    slot[..CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    Ok(slot)
}

/// Twice what the next smaller one has, so that a session that grows leaves
/// behind less than it holds.
fn capacity_for(length: usize) -> u64 {
    (length as u64).next_power_of_two().max(MIN_CAPACITY)
}

fn decode_checked<T: Decode<()>>(bytes: &[u8], id: &SessionId) -> Checked<T> {
    if is_zero(bytes) {
        return Checked::Never;
    }
    let Some((checksum, rest)) = bytes.split_first_chunk::<CHECKSUM>() else {
        return Checked::Torn;
    };
    if u64::from_le_bytes(*checksum) != checksum_of(rest, id) {
        return Checked::Torn;
    }
    bincode::decode_from_slice(rest, LAYOUT)
        .map_or(Checked::Torn, |(value, _)| Checked::Whole(value))
}

fn encode_checked<const N: usize>(
    value: impl Encode,
    id: &SessionId,
) -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    encode_into(value, &mut bytes[CHECKSUM..])?;
    let checksum = checksum_of(&bytes[CHECKSUM..], id);
    bytes[..CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

fn encode_into(value: impl Encode, bytes: &mut [u8]) -> Result<(), StoreError> {
    bincode::encode_into_slice(value, bytes, LAYOUT)
        .map(|_| ())
        .map_err(|error| StoreError::Unavailable(format!("a record cannot be encoded: {error}")))
}

fn undecodable(error: bincode::error::DecodeError) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

fn no_whole_slot() -> StoreError {
    StoreError::Corrupt("neither of its two slots is whole".into())
}

fn checksum_of(bytes: &[u8], id: &SessionId) -> u64 {
    let bits = id.to_bits();
    xxh3_64_with_seed(bytes, (bits >> 64) as u64 ^ bits as u64)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
