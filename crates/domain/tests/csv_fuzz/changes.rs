//! Random damage to the bytes of a file.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A change to a file's bytes at a place, which is taken modulo the number of places of the file.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Put(usize, Vec<u8>),
    Replace(usize, u8),
    Remove(usize, usize),
    Repeat(usize, usize),
    CutOff(usize),
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let place = any::<usize>;
    let special = select(b",\"\n\r$-().0123456789 \xef\xbb\xbf\xff\0e".to_vec());
    let change = prop_oneof![
        (place(), vec(special.clone(), 1..4)).prop_map(|(place, bytes)| Change::Put(place, bytes)),
        (place(), vec(any::<u8>(), 1..4)).prop_map(|(place, bytes)| Change::Put(place, bytes)),
        (place(), special).prop_map(|(place, byte)| Change::Replace(place, byte)),
        (place(), 1_usize..20).prop_map(|(place, count)| Change::Remove(place, count)),
        (place(), 1_usize..80).prop_map(|(place, count)| Change::Repeat(place, count)),
        place().prop_map(Change::CutOff),
    ];
    vec(change, 1..6)
}

pub(crate) fn change(file: &mut Vec<u8>, change: &Change) {
    let at = |place: &usize| place % (file.len() + 1);
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
