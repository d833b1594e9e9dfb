//! Imports: what a lender's row says, checked at the edge and turned into facts.
//!
//! Invariant: a row becomes a record only when every one of its fields is sound; nothing half-read goes further.

pub mod record;
