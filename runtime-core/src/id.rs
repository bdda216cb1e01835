//! The name of a container.

use std::fmt;

use crate::error::Error;

/// A container's id: `[A-Za-z0-9_+-][A-Za-z0-9_+.-]{0,254}`, so that it is one file name and never `.` or `..`.
///
/// A value of this type has been checked, so no operation can forget to (security rule D26).
///
/// ```
/// use runtime_core::Id;
/// assert!(Id::new("web-1").is_ok());
/// assert!(Id::new("../web").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(String);

impl Id {
    /// Checks `id`.
    ///
    /// # Errors
    /// [`Error::EmptyId`] and [`Error::InvalidId`].
    pub fn new(id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        match id.as_bytes().first() {
            None => Err(Error::EmptyId),
            Some(b'.') => Err(Error::InvalidId(id)),
            Some(_) if id.len() > 255 || !id.bytes().all(allowed) => Err(Error::InvalidId(id)),
            Some(_) => Ok(Self(id)),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
