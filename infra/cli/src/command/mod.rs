//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod import;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod test;
