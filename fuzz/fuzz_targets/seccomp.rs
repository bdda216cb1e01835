//! Any JSON profile: no panic, and no filter that decides otherwise than the profile says.
//!
//!     cargo +nightly fuzz run seccomp fuzz/corpus/seccomp runtime-core/src/seccomp/tests
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    runtime_core::seccomp::judge(document);
});
