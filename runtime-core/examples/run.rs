//! Runs a bundle to its end: `cargo run --example run -- BUNDLE ID`.

use runtime_core::{Bundle, CreateOptions, Error, Exit, Id, Runtime, StartOptions};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(bundle), Some(id)) = (args.next(), args.next()) else {
        eprintln!("usage: run BUNDLE ID");
        std::process::exit(2);
    };
    let bundle = Bundle::load(bundle)?;
    let runtime = Runtime::new("/run/corten-example");
    let mut container = runtime.create(&Id::new(id)?, &bundle, &CreateOptions::default())?;
    let started = container.start(&StartOptions::default());
    let exit = container.wait();
    container.delete()?;
    started?;
    match exit? {
        Exit::Code(code) => std::process::exit(code),
        exit => println!("{exit:?}"),
    }
    Ok(())
}
