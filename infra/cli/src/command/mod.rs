//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod check_contact;
pub(crate) mod check_policy;
pub(crate) mod choice;
pub(crate) mod contact;
pub(crate) mod deploy;
pub(crate) mod dlq;
pub(crate) mod erase;
pub(crate) mod evidence;
pub(crate) mod import;
pub(crate) mod phone;
pub(crate) mod replay;
pub(crate) mod retain;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod sms;
pub(crate) mod template_check;
pub(crate) mod test;
pub(crate) mod unknown;
pub(crate) mod up;
pub(crate) mod verify;
