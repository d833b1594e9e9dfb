//! Imports: what a lender's row says, checked at the edge and turned into facts.
//!
//! Invariant: a row becomes a record only when every one of its fields is sound; nothing half-read goes further.

pub mod amount;
pub mod day;
pub mod fields;
pub mod fold;
pub mod header;
pub mod made_up;
pub mod mapping;
pub mod record;
pub mod repeats;
pub mod row;
pub mod row_error;
