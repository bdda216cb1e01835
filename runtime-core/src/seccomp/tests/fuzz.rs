//! What holds for every document: no panic, and where there is a filter, one that the kernel takes and that decides on every
//! call as the model does.

use super::super::{Arch, check, compile};
use super::emulator::{self, run};
use super::model::Model;
use super::profiles::{Random, calls_of};
use crate::config::Seccomp;

/// Judges a document; whether there was a filter.
#[allow(unreachable_pub, reason = "the fuzz target calls it")]
pub fn judge(document: &[u8]) -> bool {
    let Ok(profile) = serde_json::from_slice::<Seccomp>(document) else { return false };
    let faults = check(&profile);
    let seed = document.iter().fold(1, |seed: u64, byte| seed.rotate_left(5) ^ u64::from(*byte));
    let mut random = Random(seed | 1);
    let native = *random.pick(Arch::all());
    let Ok(filter) = compile(&profile, native) else {
        let fatal = faults.iter().any(|error| !error.fault.is_warning());
        // Else it is too long, which takes some names.
        assert!(fatal || document.len() > 4096, "{faults:?}");
        return false;
    };
    emulator::check(&filter.program);
    let model = Model::new(&profile, native);
    let mut arches: Vec<Arch> =
        profile.architectures.iter().filter_map(|name| Arch::from_name(name)).collect();
    arches.push(native);
    for call in calls_of(&profile, &arches, &mut random) {
        let verdict = run(&filter.program, &call).0;
        assert_eq!(verdict, model.verdict(&call), "{call:x?} on {}", native.name());
    }
    true
}

#[test]
fn damaged_profiles() {
    let whole = include_bytes!("containerd.json");
    let mut random = Random(7);
    let mut filters = 0;
    for _ in 0..200 {
        let mut document = whole.to_vec();
        let at = random.below(document.len());
        document[at] = *random.pick(b"0123456789aeiou_\",:{}[]");
        filters += usize::from(judge(&document));
    }
    assert!(filters > 0);
}
