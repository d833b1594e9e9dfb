//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod check_contact;
pub(crate) mod import;
pub(crate) mod phone;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod sms;
pub(crate) mod test;
