//! Many containers of one program at once, created and not started.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::config::Shape;
use crate::container::Container;
use crate::error::{Error, Result};
use crate::lab::Lab;
use crate::results::Pace;
use crate::stats::Cost;
use crate::subject::{Kind, Subject};

/// How many commands run at the same time to make and to remove a crowd.
const HANDS: usize = 8;

/// Created containers; they are deleted when dropped.
pub(crate) struct Crowd<'a> {
    pub(crate) members: Vec<Container<'a>>,
}

impl<'a> Crowd<'a> {
    /// Creates so many containers.
    pub(crate) fn new(lab: &'a Lab, subject: &'a Subject, size: usize) -> Result<Self> {
        if subject.kind == Kind::Library {
            return Err(Error::Inapplicable);
        }
        let member = |number| Container::new(lab, subject, &format!("crowd{number}"), Shape::SLEEP);
        let mut crowd = Self { members: (0..size).map(member).collect::<Result<_>>()? };
        crowd.each(|container| container.create(Pace::Tight))?;
        Ok(crowd)
    }

    /// Does the same with every container, several at a time.
    pub(crate) fn each(&mut self, work: impl Fn(&mut Container<'a>) -> Result<Cost> + Sync) -> Result<()> {
        let share = self.members.len().div_ceil(HANDS).max(1);
        thread::scope(|scope| {
            let hands = self.members.chunks_mut(share).map(|members| {
                let work = &work;
                scope.spawn(move || members.iter_mut().try_for_each(|member| work(member).map(drop)))
            });
            let hands: Vec<_> = hands.collect();
            hands.into_iter().try_for_each(|hand| {
                hand.join()
                    .unwrap_or_else(|_| Err(Error::Failed("a thread of the benchmark panicked".into())))
            })
        })
    }

    /// `list`.
    pub(crate) fn list(&self) -> Result<Cost> {
        match self.members.first() {
            Some(member) => member.call_list().time(),
            None => Err(Error::Unfit("an empty crowd".into())),
        }
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        // What fails here, the final sweep takes.
        let _ = self.each(|container| container.delete(Pace::Tight, true));
    }
}

/// Calls `work` with 0, 1, 2, … on so many threads until it says stop, and gives the number of calls.
pub(crate) fn in_parallel(threads: usize, work: impl Fn(usize) -> Result<bool> + Sync) -> Result<usize> {
    let count = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for number in 0..threads {
            let (count, failure, work) = (&count, &failure, &work);
            scope.spawn(move || {
                loop {
                    match work(number) {
                        Ok(true) => drop(count.fetch_add(1, Ordering::Relaxed)),
                        Ok(false) => break,
                        Err(e) => {
                            if let Ok(mut failure) = failure.lock() {
                                *failure = Some(e);
                            }
                            break;
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner() {
        Ok(Some(e)) => Err(e),
        _ => Ok(count.into_inner()),
    }
}
