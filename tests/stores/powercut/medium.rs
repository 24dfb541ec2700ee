//! A simulated file system: what the machine sees, and what the medium may hold after a
//! power cut.

use std::collections::{BTreeMap, BTreeSet};

use session3_test_support::dice::Dice;

/// The content of a directory: each path, with the bytes of a file or `None` for a directory.
pub type Image = BTreeMap<String, Option<Vec<u8>>>;

/// A change of the file system.
#[derive(Clone, Debug)]
pub enum Event {
    Create(String),
    Write(String, u64, Vec<u8>),
    Flush(String),
    /// A flush that failed. The system takes the pages for written from then on.
    FailedFlush(String),
    Unlink(String),
    MakeDirectory(String),
    FlushDirectory(String),
    /// The system has written everything back, as it does every 30 seconds.
    WriteBack,
}

/// Bytes that a disk writes as a whole.
pub const SECTOR: usize = 512;

/// Sectors of a page, which a system writes back as a whole.
const PAGE: usize = 8;

/// A file system as the machine sees it, and as the medium may have it.
#[derive(Default)]
pub struct Medium {
    pub names: BTreeMap<String, Since<Option<Node>>>,
    pub inodes: Vec<Inode>,
}

impl Medium {
    /// Creates a medium on which all of `image` is durable.
    pub fn new(image: &Image) -> Self {
        let mut medium = Self::default();
        for (name, bytes) in image {
            match bytes {
                None => medium.apply(&Event::MakeDirectory(name.clone())),
                Some(bytes) => {
                    medium.apply(&Event::Create(name.clone()));
                    medium.apply(&Event::Write(name.clone(), 0, bytes.clone()));
                }
            }
        }
        medium.apply(&Event::WriteBack);
        medium
    }

    pub fn node(&self, name: &str) -> Option<Node> {
        *self.names.get(name)?.now()
    }

    pub fn inode(&mut self, name: &str) -> &mut Inode {
        match self.node(name) {
            Some(Node::File(number)) => &mut self.inodes[number],
            _ => panic!("{name}: written or flushed without a name"),
        }
    }

    pub fn set(&mut self, name: &str, node: Option<Node>) {
        let names = self.names.entry(name.into());
        names.or_insert_with(|| Since(vec![None])).set(node);
    }

    /// Adds a name, unless the call must have failed: the recorder notes a call before the
    /// store makes it.
    pub fn make(&mut self, name: &str, node: Node) {
        let has_parent = parent(name) == "." || self.node(parent(name)) == Some(Node::Directory);
        if has_parent && self.node(name).is_none() {
            self.set(name, Some(node));
        }
    }

    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Create(name) => {
                self.make(name, Node::File(self.inodes.len()));
                self.inodes.push(Inode {
                    size: Since(vec![0]),
                    sectors: Vec::new(),
                    lost: BTreeSet::new(),
                });
            }
            Event::MakeDirectory(name) => self.make(name, Node::Directory),
            Event::Unlink(name) if self.node(name).is_some() => self.set(name, None),
            Event::Unlink(_) => {}
            Event::Write(name, offset, bytes) => self.inode(name).write(*offset as usize, bytes),
            Event::Flush(name) => self.inode(name).flush(),
            Event::FailedFlush(name) => self.inode(name).lose(),
            Event::FlushDirectory(directory) => {
                for (name, node) in &mut self.names {
                    if parent(name) == directory {
                        node.flush();
                    }
                }
            }
            Event::WriteBack => {
                self.names.values_mut().for_each(Since::flush);
                self.inodes.iter_mut().for_each(Inode::flush);
            }
        }
    }

    /// Returns what the medium may hold after a power cut: every directory, and the files
    /// whose names are wanted.
    pub fn image(&self, is_wanted: impl Fn(&str) -> bool, cut: &mut Cut) -> Image {
        let mut image = Image::new();
        for (name, node) in &self.names {
            let is_reachable = parent(name) == "." || image.get(parent(name)) == Some(&None);
            match node.choose(cut) {
                Some(Node::Directory) if is_reachable => {
                    image.insert(name.clone(), None);
                }
                Some(Node::File(number)) if is_reachable && is_wanted(name) => {
                    image.insert(name.clone(), Some(self.inodes[*number].image(cut)));
                }
                _ => {}
            }
        }
        image
    }
}

pub fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(parent, _)| parent)
}

#[derive(Clone, Copy, PartialEq)]
/// What a name leads to; a file by its index among the inodes.
pub enum Node {
    Directory,
    File(usize),
}

#[derive(Clone)]
pub struct Inode {
    pub size: Since<usize>,
    pub sectors: Vec<Since<[u8; SECTOR]>>,
    /// Sectors that a failed flush did not write. A later flush leaves them out, too, unless
    /// their page is written again.
    pub lost: BTreeSet<usize>,
}

impl Inode {
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.size.set((*self.size.now()).max(end));
        let sectors = self.sectors.len().max(end.div_ceil(SECTOR));
        self.sectors
            .resize_with(sectors, || Since(vec![[0; SECTOR]]));
        for number in offset / SECTOR..end.div_ceil(SECTOR) {
            let start = number * SECTOR;
            let (from, to) = (offset.max(start), end.min(start + SECTOR));
            let mut sector = *self.sectors[number].now();
            sector[from - start..to - start].copy_from_slice(&bytes[from - offset..to - offset]);
            self.sectors[number].set(sector);
            self.lost.retain(|lost| lost / PAGE != number / PAGE);
        }
    }

    pub fn flush(&mut self) {
        self.size.flush();
        let sectors = self.sectors.iter_mut().enumerate();
        let written = sectors.filter(|(number, _)| !self.lost.contains(number));
        written.for_each(|(_, sector)| sector.flush());
    }

    pub fn lose(&mut self) {
        let sectors = self.sectors.iter().enumerate();
        let unwritten = sectors.filter(|(_, sector)| sector.0.len() > 1);
        self.lost.extend(unwritten.map(|(number, _)| number));
    }

    pub fn image(&self, cut: &mut Cut) -> Vec<u8> {
        let sectors = self.sectors.iter().map(|sector| *sector.choose(cut));
        let mut bytes = sectors.collect::<Vec<_>>().concat();
        bytes.resize(*self.size.choose(cut), 0);
        bytes
    }
}

/// The values that something had since its last flush, the oldest first. The medium may
/// hold any of them.
#[derive(Clone)]
pub struct Since<T>(Vec<T>);

impl<T: Clone + PartialEq> Since<T> {
    pub fn now(&self) -> &T {
        self.0.last().unwrap()
    }

    pub fn set(&mut self, value: T) {
        self.0.push(value);
    }

    pub fn flush(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }

    pub fn choose(&self, cut: &mut Cut) -> &T {
        match cut {
            Cut::Nothing => &self.0[0],
            Cut::All => self.now(),
            Cut::Random(dice, latest) => {
                if self.0.len() == 1 || dice.percent(*latest) {
                    self.now()
                } else {
                    dice.pick(&self.0[..self.0.len() - 1])
                }
            }
        }
    }
}

/// Which of the unflushed values are on the medium.
pub enum Cut<'a> {
    Nothing,
    All,
    /// Each value is the latest one with this probability, in percent.
    Random(&'a mut Dice, usize),
}

impl<'a> Cut<'a> {
    /// Chooses a probability; with the extreme ones, often a single value is early or late.
    pub fn random(dice: &'a mut Dice) -> Self {
        let latest = *dice.pick(&[5, 25, 50, 50, 75, 95]);
        Self::Random(dice, latest)
    }
}
