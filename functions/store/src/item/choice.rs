//! A choice: written once, and never changed.

use domain::choice::Choice;

use super::{Reader, keyed, set};
use crate::backend::Item;
use crate::error::StoreError;
use crate::key::Key;

pub(crate) fn encode_choice(key: Key, choice: &Choice) -> Item {
    let mut item = keyed(key);
    set(&mut item, "j", serde_json::to_string(choice).expect("a choice has no map with non-text keys"));
    item
}

pub(crate) fn decode_choice(item: &Item) -> Result<Choice, StoreError> {
    Reader::new("choice", item).read("j", "a choice in JSON", |json| serde_json::from_str(json).ok())
}
