//! The bodies of the fuzz targets, run with the committed corpus and with mutations of it. This
//! is the short form of `make fuzz`.

use std::fs;
use std::path::Path;

use session3_test_support::dice::Dice;
use session3_test_support::random::{is_long, seed};

/// The number of mutated records. With `TORTURE=long`, ten times as many are run.
const RECORDS: usize = 10_000;
/// The number of mutated sealed states. With `TORTURE=long`, ten times as many are run.
const SEALED: usize = 20_000;
/// The number of mutated sequences of operations. With `TORTURE=long`, ten times as many are run.
const SEQUENCES: usize = 500;
/// Numbers that are likely to be edge cases of a field.
const EDGES: [u64; 6] = [0, 1, 512, 1 << 63, u64::MAX - 511, u64::MAX];

#[test]
fn no_bytes_of_a_record_lead_astray() {
    fuzz("record", RECORDS, session3_test_fuzzing::record);
}

#[test]
fn no_bytes_of_a_sealed_state_are_opened_unless_they_were_sealed() {
    let corpus = corpus("sealed");
    let opened = corpus
        .iter()
        .filter(|bytes| session3_test_fuzzing::opens(bytes));
    assert_eq!(opened.count(), 3, "the corpus is of another format");
    fuzz("sealed", SEALED, session3_test_fuzzing::sealed);
}

#[test]
fn no_sequence_of_operations_departs_from_the_model() {
    fuzz("operations", SEQUENCES, session3_test_fuzzing::operations);
}

/// Calls `body` with each input of the corpus, and with `count` mutations.
fn fuzz(target: &str, count: usize, body: fn(&[u8])) {
    let mut dice = Dice::new(seed());
    let corpus = corpus(target);
    corpus.iter().for_each(|bytes| body(bytes));
    let count = if is_long() { 10 * count } else { count };
    for _ in 0..count {
        body(&mutated(&corpus, &mut dice));
    }
    println!(
        "{target}: {} of the corpus, {count} mutations",
        corpus.len()
    );
}

/// Reads the committed inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let entries = fs::read_dir(directory.join(target)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Returns an input of the corpus with one to four random changes.
fn mutated(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.pick(corpus).clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(6) {
            // The header has most of the fields that decide how a record is read.
            0 => set(&mut bytes, dice.below(192), dice.roll() as u8),
            1 => set(&mut bytes, at, dice.roll() as u8),
            2 => {
                let number = dice.pick(&EDGES).wrapping_add(dice.roll() % 3);
                let field = if dice.percent(50) {
                    40 + 8 * dice.below(18)
                } else {
                    at / 8 * 8
                };
                for (index, byte) in number.to_le_bytes().into_iter().enumerate() {
                    set(&mut bytes, field + index, byte);
                }
            }
            3 => bytes.truncate(at),
            4 => {
                let other = dice.pick(corpus);
                let from = dice.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.insert(at, dice.roll() as u8),
        }
    }
    bytes
}

/// Sets a byte, if the input is that long.
fn set(bytes: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = value;
    }
}
