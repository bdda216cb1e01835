//! Places the functions of the binary: those that the common commands execute lie beside each other.

use std::env;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let layout = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("layout.ld");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", layout.display());
    // For the static binary as the C compiler links it; other linkers may not take such a script, and need none.
    if env::var("CARGO_CFG_TARGET_ENV")? == "musl" && env::var_os("RUSTC_LINKER").is_none() {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", layout.display());
    }
    Ok(())
}
