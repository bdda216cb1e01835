//! The harness of the integration tests: bundles, containers, and looks at the kernel.
//!
//! The runtime under test is the built `corten`; `CORTEN=path` names another build of it, and `RUNTIME=path`
//! puts a peer in its place, which is how the tests themselves are validated.
// A harness fails a test by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bundle;
mod bus;
mod command;
mod console;
pub mod kernel;
mod leftovers;
mod runtime;
mod sandbox;

pub use bundle::Bundle;
pub use bus::{Bus, Reaction};
pub use command::{Command, Output, Running};
pub use console::{Console, Socket, Terminal};
pub use runtime::{View, companion, is_peer, runtime, tool};
pub use sandbox::{Container, Sandbox, note_skip, wait_until};

/// A sandbox for this test, in the host's own view of cgroups or in the given one; the test ends early, with a
/// printed reason, where the machine cannot run it.
#[macro_export]
macro_rules! sandbox {
    () => {
        $crate::sandbox!($crate::View::Host)
    };
    ($view:expr) => {
        match $crate::Sandbox::new($view) {
            Ok(sandbox) => sandbox,
            Err(reason) => $crate::skip!("{reason}"),
        }
    };
}

/// Ends the test early and says why.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::note_skip(&format!($($reason)*));
        return;
    }};
}

/// Ends the test early when a peer stands in for corten: what follows is stricter than the peers, or unknown to them.
#[macro_export]
macro_rules! corten_only {
    () => {
        if $crate::is_peer() {
            $crate::skip!("tests behaviour of corten alone");
        }
    };
}

/// Two tests out of a function that takes a [`View`]: one in the host's view of cgroups, one in the v2 view.
#[macro_export]
macro_rules! views {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[test]
            fn host() {
                super::$test($crate::View::Host);
            }

            #[test]
            fn v2() {
                if $crate::View::host_is_v2() {
                    $crate::skip!("the host's own view is v2");
                }
                super::$test($crate::View::V2);
            }
        }
    )+};
}
