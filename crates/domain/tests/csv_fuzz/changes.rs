//! Damage to a file's bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A change to a file's bytes, at a place between its start (0) and its end.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Put(Index, Vec<u8>),
    Replace(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    CutOff(Index),
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let place = any::<Index>;
    let telling = select(b",\"\n\r$-().0123456789 \xef\xbb\xbf\xff\0e".to_vec());
    let change = prop_oneof![
        (place(), vec(telling.clone(), 1..4)).prop_map(|(place, bytes)| Change::Put(place, bytes)),
        (place(), vec(any::<u8>(), 1..4)).prop_map(|(place, bytes)| Change::Put(place, bytes)),
        (place(), telling).prop_map(|(place, byte)| Change::Replace(place, byte)),
        (place(), 1_usize..20).prop_map(|(place, count)| Change::Remove(place, count)),
        (place(), 1_usize..80).prop_map(|(place, count)| Change::Repeat(place, count)),
        place().prop_map(Change::CutOff),
    ];
    vec(change, 1..6)
}

pub(crate) fn change(file: &mut Vec<u8>, change: &Change) {
    let at = |place: &Index| place.index(file.len() + 1);
    match change {
        Change::Put(place, bytes) => {
            let at = at(place);
            file.splice(at..at, bytes.iter().copied());
        }
        Change::Replace(place, byte) => {
            let at = at(place);
            if let Some(old) = file.get_mut(at) {
                *old = *byte;
            }
        }
        Change::Remove(place, count) => {
            let at = at(place);
            file.drain(at..(at + count).min(file.len()));
        }
        Change::Repeat(place, count) => {
            let at = at(place);
            let part = file[at..(at + count).min(file.len())].to_vec();
            file.splice(at..at, part);
        }
        Change::CutOff(place) => {
            let at = at(place);
            file.truncate(at);
        }
    }
}
