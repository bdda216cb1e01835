//! Compiles init, the program that lives in the container: `core` alone, static, at a fixed address.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let source = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("src");
    println!("cargo::rerun-if-changed={}", source.join("init").display());
    println!("cargo::rerun-if-changed={}", source.join("wire").display());
    println!("cargo::rerun-if-changed=build.rs");
    let output = PathBuf::from(env::var("OUT_DIR")?).join("init");
    if env::var_os("DOCS_RS").is_some() {
        return Ok(std::fs::write(output, b"")?);
    }
    let (target, host) = (env::var("TARGET")?, env::var("HOST")?);
    // Cargo's own flags do not apply: they are made for programs with a libc.
    let mut rustc = Command::new(env::var("RUSTC")?);
    rustc.arg(source.join("init/main.rs")).arg("-o").arg(&output);
    rustc.args(["--crate-name", "init", "--crate-type", "bin", "--edition", "2024", "--target", &target]);
    for option in [
        "opt-level=z",
        "panic=abort",
        "codegen-units=1",
        "lto=fat",
        "relocation-model=static",
        "force-unwind-tables=no",
        "overflow-checks=no",
        "strip=symbols",
    ] {
        rustc.args(["-C", option]);
    }
    if target.contains("musl") {
        rustc.args(["-C", "link-self-contained=no"]);
    }
    let native = architecture(&target) == architecture(&host);
    // The C compiler links for its own machine only.
    let linker_arg = if native { "-Wl," } else { "" };
    rustc.args(if native {
        &["-C", "link-args=-nostartfiles -nostdlib"][..]
    } else {
        &["-C", "linker=rust-lld"]
    });
    for arg in ["-static", "-no-pie", "--build-id=none", "-T"] {
        rustc.arg("-C").arg(format!("link-arg={linker_arg}{arg}"));
    }
    rustc.arg("-C").arg(format!("link-arg={linker_arg}{}", source.join("init/init.ld").display()));
    let status = rustc.status()?;
    if !status.success() {
        return Err(format!("init does not compile for {target}: {status}").into());
    }
    Ok(())
}

fn architecture(target: &str) -> Option<&str> {
    target.split('-').next()
}
