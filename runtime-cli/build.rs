//! Places what the binary is made of: what the common commands need lies together.

// Cargo reads what is printed here.
#![allow(clippy::disallowed_macros)]

use std::env;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let layout = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("layout.ld");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", layout.display());
    println!("cargo::rerun-if-env-changed=CORTEN_LAYOUT");
    // Asked for by `make release` alone: not every linker takes such a script, and nothing but speed is lost without it.
    if env::var_os("CORTEN_LAYOUT").is_some() {
        for word in ["-T", &layout.display().to_string()] {
            println!("cargo::rustc-link-arg-bins=-Xlinker");
            println!("cargo::rustc-link-arg-bins={word}");
        }
    }
    Ok(())
}
