//! Trees of cgroups. A container decides how deep they are, so no more than two are open at a time.

use super::Error;
use super::dir::Dir;

/// Goes through all cgroups below one. `enter` sees each before those below it, `leave` after them, by its parent and its
/// name. Others may make and remove cgroups meanwhile.
pub(super) fn walk(
    top: &Dir,
    mut enter: impl FnMut(&Dir) -> Result<(), Error>,
    mut leave: impl FnMut(&Dir, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut names: Vec<String> = Vec::new();
    let mut below: Option<Dir> = None;
    let mut left = vec![top.children()?];
    loop {
        let here = below.as_ref().unwrap_or(top);
        if let Some(name) = left.last_mut().and_then(Vec::pop) {
            let Some(child) = here.find(&name)? else { continue };
            enter(&child)?;
            left.push(child.children()?);
            names.push(name);
            below = Some(child);
        } else {
            left.pop();
            let Some(name) = names.pop() else { return Ok(()) };
            let parent = if names.is_empty() { None } else { Some(here.parent()?) };
            leave(parent.as_ref().unwrap_or(top), &name)?;
            below = parent;
        }
    }
}
