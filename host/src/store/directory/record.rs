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
//! | 32 | 8 | tombstone: zeros while the session lives; any byte of ones ends it |
//! | 40 | 24 | where slot 0 is |
//! | 64 | 24 | where slot 1 is |
//! | 88 | 40 | touch cell 0 |
//! | 128 | 40 | touch cell 1 |
//! | 168 | 16 | which version is on the medium |
//! | 184 | 328 | zeros |
//!
//! **Where a slot is**: checksum of the next 16 bytes, offset, capacity (8
//! bytes each). The capacity is a power of two, at least 512; the first two
//! slots follow the header and each other.
//!
//! **A touch cell**: checksum of the next 32 bytes, the version that was
//! touched, sequence number, `expires`, `modified` (8 bytes each). It counts
//! only for the slot of just that version; of two, the higher sequence number.
//!
//! **Which version is on the medium**: checksum of the next 8 bytes, the latest
//! version that is known to survive a power cut. Written after a flush, and not
//! flushed itself; it counts only for just that version. The file's name and
//! the entry of the index are on the medium then, too.
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
//! - A create writes slot 0, with zeros up to the end of the page, so that later
//!   the file is read at once, and then the header, so a file with a header has
//!   a whole slot. A file with zeros in its place, or with no more than the
//!   beginning of it, is a create that never finished.
//! - A save writes the slot that is not the latest, so the latest is whole at
//!   every instant. A state that outgrows that slot gets a larger place at the
//!   end of the file; then the header is told where.
//! - A touch writes the cell that is not the latest. A save or touch that finds
//!   one of a version that is not there yet, left by a power cut, first removes
//!   it for good: one of version 2⁶⁴ - 1 is in its place until then.
//! - A delete writes the tombstone and then unlinks the file, so descriptors
//!   that are still open, and hard-linked backups, cannot revive it.
//!
//! With [`Durability::Disk`], each of these is flushed before it is
//! acknowledged, and before a slot is overwritten, the other one is on the
//! medium: either the header says so, or it is written again and flushed. (After
//! a flush that failed, the system may take what it did not write for written.)
//!
//! The header has no checksum as a whole: it relies on the medium's writing a
//! sector of 512 bytes whole or not at all.
//!
//! All of these hold the file's lock. A reader without it may see any of them
//! half done, which is why [`Record::is_settled`] asks for more than one whole
//! slot.

use std::ops::Range;

use bincode::config::{Configuration, Fixint, LittleEndian};
use bincode::{Decode, Encode};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Durability;
use super::fs::{Locked, OpenFile};
use crate::store::{SessionId, SessionState, StoreError, StoredSession, Timestamp, Version};

/// The largest state that the format is used for, in bytes; what a file says
/// beyond this is damage, and is not read.
pub const MAX_STATE: u64 = 64 << 20;

const MAGIC: [u8; 8] = *b"session3";
const FORMAT: u32 = 1;
const HEADER: usize = 512;
const TOMBSTONE_AT: usize = 32;
/// That the session is dead.
const TOMBSTONE: u64 = u64::MAX;
const PLACES_AT: usize = 40;
const CELLS_AT: usize = 88;
const DURABLE_AT: usize = 168;
const PLACE: usize = 24;
const CELL: usize = 40;
const DURABLE: usize = 16;
const SLOT_HEAD: usize = 40;
const CHECKSUM: usize = 8;
const NO_USER: u32 = u32::MAX;
const FOREIGN: &str = "it does not begin like a session's file";
const MIN_CAPACITY: u64 = 512;
const MAX_CAPACITY: u64 = (MAX_STATE + SLOT_HEAD as u64).next_power_of_two();
/// Far beyond what a session grows to.
const MAX_OFFSET: u64 = 1 << 40;
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

/// The version that is known to survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct OnMedium {
    version: Version,
}

/// How a slot begins, after its checksum.
#[derive(Debug, Encode, Decode)]
struct SlotHead {
    version: Version,
    expires: Timestamp,
    modified: Timestamp,
    user_length: u32,
    data_length: u32,
}

/// A whole slot, found in a read.
#[derive(Debug)]
struct Slot {
    head: SlotHead,
    /// Where its user and data are in its bytes.
    user: Option<Range<usize>>,
    data: Range<usize>,
    bytes: SlotBytes,
}

/// Where the bytes of a slot are.
#[derive(Debug)]
enum SlotBytes {
    /// Within the first read, from here on.
    Start(usize),
    /// Read separately.
    Own(Vec<u8>),
}

/// A slot's bytes, ready to be written.
pub struct EncodedSlot {
    version: Version,
    bytes: Vec<u8>,
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
    on_medium: Checked<OnMedium>,
    slots: [Checked<Slot>; 2],
    /// How the file begins.
    start: Vec<u8>,
    /// Where nothing has been written yet.
    end: u64,
}

impl Record {
    /// Reads a session's file. `None` when it holds no session: a create that
    /// never finished, or a tombstone.
    ///
    /// Without the lock, `Corrupt` may mean no more than that somebody is
    /// writing just now.
    pub fn read(file: &OpenFile, id: &SessionId) -> Result<Option<Self>, StoreError> {
        let start = file.read_at(0, FIRST_READ)?;
        let Some(header) = start.get(..HEADER) else {
            return is_unfinished(&start, id).map(|()| None);
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
            [0, 1].map(|index| decode_checked(&header[CELLS_AT + index * CELL..][..CELL], id));
        let on_medium = decode_checked(&header[DURABLE_AT..][..DURABLE], id);
        let mut slots = [Checked::Torn, Checked::Torn];
        let mut end = HEADER as u64;
        for (slot, place) in slots.iter_mut().zip(&places) {
            if let Checked::Whole(place) = place {
                *slot = read_slot(file, &start, *place, id)?;
                end = end.max(place.offset + place.capacity);
            }
        }
        Ok(Some(Self {
            id: *id,
            places,
            cells,
            on_medium,
            slots,
            start,
            end,
        }))
    }

    /// Whose file it is.
    pub fn id(&self) -> &SessionId {
        &self.id
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

    /// The version of the latest whole slot.
    pub fn version(&self) -> Result<Version, StoreError> {
        Ok(self.latest()?.1.head.version)
    }

    /// The version that a save makes.
    pub fn next_version(&self) -> Result<Version, StoreError> {
        after(self.version()?)
    }

    /// The user of the latest whole slot.
    pub fn user(&self) -> Result<Option<&str>, StoreError> {
        let (_, slot) = self.latest()?;
        let user = slot
            .user
            .clone()
            .and_then(|user| self.bytes(slot).get(user));
        // It was UTF-8 when the slot was found whole.
        Ok(user.and_then(|user| std::str::from_utf8(user).ok()))
    }

    /// From when on it may be deleted.
    pub fn expires(&self) -> Result<Timestamp, StoreError> {
        let (_, slot) = self.latest()?;
        let touched = self.touched(slot.head.version);
        Ok(touched.map_or(slot.head.expires, |cell| cell.expires))
    }

    /// When it was last created, saved or touched.
    pub fn modified(&self) -> Result<Timestamp, StoreError> {
        let (_, slot) = self.latest()?;
        let touched = self.touched(slot.head.version);
        Ok(touched.map_or(slot.head.modified, |cell| cell.modified))
    }

    /// The latest whole slot, and which of the two it is.
    fn latest(&self) -> Result<(usize, &Slot), StoreError> {
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

    /// From the slot's checksum to the end of its data, or further.
    fn bytes<'a>(&'a self, slot: &'a Slot) -> &'a [u8] {
        match &slot.bytes {
            SlotBytes::Start(offset) => self.start.get(*offset..).unwrap_or_default(),
            SlotBytes::Own(bytes) => bytes,
        }
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
        file: &Locked,
        id: &SessionId,
        slot: EncodedSlot,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let capacity = capacity_for(slot.bytes.len());
        let first = HEADER as u64;
        let mut header = [0; HEADER];
        header[..PLACES_AT].copy_from_slice(&Identity::encoded(id)?);
        for (index, offset) in [first, first + capacity].into_iter().enumerate() {
            let place = Place { offset, capacity };
            let at = PLACES_AT + index * PLACE;
            header[at..at + PLACE].copy_from_slice(&encode_checked::<PLACE>(place, id)?);
        }
        let mut page = slot.bytes;
        page.resize(page.len().max(FIRST_READ - HEADER), 0);
        file.write_at(&page, first)?;
        if durability == Durability::Disk {
            // A header on the medium promises a slot there.
            flush(file)?;
        }
        file.write_at(&header, 0)?;
        match durability {
            Durability::Process => Ok(()),
            Durability::Disk => flush(file),
        }
    }

    /// Writes the next version into the slot that is not the latest. The lock
    /// is held, and this was read under it.
    pub fn save(
        &self,
        file: &Locked,
        slot: &EncodedSlot,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.forget_lost_touches(file)?;
        let older = 1 - self.latest()?.0;
        let needed = capacity_for(slot.bytes.len());
        match &self.places[older] {
            Checked::Whole(place) if place.capacity >= needed => {
                file.write_at(&slot.bytes, place.offset)?;
            }
            _ => {
                let place = Place {
                    offset: self.end.max(file.size()?).next_multiple_of(HEADER as u64),
                    capacity: needed,
                };
                if place.offset > MAX_OFFSET {
                    return Err(StoreError::Corrupt("its file has no end in sight".into()));
                }
                file.write_at(&slot.bytes, place.offset)?;
                self.write_place(file, older, place)?;
            }
        }
        if durability == Durability::Disk {
            flush(file)?;
            note_on_medium(file, &self.id, slot.version)?;
        }
        Ok(())
    }

    /// Whether the latest slot, its name and its entry of the index are known
    /// to survive a power cut.
    pub fn is_on_medium(&self) -> Result<bool, StoreError> {
        let version = self.version()?;
        Ok(self.on_medium == Checked::Whole(OnMedium { version }))
    }

    /// Makes sure that the latest slot survives a power cut, before the other
    /// one is overwritten.
    pub fn bring_to_medium(&self, file: &Locked) -> Result<(), StoreError> {
        let (latest, slot) = self.latest()?;
        if let Checked::Whole(place) = self.places[latest] {
            let whole = self.bytes(slot).get(..slot.data.end).unwrap_or_default();
            file.write_at(whole, place.offset)?;
            self.write_place(file, latest, place)?;
        }
        flush(file)
    }

    /// A power cut may leave a touch of a version that it took back. It must not
    /// count for the next state that gets this version, not even after another
    /// power cut: so it is off the medium before anything else is written.
    ///
    /// Until then, there is a touch of a version that never comes, so that
    /// whoever finds it after a kill does this again.
    fn forget_lost_touches(&self, file: &Locked) -> Result<(), StoreError> {
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
        flush(file)?;
        replace([0; CELL])
    }

    fn write_cell(&self, file: &Locked, index: usize, cell: &[u8; CELL]) -> Result<(), StoreError> {
        Ok(file.write_at(cell, (CELLS_AT + index * CELL) as u64)?)
    }

    fn write_place(&self, file: &Locked, index: usize, place: Place) -> Result<(), StoreError> {
        let place = encode_checked::<PLACE>(place, &self.id)?;
        file.write_at(&place, (PLACES_AT + index * PLACE) as u64)?;
        Ok(())
    }

    /// Writes `expires` and `modified` of the latest slot into the cell that is
    /// not the latest. The lock is held, and this was read under it.
    pub fn touch(
        &self,
        file: &Locked,
        expires: Timestamp,
        now: Timestamp,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.forget_lost_touches(file)?;
        let [first, second] = [0, 1].map(|index| match &self.cells[index] {
            Checked::Whole(cell) => cell.sequence,
            Checked::Never | Checked::Torn => 0,
        });
        let cell = Cell {
            version: self.version()?,
            sequence: after(first.max(second))?,
            expires,
            modified: now,
        };
        let older = usize::from(first > second);
        let cell = encode_checked::<CELL>(cell, &self.id)?;
        self.write_cell(file, older, &cell)?;
        match durability {
            Durability::Process => Ok(()),
            Durability::Disk => flush(file),
        }
    }

    /// Writes the tombstone, whatever is in the file. A full disk may have no
    /// room for it in a file without a session: then it needs none.
    pub fn bury(file: &Locked, id: &SessionId) -> Result<(), StoreError> {
        match file.write_at(&TOMBSTONE.to_le_bytes(), TOMBSTONE_AT as u64) {
            Err(_) if matches!(Self::read(file, id), Ok(None)) => Ok(()),
            written => Ok(written?),
        }
    }
}

impl Identity {
    /// As the header of a session that lives has it.
    fn encoded(id: &SessionId) -> Result<[u8; PLACES_AT], StoreError> {
        let identity = Self {
            magic: MAGIC,
            format: FORMAT,
            reserved: 0,
            id: id.to_bits(),
            tombstone: 0,
        };
        let mut bytes = [0; PLACES_AT];
        encode_into(identity, &mut bytes)?;
        Ok(bytes)
    }
}

impl Cell {
    /// Counts for no slot: nobody saves that often.
    const NEVER: Self = Self {
        version: Version::MAX,
        sequence: 0,
        expires: 0,
        modified: 0,
    };
}

impl EncodedSlot {
    /// A state as the slot of a version.
    pub fn new(
        id: &SessionId,
        version: Version,
        state: &SessionState,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
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
        let mut bytes = Vec::with_capacity(SLOT_HEAD + user.len() + state.data.len());
        bytes.resize(SLOT_HEAD, 0);
        encode_into(head, &mut bytes[CHECKSUM..])?;
        bytes.extend_from_slice(user);
        bytes.extend_from_slice(&state.data);
        let checksum = checksum_of(&bytes[CHECKSUM..], id);
        bytes[..CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        Ok(Self { version, bytes })
    }

    /// The version that it will be.
    pub fn version(&self) -> Version {
        self.version
    }
}

/// Brings a record to the medium. After a failure, what is on it is unknown.
pub fn flush(file: &Locked) -> Result<(), StoreError> {
    file.flush().map_err(|error| {
        StoreError::Unavailable(format!(
            "{error}; whether the change would survive a power cut is not known"
        ))
    })
}

/// Saves the next writer a flush.
pub fn note_on_medium(file: &Locked, id: &SessionId, version: Version) -> Result<(), StoreError> {
    let note = encode_checked::<DURABLE>(OnMedium { version }, id)?;
    Ok(file.write_at(&note, DURABLE_AT as u64)?)
}

/// Whether a header is one of a session that lives; an error when it is no
/// header of this one.
fn is_alive(header: &[u8], id: &SessionId) -> Result<bool, StoreError> {
    let (identity, _): (Identity, usize) =
        bincode::decode_from_slice(header, LAYOUT).map_err(undecodable)?;
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
    // A delete that was cut short may have written only some of its bytes.
    let tombstone = identity.tombstone.to_le_bytes();
    if !tombstone.iter().all(|byte| [0, u8::MAX].contains(byte)) {
        return corrupt("its tombstone is none");
    }
    Ok(is_zero(&tombstone))
}

/// An error when what is shorter than a header is not the beginning of this
/// session's.
fn is_unfinished(start: &[u8], id: &SessionId) -> Result<(), StoreError> {
    let length = start.len().min(TOMBSTONE_AT);
    let is_begun = start[..length] == Identity::encoded(id)?[..length];
    match is_begun || is_zero_but_tombstone(start) {
        true => Ok(()),
        false => Err(StoreError::Corrupt(FOREIGN.into())),
    }
}

fn is_zero_but_tombstone(bytes: &[u8]) -> bool {
    let rest = bytes.get(PLACES_AT..).unwrap_or_default();
    is_zero(&bytes[..bytes.len().min(TOMBSTONE_AT)]) && is_zero(rest)
}

fn read_slot(
    file: &OpenFile,
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
        let bytes = start.get(offset..end.min(start.len())).unwrap_or_default();
        return Ok(Slot::decode(bytes, SlotBytes::Start(offset), id));
    }
    // No more than the file has by now: a place is only a claim.
    let rest = file.size()?.saturating_sub(place.offset);
    let length = capacity.min(usize::try_from(rest).unwrap_or(capacity));
    let bytes = file.read_at(place.offset, length)?;
    let mut slot = Slot::decode(&bytes, SlotBytes::Start(0), id);
    if let Checked::Whole(slot) = &mut slot {
        slot.bytes = SlotBytes::Own(bytes);
    }
    Ok(slot)
}

impl Place {
    fn decode(bytes: &[u8], id: &SessionId) -> Checked<Self> {
        match decode_checked::<Self>(bytes, id) {
            Checked::Whole(place)
                if place.offset < HEADER as u64
                    || place.offset > MAX_OFFSET
                    || place.capacity > MAX_CAPACITY =>
            {
                Checked::Torn
            }
            place => place,
        }
    }
}

impl Slot {
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

/// Nobody counts that far: only damage does.
fn after(number: u64) -> Result<u64, StoreError> {
    let next = number.checked_add(1);
    next.ok_or_else(|| StoreError::Corrupt("it has the last number that there is".into()))
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

fn checksum_of(bytes: &[u8], id: &SessionId) -> u64 {
    let bits = id.to_bits();
    xxh3_64_with_seed(bytes, (bits >> 64) as u64 ^ bits as u64)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
