//! Names looked up in tables that are sorted by them.

use std::cmp::Ordering;
use std::marker::PhantomData;

/// What such a table consists of.
pub(super) trait Named: Sized + 'static {
    /// All of them, sorted by name.
    const TABLE: &'static [Self];

    fn name(&self) -> &'static str;
}

/// So many entries are looked at before the whole table is searched.
const NEAR: usize = 4;

/// Finds names, and sooner those that come in the order of the table, as they do in most profiles.
pub(super) struct Search<T> {
    /// Where names begin that come after the last one.
    next: usize,
    table: PhantomData<T>,
}

impl<T: Named> Search<T> {
    pub(super) fn new() -> Self {
        Self { next: 0, table: PhantomData }
    }

    /// The entry of that name.
    pub(super) fn find(&mut self, name: &str) -> Option<&'static T> {
        let place =
            self.near(name).unwrap_or_else(|| T::TABLE.binary_search_by(|entry| entry.name().cmp(name)));
        self.next = place.map_or_else(|at| at, |at| at + 1);
        T::TABLE.get(place.ok()?)
    }

    /// Its place or, as an error, where it would be; nothing where that is not near.
    fn near(&self, name: &str) -> Option<Result<usize, usize>> {
        let before = self.next.checked_sub(1).and_then(|at| T::TABLE.get(at));
        if before.is_some_and(|entry| entry.name() >= name) {
            return None;
        }
        for at in self.next..self.next + NEAR {
            match T::TABLE.get(at).map(|entry| entry.name().cmp(name)) {
                Some(Ordering::Less) => {}
                Some(Ordering::Equal) => return Some(Ok(at)),
                Some(Ordering::Greater) | None => return Some(Err(at)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::arch::Syscall;
    use super::*;

    fn names() -> impl DoubleEndedIterator<Item = &'static str> {
        Syscall::TABLE.iter().map(Named::name)
    }

    fn finds<'a>(search: &mut Search<Syscall>, mut names: impl Iterator<Item = &'a str>) -> bool {
        names.all(|name| search.find(name).is_some_and(|entry| entry.name() == name))
    }

    #[test]
    fn names_are_found_in_any_order() {
        let mut search = Search::new();
        assert!(finds(&mut search, names()));
        assert!(finds(&mut search, names().rev()));
        assert!(finds(&mut search, names().flat_map(|name| [name, name])));
        assert!(finds(&mut search, names().step_by(NEAR + 3)));
        assert!(finds(&mut search, names().zip(names().rev()).flat_map(|(first, last)| [first, last])));
    }

    #[test]
    fn names_that_are_not_there_are_not_found() {
        let mut search = Search::<Syscall>::new();
        for name in names() {
            let beside = [format!("{name}!"), name.to_uppercase(), format!("{name}~")];
            assert!(beside.iter().all(|other| search.find(other).is_none()), "{name}");
            assert!(search.find(name).is_some(), "{name}");
        }
        assert!(search.find("").is_none() && search.find("~").is_none());
    }
}
